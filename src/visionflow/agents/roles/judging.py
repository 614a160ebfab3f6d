"""Judges a result: the gate against its base, the task's predicates, and a ballot on each evidence.

All of it is run by us, on the commit that keeps the work and never in the folder that an agent
wrote to. Each measurement is a step: what was found out once is not found out again. The copies go
when the judgement is there.
"""

import asyncio
import fcntl
import hashlib
import os
from collections.abc import AsyncGenerator, Mapping
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
from visionflow.agents.candidates.ranking import RESULT, in_order
from visionflow.agents.candidates.results import values_in
from visionflow.agents.candidates.values import Accepted, Attempted, Gated, Integrated, Judged
from visionflow.agents.evidence import Ballot
from visionflow.agents.findings import portable_path
from visionflow.agents.roles.alone import covered
from visionflow.agents.roles.ground import repository_of
from visionflow.agents.roles.job import JobInput, job_input, restored, storable
from visionflow.agents.task import Task
from visionflow.agents.tools.environment import choose
from visionflow.agents.tools.text import read_plain, write_whole
from visionflow.agents.workspace.changes import altered
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
        touched = await step(
            "look at the change", self._touched_step, self.given, subject.base, self.tip,
            list(subject.landed),
        )  # fmt: skip
        looked = restored(
            await step("gate", self._gate_step, self.given, subject.base, self.tip), _Looked
        )
        accepted: list[Accepted] = []
        for number, command in enumerate(self.accept):
            self.agent.progress(0.6 + 0.4 * number / len(self.accept), f"running {command}")
            accepted.append(await self._accepted(command))
        files, own = touched["files"], tuple(touched["own"])
        ballots = (
            looked.tests, looked.findings, of_predicates(accepted),
            of_scope(subject.made, files, own),
        )  # fmt: skip
        await asyncio.to_thread(remove_tree, self.place)
        return Judged(
            subject.candidate, self.tip, None, looked.gated, tuple(accepted), ballots, looked.notes
        )

    async def _accepted(self, command: str) -> Accepted:
        step, base = self.agent.step, self.subject.base
        value = await step("run a predicate", self._accept_step, self.given, self.tip, command)
        on_base = await step("run it on base", self._base_step, self.given, base, command)
        return msgspec.structs.replace(restored(value, Accepted), on_base=on_base)

    # Steps ---------------------------------------------------------------------------------

    async def _touched_step(
        self, given: dict[str, Any], base: str, tip: str, landed: list[str]
    ) -> Any:
        """How many files changed, and which of base's a predicate names."""
        repository = (await repository_of(given)).path
        for commit in (base, *landed):
            await _holds(repository, commit, tip)
        changed = await altered(repository, base, tip)
        there = [portable_path(os.fsdecode(each.path)) for each in changed if each.before]
        return {"files": len(changed), "own": list(named_by(self.accept, there))}

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

    async def _base_step(self, given: dict[str, Any], base: str, command: str) -> Any:
        """Whether it passes there; found out once for all who judge."""
        job = msgspec.convert(given, JobInput)
        repository = (await repository_of(given)).path
        name = hashlib.sha256(f"{base}\0{command}".encode()).hexdigest()[:24]
        kept = self.on_base / f"{name}.json"
        async with _alone(self.on_base / f"{name}.lock"):
            known = await asyncio.to_thread(read_plain, kept, _KEPT_BYTES_MAX)
            if known is not None:
                return msgspec.json.decode(known, type=bool | None)
            trial = self._trial(job, self.on_base / name)
            sandbox = self.agent.context.sandbox
            found = (await accepted_at(sandbox, repository, base, (command,), trial))[0].passed
            await asyncio.to_thread(write_whole, kept, msgspec.json.encode(found))
        return found

    def _trial(self, job: JobInput, scratch: Path) -> Trial:
        return Trial(job.workspace, str(scratch), job.virtual_env, job.trusted, self.wall_ms)


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
async def _alone(file: Path) -> AsyncGenerator[None, None]:
    """Hold a lock. The kernel lets go of it when this process ends."""
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(_POLL_S)
        yield
    finally:
        os.close(descriptor)
