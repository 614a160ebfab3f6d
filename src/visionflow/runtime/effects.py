"""Effects: carries out what committed events make necessary.

When a record closes, the state is exactly what the log amounts to; then the effects are read off
it, and they leave once the record is durable. Deliveries follow from their events. All else is
read off `outstanding` for the workers concerned, less what was issued already.
"""

from collections.abc import Callable

from visionflow.domain import events as e
from visionflow.domain import mail_events as me
from visionflow.domain import supervision_events as s
from visionflow.domain.events import AnyEvent
from visionflow.domain.tasks import FailureKind
from visionflow.engine import effects as f
from visionflow.engine.state import SwarmState
from visionflow.runtime.children import Children
from visionflow.runtime.control_plane import ControlPlane
from visionflow.runtime.meshing import Meshing
from visionflow.runtime.sessions import Sessions

_AGENT_EVENTS = (
    e.AgentReady,
    e.AgentRecovering,
    e.AgentUpdated,
    e.AgentRebuilt,
    e.AgentDeparted,
    e.AgentTerminating,
    e.AgentTerminated,
    e.AgentFailed,
    s.DebugEnabled,
    me.MailHandled,
)
_FREQUENT = (e.TaskCompleted, e.TaskSubmitted, me.MailTaken)
_STALE = (
    FailureKind.TIMEOUT,
    FailureKind.LOST,
    FailureKind.AGENT_GONE,
    FailureKind.DEADLOCK,
    FailureKind.REASSIGNED,
)


class Effects:
    """Turns closed records into messages and processes."""

    def __init__(
        self, control: ControlPlane, children: Children, sessions: Sessions, mesh: Meshing
    ) -> None:
        self._control = control
        self._children = children
        self._sessions = sessions
        self._mesh = mesh
        self._issued: dict[str, dict[f.Effect, None]] = {}
        """By worker."""
        self._places: dict[str, dict[str, None]] = {}
        """By agent, the workers that it was placed on."""
        self._dirty: dict[str, None] = {}
        self._caught_up: dict[str, None] = {}
        """Workers that get all that is outstanding once more with what is packed now."""
        self._stopped = False
        control.on_close.append(self._close)
        sessions.on_rejoin = self.refresh

    def refresh(self, worker: str) -> None:
        """Issue all that is outstanding for a worker again: it has (re)joined."""
        self._issued.pop(worker, None)
        self._caught_up[worker] = None
        self._dirty[worker] = None
        self._mesh.rejoined(self.state, worker)
        self._control.after_commit(lambda: None)

    def start(self) -> None:
        """Issue all that is outstanding: after a recovery."""
        for worker in self._control.state.workers:
            self._dirty[worker] = None
        for name, agent in self._control.state.agents.items():
            self._places.setdefault(name, {})[agent.worker] = None
        self._control.after_commit(lambda: None)

    def stop(self) -> None:
        """Issue nothing more."""
        self._stopped = True

    def _close(self, events: list[AnyEvent]) -> Callable[[], None] | None:
        state, sessions = self.state, self._sessions
        leaving: list[f.Effect] = []
        mailed: list[me.MailSent] = []
        for event in events:
            if type(event) is e.TaskAssigned:
                sessions.deliver(state, event.task, event.attempt)
            elif type(event) is me.MailSent:
                mailed.append(event)
            elif type(event) not in _FREQUENT:
                self._note(state, event)
        for worker in self._dirty:
            self._collect(state, worker, leaving)
        for sent in mailed:
            self._hand(state, sent)
        self._dirty.clear()
        packed, caught_up = sessions.pack(), self._caught_up
        self._caught_up = {}
        if not leaving and not packed and not caught_up:
            return None

        def leave() -> None:
            if self._stopped:
                return
            for effect in leaving:
                self._issue(effect)
            for worker in caught_up:
                sessions.behind.pop(worker, None)
            sessions.send(packed)

        return leave

    @property
    def state(self) -> SwarmState:
        """The state that effects are read off."""
        return self._control.state

    def _hand(self, state: SwarmState, event: me.MailSent) -> None:
        """To workers for which all that is outstanding was not collected: that has it, behind what
        waited before."""
        for number, name in enumerate(event.to, event.first):
            agent = state.agents.get(name) if event.first else None
            if agent is None or agent.worker in self._dirty:
                continue
            if self._has_missed(agent.worker):
                continue
            if f.hears(state, agent):
                self._sessions.hand(state, name, number)

    def _has_missed(self, worker: str) -> bool:
        return worker in self._sessions.behind and worker not in self._caught_up

    def _note(self, state: SwarmState, event: AnyEvent) -> None:
        self._mesh.note(state, event)
        if isinstance(event, s.AttemptRecalling):
            self._sessions.recall(state, event.task, event.attempt)
        elif isinstance(event, e.AgentSpawned):
            self._places.setdefault(event.spec.id, {})[event.worker] = None
            self._dirty[event.worker] = None
        elif isinstance(
            event, (e.WorkerStarted, e.WorkerJoined, s.WorkerAdopted, s.WorkerRestarting)
        ):
            self._dirty[event.worker] = None
        elif isinstance(event, (e.WorkerLost, e.WorkerStopped)):
            self._dirty[event.worker] = None
            # An agent that moved is built once the process that it was in before is gone.
            for agent in state.revisions:
                self._dirty[state.agents[agent].worker] = None
        elif isinstance(event, e.AgentMoved):
            self._places.setdefault(event.agent, {})[event.worker] = None
            self._dirty[event.worker] = None
            self._dirty[state.departing.get(event.agent, event.worker)] = None
        elif isinstance(event, e.AgentReady) and self._is_up(state, event.agent):
            pass
        elif isinstance(event, _AGENT_EVENTS):
            agent = state.agents.get(event.agent)
            if agent is not None:
                self._dirty[agent.worker] = None
            else:
                # Its worker may be gone with it, and a start of that one still wait for its time.
                self._dirty.update(self._places.pop(event.agent, {}))
        elif isinstance(event, e.TaskCancelling):
            task = state.tasks.get(event.task)
            agent = None if task is None or task.agent is None else state.agents.get(task.agent)
            if agent is not None:
                self._dirty[agent.worker] = None
        elif isinstance(event, e.SwarmClosed):
            self._dirty.update(dict.fromkeys(state.workers))
        elif isinstance(event, e.AttemptFailed) and event.kind in _STALE:
            self._sessions.abandon(event.task, event.attempt, event.reason)

    def _is_up(self, state: SwarmState, name: str) -> bool:
        """Whether nothing was outstanding of an agent but that it be built, and now it is: of
        hundreds in a worker that are built one by one, it need not be asked what each needs."""
        agent = state.agents.get(name)
        if agent is None or agent.status not in f.ABLE or agent.open:
            return False
        if name in state.updating or name in state.departing or name in state.mail.inboxes:
            return False
        if name in state.supervised.debugging:
            return False
        worker = state.workers[agent.worker]
        issued = self._issued.get(worker.id, {})
        host = f.Host(worker.id, worker.incarnation, name, state.revisions.get(name, 0))
        if host not in issued:
            return False
        del issued[host]
        if not issued:
            del self._issued[worker.id]
        return True

    def _collect(self, state: SwarmState, name: str, leaving: list[f.Effect]) -> None:
        worker = state.workers.get(name)
        wanted: dict[f.Effect, None] = {}
        if worker is not None:
            wanted = dict.fromkeys(f.of_worker(state, worker))
        issued = self._issued.setdefault(name, {})
        for effect in [known for known in issued if known not in wanted]:
            del issued[effect]
            if isinstance(effect, f.StartWorker):
                self._children.withdraw(effect)
        for effect in wanted:
            if effect in issued:
                continue
            if isinstance(effect, f.Hand) and self._has_missed(name):
                continue  # It comes in its turn, behind what was missed.
            issued[effect] = None
            if isinstance(effect, f.Deliver):
                self._sessions.deliver(state, effect.task, effect.attempt)
            elif isinstance(effect, f.Bid):
                self._mesh.announce(state, effect.task, effect.attempt, effect.agent)
            elif isinstance(effect, f.Recall):
                self._sessions.recall(state, effect.task, effect.attempt)
            elif isinstance(effect, f.Hand):
                self._sessions.hand(state, effect.agent, effect.delivery)
            elif isinstance(effect, f.Host):
                self._sessions.host(effect, state.agents[effect.agent].spec)
            else:
                leaving.append(effect)
        if not issued:
            del self._issued[name]

    def _issue(self, effect: f.Effect) -> None:
        match effect:
            case f.StartWorker():
                self._children.start(effect)
            case f.StopWorker():
                self._children.stop(effect, lambda: self._sessions.stop(effect.worker))
            case f.Drop():
                self._sessions.drop(effect)
            case f.Cancel():
                self._sessions.cancel(effect)
            case f.Debug():
                self._sessions.debug(effect)
            case f.Host() | f.Deliver() | f.Recall() | f.Hand() | f.Bid():
                pass
