"""Where tests are defined on both sides, as the confined reader tells it."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from visionflow.agents.gate.results import BrokenTest, Tests
from visionflow.agents.gate.suites import GONE, function_of, path_of
from visionflow.agents.study.facts import Definition, read_facts
from visionflow.agents.tools.cache import ResultCache
from visionflow.agents.tools.delta import FileDiff
from visionflow.agents.tools.portions import ScanRequest
from visionflow.agents.tools.text import read_plain
from visionflow.agents.tools.tree import FILE_BYTES_MAX
from visionflow.compose.gate.reviewing import Side
from visionflow.compose.gate.state import State
from visionflow.ports.sandbox import Sandbox

_FACTS_MS = 60_000
Defined = Mapping[str, tuple[Definition, ...]]
"""Of each file what it defines."""


class Places:
    """The definitions of both sides of one change, read when they are asked for."""

    def __init__(
        self,
        sandbox: Sandbox,
        state: State,
        base: Side,
        head: Side,
        diff: Sequence[FileDiff],
        cache: ResultCache,
        trusted: bool,
    ) -> None:
        self._sandbox = sandbox
        self._state = state
        self._base = base
        self._head = head
        self._diff = {each.new or each.old or "": each for each in diff}
        self._cache = cache
        self._trusted = trusted

    async def renamed(self, lost: Iterable[BrokenTest]) -> dict[str, str]:
        """Of functions that are gone those whose body stands under another name in a file of the
        change, old id to new. The paths of both are those of now."""
        gone = {function_of(each.id) for each in lost if each.message == GONE}
        if not gone:
            return {}
        changed = [path for path, each in self._diff.items() if each.new is not None]
        after = await self._definitions(self._head, changed)
        before = await self._definitions(self._base, map(self._old, self._diff))
        bodies: dict[str, list[str]] = {}
        for path, definitions in sorted(after.items()):
            there = {each.name for each in before.get(self._old(path), ())}
            for each in definitions:
                if each.kind == "function" and each.name not in there:
                    body = _body(self._head, path, each)
                    bodies.setdefault(body, []).append(_id(path, each.name))
        found: dict[str, str] = {}
        for id in sorted(gone):
            old = self._old(path_of(id))
            for each in before.get(old, ()):
                if _id(path_of(id), each.name) == id:
                    same = bodies.get(_body(self._base, old, each))
                    if same:
                        found[id] = same.pop(0)
        return found

    async def placed(self, tests: Tests) -> Tests:
        """The same with the line of each test that is told of."""
        told = (*tests.broken, *tests.lost, *tests.flaky)
        if not told:
            return tests
        after = await self._definitions(self._head, (each.path for each in told))
        unplaced = [each for each in told if _line(after, each.path, each.id) is None]
        before = await self._definitions(self._base, (self._old(each.path) for each in unplaced))

        def at(test: BrokenTest) -> BrokenTest:
            line = _line(after, test.path, test.id) or self._was(before, test) or 1
            return msgspec.structs.replace(test, line=line)

        return msgspec.structs.replace(
            tests,
            broken=tuple(map(at, tests.broken)),
            lost=tuple(map(at, tests.lost)),
            flaky=tuple(map(at, tests.flaky)),
        )

    def _old(self, path: str) -> str:
        change = self._diff.get(path)
        return change.old if change is not None and change.old is not None else path

    def _was(self, before: Defined, test: BrokenTest) -> int | None:
        """Where it stood, as a line of now."""
        line = _line(before, self._old(test.path), test.id)
        change = self._diff.get(test.path)
        if line is None or change is None or change.new is None:
            return line
        moved = line
        for hunk in change.hunks:
            if line in hunk.old:
                return max(1, hunk.new.first)
            if hunk.old.first < line:
                moved += hunk.new.count - hunk.old.count
        return max(1, moved)

    async def _definitions(self, side: Side, paths: Iterable[str]) -> Defined:
        there = set(side.project.tree.python)
        files = tuple(sorted(set(paths) & there))
        if not files:
            return {}
        request = ScanRequest(
            str(side.folder), files, (), str(self._state.scratch / f"{side.name}-places"),
            _FACTS_MS, trusted=self._trusted, digests=side.digests,
        )  # fmt: skip
        facts = await read_facts(self._sandbox, request, self._cache)
        return {path: each.definitions for path, each in facts.files.items()}


def _id(path: str, name: str) -> str:
    return f"{path}::{name.replace('.', '::')}"


def _line(defined: Defined, path: str, test: str) -> int | None:
    """Of a function, or of the nearest class around one that a base class has."""
    steps = function_of(test).split("::")[1:]
    lines = {each.name: each.line for each in defined.get(path, ())}
    while steps:
        line = lines.get(".".join(steps))
        if line is not None:
            return line
        steps.pop()
    return None


def _body(side: Side, path: str, definition: Definition) -> str:
    """The definition's text without its name and without what surrounds it."""
    content = read_plain(os.path.join(side.folder, path), FILE_BYTES_MAX) or b""
    lines = content.decode("utf-8", "replace").split("\n")[definition.line - 1 : definition.end]
    name = re.escape(definition.name.rpartition(".")[2])
    text = "\n".join(line.strip() for line in lines)
    return re.sub(rf"\b{name}\b", "", text, count=1)
