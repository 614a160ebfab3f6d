"""From bytes as they come to whole lines, in bounded memory, and what all readers have in common.

A line may be broken anywhere, hold half a character, escape sequences, or a hundred megabytes.
"""

import json
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, cast

from visionflow.agents.candidates.values import Usage
from visionflow.agents.command.refusals import Refusal, refusal_in
from visionflow.agents.tools.text import clean, one_line

LINE_BYTES_MAX = 1 << 20
"""Longer lines are left out: no tool says anything in them that is needed here."""
SAID_MAX = 4_000
NOTE_MAX = 120
TAIL_LINES = 8
NOTHING_USED = Usage()


class Lines:
    """Cuts one stream into lines."""

    def __init__(self) -> None:
        self._kept = bytearray()
        self._over = False

    def feed(self, data: bytes) -> Iterator[str]:
        """The lines that end in `data`, without their ends."""
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            line = self._end(data, start, end)
            start = end + 1
            if line is not None:
                yield line
        self._keep(data, start, len(data))

    def close(self) -> Iterator[str]:
        """The last line, where nothing ended it."""
        line = self._end(b"", 0, 0)
        if line:
            yield line

    def _keep(self, data: bytes, start: int, end: int) -> None:
        if self._over or len(self._kept) + end - start > LINE_BYTES_MAX:
            self._over = True
            self._kept.clear()
            return
        self._kept += memoryview(data)[start:end]

    def _end(self, data: bytes, start: int, end: int) -> str | None:
        self._keep(data, start, end)
        line = None if self._over else self._kept.decode("utf-8", "replace").rstrip("\r")
        self._kept.clear()
        self._over = False
        return line


class LineReader:
    """What every reader does: lines, what was said last, how it ended."""

    def __init__(
        self, before: Usage = NOTHING_USED, clock: Callable[[], float] = time.time
    ) -> None:
        """`before`: what earlier goes of the same conversation reported; `clock`: seconds since
        the epoch."""
        self.usage = Usage()
        self.before = before
        self.session: str | None = None
        self.said = ""
        self.note = ""
        self.notes = 0
        self.refusal: Refusal | None = None
        self._clock = clock
        self._lines = {"stdout": Lines(), "stderr": Lines()}
        self._tails: dict[str, deque[str]] = {
            name: deque(maxlen=TAIL_LINES) for name in self._lines
        }
        self._closed = False

    def feed(self, stream: str, data: bytes) -> None:
        """Take what came on `stdout` or `stderr`."""
        for line in self._lines[stream].feed(data):
            self._take(stream, line)

    def close(self, exit_code: int | None) -> None:
        """There is no more; `exit_code`: how it ended, `None` where it was ended."""
        if self._closed:
            return
        self._closed = True
        for stream, lines in self._lines.items():
            for line in lines.close():
                self._take(stream, line)
        self.end(exit_code)

    def end(self, exit_code: int | None) -> None:
        """Decide what only the end shows."""
        if exit_code == 0:
            self.refusal = None
        elif self.refusal is None and exit_code is not None:
            self.refusal = self._refusal_at_end()
        if not self.said:
            self.say("\n".join(self._tails["stdout"] or self._tails["stderr"]))

    def line(self, stream: str, text: str) -> None:
        """A line that is no JSON object, without escape sequences."""

    def record(self, stream: str, found: dict[str, Any]) -> None:
        """A line that is a JSON object."""

    def now_ms(self) -> int:
        """Since the epoch."""
        return int(self._clock() * 1_000)

    def say(self, text: str) -> None:
        """Its last words so far."""
        plain = clean(text[: 4 * SAID_MAX]).strip()
        if plain:
            self.said = plain if len(plain) <= SAID_MAX else plain[: SAID_MAX - 1] + "…"

    def tell(self, note: str) -> None:
        """What it does now."""
        self.note = one_line(note[:SAID_MAX], NOTE_MAX)
        self.notes += 1

    def refuse(self, found: Refusal | None) -> None:
        """Note a refusal; one that is permanent stays."""
        if found is not None and (self.refusal is None or self.refusal.kind == "throttled"):
            self.refusal = found

    def moved_on(self) -> None:
        """It got an answer: what asked for patience is over."""
        if self.refusal is not None and self.refusal.kind == "throttled":
            self.refusal = None

    def _take(self, stream: str, line: str) -> None:
        found = parsed(line)
        if found is not None:
            self.record(stream, found)
            return
        text = clean(line[: 4 * SAID_MAX]).rstrip()[:SAID_MAX]
        if text.strip():
            self._tails[stream].append(text)
            self.line(stream, text)

    def _refusal_at_end(self) -> Refusal | None:
        for stream in ("stderr", "stdout"):
            for text in reversed(self._tails[stream]):
                if (found := refusal_in(text, self.now_ms())) is not None:
                    return found
        return None


def parsed(line: str) -> dict[str, Any] | None:
    """The JSON object that a line is, or `None`."""
    text = line.strip()
    if not text.startswith("{"):
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", found) if isinstance(found, dict) else None


def part(found: object, *keys: str) -> Any:
    """What stands under these keys, one within the other; `None` where there is nothing."""
    here: Any = found
    for key in keys:
        if not isinstance(here, dict):
            return None
        here = cast("dict[str, Any]", here).get(key)
    return here


def text_of(found: object) -> str:
    """A text, or nothing."""
    return found if isinstance(found, str) else ""


def count_of(found: object) -> int | None:
    """A count that a tool reports; `None` where it is none."""
    if isinstance(found, bool) or not isinstance(found, int):
        return None
    return found if 0 <= found < 1 << 53 else None


def microdollars_of(found: object) -> int | None:
    """Dollars as millionths; `None` where it is no amount."""
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    return round(found * 1_000_000) if 0 <= found < 1e9 else None


def total(*counts: int | None) -> int | None:
    """The sum of those that are known; `None` where none is."""
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def since(now: int | None, before: int | None) -> int | None:
    """What was added to a count of a whole conversation; `None` where it is not told."""
    return None if now is None else max(now - (before or 0), 0)


def doing(tool: str, given: object) -> str:
    """What a call of a tool does, for people: `editing shop/limits.py`, `running pytest`."""
    name = tool.lower().rsplit("__", 1)[-1]
    for verb, names in _DOING:
        if name in names:
            told = next((text for key in _TOLD if (text := text_of(part(given, key)))), "")
            return f"{verb} {told}" if told else tool
    return f"calling {tool}"


_DOING = (
    ("editing", ("edit", "write", "multiedit", "notebookedit", "write_file", "replace")),
    ("reading", ("read", "read_file", "read_many_files", "list_directory")),
    ("running", ("bash", "run_shell_command", "shell", "exec_command")),
    ("searching", ("grep", "glob", "search_file_content", "grep_search", "websearch")),
)
_TOLD = (
    "file_path",
    "absolute_path",
    "path",
    "notebook_path",
    "command",
    "pattern",
    "query",
    "dir_path",
)
