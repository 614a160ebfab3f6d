"""What changed files compile to, before and after, and how our programs that run confined are run.

Two versions that compile to the same behave the same, whatever their text; nothing is executed to
tell. What of them differs is `behaviour`'s to look into.
"""

import json
import os
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import msgspec

from visionflow.agents.tools.portions import own_read_paths
from visionflow.agents.tools.text import read_plain
from visionflow.agents.workspace.files import remove_tree
from visionflow.ports.sandbox import Command, Completed, Sandbox

RESTARTS_MAX = 20
OUTPUT_BYTES_MAX = 64 * 1024 * 1024
MEMORY_BYTES = 1024 * 1024 * 1024


class FileCode(msgspec.Struct, frozen=True):
    """What two versions of one file compile to; see `inside.codes.compare`."""

    same: bool = False
    functions: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    body: bool = False
    all: tuple[str, ...] = ()
    error: str | None = None


async def compare_codes(
    sandbox: Sandbox, pairs: Mapping[str, tuple[bytes, bytes]], scratch: str, trusted: bool
) -> dict[str, FileCode]:
    """What the versions (before, after) of each file compile to, by path.

    Raises:
        ConfinementUnavailable, CommandNotStarted: no interpreter can be run here.
    """
    folder = emptied(Path(os.path.realpath(scratch), "codes"))
    # Numbers for names: what the files are called is a stranger's choice.
    order = sorted(pairs)
    written: list[tuple[str, str]] = []
    for number, path in enumerate(order):
        places = (folder / f"{number}-before", folder / f"{number}-after")
        for place, content in zip(places, pairs[path], strict=True):
            place.write_bytes(content)
        written.append((str(places[0]), str(places[1])))
    told: dict[str, FileCode] = {}
    for turn in range(RESTARTS_MAX):
        left = [number for number, path in enumerate(order) if path not in told]
        if not left:
            break
        asked = {"pairs": [written[number] for number in left]}
        ran = await InsideProgram(sandbox, "codes", folder, trusted).run(asked, turn)
        for number, line in zip(left, ran.lines, strict=False):
            told[order[number]] = msgspec.convert(
                {key: line.get(key) for key in FileCode.__struct_fields__}, FileCode
            )
        if len(ran.lines) < len(left):
            at_fault = order[left[len(ran.lines)]]
            told[at_fault] = FileCode(error=f"the compiler did not survive it: {ran.ended}")
    missing = dict.fromkeys((p for p in order if p not in told), FileCode(error="not compared"))
    return dict(sorted((told | missing).items()))


class Ran(NamedTuple):
    """What a program of ours wrote, line by line, and how it ended."""

    lines: list[dict[str, Any]]
    ended: str


class InsideProgram:
    """One of the programs of `agents.inside`, run confined in a folder of ours."""

    def __init__(
        self,
        sandbox: Sandbox,
        name: str,
        folder: Path,
        trusted: bool,
        python: tuple[str, ...] = (sys.executable, "-I"),
        read: tuple[str, ...] = (),
        wall_ms: int = 60_000,
    ) -> None:
        self._sandbox, self._name, self._folder = sandbox, name, folder
        self._trusted, self._python, self._read = trusted, python, read
        self._wall_ms = wall_ms

    async def run(self, asked: Mapping[str, object], turn: int) -> Ran:
        """The lines that it wrote, and how it ended."""
        ours, theirs = self._folder / "ours", self._folder / f"theirs-{turn}"
        remove_tree(theirs)
        for each in (ours, theirs):
            each.mkdir(exist_ok=True)
        program, order = ours / f"{self._name}.py", ours / "order.json"
        shutil.copyfile(Path(__file__).parents[1] / "inside" / f"{self._name}.py", program)
        order.write_text(json.dumps(asked), encoding="utf-8")
        output = theirs / "output.jsonl"
        done = await self._sandbox.run(
            Command(
                argv=(*self._python, str(program), str(order), str(output)),
                cwd=str(theirs),
                env={
                    "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "TZ": "UTC", "HOME": str(theirs),
                    "TMPDIR": str(theirs), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0",
                    "PYTHONNOUSERSITE": "1",
                },
                read=(str(ours), str(self._folder), *own_read_paths(), *self._read),
                write=(str(theirs),),
                wall_ms=self._wall_ms,
                memory_bytes=MEMORY_BYTES,
                trusted=self._trusted,
            )
        )  # fmt: skip
        content = read_plain(output, OUTPUT_BYTES_MAX, linked=False) or b""
        return Ran(list(_lines(content)), _ending(done))


def _lines(content: bytes) -> Iterable[dict[str, Any]]:
    """The whole lines that are maps; called code can reach the file."""
    for line in content.split(b"\n")[:-1]:
        try:
            made: object = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(made, dict):
            yield cast("dict[str, Any]", made)


def _ending(done: Completed) -> str:
    return done.ended_by or f"exit code {done.exit_code}"


def emptied(folder: Path) -> Path:
    """The folder, made anew: what an earlier attempt left there is gone, also what foreign code
    shut to its owner.

    Raises:
        WorkspaceError: it could not be removed.
    """
    remove_tree(folder)
    folder.mkdir(parents=True)
    return folder
