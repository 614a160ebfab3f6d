"""Decisions about auctions: which tasks a mesh's peers bid for, who they are, whose claim counts.

The peers agree among themselves; that they did is told by the winner's claim, which carries the
ballots. At most one claim is taken for an attempt, as at most one result is: should an auction
lapse although it was settled, the claim comes too late, and is refused on record.
"""

from collections.abc import Iterator
from typing import Literal

from visionflow.domain import events as e
from visionflow.domain import mesh_commands as mc
from visionflow.domain import mesh_events as me
from visionflow.domain.agents import WorkerStatus
from visionflow.domain.events import AnyEvent
from visionflow.domain.mesh import (
    AUCTION_HURRY_MS,
    AUCTION_MS,
    AUCTIONS_MAX,
    ELECTORATE_MAX,
    Seat,
)
from visionflow.domain.tasks import TERMINAL, TaskStatus
from visionflow.engine.decide.table import decides
from visionflow.engine.effects import ABLE, holds_seat
from visionflow.engine.evolve.table import is_held
from visionflow.engine.matching import GroupKey, needs
from visionflow.engine.meshed import AuctionState
from visionflow.engine.scoring import score_bp
from visionflow.engine.state import AgentState, SwarmState, TaskState
from visionflow.engine.topology.rules import topology_in_force
from visionflow.engine.topology.seats import offers_of

Events = list[AnyEvent]
VOTERS_MIN = 3
"""Peers without room take part where there are fewer with room, so that one may die meanwhile."""
MACHINES = 1
"""All workers of an orchestrator are on its own."""


# Opening -------------------------------------------------------------------------------------


def opening(state: SwarmState, name: str) -> me.AuctionOpened | Literal[False] | None:
    """The auction of the next task in line; `False`: it is given out without one, because it names
    its agent or only one could do it now; `None`: it waits, because enough are open or nobody may
    take part."""
    task = state.tasks[name]
    key: GroupKey = state.matching.key_of(name)
    if key[2] is not None:
        return False
    able, seats = _electorate(state, key)
    if able < 2:
        return False if seats else None
    auctions = state.mesh.auctions
    if len(seats) < 2 or len(auctions) >= AUCTIONS_MAX:
        return None
    ready = {seat.agent for seat in seats if (state.matching.room(seat.agent) or 0) >= 0}
    open_here = sum(
        any(seat.agent in ready for seat in auction.seats) for auction in auctions.values()
    )
    if open_here >= len(ready):
        return None
    return me.AuctionOpened(task=name, attempt=task.attempt + 1, seats=tuple(seats))


def _electorate(state: SwarmState, key: GroupKey) -> tuple[int, list[Seat]]:
    """How many living agents could do a task, as far as that matters, and those who vote."""
    found: dict[str, Seat] = {}
    able, read_only = 0, state.mesh.read_only
    for name, _ in state.matching.takers(key):
        able += 1
        seat = None if name in read_only else _seat(state, state.agents[name])
        if seat is not None:
            found[name] = seat
        if len(found) == ELECTORATE_MAX:
            break
    if len(found) < VOTERS_MIN:
        for name, seat in _others(state, key, found):
            able += 1
            if name not in read_only and len(found) < VOTERS_MIN:
                found[name] = seat
    return able, list(found.values())


def _others(state: SwarmState, key: GroupKey, known: dict[str, Seat]) -> Iterator[tuple[str, Seat]]:
    """Living agents without room that could do a task. Whoever gets nothing now, for its circuit
    is open or it is to end, would bid as one with room, and win."""
    wanted = needs(key)
    for name, agent in state.agents.items():
        if name in known or (state.matching.room(name) or 0) >= 0 or is_held(state, name):
            continue
        if wanted <= offers_of(state, agent.spec):
            seat = _seat(state, agent)
            if seat is not None:
                yield name, seat


def _seat(state: SwarmState, agent: AgentState) -> Seat | None:
    worker = state.workers[agent.worker]
    if agent.status not in ABLE or worker.status is not WorkerStatus.JOINED:
        return None
    if worker.id in state.supervised.awaited or worker.id in state.supervised.suspects:
        return None
    return Seat(agent.spec.id, worker.id, state.lives.of(agent.spec.id))


def next_in_mesh(state: SwarmState) -> me.AuctionOpened | Literal[False] | None:
    """What follows in a mesh for the next task in line: see `opening`."""
    matching = state.matching
    if matching.idle or state.closed is not None:
        return None
    found = matching.best()
    return None if found is None else opening(state, found[0])


# Claims --------------------------------------------------------------------------------------


@decides(mc.ReportClaim)
def _(state: SwarmState, command: mc.ReportClaim) -> Events:
    name, task = command.task, state.tasks.get(command.task)
    if task is not None and _is_known(task, command):
        return []
    why = _objection(state, task, command)
    if why is not None:
        return [
            me.ClaimRefused(
                task=name,
                attempt=command.attempt,
                agent=command.agent,
                worker=command.worker,
                reason=why,
            )
        ]
    agent = state.agents[command.agent]
    score = score_bp(
        agent.completed, agent.failed, agent.mean_us, len(agent.open), agent.spec.tasks_max
    )
    return [
        me.AuctionSettled(
            task=name,
            attempt=command.attempt,
            agent=command.agent,
            bids=command.bids,
            ballots=command.ballots,
            round=command.round,
            took_ms=command.took_ms,
        ),
        e.TaskAssigned(task=name, attempt=command.attempt, agent=command.agent, score_bp=score),
    ]


def _is_known(task: TaskState, command: mc.ReportClaim) -> bool:
    """Whether the claim was taken before: it is sent again until that is acknowledged."""
    if task.attempt != command.attempt:
        return False
    return task.agent == command.agent or task.status is TaskStatus.COMPLETED


def _objection(state: SwarmState, task: TaskState | None, claim: mc.ReportClaim) -> str | None:
    if task is None or task.status in TERMINAL:
        return "the task has ended"
    auction = state.mesh.auctions.get(claim.task)
    if auction is None or auction.attempt != claim.attempt:
        return f"that auction is over; the task is at attempt {task.attempt}"
    seat = next((each for each in auction.seats if each.agent == claim.agent), None)
    if seat is None:
        return "it is not of the electorate"
    if not holds_seat(state, seat) or seat.worker != claim.worker:
        return "the process that had its vote is gone"
    if claim.worker in state.supervised.awaited:
        return "its worker has not said hello since the recovery"
    voters = {seat.agent for seat in auction.seats}
    rounds = {ballot.round for ballot in claim.ballots}
    for_it = {ballot.agent for ballot in claim.ballots if ballot.winner == claim.agent}
    if not for_it <= voters or len(rounds) > 1 or 2 * len(for_it) <= len(voters):
        return f"{len(for_it & voters)} of {len(voters)} voted for it in one round"
    return None


# Lapsing -------------------------------------------------------------------------------------


def lapses(state: SwarmState, now_ms: int) -> Iterator[tuple[str, AuctionState, str]]:
    """Auctions that nobody can settle any more, or nobody did in time, and why."""
    for name, auction in state.mesh.auctions.items():
        count = len(auction.seats)
        living = sum(holds_seat(state, seat) for seat in auction.seats)
        waited_ms = now_ms - auction.since_ms
        if 2 * living <= count:
            yield name, auction, f"{living} of its {count} peers are left, which is no majority"
        elif waited_ms >= AUCTION_MS:
            yield name, auction, f"its peers did not agree within {AUCTION_MS} ms"
        elif living < count and waited_ms >= AUCTION_HURRY_MS:
            gone = f"{count - living} of its {count} peers are gone"
            yield name, auction, f"{gone}, and it was not settled within {AUCTION_HURRY_MS} ms"


def lapse_due(state: SwarmState, now_ms: int) -> Events:
    """What time makes of the auctions that are open."""
    return [
        me.AuctionLapsed(task=name, attempt=auction.attempt, reason=reason)
        for name, auction, reason in lapses(state, now_ms)
    ]


def next_left(state: SwarmState) -> me.AuctionLapsed:
    """The next auction that was left open by a swarm that is no mesh any more: its agents are no
    peers now, so nobody would settle it before it lapses by time. A claim on its way comes too
    late."""
    name, auction = next(iter(state.mesh.auctions.items()))
    reason = f"the swarm is no mesh any more but {topology_in_force(state)}"
    return me.AuctionLapsed(task=name, attempt=auction.attempt, reason=reason)


# Opinions and copies -------------------------------------------------------------------------


@decides(mc.ReportMembership)
def _(state: SwarmState, command: mc.ReportMembership) -> Events:
    mesh = state.mesh
    read_only = tuple(name for name in command.read_only if name in state.agents)
    told = (command.members, command.reachable, tuple(mesh.read_only), command.converged_ms)
    if (mesh.members, mesh.reachable, read_only, mesh.converged_ms) == told:
        return []
    return [
        me.MembershipChanged(
            members=command.members,
            reachable=command.reachable,
            read_only=read_only,
            converged_ms=command.converged_ms,
        )
    ]


@decides(mc.ReportReplicas)
def _(state: SwarmState, command: mc.ReportReplicas) -> Events:
    task = state.tasks.get(command.task)
    if task is None or task.status is not TaskStatus.COMPLETED or task.attempt != command.attempt:
        # Of a result that was not taken nobody needs copies.
        return []
    known = state.mesh.replicas.get(command.task)
    if known is not None and (known.digest, known.holders) == (command.digest, command.holders):
        return []
    return [
        me.ReplicasReported(
            task=command.task,
            attempt=command.attempt,
            digest=command.digest,
            size_bytes=command.size_bytes,
            required=command.required,
            holders=command.holders,
            machines=MACHINES if command.holders else 0,
            reason=command.reason,
        )
    ]
