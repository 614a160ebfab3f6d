"""Values that nobody is to read again: found in what an agent was given, hidden in what it says.

The stream is hidden before anything else sees it, so that log, notes, last words and reasons come
from the hidden text. A value that is split over two pieces of output is hidden too.
"""

import json
import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote

CHARS_MIN = 8
"""A shorter value would hide ordinary words."""
MARK = "[hidden]"
_KEY = re.compile(r"(?i)token|key|secret|passw|auth|credential|bearer")
_PAIR = re.compile(
    r"""^\s*(?:export\s+)?["']?([\w.-]+)["']?\s*[:=]\s*["']?([^\s"',]+)""", re.MULTILINE
)
_LONG = re.compile(r"[A-Za-z0-9_+/.~-]{20,}=*")


class Hiding:
    """Hides values in text and in streams of bytes."""

    def __init__(self, values: Iterable[str]) -> None:
        forms = {form for value in values if len(value) >= CHARS_MIN for form in _forms(value)}
        self._values = sorted((each.encode("utf-8", "surrogateescape") for each in forms),
                              key=len, reverse=True)  # fmt: skip
        self._any = re.compile(b"|".join(map(re.escape, self._values))) if forms else None
        self._kept: dict[str, bytes] = {}

    def text(self, text: str) -> str:
        """The text without them."""
        raw = text.encode("utf-8", "surrogatepass")
        return self._hidden(raw).decode("utf-8", "surrogatepass")

    def line_in(self, raw: bytes) -> int | None:
        """The line, from 1, on which the first of them stands; `None` where none does."""
        found = None if self._any is None else self._any.search(raw)
        return None if found is None else raw.count(b"\n", 0, found.start()) + 1

    def feed(self, stream: str, data: bytes) -> bytes:
        """What may be told of the stream so far: all but an end that may begin a value."""
        if self._any is None:
            return data
        data = self._hidden(self._kept.pop(stream, b"") + data)
        keep = self._begun(data)
        if keep:
            self._kept[stream] = data[-keep:]
            data = data[:-keep]
        return data

    def rest(self, stream: str) -> bytes:
        """What was held back when the stream ended. It is a part of a value, if a long one."""
        held = self._kept.pop(stream, b"")
        return MARK.encode() if len(held) >= CHARS_MIN else held

    def _hidden(self, raw: bytes) -> bytes:
        return raw if self._any is None else self._any.sub(MARK.encode(), raw)

    def _begun(self, data: bytes) -> int:
        """Length of the longest end of `data` with which one of the values begins."""
        most = 0
        for value in self._values:
            for size in range(min(len(value) - 1, len(data)), most, -1):
                if data.endswith(value[:size]):
                    most = size
                    break
        return most


def is_secret(name: str) -> bool:
    """Whether a variable of this name holds a credential, as far as its name tells."""
    return _KEY.search(name) is not None


def values_in(text: str) -> set[str]:
    """What looks like a credential in a file of a tool: JSON, TOML, INI or lines of variables."""
    found: set[str] = set()
    try:
        _collect(json.loads(text), "", found)
    except (ValueError, RecursionError):
        for name, value in _PAIR.findall(text):
            if _KEY.search(name) and len(value) >= CHARS_MIN:
                found.add(value)
        found |= {each for each in _LONG.findall(text) if _random(each)}
    return found


def _collect(value: object, key: str, found: set[str]) -> None:
    if isinstance(value, dict):
        for name, each in value.items():  # pyright: ignore[reportUnknownVariableType]
            _collect(each, str(name), found)  # pyright: ignore[reportUnknownArgumentType]
    elif isinstance(value, list):
        for each in value:  # pyright: ignore[reportUnknownVariableType]
            _collect(each, key, found)  # pyright: ignore[reportUnknownArgumentType]
    elif isinstance(value, str) and len(value) >= CHARS_MIN and " " not in value:
        if _KEY.search(key) or (_LONG.fullmatch(value) and _random(value)):
            found.add(value)


def _random(word: str) -> bool:
    """Whether a part of it has the look of chance; names of models, versions and dates have not."""
    part = max(re.split(r"[-._/~]", word), key=len)
    letters = any(each.isalpha() for each in part)
    return len(part) >= 16 and letters and any(each.isdigit() for each in part)


def _forms(value: str) -> Mapping[str, None]:
    """The value as it may stand in JSON and in an address too."""
    return dict.fromkeys((value, json.dumps(value)[1:-1], quote(value, safe="")))
