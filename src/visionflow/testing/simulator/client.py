"""Clients of the simulated swarm: they ask until they are answered, under one command id."""

from collections.abc import Callable
from typing import Protocol

from visionflow.domain.errors import MailboxFull, VisionFlowError
from visionflow.engine.state import Answer
from visionflow.runtime.completions import Ended, Waiter
from visionflow.testing.simulator.kernel import Kernel
from visionflow.testing.simulator.orchestrator import Life
from visionflow.testing.simulator.witness import Witness
from visionflow.testing.workload import Action, Workload

LATENCY_US = (50, 5_000)
PATIENCE_US = (200_000, 1_500_000)
"""How long a client waits for an answer before it asks again."""
LOST = 0.02
"""How often an answer gets lost on its way."""
WATCHED = 0.2


class Surroundings(Protocol):
    """Whom clients reach."""

    @property
    def kernel(self) -> Kernel:
        """Time and chance."""
        ...

    @property
    def witness(self) -> Witness:
        """Who sees it all."""
        ...

    @property
    def life(self) -> Life | None:
        """The orchestrator, while one lives."""
        ...


class Client:
    """Asks for everything in a workload."""

    def __init__(self, surroundings: Surroundings, workload: Workload) -> None:
        self.told: dict[str, Answer] = {}
        """Answers that have arrived, by command."""
        self.ends: dict[str, Ended] = {}
        """Ends of tasks that it was told of."""
        self.full = 0
        self.turned_away = 0
        """So often it was told that nothing is decided any more."""
        self._surroundings = surroundings
        self._kernel = surroundings.kernel
        self._actions = {action.command: action for action in workload.actions}
        self._due: dict[str, None] = {}
        """Requests whose time has come and that wait for answers to others."""
        self._waited_for: dict[str, list[str]] = {}
        """By command, those of them that need its answer."""
        self._watched: dict[str, None] = {}

    def start(self) -> None:
        """Ask, each at its time."""
        for action in self._actions.values():
            self._kernel.at_ms(action.at_ms, self._when_due(action))

    def ask(self, action: Action) -> None:
        """Ask for one thing more, now."""
        self._actions[action.command] = action
        self._begin(action)

    @property
    def done(self) -> bool:
        """Whether everything was answered, and told."""
        return len(self.told) == len(self._actions) and len(self.ends) == len(self._watched)

    def waiting(self) -> list[str]:
        """What it has not been answered or told."""
        unanswered = [name for name in self._actions if name not in self.told]
        return [*unanswered, *(task for task in self._watched if task not in self.ends)]

    def _when_due(self, action: Action) -> Callable[[], None]:
        return lambda: self._begin(action)

    def _begin(self, action: Action) -> None:
        if all(name in self.told for name in action.needs):
            self._send(action)
        else:
            self._due[action.command] = None
            for name in action.needs:
                self._waited_for.setdefault(name, []).append(action.command)

    def _send(self, action: Action) -> None:
        if action.command in self.told:
            return
        kernel = self._kernel
        kernel.after(kernel.between(*LATENCY_US), lambda: self._arrive(action))
        kernel.after(kernel.between(*PATIENCE_US), lambda: self._send(action))

    def _arrive(self, action: Action) -> None:
        life = self._surroundings.life
        if life is not None and life.node is not None:
            life.process.call(self._offer, life, action)

    def _offer(self, life: Life, action: Action) -> None:
        """In the orchestrator's process."""
        node = life.node
        if node is None:
            return
        command = action.make(node.intake.now_ms(), action.command)
        try:
            node.control.offer(command, lambda answer: self._answered(life, action, answer))
        except MailboxFull:
            self.full += 1
        except VisionFlowError:
            self.turned_away += 1

    def _answered(self, life: Life, action: Action, answer: Answer) -> None:
        """In the orchestrator's process: the answer leaves."""
        if life.process.touch():
            self._surroundings.witness.answered(action, answer)
            kernel = self._kernel
            if not kernel.chance(LOST):
                kernel.after(kernel.between(*LATENCY_US), lambda: self._told(action, answer))

    def _told(self, action: Action, answer: Answer) -> None:
        if action.command in self.told:
            return
        self.told[action.command] = answer
        if answer.code is None:
            for task in action.tasks:
                if self._kernel.chance(WATCHED):
                    self._watched[task] = None
                    self._watch(task)
        for command in self._waited_for.pop(action.command, ()):
            due = self._actions[command]
            if command in self._due and all(name in self.told for name in due.needs):
                del self._due[command]
                self._send(due)

    # Waiting for tasks -------------------------------------------------------------------------

    def _watch(self, task: str) -> None:
        if task in self.ends:
            return
        life, kernel = self._surroundings.life, self._kernel
        if life is not None and life.node is not None:
            life.process.call(self._wait, life, task)
        kernel.after(kernel.between(*PATIENCE_US) * 2, lambda: self._watch(task))

    def _wait(self, life: Life, task: str) -> None:
        if life.node is not None:
            life.node.completions.wait(task, self._waiter(life))

    def _waiter(self, life: Life) -> Waiter:
        def wait(ended: Ended | None, error: BaseException | None = None) -> None:
            if ended is not None:
                self._ended(life, ended)

        return wait

    def _ended(self, life: Life, ended: Ended) -> None:
        if life.process.touch():
            self._surroundings.witness.told(ended)
            self.ends[ended.task] = ended
