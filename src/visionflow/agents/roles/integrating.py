"""The coordinator's merge queue: takes the work of coding agents onto the run's branch.

What may be merged is sorted out by `merging.taking`, in which order and what is left out is
`merging.queue`'s, and what is asked of each state stands in `holding`. Merges are made anew in each
attempt, for the same ones give the same commits; what takes time, asking, is a step.
"""

from typing import Any

import msgspec

from visionflow.agents.base import BaseAgent
from visionflow.agents.candidates.results import values_in
from visionflow.agents.candidates.values import Accepted, Attempted, Integrated, Landed, Unmerged
from visionflow.agents.merging.branch import Branch
from visionflow.agents.merging.queue import Queued, integrate
from visionflow.agents.merging.taking import Taking, again, at_odds, taking
from visionflow.agents.roles.ground import Ground, look_at, prepare, put_back, repository_of
from visionflow.agents.roles.holding import Base, Held, accepted_on, holds_at, look_at_base
from visionflow.agents.roles.job import JobInput, job_input, restored, storable
from visionflow.agents.roles.measuring import Site, site_of
from visionflow.agents.task import Task
from visionflow.agents.tools.results import Progress
from visionflow.agents.workspace import PrivateRepository
from visionflow.agents.workspace.changes import name_branch, start_of
from visionflow.agents.workspace.keeping import keep
from visionflow.agents.workspace.merging import Work, is_ancestor, make_safe, work_of
from visionflow.domain.errors import WorkspaceError

WORKTREE = "integrate"
TESTS_MS = 600_000
"""Of one run of the tests, and of one command."""


async def integrate_work(agent: BaseAgent, task: Task) -> Any:
    """The result of a task of type `integrate`: a map with `integrated` (an `Integrated`),
    `snapshot`, `notes` and `warnings`.

    Raises:
        WorkspaceError: git failed, or is too old.
    """
    return await _Integrating(agent, task).run()


class _Integrating:
    def __init__(self, agent: BaseAgent, task: Task) -> None:
        self._agent = agent
        self._job = job_input(task, agent.context.folder)
        self._given = storable(self._job)
        self._merges = values_in(task.dependencies, "integrated", Integrated)
        self._attempted = values_in(task.dependencies, "attempted", Attempted)
        self._known: dict[str, tuple[Accepted, ...]] = {}
        """By commit, what was found out of the plan's commands."""

    async def run(self) -> Any:
        repository = await repository_of(self._given)
        tip = self._merges[-1].tip if self._merges else await start_of(repository)
        found = taking(self._job.expected, self._attempted, self._merges)
        works, gone = await _works(repository, found)
        if works:
            done = await self._merged(repository, tip, works, found)
        else:
            done = Integrated(tip, tip)
        unmerged = (*found.unmerged, *gone, *done.unmerged)
        result = msgspec.structs.replace(done, unmerged=unmerged)
        told = await self._agent.step(
            "name the branch", conclude, self._given, storable(result), _tips(found, works)
        )
        return {
            "integrated": told, "snapshot": repository.snapshot, "notes": [], "warnings": [],
        }  # fmt: skip

    async def _merged(
        self, repository: PrivateRepository, tip: str, works: dict[str, Work], found: Taking
    ) -> Integrated:
        self._agent.progress(0.05, "looking at what holds before anything is merged")
        site = await self._site(tip)
        base = restored(
            await self._agent.step("look at what holds before", self._look, site, tip), Base
        )

        async def holds(commit: str) -> str | None:
            value = await self._agent.step("ask", self._ask, site, storable(base), commit)
            held = restored(value, Held)
            self._known[commit] = held.accepted
            return held.why

        branch = Branch(repository.path, works)
        done = await integrate(
            tip, tuple(works), branch.merge, holds if base.judges else None, self._tell_batch
        )
        accepted = await self._agent.step(
            "try the commands of the plan", self._try, site, storable(base), done.tip,
            storable(self._known.get(done.tip, ())),
        )  # fmt: skip
        return Integrated(
            tip,
            done.tip,
            done.landed,
            _named(done, found),
            done.batches,
            restored(accepted, tuple[Accepted, ...]),
            base.notes,
        )

    def _tell_batch(self, tasks: tuple[str, ...], commit: str) -> None:
        self._agent.progress(0.3, f"asking whether all holds with {', '.join(tasks)}")

    async def _site(self, tip: str) -> dict[str, Any]:
        value = await self._agent.step("prepare worktree", prepare, self._given, WORKTREE)
        worktree = restored(value, Ground).worktree
        project = await self._agent.step(
            "look at the project", look_at_commit, self._given, worktree, tip
        )
        return storable(site_of(self._given, worktree, project, WORKTREE, TESTS_MS))

    # Steps ---------------------------------------------------------------------------------

    async def _look(self, site: dict[str, Any], commit: str) -> Any:
        where, sandbox = restored(site, Site), self._agent.context.sandbox
        base = await look_at_base(sandbox, where, commit, where.job.accept, self._tell_tests)
        return storable(base)

    async def _ask(self, site: dict[str, Any], base: dict[str, Any], commit: str) -> Any:
        where, before = restored(site, Site), restored(base, Base)
        sandbox = self._agent.context.sandbox
        return storable(await holds_at(sandbox, where, before, commit, self._tell_tests))

    async def _try(
        self, site: dict[str, Any], base: dict[str, Any], commit: str, known: list[Any]
    ) -> Any:
        where, before = restored(site, Site), restored(base, Base)
        had = restored(known, tuple[Accepted, ...])
        sandbox = self._agent.context.sandbox
        return storable(await accepted_on(sandbox, where, before, commit, had))

    def _tell_tests(self, now: Progress) -> None:
        total = "" if now.collected is None else f" of {now.collected}"
        failed = f", {now.failed} failed" if now.failed else ""
        self._agent.progress(0.5, f"{now.done}{total} tests on the merged work{failed}")


async def look_at_commit(given: dict[str, Any], worktree: str, commit: str) -> Any:
    """The project as it is at a commit."""
    await put_back(given, worktree, commit)
    return look_at(worktree)


async def conclude(
    given: dict[str, Any], result: dict[str, Any], tips: dict[str, tuple[str, str]]
) -> Any:
    """Look that what landed is on the branch, name the branch, keep what is not on it.

    `tips`: of each first task who did it in the end, and the commit with the work. Returns the
    `Integrated` as it turned out.
    """
    job, done = msgspec.convert(given, JobInput), restored(result, Integrated)
    repository = await repository_of(given)
    landed: list[Landed] = []
    unmerged = list(done.unmerged)
    for each in done.landed:
        if await is_ancestor(repository.path, each.commit, done.tip):
            landed.append(each)
        else:
            why = f"Its commit {each.commit[:12]} is no ancestor of the branch {done.tip[:12]}."
            unmerged.append(Unmerged(each.task, "failed", why))
    await make_safe(repository.path, done.base, done.tip)
    await name_branch(repository.path, job.run or "run", done.tip)
    kept = [
        msgspec.structs.replace(each, ref=await keep(repository, *tips[each.task]))
        if each.ref is None and each.task in tips
        else each
        for each in unmerged
    ]
    return storable(msgspec.structs.replace(done, landed=tuple(landed), unmerged=tuple(kept)))


async def _works(
    repository: PrivateRepository, found: Taking
) -> tuple[dict[str, Work], tuple[Unmerged, ...]]:
    """What is to be merged, and what of it is not there."""
    works: dict[str, Work] = {}
    gone: list[Unmerged] = []
    for name, each in found.works.items():
        assert each.tip is not None
        try:
            works[name] = await work_of(repository.path, name, each.tip)
        except WorkspaceError as error:
            why = f"Its commit {each.tip[:12]} cannot be read: {error.message}"
            gone.append(again(Unmerged(name, "failed", why), found.earlier.get(name)))
    return works, tuple(gone)


def _tips(found: Taking, works: dict[str, Work]) -> dict[str, tuple[str, str]]:
    return {name: (found.works[name].task, work.commit) for name, work in works.items()}


def _named(done: Queued, found: Taking) -> tuple[Unmerged, ...]:
    """What the queue refused, told in full."""
    landed = [each.task for each in done.landed]
    return tuple(
        again(
            msgspec.structs.replace(
                at_odds(each, found.works, landed), ref=found.works[each.task].ref
            ),
            found.earlier.get(each.task),
        )
        for each in done.unmerged
    )
