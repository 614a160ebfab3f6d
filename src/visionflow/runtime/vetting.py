"""Vetting: whether a worker may say what it says, before anything is done about it.

A worker speaks for itself, for the agents that it hosts and for the attempts that they hold. What
it says of others is refused and named in the log for people, and so is a second result. The fence
would keep most of it from having an effect; here it has a name.
"""

from visionflow.domain import messages as m
from visionflow.domain.tasks import FailureKind
from visionflow.engine.state import SwarmState
from visionflow.ports.host import Host
from visionflow.ports.telemetry import Telemetry
from visionflow.runtime import meshing
from visionflow.runtime.children import Children
from visionflow.runtime.control_plane import ControlPlane
from visionflow.runtime.flooding import FRAMES_MAX, SIGNALS_PER_S, Meter, Verdict

RESULTS_MAX = 4_096
"""Results of one worker that are remembered, so that a second one is known as such."""
LIES_NAMED_MAX = 20
"""Lines about one process that lies; after that its lies are only counted."""
OF_ATTEMPTS = (
    m.Result,
    m.Started,
    m.StepDone,
    m.Failed,
    m.Progress,
    m.LockAsked,
    m.LockDropped,
    m.WaitAsked,
    m.WaitDropped,
    m.Delegated,
    m.CircuitAsked,
    m.TeamAsked,
    m.EffectAsked,
    m.EffectDone,
)

OF_AGENTS = (
    m.MailAsked,
    m.MailDone,
    m.MailTrouble,
    m.MailHandles,
    m.TopicWanted,
    m.ReplyAwaited,
    m.InboxAsked,
    m.EventsWanted,
)


class _Source:
    """One process of a worker, by what it has said."""

    def __init__(self, incarnation: int, now_ms: int) -> None:
        self.incarnation = incarnation
        self.meter, self.beats = Meter(now_ms), Meter(now_ms)
        self.results: dict[tuple[str, int], int] = {}
        """With the number of the frame that it came in."""
        self.lies = 0


def false_claim(state: SwarmState, worker: str, name: str, attempt: int) -> str | None:
    """Why a worker cannot speak of an attempt, if it cannot. Late is not false: an attempt that
    it held once may have been given up meanwhile."""
    task = state.tasks.get(name)
    if task is None:
        if name in state.finished:
            return None
        return f"it speaks of task {name}, of which nothing is known"
    if not 0 < attempt <= task.attempt:
        return f"it speaks of attempt {attempt} of {name}, which was never given out"
    if attempt == task.attempt and task.agent is not None:
        holder = state.agents[task.agent].worker
        if holder != worker:
            return f"it speaks of attempt {attempt} of {name}, which is in {holder}"
    return None


def false_voice(state: SwarmState, worker: str, agent: str) -> str | None:
    """Why a worker cannot speak for an agent, if it cannot. One that is gone spoke late."""
    found = state.agents.get(agent)
    if found is None or worker in (found.worker, state.departing.get(agent)):
        return None
    return f"it speaks for agent {agent}, which is in {found.worker}"


class Vetting:
    """Looks at what comes from workers."""

    def __init__(
        self, control: ControlPlane, host: Host, children: Children, telemetry: Telemetry
    ) -> None:
        self._control = control
        self._host = host
        self._children = children
        self._telemetry = telemetry
        self._sources: dict[str, _Source] = {}

    def _source(self, worker: str, incarnation: int) -> _Source:
        found = self._sources.get(worker)
        if found is not None and found.incarnation == incarnation:
            return found
        source = _Source(incarnation, self._host.monotonic_ms())
        if found is None or found.incarnation < incarnation:
            self._sources[worker] = source
        return source

    # How much ------------------------------------------------------------------------------

    def admits(self, worker: str, incarnation: int) -> bool:
        """Whether a frame that must arrive is looked at. A worker that has far more of them under
        way than it can have to say is given up."""
        meter = self._source(worker, incarnation).meter
        meter.frame()
        if meter.under_way <= FRAMES_MAX or not meter.is_flooded(self._held(worker)):
            return True
        told = f"{meter.under_way} frames that are not in the log yet"
        self._give_up(worker, incarnation, told)
        return False

    def admits_signal(self, sender: str | None, size: int) -> bool:
        """Whether a frame of signals is looked at. Whoever sends too many is named, and given up
        when it goes on."""
        worker, _, number = (sender or "").removesuffix(".beat").rpartition(".")
        if not number.isdigit():
            return True
        incarnation = int(number)
        source = self._source(worker, incarnation)
        # Its heartbeats are still heard when all else that it says is too much.
        meter = source.meter if sender == f"{worker}.{number}" else source.beats
        verdict = meter.signal(size, self._host.monotonic_ms())
        if verdict is Verdict.TAKE:
            return True
        if verdict is Verdict.NAME:
            told = f"{worker}.{incarnation} sends more than {SIGNALS_PER_S} signals a second; "
            self._telemetry.log("warning", None, "worker_floods", f"{told}the rest is dropped")
        elif verdict is Verdict.GIVE_UP:
            self._give_up(worker, incarnation, f"{meter.dropped} signals too many")
        return False

    def settled(self, worker: str, incarnation: int) -> None:
        """A frame that had to arrive is in the log."""
        source = self._sources.get(worker)
        if source is not None and source.incarnation == incarnation:
            source.meter.settled()

    def _held(self, worker: str) -> int:
        state = self._control.state
        place = state.workers.get(worker)
        names = () if place is None else place.agents
        return sum(len(state.agents[name].open) for name in names)

    def _give_up(self, worker: str, incarnation: int, told: str) -> None:
        if self._children.expects_end(worker):
            return
        reason = f"it floods its connection: {told}"
        self._telemetry.log("error", None, "worker_floods", f"{worker}.{incarnation}: {reason}")
        self._children.give_up(worker, incarnation, FailureKind.CRASH, reason)

    # What ----------------------------------------------------------------------------------

    def believes(self, worker: str, incarnation: int, number: int, message: object) -> bool:
        """Whether this worker may say this; else it is named, and nothing is done about it."""
        if isinstance(message, OF_ATTEMPTS):
            why = false_claim(self._control.state, worker, message.task, message.attempt)
        elif isinstance(message, OF_AGENTS):
            why = false_voice(self._control.state, worker, message.agent)
        else:
            why = meshing.false_claim(self._control.state, worker, message)
        if why is None and isinstance(message, m.Result):
            why = self._second(self._source(worker, incarnation), number, message)
        if why is None:
            return True
        self.lied(worker, incarnation, f"{type(message).__name__}: {why}")
        return False

    def _second(self, source: _Source, number: int, message: m.Result) -> str | None:
        key = (message.task, message.attempt)
        before = source.results.setdefault(key, number)
        if before != number:
            return f"it gives attempt {message.attempt} of {message.task} a second result"
        if len(source.results) > RESULTS_MAX:
            del source.results[next(iter(source.results))]
        return None

    def lied(self, worker: str, incarnation: int, told: str) -> None:
        """A worker said what it cannot say."""
        source = self._source(worker, incarnation)
        source.lies += 1
        if source.lies <= LIES_NAMED_MAX:
            last = "; further ones are not told" if source.lies == LIES_NAMED_MAX else ""
            text = f"{worker}.{incarnation}: {told}; it is not believed{last}"
            self._telemetry.log("error", None, "worker_lied", text)

    def is_own(self, sender: str | None, beat: m.Heartbeat) -> bool:
        """Whether a heartbeat is that of the process whose connection it came over."""
        name = f"{beat.worker}.{beat.incarnation}"
        if sender in (None, name, f"{name}.beat"):
            return True
        self.stranger(sender, f"it beats for {name}")
        return False

    def stranger(self, sender: str | None, told: str) -> None:
        """Something was said over a connection that is not of whom it is said to be."""
        worker, _, number = (sender or "").removesuffix(".beat").rpartition(".")
        if number.isdigit():
            self.lied(worker, int(number), told)
