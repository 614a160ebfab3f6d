"""Waiting for a task: until it has ended and its report is written, telling how far it is.

Whoever waits may go away at any time; the task goes on, unless the call that began it is taken
back.
"""

import asyncio
from contextlib import suppress

from visionflow.domain import commands as c
from visionflow.domain.errors import Refused
from visionflow.domain.tasks import TERMINAL, TaskStatus
from visionflow.engine.pipelines import PipelineState
from visionflow.engine.state import PlanState, SwarmState, TaskState
from visionflow.interfaces.server import Server
from visionflow.interfaces.tools.able import crowded, in_vain, kept_waiting, nobody_takes
from visionflow.interfaces.tools.moments import iso
from visionflow.interfaces.tools.tool import Call
from visionflow.runtime.completions import Ended
from visionflow.runtime.ended import AnySwarm
from visionflow.runtime.swarms import LiveSwarm

LOOK_S = 0.25
"""How often it is looked how far a task is, where somebody wants to hear of it."""
VAIN_S = 2.0
"""A task that nobody can take any more is waited for as long: somebody may come at once."""
NOTED_MAX = 3
"""Parts whose words are told at once."""
NOTE_CHARS_MAX = 300
TAKEN_BACK = "the call that began it was taken back"


async def ended(
    server: Server,
    swarm: AnySwarm,
    task: str,
    call: Call,
    timeout_ms: int | None,
    *,
    begun_here: bool = False,
) -> bool:
    """Wait until a task has ended, for at most `timeout_ms`; whether it has. Without a time it is
    not waited for in vain: what nobody can take may wait for days.

    Of a playbook's run the report is written by then. `begun_here`: the call that waits began the
    task, and taking it back cancels that too; else it only ends the waiting. A task that left the
    state has ended.

    Raises:
        VisionFlowError: nothing is decided in this swarm any more, and the task has not ended.
    """
    if isinstance(swarm, LiveSwarm) and task in swarm.state.tasks:
        telling = Telling(server, swarm, task, call)
        over = await _until_over(server, swarm, task, call, timeout_ms, begun_here, telling)
        if not over:
            return False
    await server.jobs.concluded(task)
    return True


async def _until_over(
    server: Server,
    swarm: LiveSwarm,
    task: str,
    call: Call,
    timeout_ms: int | None,
    begun_here: bool,
    telling: "Telling",
) -> bool:
    loop = asyncio.get_running_loop()
    over: asyncio.Future[None] = loop.create_future()

    def hear(ended: Ended | None, error: BaseException | None = None) -> None:
        if over.done():
            return
        if ended is None and error is not None:
            over.set_exception(error)
        else:
            over.set_result(None)

    swarm.node.completions.wait(task, hear)
    until = None if timeout_ms is None else loop.time() + timeout_ms / 1_000
    gone = asyncio.ensure_future(call.cancelled.wait())
    patience = Patience(server, swarm, task)
    try:
        while not over.done() and not gone.done():
            left_s = LOOK_S if until is None else until - loop.time()
            await telling.tell()
            if left_s <= 0 or (until is None and patience.is_over(loop.time())):
                break
            look_s = left_s if call.on_progress is None else min(left_s, LOOK_S)
            await asyncio.wait((over, gone), timeout=look_s, return_when=asyncio.FIRST_COMPLETED)
        if not over.done() and gone.done() and begun_here and call.taken_back:
            with suppress(Refused):  # It ended meanwhile.
                await swarm.ask(c.CancelTask(now_ms=swarm.now_ms, task=task, reason=TAKEN_BACK))
    finally:
        gone.cancel()
        swarm.node.completions.forget(task, hear)
    if over.done():
        over.result()
        await telling.tell()
        return True
    over.cancel()
    return False


class Patience:
    """Ends where a task is waited for in vain: at once at the beginning, later after a while."""

    def __init__(self, server: Server, swarm: LiveSwarm, task: str) -> None:
        self._server = server
        self._swarm = swarm
        self._task = task
        self._since: float | None = -VAIN_S
        """Since when it is waited for in vain."""

    def is_over(self, now: float) -> bool:
        """Whether the waiting should end. `now`: seconds on a clock that only measures."""
        found = self._swarm.state.tasks.get(self._task)
        if (
            found is None
            or not in_vain(self._swarm.state, found)
            or self._server.jobs.expects(self._task)
        ):
            self._since = None
        elif self._since is None:
            self._since = now
        return self._since is not None and now - self._since >= VAIN_S


class Telling:
    """Tells whoever made a call how far the task is that it waits for."""

    def __init__(self, server: Server, swarm: LiveSwarm, task: str, call: Call) -> None:
        self._server = server
        self._swarm = swarm
        self._task = task
        self._call = call
        self._told: tuple[float | None, str] | None = None
        self._most = 0.0

    async def tell(self) -> None:
        """Tell it, if it has changed; never less than what was told before."""
        if self._call.on_progress is None:
            return
        found = progress_of(self._swarm, self._task, crowded(self._server.swarms))
        if found is None:
            return
        fraction, note = found[0], self._server.jobs.covered(self._task, found[1])
        if fraction is not None:
            fraction = self._most = max(self._most, fraction)
        if (fraction, note) == self._told:
            return
        self._told = fraction, note
        if not self._swarm.is_settled:
            await self._swarm.settled()
        self._call.on_progress(fraction, note)


def progress_of(
    swarm: AnySwarm, task: str, full: str | None = None
) -> tuple[float | None, str] | None:
    """How far a task is, 0 to 1 or unknown, and what it is at; `None`: nothing is known of it.
    `full`: what `crowded` says of the server.

    What it tells may leave once the swarm is settled.
    """
    state = swarm.state
    found = state.tasks.get(task)
    if found is None:
        return None
    piped = state.pipelines.find(task)
    if piped is not None and found.status not in TERMINAL:
        return _of_stages(swarm, piped, full)
    if found.plan is not None and found.plan.phases:
        return _of_plan(swarm, state, found, found.plan, full)
    if found.status in TERMINAL:
        return 1.0, str(found.status)
    fraction, note = _said(swarm, found)
    if found.status is TaskStatus.QUEUED:
        why = nobody_takes(state, found, full)
        note = note if why is None else f"queued: {why}"
    return fraction, note or str(found.status)


def _of_plan(
    swarm: AnySwarm, state: SwarmState, task: TaskState, plan: PlanState, full: str | None
) -> tuple[float, str]:
    done, count = 0.0, 0
    notes: list[str] = []
    for phase in plan.phases:
        for name in phase.tasks:
            count += 1
            part = state.tasks.get(name)
            if part is None or part.status in TERMINAL:
                done += 1
                continue
            fraction, note = _said(swarm, part)
            done += fraction or 0.0
            if fraction is not None or note:
                share = "" if fraction is None else f" {fraction:.0%}"
                notes.append(f"{part.spec.description[:60]}{share}{note and ': '}{note}")
    if task.status in TERMINAL:
        return 1.0, str(task.status)
    # First what it waits for in vain: nothing else tells whoever waits.
    notes = [*kept_waiting(state, plan, full), *notes]
    current = plan.phases[plan.current]
    words = "; ".join(notes[:NOTED_MAX]) or str(task.status)
    told = f"phase {current.name} ({plan.current + 1} of {len(plan.phases)}): {words}"
    return done / max(1, count), told[:NOTE_CHARS_MAX]


def _of_stages(swarm: AnySwarm, piped: PipelineState, full: str | None) -> tuple[float, str]:
    """How far a pipeline is: stages that were passed, and how far the one under way is."""
    count, name = len(piped.spec.stages), piped.stage.name
    told = f"stage {name} ({piped.at + 1} of {count}), round {max(1, piped.round_of(name))}"
    said = None if piped.task is None else progress_of(swarm, piped.task, full)
    fraction, note = (0.0, "") if said is None else said
    if note:
        told = f"{told}: {note}"
    return (piped.at + (fraction or 0.0)) / count, told[:NOTE_CHARS_MAX]


def _said(swarm: AnySwarm, task: TaskState) -> tuple[float | None, str]:
    """What the open attempt of a task last said of itself; else until when it waits, and why."""
    if task.retry_at_ms is not None:
        return None, f"waits until {iso(task.retry_at_ms)}: {task.reason}"
    signal = swarm.signals.get(task.spec.id)
    if signal is None or signal.attempt != task.attempt:
        return None, ""
    fraction = None if signal.fraction is None else min(1.0, max(0.0, signal.fraction))
    return fraction, signal.note
