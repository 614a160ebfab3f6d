"""What is said of a value that is not what it should be: in JSON's kinds, and naming the value.

The words are for whoever wrote the value, who knows nothing of the types that it is read into.
"""

import re
from collections.abc import Mapping
from typing import Any, cast, get_args

import msgspec

TEXT_CHARS_MAX = 60
"""Of a text that is quoted."""
_KINDS = {
    "int": "an integer",
    "float": "a number",
    "str": "a text",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}
_SAYS = re.compile(
    r"Expected `([^`]+)`(?: (?:of length )?(<=|>=|<|>|==)? ?(-?[0-9.]+(?:e[+-]?[0-9]+)?))?"
)
_BOUNDS = {">": "above", ">=": "of at least", "<": "below", "<=": "of at most"}
_STEPS = re.compile(r"\.([^.\[\]]+)|\[([0-9]+|\.\.\.)\]")


def shown(value: object) -> str:
    """A value as an error names it: short, and as it stands in JSON."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return f"{value!r:.40}"
    if isinstance(value, str):
        if not value:
            return "empty"
        cut = value if len(value) <= TEXT_CHARS_MAX else value[: TEXT_CHARS_MAX - 3] + "..."
        return msgspec.json.encode(cut.encode(errors="backslashreplace").decode()).decode()
    if isinstance(value, (list, tuple)):
        return "a list"
    return "an object" if isinstance(value, Mapping) else "no JSON value"


def said_of(error: str, given: Mapping[str, object], hints: Mapping[str, Any]) -> str:
    """What msgspec objects to, in words for whoever wrote `given`; `hints`: the types of its keys.
    Without a full stop."""
    what, _, where = error.partition(" - at `")
    path = where.strip("`").removeprefix("$")
    steps = _STEPS.findall(path)
    if not steps:
        return what.rstrip(".")
    value: Any = given
    for key, index in steps:
        value = _inside(value, key, index)
    allowed = ""
    if len(steps) == 1:
        allowed = words_of(hints.get(steps[0][0]))
    return f"{path.removeprefix('.')} is {shown(value)}; it is {allowed or _kinds_in(what)}"


def words_of(hint: Any) -> str:
    """The words that a value of this type may be, if it is one of some words."""
    for each in (hint, *get_args(hint)):
        if isinstance(each, type) and hasattr(each, "__members__"):
            return f"one of {', '.join(str(word.value) for word in cast(Any, each))}"
    literal = [str(each) for each in get_args(hint) if isinstance(each, str)]
    return f"one of {', '.join(literal)}" if literal else ""


def _inside(value: Any, key: str, index: str) -> Any:
    if key:
        return cast("Mapping[str, Any]", value).get(key) if isinstance(value, Mapping) else None
    if isinstance(value, (list, tuple)) and index.isdigit():
        items = cast("list[Any]", value)
        return items[int(index)] if int(index) < len(items) else None
    return cast(Any, value)


def _kinds_in(what: str) -> str:
    """What was expected, as msgspec says it, in JSON's kinds."""
    found = _SAYS.match(what)
    if found is None:
        return f"not allowed: {what.replace('`', '')}"
    names = [name for name in found[1].split(" | ") if name != "null"] or ["null"]
    words = [_KINDS.get(name, name) for name in names]
    kinds = " or ".join(words)
    if found[3] is None:
        return kinds
    number = found[3].removesuffix(".0")
    if "of length" in what:
        return f"{kinds}, its length {_BOUNDS.get(found[2] or '', '')} {number}".replace("  ", " ")
    return f"{kinds} {_BOUNDS.get(found[2] or '', 'of')} {number}"
