"""Log lines for people: `DATE TIME LEVEL agent_ID|- CODE message`, one line each; or JSON.

The file is bounded: a full one steps aside, and only so many old ones are kept. Whoever wants to
know what came last asks `tail`. What looks like a credential never reaches a line.
"""

import datetime
import os
import queue
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import TextIO

import msgspec

from visionflow.domain.secrecy import masked

LEVELS = ("debug", "info", "warning", "error")
FILE_BYTES_MAX = 10 * 1024 * 1024
FILES_KEPT = 4
"""Old ones beside the one that is written."""
ECHO_LINES_MAX = 10_000
ECHO_CLOSE_S_MAX = 1.0
BLOCK_BYTES = 65_536
TAIL_BYTES_MAX = FILE_BYTES_MAX
"""How far back `tail` looks."""
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
# Line ends that are not ASCII's, and what turns the direction of writing.
_UNSEEN = {code: f"\\u{code:04x}" for code in (*range(0x2028, 0x202F), *range(0x2066, 0x206A))}
_ESCAPED = _CONTROL | _UNSEEN


class Line(msgspec.Struct, frozen=True):
    """A line as JSON has it."""

    at: str
    """Date and time with the offset from UTC."""
    level: str
    agent: str | None
    code: str
    message: str


def formed(form: str, level: str, agent: str | None, code: str, message: str) -> str:
    """A line with its end, in the form `text` or `json`."""
    now = datetime.datetime.now().astimezone()
    if form == "json":
        line = Line(now.isoformat(timespec="milliseconds"), level, agent, code, message)
        return msgspec.json.encode(line).decode() + "\n"
    stamp = now.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    who, code = ("_".join(word.split()) or "-" for word in (agent or "", code))
    return f"{stamp} {level.upper()} {who} {code} {message.translate(_ESCAPED)}\n"


class LineLog:
    """Appends lines to a file. Satisfies `Telemetry`; any thread may use it.

    Lines are for people: a disk that takes no more costs lines, and nothing else.
    """

    def __init__(
        self,
        path: Path,
        *,
        level: str = "debug",
        form: str = "text",
        echo: TextIO | None = None,
        bytes_max: int = FILE_BYTES_MAX,
        kept: int = FILES_KEPT,
        debugged: Callable[[str], bool] = lambda _: False,
        mask: Callable[[str], str] = masked,
    ) -> None:
        """Lines below `level` are left out, but for agents that are `debugged`. `form` is text or
        json; `echo` gets each line too. `mask`: takes secrets out of a message."""
        self._path = path
        self._level = _rank(level)
        self._form = form
        self._echo = None if echo is None else Echo(echo)
        self._bytes_max = bytes_max
        self._kept = kept
        self._debugged = debugged
        self._mask = mask
        self._lock = threading.Lock()
        self._file = _open(path)
        self._bytes = path.stat().st_size

    def log(self, level: str, agent: str | None, code: str, message: str) -> None:
        """See `Telemetry`. Control characters in the message are written out."""
        if _rank(level) < self._level and not (agent and self._debugged(agent)):
            return
        line = formed(self._form, level, agent, code, self._mask(message))
        with self._lock, suppress(OSError, ValueError):
            self._write(line)
        if self._echo is not None:
            self._echo.write(line)

    def close(self) -> None:
        """Write nothing more."""
        with self._lock:
            self._file.close()
        if self._echo is not None:
            self._echo.close()

    def tail(
        self, agent: str | None = None, level: str | None = None, limit: int = 100
    ) -> list[str]:
        """The last lines, oldest first; of one agent, and of at least this level. It blocks."""
        least = 0 if level is None else _rank(level)
        found: list[str] = []
        for text in self._backwards():
            if len(found) >= limit:
                break
            told = _told(text)
            if told is None:
                continue
            rank, whose = told
            if rank >= least and (agent is None or whose == agent):
                found.append(text)
        return found[::-1]

    def _write(self, line: str) -> None:
        self._bytes += self._file.write(line.encode(errors="backslashreplace")) or 0
        if self._bytes >= self._bytes_max:
            self._file.close()
            step_aside(self._path, self._kept)
            self._file = _open(self._path)
            self._bytes = 0

    def _backwards(self) -> Iterator[str]:
        """Lines of all files, the last one first, as far back as is looked."""
        budget = TAIL_BYTES_MAX
        for path in (self._path, *(_older(self._path, n) for n in range(1, self._kept + 1))):
            try:
                size = path.stat().st_size
            except FileNotFoundError:
                return
            yield from _lines_backwards(path, size, budget)
            budget -= size
            if budget <= 0:
                return


class Echo:
    """Writes lines to a stream from a thread of its own: whoever reads it may stand still, and
    nobody here waits. Lines that then find no room are dropped and counted."""

    def __init__(self, stream: TextIO, lines_max: int = ECHO_LINES_MAX) -> None:
        self._stream = stream
        self._lines: queue.Queue[str | None] = queue.Queue(lines_max)
        self._dropped = 0
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="lines", daemon=True)
        self._thread.start()

    def write(self, line: str) -> None:
        """Write it soon, or not at all."""
        with self._lock:
            if self._dropped:
                line = f"... {self._dropped} lines were dropped here ...\n{line}"
            try:
                self._lines.put_nowait(line)
                self._dropped = 0
            except queue.Full:
                self._dropped += 1

    def close(self) -> None:
        """Write what waits, if somebody reads it."""
        with suppress(queue.Full):
            self._lines.put_nowait(None)
            self._thread.join(ECHO_CLOSE_S_MAX)

    def _run(self) -> None:
        while (line := self._lines.get()) is not None:
            with suppress(OSError, ValueError):
                self._stream.write(line)
                self._stream.flush()


def copy_aside(path: Path, bytes_max: int = FILE_BYTES_MAX) -> None:
    """Empty a file that other processes append to once it is too large; the old content is kept
    beside it, in the place of an older one. It blocks."""
    with suppress(FileNotFoundError):
        if path.stat().st_size > bytes_max:
            shutil.copyfile(path, _older(path, 1))
            os.truncate(path, 0)


def step_aside(path: Path, kept: int = FILES_KEPT) -> None:
    """Let a file become the first of the old ones; the oldest of more than `kept` goes."""
    _older(path, kept).unlink(missing_ok=True)
    for number in range(kept - 1, 0, -1):
        with suppress(FileNotFoundError):
            _older(path, number).rename(_older(path, number + 1))
    with suppress(FileNotFoundError):
        path.rename(_older(path, 1))


def _older(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")


def _open(path: Path) -> FileIO:
    # Without a buffer: what a full disk did not take must not wait for a later line.
    return path.open("ab", buffering=0)


def _rank(level: str) -> int:
    """Words that are no level count as information."""
    return LEVELS.index(level) if level in LEVELS else LEVELS.index("info")


def _told(text: str) -> tuple[int, str | None] | None:
    """Level and agent of a line; `None` when it is none of ours."""
    if text.startswith("{"):
        try:
            line = msgspec.json.decode(text, type=Line)
        except msgspec.DecodeError:
            return None
        return _rank(line.level), line.agent
    words = text.split(" ", 5)
    if len(words) < 5:
        return None
    return _rank(words[2].lower()), None if words[3] == "-" else words[3]


def _lines_backwards(path: Path, size: int, budget: int) -> Iterator[str]:
    rest = b""
    with path.open("rb") as file:
        end = size
        while end > max(0, size - budget):
            start = max(0, end - BLOCK_BYTES)
            file.seek(start)
            parts = (file.read(end - start) + rest).split(b"\n")
            rest = parts[0]
            for part in reversed(parts[1:]):
                if part:
                    yield part.decode(errors="replace")
            end = start
    if rest and end == 0:
        yield rest.decode(errors="replace")
