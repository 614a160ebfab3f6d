"""What worker processes print: each into a file of its own while it lives, so that the last words
of a dead one are known to be its own; then it is appended, without secrets, to the log of all.

A worker masks what its Python code prints. What the programs that it runs write to the descriptor
is as they wrote it until their worker has ended.
"""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from visionflow.adapters.lines import copy_aside
from visionflow.domain.ids import one_word

TAIL_BYTES = 4_096
"""Of the end of an output, what is looked at for last words."""
KEPT_BYTES_MAX = 262_144
"""Of one process that ended, and of one whose output was cut."""
OUTPUT_BYTES_MAX = 1_048_576
"""Of one process that lives."""
LOOK_S = 0.5
"""So often outputs are looked at: a flood writes for that long beyond its bound."""


class Outputs:
    """The files of one folder. From the loop's thread; what blocks is small."""

    def __init__(self, log: Path, mask: Callable[[str], str]) -> None:
        """`log`: the file that gets the outputs of those that ended; `mask` takes secrets out."""
        self._log = log
        self._folder = log.with_suffix("")
        self._mask = mask

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
        text = self._mask(content.decode("utf-8", "replace"))
        with suppress(OSError):
            if text:
                with open(self._log, "a", encoding="utf-8") as log:
                    log.write(text)
                copy_aside(self._log)
            path.unlink()
        return text[-TAIL_BYTES:]

    def keep_within_bounds(self) -> list[tuple[str, int]]:
        """Cut what has become too large to its end; of each its name, and how many bytes went. It
        blocks; from any thread."""
        copy_aside(self._log)
        found: list[tuple[str, int]] = []
        for path in self._folder.glob("*.out"):
            with suppress(OSError):
                if path.stat().st_size > OUTPUT_BYTES_MAX:
                    found.append((path.stem, _cut(path)))
        return found


async def keep_within_bounds(look: Callable[[], None]) -> None:
    """Look at what workers print again and again, in a thread; until it is cancelled."""
    while True:
        with suppress(OSError):
            await asyncio.to_thread(look)
        await asyncio.sleep(LOOK_S)


def _cut(path: Path) -> int:
    """Leave the end of a file that a process appends to. What it writes meanwhile may go too."""
    # Appended like everything else: the writer's next line goes behind it.
    with open(path, "r+b") as file, open(path, "ab") as end:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - KEPT_BYTES_MAX))
        tail = file.read(KEPT_BYTES_MAX)
        file.truncate(0)
        dropped = size - len(tail)
        end.write(b"... %d bytes left out ...\n" % dropped + tail)
    return dropped


def _end_of(path: Path, most: int) -> bytes:
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - most))
        content = file.read(most)
    if size > most:
        content = b"... %d bytes left out ...\n" % (size - most) + content
    return content if not content or content.endswith(b"\n") else content + b"\n"
