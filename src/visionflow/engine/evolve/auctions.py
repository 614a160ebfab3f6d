"""Folds of what happens in a mesh: auctions, opinions on its membership, copies of results."""

from visionflow.domain import mesh_events as me
from visionflow.domain.mesh import REPLICAS_KEPT
from visionflow.engine.evolve.table import folds, refresh_bidders
from visionflow.engine.evolve.tasks import enqueue
from visionflow.engine.meshed import AuctionState, ReplicaState
from visionflow.engine.state import SwarmState


@folds(me.AuctionOpened)
def _(state: SwarmState, event: me.AuctionOpened) -> None:
    state.matching.dequeue(event.task)
    # From now on this is the attempt that a worker may speak of.
    state.tasks[event.task].attempt = event.attempt
    mesh = state.mesh
    mesh.auctions[event.task] = AuctionState(event.attempt, event.seats, state.now_ms)
    mesh.opened += 1
    refresh_bidders(state, event.seats)


@folds(me.AuctionSettled)
def _(state: SwarmState, event: me.AuctionSettled) -> None:
    over = state.mesh.auctions.pop(event.task)
    state.mesh.settled += 1
    refresh_bidders(state, over.seats)
    enqueue(state, state.tasks[event.task])


@folds(me.AuctionLapsed)
def _(state: SwarmState, event: me.AuctionLapsed) -> None:
    over = state.mesh.auctions.pop(event.task)
    state.mesh.lapsed += 1
    refresh_bidders(state, over.seats)
    enqueue(state, state.tasks[event.task])


@folds(me.ClaimRefused)
def _(state: SwarmState, event: me.ClaimRefused) -> None:
    state.mesh.refused += 1


@folds(me.MembershipChanged)
def _(state: SwarmState, event: me.MembershipChanged) -> None:
    mesh = state.mesh
    mesh.members, mesh.reachable = event.members, event.reachable
    mesh.converged_ms = event.converged_ms
    mesh.read_only = dict.fromkeys(event.read_only)


@folds(me.ReplicasReported)
def _(state: SwarmState, event: me.ReplicasReported) -> None:
    replicas = state.mesh.replicas
    replicas[event.task] = ReplicaState(
        event.attempt, event.digest, event.required, event.holders, event.machines
    )
    if len(replicas) > REPLICAS_KEPT:
        del replicas[next(iter(replicas))]
