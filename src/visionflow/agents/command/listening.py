"""Listens to a go while it runs: hides credentials, keeps the log, and hears what the tool says.

Everything downstream sees the hidden bytes only. What is decided on what was heard is `going`'s.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from visionflow.agents.command.hiding import Hiding
from visionflow.agents.command.reading import Reader
from visionflow.agents.tools.text import one_line

LINE_BYTES_MAX = 65_536
"""A longer line is written in pieces."""
_NOTE_CHARS_MAX = 200
_NOTE_PAUSE_S = 1.0


class Log:
    """`output.log` of a task: raw lines of the tool, as they came, for the owner alone.

    A disk that is full ends the log and not the agent; `fault` then says so.
    """

    def __init__(self, place: Path, bytes_max: int) -> None:
        self._place = place
        self._left = bytes_max
        self._open: dict[str, bytes] = {}
        self._file: BinaryIO | None = None
        self.fault: str | None = None

    def begin(self, line: str) -> None:
        """A line of ours, before those of a go."""
        try:
            self._place.touch(mode=0o600, exist_ok=True)
            self._file = open(self._place, "ab", buffering=0)
        except OSError as error:
            self._give_up(error)
        self._put(f"[visionflow] {line}\n".encode())

    def add(self, stream: str, data: bytes) -> None:
        """Bytes of a stream; whole lines are written, so that two streams do not mix in one."""
        held = self._open.get(stream, b"") + data
        end = held.rfind(b"\n") + 1
        if not end and len(held) > LINE_BYTES_MAX:
            end = len(held)
        self._open[stream] = held[end:]
        self._put(held[:end][: self._left])
        self._left -= min(end, self._left)

    def close(self) -> None:
        """Write what has no end of line."""
        for held in self._open.values():
            if held:
                self._put(held[: self._left] + b"\n")
        self._open = {}
        if self._file is not None:
            self._file.close()
            self._file = None

    def _put(self, raw: bytes) -> None:
        try:
            while raw and self._file is not None:
                raw = raw[self._file.write(raw) :]
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        self.fault = f"the log of its output is not whole: {error.strerror or error}"


class Listener:
    """Takes the output of one go."""

    def __init__(
        self,
        reader: Reader,
        hiding: Hiding,
        log: Log,
        *,
        show: Callable[[str], None],
        on_heard: Callable[[], None],
    ) -> None:
        """`show` gets what the tool does now, one line, at most once a second; `on_heard` is
        called after each piece."""
        self.reader = reader
        self.size = 0
        """Bytes of output so far."""
        self._hiding = hiding
        self._log = log
        self._show = show
        self._on_heard = on_heard
        self._shown = 0
        """Notes that there were when one was shown last."""
        self._shown_at = 0.0

    def __call__(self, stream: str, data: bytes) -> None:
        """See `Sandbox.run`."""
        self.size += len(data)
        self._take(stream, self._hiding.feed(stream, data))
        self._note()
        self._on_heard()

    def close(self, exit_code: int | None) -> None:
        """The output is over."""
        for stream in ("stdout", "stderr"):
            self._take(stream, self._hiding.rest(stream))
        self.reader.close(exit_code)
        self._log.close()

    def _take(self, stream: str, data: bytes) -> None:
        if data:
            self._log.add(stream, data)
            self.reader.feed(stream, data)

    def _note(self) -> None:
        note, now = one_line(self.reader.note)[:_NOTE_CHARS_MAX], time.monotonic()
        # The same call again is shown again: whoever counts sees that it goes round in circles.
        if note and self.reader.notes != self._shown and now - self._shown_at >= _NOTE_PAUSE_S:
            self._shown, self._shown_at = self.reader.notes, now
            self._show(note)
