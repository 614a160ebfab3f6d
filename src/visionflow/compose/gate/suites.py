"""The tests that a change can reach, run on the working tree, and on base where that could differ.

They run on a copy of their own, which is put right before each run. What a run on base said is
kept by base's tree, the chosen files and the environment. On base are run: the files with anything
but passed tests, those of which the working tree's run tells nothing, and those that changed or are
gone; all that were chosen where the run came to no verdict, or where something changed that decides
what is collected (a conftest, a hook, the settings of pytest).
"""

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from visionflow.agents.gate.covering import changed_coverage, lines_that_can_run
from visionflow.agents.gate.results import ChangedCoverage, Tests
from visionflow.agents.gate.suites import (
    Change,
    broken_cases,
    compare,
    cut_short,
    silent,
    suspects,
    uncollected,
    unknown,
)
from visionflow.agents.roles.job import storable
from visionflow.agents.study.affected import affected_tests
from visionflow.agents.study.graph import ImportGraph
from visionflow.agents.tools.cache import ResultCache, key_of
from visionflow.agents.tools.delta import FileDiff
from visionflow.agents.tools.environment import choose
from visionflow.agents.tools.flaky import run_again
from visionflow.agents.tools.project import Project
from visionflow.agents.tools.results import Case, TestRun
from visionflow.agents.tools.testing import SuiteRequest, run_tests
from visionflow.agents.tools.text import read_plain
from visionflow.agents.tools.tree import FILE_BYTES_MAX
from visionflow.agents.tools.verdicts import WALL_HINT
from visionflow.compose.gate.checkout import Checkout
from visionflow.compose.gate.placing import Places
from visionflow.compose.gate.request import GateRequest
from visionflow.compose.gate.reviewing import Side
from visionflow.compose.gate.sides import Sides
from visionflow.compose.gate.state import State
from visionflow.ports.sandbox import Sandbox

FORM = "2"
"""Another one makes the cache forget runs on base."""
RERUNS = 2
XML_BYTES_MAX = 64 << 20
_SETTINGS = (
    "conftest.py", "pytest.ini", ".pytest.ini", "pytest.toml", ".pytest.toml", "pyproject.toml",
    "setup.cfg", "tox.ini",
)  # fmt: skip
_HOOKS = (b"pytest_", b"collect_ignore")
NO_TESTS = "there are no tests"


class Tested(msgspec.Struct, frozen=True):
    """What the tests say of a change; a reason for each answer that is not there."""

    tests: Tests | None = None
    tests_reason: str | None = None
    unknown: bool = False
    """Whether there are tests of which nothing can be told."""
    coverage: ChangedCoverage | None = None
    coverage_reason: str | None = None
    notes: tuple[str, ...] = ()


class Suites:
    """The tests of both sides of one change."""

    def __init__(
        self,
        sandbox: Sandbox,
        state: State,
        source: str,
        sides: Sides,
        both: tuple[Side, Side],
        request: GateRequest,
        cache: ResultCache,
    ) -> None:
        self._sandbox = sandbox
        self._state = state
        self._source = source
        self._sides = sides
        self._request = request
        self._cache = cache
        self._base, self._head = both
        self._places = Places(sandbox, state, *both, sides.diff, cache, request.trusted)
        self._copy = Checkout(state, "tests")

    async def run(self, selection: tuple[str, ...] | None) -> Tested:
        """Run them. `selection`: files of the working tree; `None` for all."""
        chosen = "all" if selection is None else "affected"
        head = await self._on_head(selection)
        why = unknown(head)
        coverage, uncovered = None, why
        if why is None:
            coverage, uncovered = await asyncio.to_thread(self._coverage, head)
        asked = await asyncio.to_thread(self._asked, head, selection)
        base = await self._on_base(asked) if asked != () else None
        names = _old_names(self._sides.diff)
        head = await self._again(
            self._head.project, selection, head, broken_cases(head, base, names)
        )
        diff = self._sides.diff
        change = Change(
            touched=frozenset(each.new for each in diff if each.new is not None),
            deleted=frozenset(each.old for each in diff if each.old and each.new is None),
        )
        told = compare(head, base, chosen, names, change)
        renamed = await self._places.renamed(told.lost)
        if renamed:
            change = msgspec.structs.replace(change, renamed=renamed)
            told = compare(head, base, chosen, names, change)
        if selection == () and not told.lost:
            why = "no test reaches what changed"
            return Tested(Tests(0, "affected", ()), coverage_reason=why)
        nothing = not (told.broken or told.lost or told.flaky)
        if nothing and (why is not None or told.untold):
            return self._not_told(head, base, coverage, uncovered)
        told = await self._places.placed(told)
        notes = [f"tests: {note}" for note in head.notes]
        if told.unreached:
            notes.append(f"tests: {told.unreached} that pass on base had no result here")
        if why is not None and not told.broken and head.outcome != "no_tests":
            notes.append(f"tests: {why}")
        return Tested(told, None, False, coverage, uncovered, tuple(notes))

    async def _on_head(self, selection: tuple[str, ...] | None) -> TestRun:
        if self._head.project.style == "none":
            return TestRun("no_tests", NO_TESTS, selection=selection)
        if selection == ():
            return TestRun("no_tests", "no test reaches what changed", selection=())
        return await self._run(self._sides.head_tree, self._head.project, selection)

    def _not_told(
        self,
        head: TestRun,
        base: TestRun | None,
        coverage: ChangedCoverage | None,
        uncovered: str | None,
    ) -> Tested:
        """The answer where nothing new is seen and a run came to no verdict."""
        why = unknown(head)
        none = head.outcome == "no_tests" and (base is None or base.outcome == "no_tests")
        if why is None:
            on_base = (base and (base.reason or base.outcome)) or "it was not run"
            why = f"tests fail, and how they went on base cannot be told: {on_base}"
        return Tested(None, why, not none, coverage, uncovered)

    def _asked(self, head: TestRun, selection: tuple[str, ...] | None) -> tuple[str, ...] | None:
        """The files to run on base; `None`: all."""
        diff, tests = self._sides.diff, set(self._base.project.test_files)
        if self._base.project.style == "none":
            return ()
        names = _old_names(diff)
        whole = unknown(head) is not None and head.outcome != "no_tests"
        whole = whole or cut_short(head) or any(map(self._steers, diff))
        # What keeps a file from being collected may be another one beside it: two of one name.
        whole = whole or uncollected(head)
        whole = whole or (head.outcome == "no_tests" and bool(head.selection or selection is None))
        if whole and selection is None:
            return None
        files = set(selection or ()) if whole else set(suspects(head))
        if selection != () and not whole:
            known = self._head.project.test_files if selection is None else selection
            files |= set(silent(head, known))
        asked = {names.get(each, each) for each in files}
        asked |= {each.old for each in diff if each.old is not None and each.old in tests}
        return tuple(sorted(each for each in asked if (self._base.folder / each).is_file()))

    def _steers(self, change: FileDiff) -> bool:
        """Whether it can decide which tests there are."""
        for side, name in ((self._base, change.old), (self._head, change.new)):
            if name is None:
                continue
            if os.path.basename(name) in _SETTINGS:
                return True
            if name.endswith(".py"):
                content = read_plain(side.folder / name, FILE_BYTES_MAX) or b""
                if any(hook in content for hook in _HOOKS):
                    return True
        return False

    async def _again(
        self,
        project: Project,
        selection: tuple[str, ...] | None,
        head: TestRun,
        cases: tuple[Case, ...],
    ) -> TestRun:
        """The run with those of `cases` as flaky that pass when they are run again."""
        if not cases:
            return head
        tree = self._sides.head_tree
        request = self._suite(await self._copy.at(tree), selection, measure=False)

        async def put_back() -> None:
            self._copy.lend()
            await self._copy.at(tree)

        failed = msgspec.structs.replace(head, cases=cases)
        again = await run_again(self._sandbox, project, request, failed, put_back)
        return msgspec.structs.replace(head, flaky=again.flaky, notes=again.notes)

    async def _on_base(self, files: tuple[str, ...] | None) -> TestRun:
        """How they went there, as far as it got."""
        key = await asyncio.to_thread(self._key, files)
        kept = self._cache.get_many((key,)).get(key)
        if kept is not None:
            return msgspec.msgpack.decode(kept, type=TestRun)
        run = await self._run(self._sides.base_tree, self._base.project, files)
        if run.outcome in ("passed", "failed", "no_tests"):
            self._cache.put_many({key: msgspec.msgpack.encode(storable(run))})
        return run

    def _key(self, files: tuple[str, ...] | None) -> str:
        environment = choose(self._source, self._request.virtual_env)
        whole = msgspec.msgpack.encode(storable((environment, files)))
        return key_of("gate tests", FORM, sys.version, self._sides.base_tree, whole)

    async def _run(self, tree: str, project: Project, selection: tuple[str, ...] | None) -> TestRun:
        folder = await self._copy.at(tree)
        request = self._suite(folder, selection, measure=tree == self._sides.head_tree)
        Path(request.coverage).unlink(missing_ok=True)
        self._copy.lend()
        run = await run_tests(self._sandbox, project, request)
        reason = run.reason and run.reason.replace(WALL_HINT, "`--timeout` sets the limit")
        return msgspec.structs.replace(run, reason=reason)

    def _suite(
        self, folder: Path, selection: tuple[str, ...] | None, measure: bool
    ) -> SuiteRequest:
        scratch = self._state.scratch / "suite"
        return SuiteRequest(
            worktree=str(folder),
            workspace=self._source,
            scratch=str(scratch),
            junit=str(scratch / "junit.xml"),
            coverage=str(scratch / "coverage.xml"),
            virtual_env=self._request.virtual_env,
            wall_ms=int(self._request.tests_s * 1000),
            trusted=self._request.trusted,
            selection=selection,
            reruns=RERUNS,
            measure=measure,
        )

    def _coverage(self, head: TestRun) -> tuple[ChangedCoverage | None, str | None]:
        if head.coverage is None:
            return None, head.coverage_reason
        content = read_plain(self._state.scratch / "suite" / "coverage.xml", XML_BYTES_MAX)
        try:
            return changed_coverage(lines_that_can_run(content or b""), self._sides.diff), None
        except ValueError as error:
            return None, str(error)


def _old_names(diff: Sequence[FileDiff]) -> dict[str, str]:
    return {
        each.new: each.old
        for each in diff
        if each.new is not None and each.old is not None and each.new != each.old
    }


def reached(
    graph: ImportGraph, diff: Sequence[FileDiff], project: Project
) -> tuple[str, ...] | None:
    """The test files that the change can reach; `None` where only all of them will do."""
    changed = {name for each in diff for name in (each.old, each.new) if name is not None}
    return affected_tests(graph, sorted(changed), project.test_files)
