"""The orchestrator's end of a mesh: it opens auctions, hears of their outcome, and looks on.

Peers need nothing of this to agree. What they think of each other comes as signals; only a change
of opinion is put on record.
"""

from collections.abc import Callable
from typing import Protocol

import msgspec

from visionflow.domain import events as e
from visionflow.domain import mesh_commands as mc
from visionflow.domain import mesh_events as me
from visionflow.domain import messages as m
from visionflow.domain import shape_events as she
from visionflow.domain import supervision_events as s
from visionflow.domain.events import AnyEvent
from visionflow.domain.mesh import Holder, Seat
from visionflow.domain.swarms import Topology
from visionflow.engine.effects import ABLE, dispatch, holds_seat
from visionflow.engine.state import SwarmState
from visionflow.engine.topology.rules import GONE, topology_in_force
from visionflow.ports.host import Host
from visionflow.runtime.control_plane import ControlPlane
from visionflow.runtime.mesh_traffic import Traffic
from visionflow.runtime.mesh_views import Heard, Peers, opinion_of, silent_of

SEEDS = 5
"""Peers by way of which a new one joins."""
MEND_EVERY_MS = 5_000
EPOCHS_PER_BOOT = 65_536
STALE_MS = 30_000
"""A report that is older says nothing of now."""
ENDS = (e.TaskCancelled, e.TaskFailed, e.TaskDeadLettered, e.TaskBlocked)
ToPeers = m.PeerUp | m.PeerDown | m.Announce | m.AuctionOver | m.MeshFounded | m.PeersLeft


class Office(Protocol):
    """What a mesh needs of the sessions."""

    def pack_for_peers(self, worker: str, message: ToPeers) -> None:
        """Have a message leave for a worker with the record that closes."""
        ...

    def parcelled(self, message: m.Dispatch) -> m.Dispatch:
        """The same, small enough for a frame."""
        ...


class MeshStatus(msgspec.Struct, frozen=True):
    """A mesh as its peers see it now."""

    heard: int
    """Peers that have reported not long ago and belong to it."""
    silent: int
    """Peers that are up and have not."""
    members: int | None
    """Peers that belong to it; `None`: none has reported."""
    reachable: int | None
    """Those that the best connected of them reaches; `None`: not all that are up have said it, or
    not since one began to reach fewer."""
    read_only: tuple[str, ...]
    agree: bool | None
    """Whether all that are up know the same of it; `None`: not all have reported."""
    converged_ms: int | None
    """How long their views differed when it last changed; `None`: they do not agree."""
    counted: bool
    """Whether the next four are of all: every peer that was up had reported at one time. Those of
    an orchestrator that has just come back are not."""
    sent: int
    """Messages between peers, of all that this orchestrator heard of, whether they live or not;
    like the next three."""
    received: int
    sent_bytes: int
    dropped: int
    auctions_open: int
    auctions_settled: int
    auctions_lapsed: int
    claims_refused: int


class Meshing:
    """Belongs to the loop's thread."""

    def __init__(self, control: ControlPlane, host: Host, office: Office) -> None:
        self._control = control
        self._host = host
        self._office = office
        self._open: dict[str, tuple[int, tuple[Seat, ...]]] = {
            name: (auction.attempt, auction.seats)
            for name, auction in control.state.mesh.auctions.items()
        }
        """Auctions whose peers have not been told of their end."""
        self._heard: dict[str, Heard] = {}
        self._epoch = 0
        self._mended_ms = -MEND_EVERY_MS
        self._traffic = Traffic()
        self._counted = False
        self._reports = 0
        self._told: tuple[int, int | None, tuple[str, ...]] | None = None
        self._notes: dict[type[AnyEvent], Callable[[SwarmState, AnyEvent], None]] = {
            me.AuctionOpened: self._opened,
            me.AuctionSettled: self._settled,
            me.AuctionLapsed: self._lapsed,
            me.ClaimRefused: self._refused,
            e.AgentReady: self._ready,
            e.AgentTerminated: self._gone,
            e.AgentFailed: self._gone,
            s.WorkerAdopted: self._adopted,
            she.TopologySwitched: self._switched,
        }
        self._notes |= dict.fromkeys(ENDS, self._ended)

    # What the log says -----------------------------------------------------------------------

    def note(self, state: SwarmState, event: AnyEvent) -> None:
        """An event of a record that closes; what peers are to be told leaves with it."""
        note = self._notes.get(type(event))
        if note is not None:
            note(state, event)

    def announce(self, state: SwarmState, task: str, attempt: int, agent: str) -> None:
        """Tell one peer of an auction, unless that is over."""
        auction = state.mesh.auctions.get(task)
        if auction is None or auction.attempt != attempt:
            return
        electorate = tuple((seat.agent, seat.incarnation) for seat in auction.seats)
        for seat in auction.seats:
            if seat.agent == agent and holds_seat(state, seat):
                self._announce(state, task, seat, electorate)

    def _announce(
        self, state: SwarmState, task: str, seat: Seat, electorate: tuple[tuple[str, int], ...]
    ) -> None:
        found, agent = state.tasks[task], state.agents[seat.agent]
        message = self._office.parcelled(dispatch(state, found, seat.agent))
        record = state.records.of(seat.agent, found.spec.type)
        announced = m.Announce(
            message,
            seat.incarnation,
            electorate,
            (*agent.spec.capabilities, f"type:{agent.spec.type}"),
            agent.spec.tasks_max,
            record.completed,
            record.failed,
        )
        self._office.pack_for_peers(seat.worker, announced)

    def _opened(self, state: SwarmState, event: AnyEvent) -> None:
        assert isinstance(event, me.AuctionOpened)
        self._open[event.task] = (event.attempt, event.seats)
        for seat in event.seats:
            self.announce(state, event.task, event.attempt, seat.agent)

    def _settled(self, state: SwarmState, event: AnyEvent) -> None:
        assert isinstance(event, me.AuctionSettled)
        self._over(event.task, f"{event.agent} won it", besides=event.agent)

    def _lapsed(self, state: SwarmState, event: AnyEvent) -> None:
        assert isinstance(event, me.AuctionLapsed)
        self._over(event.task, event.reason)

    def _ended(self, state: SwarmState, event: AnyEvent) -> None:
        assert isinstance(event, ENDS)
        if event.task in self._open:
            told = event.missing if isinstance(event, e.TaskBlocked) else event.reason
            self._over(event.task, told)

    def _over(self, task: str, reason: str, besides: str = "") -> None:
        attempt, seats = self._open.pop(task, (0, ()))
        workers = [seat.worker for seat in seats if seat.agent != besides]
        winner = [seat.worker for seat in seats if seat.agent == besides]
        for worker in dict.fromkeys(workers):
            if worker not in winner:
                self._office.pack_for_peers(worker, m.AuctionOver(task, attempt, reason))

    def _refused(self, state: SwarmState, event: AnyEvent) -> None:
        assert isinstance(event, me.ClaimRefused)
        told = m.AuctionOver(event.task, event.attempt, event.reason)
        self._office.pack_for_peers(event.worker, told)

    # Who is there ----------------------------------------------------------------------------

    def _ready(self, state: SwarmState, event: AnyEvent) -> None:
        assert isinstance(event, e.AgentReady)
        if topology_in_force(state) is Topology.MESH and event.agent in state.agents:
            self._join(state, event.agent)

    def _adopted(self, state: SwarmState, event: AnyEvent) -> None:
        assert isinstance(event, s.WorkerAdopted)
        self.rejoined(state, event.worker)

    def rejoined(self, state: SwarmState, worker: str) -> None:
        """A worker said hello again: what was on its way to it may be lost."""
        found = state.workers.get(worker)
        if found is not None and topology_in_force(state) is Topology.MESH:
            for name in found.agents:
                if state.agents[name].status in ABLE:
                    self._join(state, name)

    def _join(self, state: SwarmState, agent: str, seeds: tuple[str, ...] = ()) -> None:
        if not seeds:
            # The youngest, so that not one that is gone unbeknown to anybody is asked for ever.
            seeds = tuple(name for name, _, _ in peers_of(state) if name != agent)[-SEEDS:]
        worker = state.agents[agent].worker
        message = m.PeerUp(agent, state.lives.of(agent), _place(worker), seeds)
        self._office.pack_for_peers(worker, message)

    def _gone(self, state: SwarmState, event: AnyEvent) -> None:
        """One does not come back: the others are the mesh, once they agree on that."""
        assert isinstance(event, e.AgentTerminated | e.AgentFailed)
        self._heard.pop(event.agent, None)
        self._traffic.gone(event.agent)
        if topology_in_force(state) is Topology.MESH and state.closed is None:
            self._tell_left(state)

    def _tell_left(self, state: SwarmState) -> None:
        agents = tuple(_may_come(state))
        for name, _, _ in peers_of(state)[:SEEDS]:
            message = m.PeersLeft(name, agents)
            self._office.pack_for_peers(state.agents[name].worker, message)

    def _switched(self, state: SwarmState, event: AnyEvent) -> None:
        assert isinstance(event, she.TopologySwitched)
        for name, agent in state.agents.items():
            if agent.status not in ABLE:
                continue
            if event.after is Topology.MESH:
                self._join(state, name)
            elif event.before is Topology.MESH:
                self._office.pack_for_peers(agent.worker, m.PeerDown(name))

    def renew(self) -> None:
        """Tell all peers again that they are peers."""
        state = self._control.state
        if topology_in_force(state) is Topology.MESH:
            for name, _, _ in peers_of(state):
                self._join(state, name)
            self._control.after_commit(lambda: None)

    def _mend(self, reports: list[m.PeerReport], living: Peers) -> None:
        """Found the mesh anew where those who live are no majority of it any more, and so cannot
        let anybody in: when it begins, and when too many have died at once."""
        state, now_ms = self._control.state, self._host.monotonic_ms()
        if len(reports) < len(living) or now_ms - self._mended_ms < MEND_EVERY_MS:
            return
        epoch = max((report.epoch for report in reports), default=0)
        inside = [report for report in reports if report.members and report.epoch == epoch]
        members = max((report.members for report in inside), default=0)
        if 2 * len(inside) > members:
            if members != len(inside) or len(inside) < len(living):
                # Who was to tell them who is gone, and who is new, may not have lived to do so.
                self._mended_ms = now_ms
                self._tell_left(state)
                within = {report.agent: None for report in inside}
                for name, _, _ in living:
                    if name not in within:
                        self._join(state, name, tuple(within)[-SEEDS:])
                self._control.after_commit(lambda: None)
            return
        self._mended_ms = now_ms
        # No two foundings are of one epoch, whatever an orchestrator before this one has sent.
        self._epoch = max(epoch, self._epoch, state.boot * EPOCHS_PER_BOOT) + 1
        for name, life, _ in living:
            message = m.MeshFounded(name, life, self._epoch, living)
            self._office.pack_for_peers(state.agents[name].worker, message)
        self._control.after_commit(lambda: None)

    # What peers say --------------------------------------------------------------------------

    def take(self, worker: str, message: object) -> bool:
        """Have a message of a worker decided; whether it is one of these."""
        match message:
            case m.Claimed():
                self._control.offer(self._claim(worker, message), bounded=False)
            case m.PeerReport():
                self._report(message)
            case m.Copied():
                self._control.offer(self._copies(message), bounded=False)
            case _:
                return False
        return True

    def _claim(self, worker: str, claimed: m.Claimed) -> mc.ReportClaim:
        return mc.ReportClaim(
            now_ms=self._host.now_ms(),
            task=claimed.task,
            attempt=claimed.attempt,
            agent=claimed.agent,
            worker=worker,
            bids=claimed.bids,
            ballots=claimed.ballots,
            round=claimed.round,
            took_ms=claimed.took_ms,
        )

    def _copies(self, copied: m.Copied) -> mc.ReportReplicas:
        agents = self._control.state.agents
        return mc.ReportReplicas(
            now_ms=self._host.now_ms(),
            task=copied.task,
            attempt=copied.attempt,
            agent=copied.agent,
            digest=copied.digest,
            size_bytes=copied.size_bytes,
            required=copied.required,
            holders=tuple(
                Holder(name, agents[name].worker)
                for name in sorted(dict.fromkeys(copied.holders))
                if name in agents
            ),
            reason=copied.reason,
        )

    def _report(self, report: m.PeerReport) -> None:
        now_ms = self._host.now_ms()
        if report.agent not in self._control.state.agents:
            return  # It may have ended while this was on its way.
        self._hear(report, now_ms)
        # Of what grows with the peers, nothing is worked out twice: all of them report.
        state, heard, living = self._control.state, self._fresh(), peers_of(self._control.state)
        self._counted = self._counted or not silent_of(heard, living)
        if topology_in_force(state) is not Topology.MESH:
            return
        self._mend([each.report for each in heard], living)
        status = opinion_of(heard, living)
        if status.members is None:
            return
        told = (status.members, status.reachable, status.read_only)
        before = self._told or told
        all_agree = bool(status.agree) and status.heard == len(living)
        known = status.reachable is not None and (all_agree or before[1] is None)
        if told == self._told or not (known or status.read_only != before[2]):
            return
        self._told = told
        command = mc.ReportMembership(
            now_ms=now_ms,
            members=status.members,
            reachable=status.reachable,
            read_only=status.read_only,
            converged_ms=status.converged_ms,
        )
        self._control.offer(command, bounded=False)

    def _hear(self, report: m.PeerReport, now_ms: int) -> None:
        self._traffic.take(report)
        self._reports += 1
        short, last = None, self._heard.get(report.agent)
        if report.reachable < report.members:
            same = last is not None and last.report.reachable == report.reachable
            short = (last.short if last is not None and same else None) or self._reports
        self._heard[report.agent] = Heard(report, now_ms, self._reports, short)
        if last is None:
            self._heard = dict(sorted(self._heard.items()))

    def _fresh(self) -> list[Heard]:
        """The same as `reports`, with what is noted of each."""
        state, now_ms = self._control.state, self._host.now_ms()
        return [
            heard
            for name, heard in self._heard.items()
            if now_ms - heard.at_ms < STALE_MS
            and name in state.agents
            and state.lives.of(name) == heard.report.incarnation
        ]

    def reports(self) -> list[m.PeerReport]:
        """The last report of each peer that lives and has reported not long ago, by agent."""
        return [each.report for each in self._fresh()]

    def status(self) -> MeshStatus:
        """The mesh as its peers see it now."""
        mesh = self._control.state.mesh
        sent, received, sent_bytes, dropped = self._traffic.sums
        return MeshStatus(
            **opinion_of(self._fresh(), peers_of(self._control.state))._asdict(),
            counted=self._counted,
            sent=sent,
            received=received,
            sent_bytes=sent_bytes,
            dropped=dropped,
            auctions_open=len(mesh.auctions),
            auctions_settled=mesh.settled,
            auctions_lapsed=mesh.lapsed,
            claims_refused=mesh.refused,
        )


def peers_of(state: SwarmState) -> Peers:
    """Agents that are up, with the number of their present life and their place."""
    return tuple(
        (name, state.lives.of(name), _place(agent.worker))
        for name, agent in state.agents.items()
        if agent.status in ABLE and agent.worker not in state.supervised.suspects
    )


def _may_come(state: SwarmState) -> list[str]:
    """Agents that are up, or that may come back."""
    return [name for name, agent in state.agents.items() if agent.status not in GONE]


def _place(worker: str) -> str:
    """All workers of an orchestrator are on one machine."""
    return f"local/{worker}"


def false_claim(state: SwarmState, worker: str, message: object) -> str | None:
    """Why a worker cannot say this of a mesh, if it cannot."""
    if not isinstance(message, m.Claimed | m.PeerReport | m.Copied):
        return None
    agent = state.agents.get(message.agent)
    if agent is None:
        return None  # It may have ended while this was on its way.
    if agent.worker != worker and state.departing.get(message.agent) != worker:
        return f"it speaks for agent {message.agent}, which is in {agent.worker}"
    if isinstance(message, m.PeerReport):
        return None
    task = state.tasks.get(message.task)
    if task is None:
        if message.task in state.finished:
            return None
        return f"it speaks of task {message.task}, of which nothing is known"
    if not 0 < message.attempt <= task.attempt:
        return f"it speaks of attempt {message.attempt} of {message.task}, which never was"
    auction = state.mesh.auctions.get(message.task)
    if auction is None or auction.attempt != message.attempt or isinstance(message, m.Copied):
        return None
    if all(seat.agent != message.agent for seat in auction.seats):
        return f"{message.agent} claims {message.task} and is not of its electorate"
    return None


def may_be_running(state: SwarmState, worker: str, task: str, attempt: int) -> bool:
    """Whether an agent of a worker may have begun an attempt by an auction whose end is not in the
    log."""
    auction = state.mesh.auctions.get(task)
    if auction is None or auction.attempt != attempt:
        return False
    return any(seat.worker == worker for seat in auction.seats)
