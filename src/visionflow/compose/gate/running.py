"""A whole gate: find the sides, look at both, run the tests, say what is new.

Tools read confined, as do tests; with `trusted` also where nothing confines them. Nothing of the
workspace is written to, and no configuration of it is obeyed but its tests'.
"""

import asyncio
import os
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import msgspec

from visionflow.agents.findings import ToolRun, order_of, portable_path
from visionflow.agents.gate import baseline as baselines
from visionflow.agents.gate.cycles import closing_edges, new_rings
from visionflow.agents.gate.judging import Comparison, judge, newly_hidden, weighed
from visionflow.agents.gate.results import (
    NO_CHANGE,
    NOT_ASKED,
    Accepted,
    ChangedFile,
    Findings,
    GateResult,
    Status,
    Tests,
    ToolState,
)
from visionflow.agents.gate.verdict import reasons
from visionflow.agents.study.facts import read_facts
from visionflow.agents.study.graph import ImportGraph, graph_of
from visionflow.agents.tools.cache import ResultCache
from visionflow.agents.tools.delta import FileDiff
from visionflow.agents.tools.portions import ScanRequest
from visionflow.agents.tools.project import look
from visionflow.agents.tools.text import read_plain, write_whole
from visionflow.agents.tools.veiling import KnownSecrets
from visionflow.compose.gate.checkout import Checkout
from visionflow.compose.gate.digests import Digests
from visionflow.compose.gate.request import GateRequest, OnStage
from visionflow.compose.gate.reviewing import (
    Reviewed,
    Side,
    imports_changed,
    line_text,
    review_both,
)
from visionflow.compose.gate.secrecy import known_in, secrets_in, speak
from visionflow.compose.gate.sides import Sides, sides_of, source_of
from visionflow.compose.gate.state import State, folder_of, opened
from visionflow.compose.gate.suites import FORM, Suites, Tested, reached
from visionflow.compose.job.exits import OutputError
from visionflow.compose.job.trust import home
from visionflow.domain.errors import ConfigError
from visionflow.ports.sandbox import Sandbox

FACTS_MS = 120_000
Runs = tuple[ToolRun, ...]


async def run_gate(
    request: GateRequest, sandbox: Sandbox, on_stage: OnStage = lambda _: None
) -> GateResult:
    """The answer. A baseline is written when one was asked for.

    Raises:
        WorkspaceError: workspace or base cannot be read.
        ConfigError: the baseline file cannot be used.
        ConfinementUnavailable: nothing can hold the tools here, and it is not trusted.
        StoreInUse: another gate of this workspace goes on for too long.
        OutputError: state or baseline cannot be written.
    """
    on_stage("looking at what changed")
    accepted = _accepted(request)
    source, foreign = await asyncio.to_thread(source_of, request.workspace)
    async with opened(request.state or folder_of(home(), foreign), foreign) as state:
        sides = await sides_of(state, source, request.base, request.direct, (home(), state.folder))
        cache = str(request.results or home() / "cache") if request.cache else None
        work = _Gate(request, sandbox, on_stage, state, source, sides, cache)
        with ResultCache(cache) as results:
            # Held open, so that no tool that closes it is the last one, who has to tidy up.
            results.get_many((FORM,))
            result = await work.run(accepted, results)
    if request.write_baseline is not None:
        result = _written(request.write_baseline, result, accepted)
    failed = reasons(result, request.min_coverage, request.require_tests, request.require_tools)
    return work.known.cover(msgspec.structs.replace(result, failed=failed))


class _Gate:
    """One gate at work."""

    def __init__(
        self,
        request: GateRequest,
        sandbox: Sandbox,
        on_stage: OnStage,
        state: State,
        source: Path,
        sides: Sides,
        cache: str | None,
    ) -> None:
        self.request = request
        self.sandbox = sandbox
        self.on_stage = on_stage
        self.state = state
        self.source = source
        self.sides = sides
        self.cache = cache
        self.known = KnownSecrets()

    async def run(self, accepted: Sequence[Accepted], results: ResultCache) -> GateResult:
        sides, request = self.sides, self.request
        result = GateResult(
            base=sides.base,
            head=sides.head,
            dirty=sides.dirty,
            files=tuple(_changed(each) for each in sides.diff),
            findings=Findings(),
            fail_on=request.fail_on,
            notes=sides.notes,
        )
        kept = [each.path for each in accepted if each.tool != baselines.TESTS]
        if not sides.diff and not accepted:
            why = NO_CHANGE
            return msgspec.structs.replace(result, tests_reason=why, coverage_reason=why)
        base, head = await self._copies()
        present = {portable_path(path): path for path in head.project.tree.python}
        besides = [present[path] for path in kept if path in present]
        self.on_stage("reading the changed files")
        graph = _Once(lambda: self._graph(head, results))
        review = asyncio.ensure_future(self._reviewed(base, head, besides))
        cycles = asyncio.ensure_future(self._cycles(base, head, graph, results))
        suites = asyncio.ensure_future(self._tested(base, head, graph, results))
        try:
            before, after = await review
            rings, tested = await cycles, await suites
        finally:
            await _ended(review, cycles, suites)
        judged = (*after, rings) if rings is not None else after
        compared = Comparison(before, judged, sides.diff, line_text(base), line_text(head))
        fresh = judge(compared)
        findings = weighed(fresh, accepted, request.fail_on)
        hidden = newly_hidden(compared)
        tests = tested.tests
        if tests is not None:
            tests = baselines.without_accepted(tests, accepted, request.allow_lost)
        self.known = await self._known(base, head, before, after, tests, results)
        return msgspec.structs.replace(
            result,
            findings=msgspec.structs.replace(findings, suppressed=hidden),
            stale=baselines.stale(accepted, after, head.project.tree.python, tested.tests),
            tests=tests,
            tests_reason=tested.tests_reason,
            tests_unknown=tested.unknown,
            coverage=tested.coverage,
            coverage_reason=tested.coverage_reason,
            tools=tuple(_state(run) for run in after),
            notes=(*sides.notes, *tested.notes),
        )

    async def _known(
        self, base: Side, head: Side, before: Runs, after: Runs, tests: Tests | None,
        results: ResultCache,
    ) -> KnownSecrets:  # fmt: skip
        """The secrets that the answer must not hold: those of the changed files, and of all where
        a test has something to say."""
        scratch, trusted = self.state.scratch, self.request.trusted
        if speak(tests):
            after = (*after, await secrets_in(self.sandbox, head, scratch, trusted, results))
        return await asyncio.to_thread(known_in, ((base, before), (head, after)))

    async def _copies(self) -> tuple[Side, Side]:
        digests = Digests(self.state)

        async def one(name: str, tree: str) -> Side:
            folder = await Checkout(self.state, name).at(tree)
            project = await asyncio.to_thread(look, str(folder))
            return Side(name, folder, project, await digests.of(tree, folder))

        both = await asyncio.gather(
            one("base", self.sides.base_tree), one("head", self.sides.head_tree)
        )
        digests.keep()
        return both

    async def _reviewed(self, base: Side, head: Side, besides: list[str]) -> Reviewed:
        return await review_both(
            self.sandbox,
            self.state,
            base,
            head,
            self.sides.diff,
            besides,
            self.cache,
            self.request.trusted,
        )

    async def _cycles(
        self, base: Side, head: Side, graph: "_Once", results: ResultCache
    ) -> ToolRun | None:
        """New import cycles; `None` where no changed line could close one, or nobody can tell."""
        after = await graph.get() if imports_changed(head, self.sides.diff) else None
        closing = closing_edges(after, self.sides.diff) if after is not None else {}
        before = await self._graph(base, results) if closing else None
        if after is None or before is None:
            return None
        names = {each.new: each.old for each in self.sides.diff if each.new and each.old}
        return new_rings(closing, before, after, names, line_text(head))

    async def _graph(self, side: Side, results: ResultCache) -> ImportGraph | None:
        request = ScanRequest(
            str(side.folder), side.project.tree.python, side.project.tree.skipped,
            str(self.state.scratch / f"{side.name}-facts"), FACTS_MS, trusted=self.request.trusted,
            digests=side.digests,
        )  # fmt: skip
        facts = await read_facts(self.sandbox, request, results)
        if facts.ended == "not_run":
            return None
        return await asyncio.to_thread(graph_of, side.project, facts.files)

    async def _tested(self, base: Side, head: Side, graph: "_Once", results: ResultCache) -> Tested:
        if self.request.tests == "none":
            why = NOT_ASKED
            return Tested(tests_reason=why, coverage_reason=why)
        selection = None
        if self.request.tests == "affected":
            known = await graph.get()
            selection = None if known is None else reached(known, self._no_baseline(), head.project)
            if selection == () and self.request.all_if_none:
                selection = None
        many = "all tests" if selection is None else f"{len(selection)} test files"
        self.on_stage(f"reading the changed files, running {many}")
        suites = Suites(
            self.sandbox, self.state, str(self.source), self.sides, (base, head), self.request,
            results,
        )  # fmt: skip
        return await suites.run(selection)

    def _no_baseline(self) -> list[FileDiff]:
        """The change without the baseline's own file, which no test reads."""
        files = (self.request.baseline, self.request.write_baseline)
        ours = {os.path.realpath(each) for each in files if each is not None}
        return [
            each for each in self.sides.diff
            if os.path.realpath(self.source / (each.new or each.old or "")) not in ours
        ]  # fmt: skip


class _Once:
    """The working tree's import graph, made when somebody first asks for it."""

    def __init__(self, make: Callable[[], Coroutine[None, None, ImportGraph | None]]) -> None:
        self._make = make
        self._made: asyncio.Task[ImportGraph | None] | None = None

    async def get(self) -> ImportGraph | None:
        if self._made is None:
            self._made = asyncio.ensure_future(self._make())
        return await self._made


async def _ended(*work: asyncio.Future[Any]) -> None:
    """Cancel what still runs, and return when it has ended."""
    for each in work:
        each.cancel()
    await asyncio.gather(*work, return_exceptions=True)


def _changed(change: FileDiff) -> ChangedFile:
    status: Status = "changed"
    if change.module:
        status = "submodule"
    elif change.old is None:
        status = "added"
    elif change.new is None:
        status = "deleted"
    elif change.old != change.new:
        status = "renamed"
    name = portable_path(change.new or change.old or "")
    return ChangedFile(name, status, sum(span.count for span in change.added))


def _state(run: ToolRun) -> ToolState:
    return ToolState(
        run.tool, run.version, run.ended, run.reason, run.files_read, run.not_read, run.enforced
    )


def _accepted(request: GateRequest) -> tuple[Accepted, ...]:
    if request.baseline is None:
        return ()
    content = read_plain(request.baseline, baselines.BYTES_MAX)
    if content is None:
        why = "is no plain file" if os.path.lexists(request.baseline) else "is not there"
        raise ConfigError(
            f"The baseline {request.baseline} {why}.",
            hint="`--write-baseline FILE` makes one.",
        )
    try:
        return baselines.read_baseline(content).findings
    except ValueError as error:
        raise ConfigError(
            f"The baseline {request.baseline} cannot be used: {error}.",
            hint="`--write-baseline FILE` makes a new one.",
        ) from error


def _written(file: Path, result: GateResult, accepted: Sequence[Accepted]) -> GateResult:
    """Write the baseline; what is in it is accepted from here on."""
    found = result.findings
    kept = [each for each in accepted if each not in result.stale]
    new = (*found.new, *found.below)
    tests = result.tests
    lost = tests.lost if tests is not None else ()
    try:
        write_whole(file, baselines.write_baseline(kept, new, lost))
    except OSError as error:
        raise OutputError(f"{file} cannot be written: {error.strerror}.") from error
    findings = msgspec.structs.replace(
        found, new=(), below=(), accepted=tuple(sorted((*found.accepted, *new), key=order_of))
    )
    note = f"{len(new)} findings were written into the baseline."
    if tests is not None and lost:
        note = f"{len(new)} findings and {len(lost)} lost tests were written into the baseline."
        tests = baselines.without_accepted(tests, (), every=True)
    return msgspec.structs.replace(
        result, findings=findings, tests=tests, stale=(), notes=(*result.notes, note)
    )
