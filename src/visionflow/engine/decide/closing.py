"""What follows when tasks end: dependents become ready or fail, phases open, plans settle.

Deciding must not change the state, yet one ending may cause the next. So a `Closing` collects the
events and remembers, beside the untouched state, which tasks its own events end.
"""

from visionflow.domain import events as e
from visionflow.domain.events import AnyEvent
from visionflow.domain.tasks import TERMINAL, FailureKind, Payload, TaskStatus
from visionflow.domain.votes import Cast, Decision, Standing
from visionflow.engine.decide import balloting
from visionflow.engine.decide.circuits import agent_failed, agent_succeeded
from visionflow.engine.phasing import in_turn
from visionflow.engine.state import PhaseState, PlanState, SwarmState, TaskState

RUNNING = (TaskStatus.ASSIGNED, TaskStatus.RUNNING)


class Closing:
    """Events of one decision in which tasks end."""

    def __init__(self, state: SwarmState) -> None:
        self.events: list[AnyEvent] = []
        self.state = state
        self.cast: dict[str, dict[str, Cast]] = {}
        """Ballots of this decision, by vote and member."""
        self.voted: dict[str, Decision] = {}
        """Votes that this decision ends, or refers to a person."""
        self.standings: dict[str, Standing] = {}
        """What results count as by the votes of this decision, by task."""
        self._ended: dict[str, bool] = {}
        self._queued: dict[str, None] = {}
        self._released: dict[str, None] = {}
        self._cancelling: dict[str, str] = {}
        self._unblocked: str | None = None
        self._blamed: dict[str, None] = {}

    def has_ended(self, name: str) -> bool:
        """Whether the task has ended, before this decision or in it."""
        if name in self._ended:
            return True
        task = self.state.tasks.get(name)
        return task is None or task.status in TERMINAL

    def complete(self, event: e.TaskCompleted) -> None:
        """A task completes."""
        self.events.append(event)
        self._follow(self.state.tasks[event.task], True, event.result)

    def fail(self, name: str, reason: str, kind: FailureKind | None = None) -> None:
        """A task ends as failed."""
        self.events.append(e.TaskFailed(task=name, reason=reason, kind=kind))
        self._follow(self.state.tasks[name], False, why=reason)

    def dead_letter(self, name: str, reason: str, kind: FailureKind) -> None:
        """A task ends in the dead letter."""
        self.events.append(e.TaskDeadLettered(task=name, reason=reason, kind=kind))
        self._follow(self.state.tasks[name], False, why=reason)

    def release(self, event: e.AttemptFailed) -> None:
        """The open attempt of a task ended in this decision."""
        self.events.append(event)
        self._released[event.task] = None

    def is_released(self, name: str) -> bool:
        """Whether its open attempt ended in this decision."""
        return name in self._released

    def blame(self, agent: str, now_ms: int, reason: str) -> None:
        """An agent is to blame for an attempt that ended without a result. One death of a process
        counts once, however many attempts of an agent it ended."""
        if agent not in self._blamed:
            self._blamed[agent] = None
            self.events.extend(agent_failed(self.state, agent, now_ms, reason))

    def excuse(self, agent: str) -> None:
        """An agent is not to blame for what ends in this decision."""
        self._blamed[agent] = None

    def praise(self, agent: str | None) -> None:
        """An agent completed a task."""
        if agent is not None and self.state.supervised.circuits:
            self.events.extend(agent_succeeded(self.state, agent))

    def cancelling(self, task: TaskState) -> str | None:
        """Why the open attempt of a task was told to stop, before this decision or in it."""
        return task.cancelling or self._cancelling.get(task.spec.id)

    def cancel(self, name: str, reason: str, command: str | None = None) -> None:
        """A task is cancelled: at once, or by telling its open attempt to stop."""
        task = self.state.tasks[name]
        if task.status in RUNNING and name not in self._released:
            if self.cancelling(task) is None:
                self._cancelling[name] = reason
                self.events.append(e.TaskCancelling(task=name, reason=reason, command=command))
            return
        self.events.append(e.TaskCancelled(task=name, reason=reason, command=command))
        self._follow(task, False, why=reason)
        if task.plan is not None:
            self._cancel_parts(task.plan, f"its plan was cancelled: {reason}")

    def stopped(self, name: str, reason: str) -> None:
        """The open attempt of a task that was being cancelled has ended."""
        self.events.append(e.TaskCancelled(task=name, reason=reason))
        self._follow(self.state.tasks[name], False, why=reason)

    def unblock(self, root: TaskState, plan: PlanState, command: str | None) -> None:
        """A plan that was blocked goes on: what may run of its parts is queued."""
        name = self._unblocked = root.spec.id
        self.events.append(e.PlanUnblocked(task=name, command=command))
        current = self._current(name, plan)
        if current is not None:
            self._open(current)

    def open_phase(self, phase: PhaseState) -> None:
        """Queue what may run of a phase as it is given here, and does not yet."""
        self._open(phase)

    # What follows --------------------------------------------------------------------------

    def _follow(
        self, task: TaskState, ok: bool, result: Payload | None = None, why: str = ""
    ) -> None:
        name = task.spec.id
        self._ended[name] = ok
        polls = self.state.polls
        if polls.asked and name in polls.asked:
            balloting.answered(self, name, result, why)
        if polls.gated and name in polls.gated:
            balloting.gate_gone(self, name)
        if task.spec.parent is not None:
            self._settle(task.spec.parent, task)
        if task.dependents is not None:
            for dependent in task.dependents:
                self._depend(dependent, name, ok)

    def _depend(self, name: str, on: str, ok: bool) -> None:
        task = self.state.tasks.get(name)
        if task is None or self.has_ended(name) or task.status is not TaskStatus.PENDING:
            return
        if not ok:
            self.fail(name, f"it depends on {on}, which ended without a result")
        elif self._is_open(task):
            self._queue(task)

    def _queue(self, task: TaskState) -> None:
        """Queue a pending task, unless it waits for something else or this was done already."""
        name = task.spec.id
        waits = task.status is TaskStatus.PENDING and task.retry_at_ms is None
        if not waits or self.has_ended(name):
            return
        if name not in self._queued and all(map(self.has_ended, task.spec.depends_on)):
            self._queued[name] = None
            self.events.append(e.TaskQueued(task=name))

    def _is_open(self, task: TaskState) -> bool:
        """Whether the phase of a part is under way; always so for a task without a plan."""
        root = None if task.spec.parent is None else self.state.tasks.get(task.spec.parent)
        if root is None or root.plan is None:
            return True
        phase = self._current(root.spec.id, root.plan)
        if phase is None or task.spec.phase != phase.name or self._is_blocked(root):
            return False
        return not phase.is_bounded or task.spec.id in in_turn(phase, self.has_ended)

    def _is_blocked(self, root: TaskState) -> bool:
        return root.status is TaskStatus.BLOCKED and root.spec.id != self._unblocked

    def _settle(self, root_name: str, part: TaskState) -> None:
        root = self.state.tasks.get(root_name)
        if root is None or root.plan is None or self.has_ended(root_name):
            return
        plan = root.plan
        phase = plan.phases[part.phase]
        failed = self._failed(root_name, phase)
        if len(failed) * 10_000 > plan.threshold_bp * len(phase.tasks):
            may = f"{plan.threshold_bp / 100:g} % may" if plan.threshold_bp else "none may"
            why = f"phase {phase.name}: {len(failed)} of {len(phase.tasks)} failed, and {may}"
            cut = sum(not self.has_ended(name) for each in plan.phases for name in each.tasks)
            parts = "1 part that had not ended is" if cut == 1 else f"{cut} that had not ended are"
            self.fail(root_name, f"{why}; {parts} cancelled" if cut else why)
            self._cancel_parts(plan, f"its plan failed: {why}")
            return
        current = self._current(root_name, plan)
        if current is None and self._is_blocked(root):
            self.fail(root_name, "all its parts ended while it was blocked")
        elif current is None:
            parts = self._failed_of(root_name, plan)
            count = sum(len(each.tasks) for each in plan.phases)
            if len(parts) == count:
                # However many may fail: a plan of which nothing came has not been carried out.
                self.fail(root_name, f"none of its {count} parts completed")
            elif root_name in self.state.polls.gated:
                balloting.gate(self, root_name)
            else:
                self.finish(root_name)
        elif self._is_blocked(root):
            return
        elif current.is_bounded or current is not plan.phases[plan.current]:
            self._open(current)

    def finish(self, root: str) -> None:
        """A plan whose parts have all ended completes."""
        task = self.state.tasks[root]
        assert task.plan is not None
        parts = self._failed_of(root, task.plan)
        # What its results are to be made into stands in its config; who reads them needs it.
        result = task.spec.config
        completed = e.TaskCompleted(
            task=root, attempt=task.attempt, result=result, failed_parts=parts
        )
        self.complete(completed)

    def done_by(self, root: str) -> dict[str, None]:
        """The agents that completed a part of a plan in this decision."""
        tasks = (self.state.tasks[name] for name, ok in self._ended.items() if ok)
        return {t.agent: None for t in tasks if t.spec.parent == root and t.agent is not None}

    def results_of(self, root: str) -> tuple[str, ...]:
        """The parts of a plan that have a result, by now or in this decision."""
        plan, tasks = self.state.tasks[root].plan, self.state.tasks
        names = [name for phase in (plan.phases if plan else ()) for name in phase.tasks]
        return tuple(
            name
            for name in names
            if self._ended.get(name)
            or (name in tasks and tasks[name].status is TaskStatus.COMPLETED)
        )

    def _failed_of(self, root: str, plan: PlanState) -> tuple[str, ...]:
        return tuple(name for each in plan.phases for name in self._failed(root, each))

    def _current(self, root: str, plan: PlanState) -> PhaseState | None:
        """The first phase with a task that has not ended."""
        for phase in plan.phases[plan.current :]:
            if phase.open > len(self._own(root, phase)):
                return phase
        return None

    def _own(self, root: str, phase: PhaseState) -> list[str]:
        """Tasks of a phase that end in this decision."""
        tasks = self.state.tasks
        return [
            name
            for name in self._ended
            if tasks[name].spec.parent == root and tasks[name].spec.phase == phase.name
        ]

    def _open(self, phase: PhaseState) -> None:
        """Queue what may run of this phase and does not yet."""
        for name in in_turn(phase, self.has_ended) if phase.is_bounded else phase.tasks:
            self._queue(self.state.tasks[name])

    def _failed(self, root: str, phase: PhaseState) -> list[str]:
        return [*phase.failed, *(n for n in self._own(root, phase) if not self._ended[n])]

    def _cancel_parts(self, plan: PlanState, reason: str) -> None:
        for phase in plan.phases:
            for name in phase.tasks:
                if not self.has_ended(name):
                    self.cancel(name, reason)
