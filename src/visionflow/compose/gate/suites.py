"""The tests that a change can reach, run on the working tree; those that fail also on base.

They run on a copy of their own, which is put right before each run. What a run on base said is
kept by base's tree, the chosen files and the environment.
"""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from visionflow.agents.gate.covering import changed_coverage, lines_that_can_run
from visionflow.agents.gate.results import ChangedCoverage, Tests
from visionflow.agents.gate.suites import broken_cases, compare, suspects, unknown
from visionflow.agents.roles.job import storable
from visionflow.agents.study.affected import affected_tests
from visionflow.agents.study.graph import ImportGraph
from visionflow.agents.tools.cache import ResultCache, key_of
from visionflow.agents.tools.delta import FileDiff
from visionflow.agents.tools.environment import choose
from visionflow.agents.tools.flaky import run_again
from visionflow.agents.tools.project import Project, look
from visionflow.agents.tools.results import Case, TestRun
from visionflow.agents.tools.testing import SuiteRequest, run_tests
from visionflow.agents.tools.text import read_plain
from visionflow.compose.gate.checkout import Checkout
from visionflow.compose.gate.request import GateRequest
from visionflow.compose.gate.sides import Sides
from visionflow.compose.gate.state import State
from visionflow.ports.sandbox import Sandbox

FORM = "1"
"""Another one makes the cache forget runs on base."""
RERUNS = 2
XML_BYTES_MAX = 64 << 20


class Tested(msgspec.Struct, frozen=True):
    """What the tests say of a change; a reason for each answer that is not there."""

    tests: Tests | None = None
    tests_reason: str | None = None
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
        request: GateRequest,
        cache: ResultCache,
    ) -> None:
        self._sandbox = sandbox
        self._state = state
        self._source = source
        self._sides = sides
        self._request = request
        self._cache = cache
        self._copy = Checkout(state, "tests")

    async def run(self, project: Project, selection: tuple[str, ...] | None) -> Tested:
        """Run them. `project` is the working tree's; `selection`: `None` for all test files."""
        chosen = "all" if selection is None else "affected"
        if project.style == "none":
            why = "there are no tests"
            return Tested(tests_reason=why, coverage_reason=why)
        if selection == ():
            why = "no test reaches what changed"
            return Tested(Tests(0, "affected", ()), coverage_reason=why)
        head = await self._run(self._sides.head_tree, project, selection)
        why = unknown(head)
        if why is not None:
            return Tested(tests_reason=why, coverage_reason=why)
        coverage, uncovered = await asyncio.to_thread(self._coverage, head)
        base, reason = await self._on_base(head)
        if reason is not None:
            return Tested(None, reason, coverage, uncovered)
        names = _old_names(self._sides.diff)
        head = await self._again(project, selection, head, broken_cases(head, base, names))
        told = compare(head, base, chosen, names)
        notes = tuple(f"tests: {note}" for note in head.notes)
        return Tested(told, None, coverage, uncovered, notes)

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

    async def _on_base(self, head: TestRun) -> tuple[TestRun | None, str | None]:
        """How the suspects went there, or why that cannot be told."""
        names = _old_names(self._sides.diff)
        files = tuple(sorted({names.get(each, each) for each in suspects(head)}))
        if not files:
            return None, None
        key = await asyncio.to_thread(self._key, files)
        kept = self._cache.get_many((key,)).get(key)
        if kept is not None:
            return msgspec.msgpack.decode(kept, type=TestRun), None
        folder = await self._copy.at(self._sides.base_tree)
        project = await asyncio.to_thread(look, str(folder))
        there = tuple(file for file in files if (folder / file).is_file())
        if not there or project.style == "none":
            return None, None
        run = await self._run(self._sides.base_tree, project, there)
        why = unknown(run)
        if why is not None:
            return None, f"tests fail, and how they went on base cannot be told: {why}"
        if run.outcome in ("passed", "failed"):
            self._cache.put_many({key: msgspec.msgpack.encode(storable(run))})
        return run, None

    def _key(self, files: tuple[str, ...]) -> str:
        environment = choose(self._source, self._request.virtual_env)
        whole = msgspec.msgpack.encode(storable((environment, files)))
        return key_of("gate tests", FORM, sys.version, self._sides.base_tree, whole)

    async def _run(self, tree: str, project: Project, selection: tuple[str, ...] | None) -> TestRun:
        folder = await self._copy.at(tree)
        request = self._suite(folder, selection, measure=tree == self._sides.head_tree)
        Path(request.coverage).unlink(missing_ok=True)
        self._copy.lend()
        return await run_tests(self._sandbox, project, request)

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
