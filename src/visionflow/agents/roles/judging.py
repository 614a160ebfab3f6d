"""Judges a result: the gate against its base, the task's predicates, and a ballot on each evidence.

All of it is run by us, on the commit that keeps the work and never in the folder that an agent
wrote to. Each measurement is a step: what was found out once is not found out again. The copies go
when the judgement is there.
"""

import asyncio
import fcntl
import hashlib
import os
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from visionflow.agents.base import BaseAgent
from visionflow.agents.candidates.ballots import (
    gated_of,
    named_by,
    not_gated,
    of_findings,
    of_predicates,
    of_scope,
    of_tests,
)
from visionflow.agents.candidates.predicates import Trial, accepted_at
from visionflow.agents.candidates.proofs import CANDIDATE, TOGETHER, OnBase, WithBase, proof_of
from visionflow.agents.candidates.ranking import RESULT, in_order
from visionflow.agents.candidates.results import values_in
from visionflow.agents.candidates.steering import Change, Touched, touched_by
from visionflow.agents.candidates.values import Accepted, Attempted, Gated, Integrated, Judged
from visionflow.agents.evidence import Ballot
from visionflow.agents.findings import portable_path
from visionflow.agents.roles.alone import covered
from visionflow.agents.roles.ground import repository_of
from visionflow.agents.roles.job import JobInput, job_input, restored, storable
from visionflow.agents.task import Task
from visionflow.agents.tools.environment import choose
from visionflow.agents.tools.text import read_plain, write_whole
from visionflow.agents.workspace.changes import Altered, altered, graft, time_of
from visionflow.agents.workspace.copies import lay_out, make_readable
from visionflow.agents.workspace.files import remove_tree
from visionflow.agents.workspace.git import git
from visionflow.domain.errors import CommandNotStarted, ConfinementUnavailable, WorkspaceError

_POLL_S = 0.1
_KEPT_BYTES_MAX = 1 << 20


class Subject(msgspec.Struct, frozen=True):
    """What is to be judged."""

    candidate: str
    base: str = ""
    tip: str | None = None
    """`None`: there is nothing to judge."""
    reason: str | None = None
    """Why there is nothing."""
    made: Attempted | None = None
    """What one agent did; `None` for the work of several."""
    landed: tuple[str, ...] = ()
    """Commits that have to be part of it."""


class _Looked(msgspec.Struct, frozen=True):
    """What the gate found, with the ballots that rest on it."""

    gated: Gated
    tests: Ballot
    findings: Ballot
    notes: tuple[str, ...] = ()


class _Touches(msgspec.Struct, frozen=True):
    """What a change has of the files that decide how predicates go."""

    files: int
    """All that changed."""
    named: tuple[str, ...] = ()
    """Files of base that a word of a predicate names, or that lie below a folder that it names."""
    by_command: tuple[Touched, ...] = ()


def subject_of(results: Mapping[str, object], of: str | None) -> Subject:
    """What a task of type `judge` is about, from the results of the tasks before it.

    `of`: whose work; `None`: what the merges came to.
    """
    if of is not None:
        made = next(
            (each for each in values_in(results, "attempted", Attempted) if each.task == of), None
        )
        if made is None:
            return Subject(of, reason="its agent came to no end with it")
        reason = made.reason or made.outcome.replace("_", " ")
        if made.violations:
            reason = made.violations[0].message
        if made.outcome != "changed" or made.violations or made.tip is None:
            return Subject(of, made.base, None, reason, made)
        return Subject(of, made.base, made.tip, None, made)
    merges = in_order(values_in(results, "integrated", Integrated))
    if not merges:
        return Subject(RESULT, reason="nothing was merged")
    base, tip = merges[0].base, merges[-1].tip
    if base == tip:
        return Subject(RESULT, base, None, "nothing landed")
    landed = tuple(one.commit for each in merges for one in each.landed)
    return Subject(RESULT, base, tip, landed=landed)


async def judgement_of(agent: BaseAgent, task: Task, wall_ms: int) -> Any:
    """The result of a task of type `judge`: a map with `judged` (a `Judged`), `notes`, `warnings`.

    `wall_ms`: at most for a run of the tests, and for each predicate.

    Raises:
        PermanentFailure: the input cannot be used.
        WorkspaceError: a commit is not in the private repository, or git failed.
    """
    job = job_input(task, agent.context.folder)
    subject = subject_of(task.dependencies, job.of)
    if subject.tip is None:
        agent.progress(1.0, f"there is nothing to judge: {subject.reason}")
        judged = Judged(subject.candidate, None, subject.reason)
    else:
        judged = await _Judging(agent, task, job, subject, subject.tip, wall_ms).judged()
        agent.progress(1.0, "judged: " + ("nobody objects" if judged.good else "it is not good"))
    return {"judged": storable(judged), "notes": [], "warnings": []}


class _Judging:
    """One judgement at work."""

    def __init__(
        self,
        agent: BaseAgent,
        task: Task,
        job: JobInput,
        subject: Subject,
        tip: str,
        wall_ms: int,
    ) -> None:
        self.agent = agent
        self.given: dict[str, Any] = storable(job)
        self.accept = job.accept
        self.subject, self.tip = subject, tip
        self.wall_ms = wall_ms
        common = Path(job.folder or job.scratch)
        self.place = common / (job.plan_task or task.id)
        self.on_base = common / "on-base"

    async def judged(self) -> Judged:
        subject, step = self.subject, self.agent.step
        self.agent.progress(0.0, f"laying out {subject.candidate}")
        value = await step(
            "look at the change", self._touched_step, self.given, subject.base, self.tip,
            list(subject.landed),
        )  # fmt: skip
        touched = restored(value, _Touches)
        looked = restored(
            await step("gate", self._gate_step, self.given, subject.base, self.tip), _Looked
        )
        accepted: list[Accepted] = []
        for number, command in enumerate(self.accept):
            self.agent.progress(0.6 + 0.4 * number / len(self.accept), f"running {command}")
            accepted.append(await self._accepted(command, touched.by_command[number]))
        own, harmless = _rested_on(touched, accepted)
        ballots = (
            looked.tests, looked.findings, of_predicates(accepted),
            of_scope(subject.made, touched.files, own, harmless),
        )  # fmt: skip
        await asyncio.to_thread(remove_tree, self.place)
        return Judged(
            subject.candidate, self.tip, None, looked.gated, tuple(accepted), ballots, looked.notes
        )

    async def _accepted(self, command: str, touched: Touched) -> Accepted:
        step, base, tip = self.agent.step, self.subject.base, self.tip
        value = await step("run a predicate", self._accept_step, self.given, tip, command)
        own = restored(value, Accepted)
        value = await step("run it on base", self._base_step, self.given, base, command)
        on_base, again = restored(value, OnBase), None
        # Where base has no test for it, those that the change adds are all that there can be.
        left_out = not (on_base.counted is not None and on_base.counted.total == 0)
        if own.passed and (touched.judges or (touched.tests and left_out)):
            value = await step(
                "run it with base's tests", self._again_step, self.given, base, tip, command,
                left_out,
            )  # fmt: skip
            again = WithBase(restored(value, Accepted), touched.tests if left_out else ())
        who = TOGETHER if self.subject.made is None else CANDIDATE
        return proof_of(own, on_base, touched, again, who)

    # Steps ---------------------------------------------------------------------------------

    async def _touched_step(
        self, given: dict[str, Any], base: str, tip: str, landed: list[str]
    ) -> Any:
        """How many files changed, and which of them decide how a predicate goes."""
        repository = (await repository_of(given)).path
        for commit in (base, *landed):
            await _holds(repository, commit, tip)
        changed = await altered(repository, base, tip)
        there = [portable_path(os.fsdecode(each.path)) for each in changed if each.before]
        touched = tuple(touched_by(_changes(changed), command) for command in self.accept)
        return storable(_Touches(len(changed), named_by(self.accept, there), touched))

    async def _gate_step(self, given: dict[str, Any], base: str, tip: str) -> Any:
        job = msgspec.convert(given, JobInput)
        runner = self.agent.context.gate
        if runner is None:
            return storable(_Looked(*not_gated("its host has no gate to offer")))
        repository = (await repository_of(given)).path
        tree = await lay_out(repository, tip, self.place / "tree")
        await asyncio.to_thread(make_readable, repository, tip, tree)
        environment = await asyncio.to_thread(choose, job.workspace, job.virtual_env)
        own = environment.kind == "own"
        virtual_env = None if own else os.path.dirname(os.path.dirname(environment.python))
        try:
            result = await runner(
                tree, base, state=self.place / "gate", virtual_env=virtual_env,
                trusted=job.trusted, tests_s=self.wall_ms / 1000, cache=job.cache,
                on_stage=lambda what: self.agent.progress(0.2, what),
            )  # fmt: skip
        except (ConfinementUnavailable, CommandNotStarted) as error:
            return storable(_Looked(*not_gated(error.message)))
        looked = _Looked(
            gated_of(result), of_tests(result), of_findings(result),
            (*environment.notes, *result.notes),
        )  # fmt: skip
        return storable(await covered(self.agent.context.sandbox, job, str(tree), looked))

    async def _accept_step(self, given: dict[str, Any], commit: str, command: str) -> Any:
        job = msgspec.convert(given, JobInput)
        repository = (await repository_of(given)).path
        trial = self._trial(job, self.place / "accept")
        sandbox = self.agent.context.sandbox
        return storable((await accepted_at(sandbox, repository, commit, (command,), trial))[0])

    async def _again_step(
        self, given: dict[str, Any], base: str, commit: str, command: str, left_out: bool
    ) -> Any:
        """How it goes with the files that decide that as base has them, and without added ones.

        `left_out`: added tests too.
        """
        job = msgspec.convert(given, JobInput)
        repository = (await repository_of(given)).path
        changed = await altered(repository, base, commit)
        touched = touched_by(_changes(changed), command)
        back = touched.every if left_out else touched.judges
        laid = await graft(
            repository,
            (commit,),
            {each.path: each.before for each in changed if os.fsdecode(each.path) in back},
            b"As base has its tests\n",
            await time_of(repository, commit),
        )
        trial = self._trial(job, self.place / "again")
        sandbox = self.agent.context.sandbox
        return storable((await accepted_at(sandbox, repository, laid, (command,), trial))[0])

    async def _base_step(self, given: dict[str, Any], base: str, command: str) -> Any:
        """How it goes there; found out once for all who judge."""
        job = msgspec.convert(given, JobInput)
        repository = (await repository_of(given)).path
        name = hashlib.sha256(f"{base}\0{command}".encode()).hexdigest()[:24]
        kept = self.on_base / f"{name}.found.json"
        async with _alone(self.on_base / f"{name}.lock") as lock:
            known = await asyncio.to_thread(read_plain, kept, _KEPT_BYTES_MAX)
            if known is not None:
                return storable(msgspec.json.decode(known, type=OnBase))
            trial = self._trial(job, self.on_base / name, locks=(lock,))
            sandbox = self.agent.context.sandbox
            (tried,) = await accepted_at(sandbox, repository, base, (command,), trial)
            found = OnBase(tried.passed, tried.counted)
            await asyncio.to_thread(write_whole, kept, msgspec.json.encode(found))
        return storable(found)

    def _trial(self, job: JobInput, scratch: Path, locks: tuple[int, ...] = ()) -> Trial:
        return Trial(job.workspace, str(scratch), job.virtual_env, job.trusted, self.wall_ms, locks)


def _changes(changed: Iterable[Altered]) -> list[tuple[str, Change]]:
    """What was done to each file."""
    return [
        (
            os.fsdecode(each.path),
            "added" if each.before is None else "deleted" if each.after is None else "changed",
        )
        for each in changed
    ]


def _rested_on(
    touched: _Touches, accepted: Sequence[Accepted]
) -> tuple[tuple[str, ...], frozenset[str]]:
    """The changed files that predicates depend on, and those of them without which all of these
    pass as well."""
    pairs = list(zip(touched.by_command, accepted, strict=True))
    own = {*touched.named, *(path for each, _ in pairs for path in each.judges)}
    tried = {path for each, _ in pairs for path in each.judges}
    needed = {
        path for each, one in pairs if one.with_base_tests is not True for path in each.judges
    }
    return tuple(sorted(own)), frozenset(tried - needed)


async def _holds(repository: Path, commit: str, tip: str) -> None:
    """Raise where `commit` is no ancestor of `tip`."""
    try:
        await git(repository, "merge-base", "--is-ancestor", commit, tip)
    except WorkspaceError as error:
        raise WorkspaceError(
            f"{tip[:12]} is not what it is said to be: {commit[:12]} is no ancestor of it "
            f"({error.message})"
        ) from error


@asynccontextmanager
async def _alone(file: Path) -> AsyncGenerator[int, None]:
    """Hold a lock. The kernel lets go of it when this process ends, and what it was lent to."""
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(_POLL_S)
        yield descriptor
    finally:
        os.close(descriptor)
