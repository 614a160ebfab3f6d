"""A pseudo terminal with a program on it, which has it as its controlling terminal."""

import fcntl
import os
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

WAIT_S = 90.0


class OnTerminal:
    """Started in a session of its own, so that Ctrl-C reaches it as it would reach a user's."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], cwd: Path) -> None:
        self._master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        self.process = subprocess.Popen(
            argv,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=cwd,
            env={"TERM": "xterm-256color", **env},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        self.seen = b""

    def __enter__(self) -> "OnTerminal":
        return self

    def __exit__(self, *exception: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(WAIT_S)
        os.close(self._master)

    def type(self, what: bytes) -> None:
        """As from the keyboard."""
        os.write(self._master, what)

    def until(self, reached: Callable[[], bool]) -> None:
        """Read what the program writes until something is so."""
        deadline = time.monotonic() + WAIT_S
        while not reached():
            assert time.monotonic() < deadline, self.seen.decode(errors="replace")
            self._read(0.02)

    def drain(self) -> None:
        """Read what there is, so that the program never waits for a reader."""
        self._read(0.0)

    def end(self) -> int:
        """Read to the end; the exit code."""
        self.until(lambda: self.process.poll() is not None)
        while self._read(0.0):
            pass
        return self.process.returncode

    def _read(self, wait_s: float) -> bool:
        if not select.select([self._master], [], [], wait_s)[0]:
            return False
        try:
            read = os.read(self._master, 65_536)
        except OSError:
            return False
        self.seen += read
        return bool(read)

    @property
    def text(self) -> str:
        """All that was written so far."""
        return self.seen.decode(errors="replace")
