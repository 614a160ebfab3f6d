"""What worker processes print: each into a file of its own while it lives, so that the last words
of a dead one are known to be its own; then it is appended to the log of all of them."""

import os
from contextlib import suppress
from pathlib import Path

from visionflow.adapters.lines import copy_aside
from visionflow.domain.ids import one_word

TAIL_BYTES = 4_096
"""Of the end of an output, what is looked at for last words."""
KEPT_BYTES_MAX = 262_144
"""Of one process that ended."""


class Outputs:
    """The files of one folder. From the loop's thread; what blocks is small."""

    def __init__(self, log: Path) -> None:
        """`log`: the file that gets the outputs of those that ended."""
        self._log = log
        self._folder = log.with_suffix("")

    def file_of(self, swarm: str, worker: str, incarnation: int) -> Path:
        """Where a process prints to; what earlier ones on its place left is collected first."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = f"{one_word(swarm)}.{one_word(worker)}"
        path = self._folder / f"{name}.{incarnation}.out"
        for left in sorted(self._folder.glob(f"{name}.*.out")):
            if left != path:
                self.ended(left)
        return path

    def ended(self, path: Path) -> str:
        """The last words of a process that has ended; its file goes. Empty where there is none."""
        try:
            content = _end_of(path, KEPT_BYTES_MAX)
        except OSError:
            return ""
        with suppress(OSError):
            if content:
                with open(self._log, "ab") as log:
                    log.write(content)
                copy_aside(self._log)
            path.unlink()
            path.with_name(f"{path.name}.1").unlink(missing_ok=True)
        return content[-TAIL_BYTES:].decode("utf-8", "replace")

    def keep_within_bounds(self) -> None:
        """Empty what has become too large; what it held is kept beside it for once. It blocks."""
        for path in [self._log, *self._folder.glob("*.out")]:
            copy_aside(path)


def _end_of(path: Path, most: int) -> bytes:
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - most))
        content = file.read(most)
    if size > most:
        content = b"... %d bytes left out ...\n" % (size - most) + content
    return content if not content or content.endswith(b"\n") else content + b"\n"
