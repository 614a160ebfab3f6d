"""Folds of what becomes of processes that outlive their orchestrator."""

from visionflow.domain import events as e
from visionflow.domain import supervision_events as s
from visionflow.domain.agents import WorkerStatus
from visionflow.engine.evolve.table import folds, not_measured, refresh_worker
from visionflow.engine.state import SwarmState


@folds(e.Recovered)
def _(state: SwarmState, event: e.Recovered) -> None:
    state.boot = event.boot
    awaited = state.supervised.awaited
    awaited.clear()
    not_measured(state, state.now_ms)
    for auction in state.mesh.auctions.values():
        auction.since_ms = state.now_ms
    for worker in event.kept:
        awaited[worker] = event.kept_until_ms
        refresh_worker(state, worker)


@folds(s.WorkerAdopted)
def _(state: SwarmState, event: s.WorkerAdopted) -> None:
    worker = state.workers[event.worker]
    worker.status = WorkerStatus.JOINED
    state.supervised.awaited.pop(event.worker, None)
    state.supervised.suspects.pop(event.worker, None)
    # While nobody was there to be told, its attempts may have come to their end in time.
    for agent in worker.agents:
        state.clocks.restart(state.agents[agent].open, state.now_ms)
    refresh_worker(state, event.worker)


def forget_process(state: SwarmState, worker: str) -> None:
    """The process of a worker is gone: nothing is awaited of it."""
    state.supervised.awaited.pop(worker, None)
    state.supervised.secrets.pop(worker, None)
