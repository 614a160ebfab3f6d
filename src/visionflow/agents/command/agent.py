"""A coding agent that is a program on a command line: one task, one working copy, one commit.

It makes the copy, lets the program work in it, looks at what it did beyond its own, and keeps what
it left. How a start of the program goes is `going`'s; whether the result is any good is for others
to judge.
"""

import asyncio
import fcntl
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import msgspec

from visionflow.agents.base import BaseAgent, PermanentFailure
from visionflow.agents.candidates.values import Attempted, Outcome, Violation
from visionflow.agents.command.before import Begun, begun
from visionflow.agents.command.confining import Wish
from visionflow.agents.command.going import Going, ToolUnusable, Went, tool_of
from visionflow.agents.command.home import drop_home
from visionflow.agents.command.journal import journal_in
from visionflow.agents.command.leaking import given_to, leaked
from visionflow.agents.command.roles import roles_in
from visionflow.agents.command.settings import CommandSettings
from visionflow.agents.command.template import Template, missing_program, template_of
from visionflow.agents.command.timing import Times
from visionflow.agents.roles.ground import repository_of
from visionflow.agents.roles.job import JobInput, job_input
from visionflow.agents.roles.settings import read_settings
from visionflow.agents.roles.tester import unknown_type
from visionflow.agents.storing import restored, storable
from visionflow.agents.task import Task
from visionflow.agents.tools.text import one_line
from visionflow.agents.workspace.candidates import Copy, make_copy
from visionflow.agents.workspace.changes import entries
from visionflow.agents.workspace.fence import fence
from visionflow.agents.workspace.files import remove_tree
from visionflow.agents.workspace.gathering import Gathered, gather, gather_aside
from visionflow.agents.workspace.repository import PrivateRepository
from visionflow.domain.errors import CircuitOpenError, ConfigError, UsageError
from visionflow.domain.limits import CIRCUIT_NAME_CHARS_MAX

TASK_TYPES = ("implement",)
_LOCK_POLL_S = 0.1
_LAST_WORDS_CHARS = 300


class CommandAgent(BaseAgent):
    """Task type `implement`; its input is a `JobInput`, its result a map with `attempted` (an
    `Attempted`), `notes` and `warnings`.

    Whatever the program does completes the task, with an outcome that says so. The task fails
    where the program could not be run at all, or its provider refused it for good.
    """

    type = "coder"
    capabilities = ("implement", "code")

    async def process_task(self, task: Task) -> Any:
        """Let the program do what the task asks for, in a copy of the workspace."""
        if task.type not in TASK_TYPES:
            raise unknown_type(self, task, TASK_TYPES)
        read = read_settings(self, CommandSettings)
        job = self._job(task)
        name = job.plan_task or task.id
        template = self._template(read.values.given(), job)
        begin = await begun(await repository_of(storable(job)), job, task.dependencies)
        folder = Path(job.folder or "") / name
        if begin.not_needed:
            attempted = _not_needed(name, template, begin)
        else:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            async with self._alone(folder, template) as lock:
                attempted = await self._attempted(task, job, read.values, template, begin, lock)
        return {
            "attempted": storable(attempted),
            "notes": [f"{name}: {each}" for each in attempted.notes],
            "warnings": list(read.warnings),
        }

    def _job(self, task: Task) -> JobInput:
        """The task's input; what a task of no run leaves out lies in the agent's own folder."""
        job = job_input(task, self.context.folder)
        if job.folder is None:
            folder = str(self.context.folder / task.id / "coding")
            job = msgspec.structs.replace(job, folder=folder)
        if not job.run:
            job = msgspec.structs.replace(job, run="alone")
        if not job.goal:
            raise PermanentFailure(
                "The input of a task of type 'implement' has no goal.",
                hint='Write input={"workspace": ..., "goal": "what is to be done"}.',
            )
        return job

    def _template(self, given: str, job: JobInput) -> Template:
        workspace = Path(job.workspace)
        try:
            template = template_of(given, roles_in(workspace, Path.home()))
        except (UsageError, ConfigError) as error:
            raise PermanentFailure(error.message, hint=error.hint) from error
        missing = missing_program(template, workspace)
        if missing is not None:
            raise PermanentFailure(
                missing, hint="`visionflow agents detect` tells what is there and what it needs."
            )
        return template

    async def _attempted(
        self,
        task: Task,
        job: JobInput,
        settings: CommandSettings,
        template: Template,
        begin: Begun,
        lock: int,
    ) -> Attempted:
        """The work from copy to commit; each part is done once, whatever dies in between."""
        name = job.plan_task or task.id
        folder = Path(job.folder or "") / name
        given = storable(job)
        home = folder / "home"
        show = self._show
        repository = await repository_of(given)
        objects = repository.path / "objects"
        wish = Wish(
            template, settings, job, str(folder / "tree"), str(home), str(objects), begin.context
        )

        async def prepare(job: dict[str, Any], base: str) -> Any:
            show("making a copy of the workspace")
            return storable(
                await make_copy(repository, folder / "tree", run=run, task=name, base=base)
            )

        async def go(copy: dict[str, Any], given: str, context: str) -> Any:
            going = Going(
                wish, folder, sandbox=lambda: self.context.sandbox, times=Times(task), lock=lock,
                show=show,
            )  # fmt: skip
            return storable(await going.went(repository, restored(copy, Copy)))

        async def look(copy: dict[str, Any]) -> Any:
            return storable(await asyncio.to_thread(fence, restored(copy, Copy)))

        tops = {path.split(b"/")[0] for path in await entries(repository.path, begin.base)}

        async def keep(copy: dict[str, Any], goal: str, number: int) -> Any:
            show("keeping what it left")
            await asyncio.to_thread(_drop_notes, template, Path(copy["folder"]), tops)
            return storable(
                await gather(repository, restored(copy, Copy), attempt=number, goal=goal)
            )

        async def search(base: str, tip: str) -> Any:
            given = await asyncio.to_thread(given_to, wish)
            return storable(await leaked(repository.path, base, tip, given))

        run = job.run
        copy = await self.step("prepare copy", prepare, given, begin.base)
        try:
            arguments = (copy, template.given, begin.context)
            went = restored(await self._through_circuit(template, "go", go, *arguments), Went)
        except PermanentFailure as error:
            await asyncio.to_thread(drop_home, home)
            left = await _set_aside(repository, restored(copy, Copy), folder, job.goal)
            raise PermanentFailure(error.message + left, hint=error.hint) from error
        violations = restored(await self.step("fence", look, copy), tuple[Violation, ...])
        kept = restored(await self.step("gather", keep, copy, job.goal, went.number), Gathered)
        if kept.tip is not None:
            found = await self.step("credentials", search, begin.base, kept.tip)
            violations += restored(found, tuple[Violation, ...])
        await asyncio.to_thread(drop_home, home)
        log = os.path.relpath(folder / "output.log", Path(job.folder or "").parent.parent)
        return _told(name, template, restored(copy, Copy), went, violations, kept, log)

    async def _through_circuit(
        self, template: Template, name: str, call: Callable[..., Any], *arguments: Any
    ) -> Any:
        """A step that starts the tool, unless that could not be used so often in a row that
        nobody starts it for a while."""
        tool = tool_of(template)
        circuit = f"tool:{tool}"[:CIRCUIT_NAME_CHARS_MAX]
        try:
            async with self.circuit(circuit, failures=(ToolUnusable,)):
                return await self.step(name, call, *arguments)
        except CircuitOpenError as error:
            # Not to wait for: what it was refused for is mended by a person.
            raise PermanentFailure(
                f"{tool} was not started: {error.message}",
                hint="Mend that, and start the task again.",
            ) from error

    @asynccontextmanager
    async def _alone(self, folder: Path, template: Template) -> AsyncGenerator[int, None]:
        """Hold the task's lock, which every process of a go of it holds too: whoever gets it
        knows that nothing of an earlier attempt is alive."""
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            told = False
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if not told:
                        self._show("waiting until an earlier attempt of this task is gone")
                        told = True
                    await asyncio.sleep(_LOCK_POLL_S)
            yield lock
        finally:
            os.close(lock)

    def _show(self, note: str) -> None:
        self.progress(None, note)


async def _set_aside(repository: PrivateRepository, copy: Copy, folder: Path, goal: str) -> str:
    """Keep what a go left that was refused; a sentence that says where, or nothing."""
    last = journal_in(folder).last
    if last is None or not Path(copy.folder).is_dir():
        return ""
    kept = await gather_aside(repository, copy, attempt=last.number, goal=goal)
    return "" if kept.ref is None else f" What it had done is kept by {kept.ref}."


def _drop_notes(template: Template, tree: Path, tops: set[bytes]) -> None:
    """Remove what the tool keeps for itself at the top of a workspace, unless base has it."""
    for entry in list(os.scandir(tree)):
        own = any(fnmatch(entry.name, pattern) for pattern in template.profile.leaves)
        if own and os.fsencode(entry.name) not in tops:
            remove_tree(Path(entry.path))


def _not_needed(name: str, template: Template, begin: Begun) -> Attempted:
    return Attempted(
        name, template.given, template.profile.name, "not_needed", begin.not_needed,
        base=begin.base, goes=(),
    )  # fmt: skip


def _told(
    name: str,
    template: Template,
    copy: Copy,
    went: Went,
    violations: tuple[Violation, ...],
    kept: Gathered,
    log: str,
) -> Attempted:
    outcome, reason = _outcome(went, violations, kept)
    return Attempted(
        task=name,
        agent=template.given,
        profile=template.profile.name,
        outcome=outcome,
        reason=reason,
        base=copy.base,
        tip=kept.tip,
        ref=kept.ref,
        files=kept.files,
        insertions=kept.insertions,
        deletions=kept.deletions,
        commits=kept.commits,
        summary=went.ended.said,
        exit_code=went.ended.exit_code,
        wall_ms=went.wall_ms,
        memory_peak_bytes=went.memory_peak_bytes,
        output_bytes=went.output_bytes,
        log=log,
        usage=went.usage,
        session=went.session,
        goes=went.hows,
        violations=violations,
        held=went.ended.held,
        notes=(*went.notes, *kept.notes),
    )


def _outcome(
    went: Went, violations: tuple[Violation, ...], kept: Gathered
) -> tuple[Outcome, str | None]:
    """What it comes to, and why."""
    ended = went.ended
    words = one_line(ended.said, _LAST_WORDS_CHARS)
    said = f" Its last words: {words}" if words else " It said nothing."
    if violations:
        return "violation", " ".join(each.message for each in violations)
    if ended.ended_by == "wall_clock":
        whose = (
            "its time limit"
            if ended.whose == "go"
            else f"the time that was left of the {ended.whose}"
        )
        return "timed_out", f"It was ended after {ended.wall_ms / 1000:.0f} s, {whose}.{said}"
    if ended.ended_by == "memory":
        return "out_of_memory", "It was ended because it used more memory than it may."
    if ended.ended_by == "output":
        return "flooded", (
            f"It was ended because it wrote more than {ended.output_bytes:,} bytes of output."
        )
    if ended.ended_by is not None:
        return "failed", f"Its program was ended by {ended.ended_by}.{said}"
    if ended.exit_code != 0:
        return "failed", f"Its program ended with {ended.exit_code}.{said}"
    if kept.tip is None:
        return "nothing_changed", f"It ended well and left the files as they were.{said}"
    return "changed", None
