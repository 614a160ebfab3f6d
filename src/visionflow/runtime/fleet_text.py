"""Texts on their way into the fleet's stream: what can be kept as it is, and what is searched."""

from typing import cast

from visionflow.domain.errors import Refused
from visionflow.domain.limits import AUDIT_CHARS_MAX, MEMORY_TEXT_CHARS_MAX


def plain(text: str) -> str:
    """A text for the audit: bounded, and with an escape for what UTF-8 cannot carry."""
    return text[:AUDIT_CHARS_MAX].encode("utf-8", "backslashreplace").decode()


def encodable(text: str, what: str) -> str:
    """The text, when the log can hold it as it is.

    Raises:
        Refused: UTF-8 cannot carry it.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Refused(
            f"{what} cannot be {text[:50]!a}: UTF-8 cannot carry it.", code="usage"
        ) from error
    return text


def text_of(value: object) -> str:
    """All keys and texts in a value, in order, as far as a search looks."""
    found: list[str] = []
    room = MEMORY_TEXT_CHARS_MAX
    pending: list[object] = [value]
    while pending and room > 0:
        item = pending.pop()
        if isinstance(item, str):
            found.append(item[:room])
            room -= len(item) + 1
        elif isinstance(item, dict):
            for key, inner in reversed(cast("dict[object, object]", item).items()):
                pending.append(inner)
                pending.append(key)
        elif isinstance(item, (list, tuple)):
            pending.extend(reversed(cast("list[object]", item)))
        elif isinstance(item, (int, float)) and not isinstance(item, bool):
            pending.append(str(item))
    return " ".join(found)
