"""The autoscaler: looks at a swarm's load every few seconds, and has agents made or ended.

What it decides is `engine.scaling`'s and stands in the log, with the evidence, before anything is
done. How busy agents were is a signal and is kept here alone: after a restart it is watched anew,
so nothing is ended before a whole cool-down has passed.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, Protocol

import msgspec

from visionflow.domain import commands as c
from visionflow.domain import supervision_commands as sc
from visionflow.domain.agents import AgentStatus
from visionflow.domain.errors import VisionFlowError
from visionflow.engine.places import places_taken
from visionflow.engine.scaling import (
    Backlog,
    Bounds,
    Decision,
    Load,
    Room,
    Rules,
    backlogs,
    decide_number,
    removable,
    waiting_for_teams,
)
from visionflow.engine.state import AgentState, Answer, SwarmState
from visionflow.ports.host import Host, Timer
from visionflow.ports.telemetry import Telemetry
from visionflow.runtime.control_plane import ControlPlane

LOOK_MS = 2_000
MAKING_MS = 10_000
"""So long what was decided counts as agents that are to come, for all that bounds the others."""
GONE = (AgentStatus.FAILED, AgentStatus.TERMINATING, AgentStatus.TERMINATED)
MEMORY_SHARE_BP = 9_000
"""So much of the machine's memory agents may be given together."""


class Kind(msgspec.Struct, frozen=True):
    """What a new agent of a type will be."""

    offers: frozenset[str]
    tasks_max: int = 1
    memory_bytes: int | None = None
    """Its ceiling, where it has a process of its own."""


class Supply(Protocol):
    """Where new agents come from."""

    def kind(self, agent_type: str) -> Kind | None:
        """What a new one would be; `None`: there is no such template, or it is not known yet."""
        ...

    def rooms(self, agent_type: str, kind: Kind) -> tuple[list[Room], list[str]]:
        """What bounds how many more there may be, and what could not be found out, in words."""
        ...

    def spawn(self, agent_type: str, count: int) -> None:
        """Begin to make so many. One that is refused is told in the log lines."""
        ...


class _Sample(msgspec.Struct, frozen=True, gc=False):
    at_ms: int
    busy: int
    backlog: bool


class _Making(NamedTuple):
    """Agents that were decided on."""

    after: int
    since_ms: int


class Watch:
    """How busy the agents of one type were, over the last cool-down."""

    def __init__(self, length_ms: int) -> None:
        self._length_ms = length_ms
        self._samples: deque[_Sample] = deque()

    def see(self, now_ms: int, busy: int, backlog: bool) -> None:
        """How it is now."""
        samples = self._samples
        if samples and now_ms - samples[-1].at_ms > 3 * LOOK_MS:
            # Nobody looked: what was needed meanwhile is not known.
            samples.clear()
        samples.append(_Sample(now_ms, busy, backlog))
        # The last one before the cool-down tells how it was when that began.
        while len(samples) > 1 and samples[1].at_ms <= now_ms - self._length_ms:
            samples.popleft()

    @property
    def peak(self) -> int | None:
        """The most places that were taken at one time; `None`: it was not watched for so long, or
        tasks were a backlog meanwhile."""
        samples = self._samples
        if not samples or samples[-1].at_ms - samples[0].at_ms < self._length_ms:
            return None
        if any(sample.backlog for sample in samples):
            return None
        return max(sample.busy for sample in samples)


class Autoscaler:
    """Looks at one swarm from `start` to `stop`."""

    def __init__(
        self,
        control: ControlPlane,
        host: Host,
        telemetry: Telemetry,
        supply: Supply,
        bounds: Mapping[str, Bounds],
        rules: Rules,
    ) -> None:
        self._control = control
        self._host = host
        self._telemetry = telemetry
        self._supply = supply
        self._bounds = bounds
        self._rules = rules
        self._timer: Timer | None = None
        self._watches: dict[str, Watch] = {}
        self._deciding: dict[str, None] = {}
        self._making: dict[str, _Making] = {}
        self._told: dict[str, None] = {}
        """Types of which it was said that their agents only fail."""

    def start(self) -> None:
        """Look from now on."""
        self._timer = self._host.call_later(LOOK_MS, self._tick)

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        if self._timer is None:
            return
        self._timer = self._host.call_later(LOOK_MS, self._tick)
        if self._control.failure is None and self._control.state.closed is None:
            self.look()

    def look(self) -> None:
        """Measure, decide, and have the decisions recorded."""
        state, now_ms = self._control.state, self._host.now_ms()
        there = self._there(state)
        kinds = self._kinds(state, there)
        full = frozenset(
            name for name in kinds if len(there.get(name, ())) >= (self._bounds[name].most or 0)
        )
        waiting = backlogs(state, {n: kind.offers for n, kind in kinds.items()}, full, now_ms)
        seated = waiting_for_teams(state)
        for name, kind in kinds.items():
            load = self._load(
                state,
                name,
                there.get(name, []),
                waiting.get(name, Backlog()),
                seated.get(name, 0),
            )
            last_ms = state.supervised.scaled.get(name)
            quiet_ms = None if last_ms is None else max(0, now_ms - last_ms)
            rooms, unknown = self._rooms(state, name, kind)
            to_come = self._to_come(there)
            rooms = [Room(room.count - to_come, room.why) for room in rooms]
            decision = decide_number(load, self._bounds[name], self._rules, rooms, quiet_ms)
            if decision is None or name in self._deciding:
                continue
            if decision.after > decision.before and self._only_fails(state, name, load.agents):
                continue
            self._record(name, decision, unknown)

    def _only_fails(self, state: SwarmState, name: str, working: int) -> bool:
        """Whether more agents of a type have failed for good than there are that work: one more
        would fail as well, until the swarm is full of them."""
        failed = sum(
            agent.spec.type == name and agent.status is AgentStatus.FAILED
            for agent in state.agents.values()
        )
        if failed <= working:
            self._told.pop(name, None)
            return False
        if name not in self._told:
            self._told[name] = None
            swarm = "" if state.spec is None else f" in {state.spec.id}"
            told = (
                f"{name}{swarm}: no more are made: {failed} of its agents have failed and "
                f"{working} work; agent_restart brings one back, agent_terminate makes room"
            )
            self._telemetry.log("warning", None, "scale_failed", told)
        return True

    def _there(self, state: SwarmState) -> dict[str, list[AgentState]]:
        """Agents that are there to stay, by type, oldest first."""
        found: dict[str, list[AgentState]] = {}
        for name, agent in state.agents.items():
            if agent.status not in GONE and name not in state.draining:
                found.setdefault(agent.spec.type, []).append(agent)
        return found

    def _kinds(self, state: SwarmState, there: Iterable[str]) -> dict[str, Kind]:
        """Types that the swarm has, or that a task asks for by name, as far as they are bounded."""
        asked = (key[1] for key, _, _ in state.matching.groups(0))
        found: dict[str, Kind] = {}
        for name in dict.fromkeys([*there, *(each for each in asked if each is not None)]):
            bounds = self._bounds.get(name)
            kind = None if bounds is None or not bounds.most else self._supply.kind(name)
            if kind is not None:
                found[name] = kind
        return found

    def _to_come(self, there: Mapping[str, list[AgentState]]) -> int:
        """How many agents were decided on and are not there yet."""
        since_ms = self._host.monotonic_ms() - MAKING_MS
        self._making = {n: each for n, each in self._making.items() if each.since_ms > since_ms}
        missing = (each.after - len(there.get(n, ())) for n, each in self._making.items())
        return sum(max(0, count) for count in missing)

    def _load(
        self,
        state: SwarmState,
        name: str,
        agents: list[AgentState],
        waiting: Backlog,
        seated: int,
    ) -> Load:
        busy = sum(min(places_taken(state, agent), agent.spec.tasks_max) for agent in agents)
        watch = self._watches.get(name)
        if watch is None:
            watch = self._watches[name] = Watch(self._rules.cool_down_ms)
        is_backlog = waiting.count > 0 and waiting.oldest_ms >= self._rules.queue_wait_ms
        watch.see(self._host.monotonic_ms(), busy, is_backlog or seated > 0)
        return Load(
            agents=len(agents),
            places=sum(agent.spec.tasks_max for agent in agents),
            busy=busy,
            backlog=waiting,
            removable=len(removable(state, agents)),
            seated=seated,
            peak=watch.peak,
        )

    def _rooms(self, state: SwarmState, name: str, kind: Kind) -> tuple[list[Room], list[str]]:
        rooms, unknown = self._supply.rooms(name, kind)
        if state.spec is not None:
            most = state.spec.limits.agents_max
            rooms = [Room(most - len(state.agents), f"its swarm may have {most} agents"), *rooms]
        return rooms, unknown

    # What follows ----------------------------------------------------------------------------

    def _record(self, name: str, decision: Decision, unknown: list[str]) -> None:
        evidence = decision.evidence
        if decision.after > decision.before:
            evidence = "; ".join([evidence, *unknown])
        command = sc.RecordScale(
            now_ms=self._host.now_ms(),
            agent_type=name,
            before=decision.before,
            after=decision.after,
            evidence=evidence,
        )
        self._deciding[name] = None
        if decision.after > decision.before:
            self._making[name] = _Making(decision.after, self._host.monotonic_ms())

        def decided(answer: Answer) -> None:
            self._deciding.pop(name, None)
            if answer.code is not None:
                self._making.pop(name, None)
            if answer.code is None and self._timer is not None:
                self._carry_out(name, decision.after - decision.before)

        self._offer(command, decided)

    def _carry_out(self, name: str, change: int) -> None:
        if change > 0:
            self._supply.spawn(name, change)
            return
        state, now_ms = self._control.state, self._host.now_ms()
        going = removable(state, self._there(state).get(name, []))
        for agent in going[:-change]:
            self._offer(c.TerminateAgent(now_ms=now_ms, agent=agent.spec.id, drain=True))

    def _offer(
        self, command: c.AnyCommand, answered: Callable[[Answer], None] | None = None
    ) -> None:
        try:
            self._control.offer(command, answered, bounded=False)
        except VisionFlowError as error:
            self._telemetry.log("warning", None, "scale_failed", str(error))


def memory_room(
    kind: Kind,
    machine_bytes: int | None,
    nodes: Iterable[tuple[SwarmState, Callable[[str], int | None]]],
) -> tuple[Room | None, str | None]:
    """How many more of this kind fit beside what there is, by ceilings where there are, else by
    what worker processes take; or why that cannot be told.

    `nodes`: of each swarm on the machine its state, and what a worker of it takes in bytes.
    """
    if machine_bytes is None:
        return None, "the machine's memory is not known, so it bounds nothing"
    taken, shared, hosted, untold = 0, 0, 0, 0
    for state, resident in nodes:
        for worker in state.workers.values():
            ceilings = [state.agents[name].spec.limits.memory_bytes or 0 for name in worker.agents]
            if worker.dedicated:
                taken += sum(ceilings)
                continue
            bytes_now = resident(worker.id)
            if bytes_now is None:
                untold += 1
            else:
                shared += bytes_now
                hosted += len(worker.agents)
    each = kind.memory_bytes or (shared // hosted if hosted else None)
    if not each:
        return None, "what one more takes of the memory is not known, so that bounds nothing"
    left = machine_bytes * MEMORY_SHARE_BP // 10_000 - taken - shared
    whole = f"{machine_bytes / 2**30:.1f} Gi"
    room = Room(max(0, left // each), f"more do not fit into the machine's {whole}")
    note = f"{untold} workers do not say yet what they take" if untold else None
    return room, note
