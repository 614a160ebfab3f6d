"""Decide: what a command makes happen, given the state; nothing is changed here.

`handle` is the face: it gives the events to fold and the answer for whoever asked. A command
that was accepted before gets that answer again and makes nothing happen. A refusal is an event
too, so that the audit has it; but nothing was done, so the same command is decided anew.
"""

from visionflow.domain import commands as c
from visionflow.domain import events as e
from visionflow.domain import outside_commands as oc
from visionflow.domain import supervision_commands as sc
from visionflow.domain import votes_commands as vc
from visionflow.domain.commands import AnyCommand
from visionflow.domain.errors import Refused
from visionflow.domain.events import AnyEvent
from visionflow.engine.decide import (
    adopting,
    auctions,
    balancing,
    circuits,
    debugging,
    detecting,
    fleet,
    mail,
    outside,
    pipelines,
    recycling,
    shape,
    supervising,
    tasks,
    teams,
    updating,
    votes,
    waiting,
    workers,
)
from visionflow.engine.decide.assigning import next_assignment
from visionflow.engine.decide.table import TABLE, RefusedOnRecord
from visionflow.engine.state import Answer, Denial, SwarmState

__all__ = ["ACCEPTED", "handle", "next_assignment", "next_event"]
ACCEPTED = Answer()
_REGISTERED = (
    adopting.__name__,
    auctions.__name__,
    balancing.__name__,
    circuits.__name__,
    debugging.__name__,
    detecting.__name__,
    fleet.__name__,
    mail.__name__,
    outside.__name__,
    pipelines.__name__,
    recycling.__name__,
    shape.__name__,
    supervising.__name__,
    tasks.__name__,
    teams.__name__,
    updating.__name__,
    votes.__name__,
    waiting.__name__,
    workers.__name__,
)


def handle(state: SwarmState, command: AnyCommand) -> tuple[list[AnyEvent], Answer]:
    """Events to fold, in order, and the answer to give once they are durable."""
    if command.command is not None:
        known = state.answers.get(command.command)
        if known is not None:
            return [], known
    try:
        events = TABLE[type(command)](state, command)
    except RefusedOnRecord as refusal:
        # What the log has an event of its own for is kept as an answer too.
        return [refusal.event], Answer(command.now_ms, None, refusal.reason, str(refusal))
    except Refused as refusal:
        told = str(refusal)
        recorded = e.CommandRefused(code=refusal.reason, message=told, asked=command.command)
        return [recorded], Denial(command.now_ms, None, refusal.reason, told, refusal.hint)
    told = mail.ANSWERS.get(type(command))
    if told is not None:
        return events, told(state, command, events)
    if command.command is None:
        asks = outside.RULINGS.get(type(command))
        return events, ACCEPTED if asks is None else asks(state, command)
    return events, _subject(command)


def _subject(command: AnyCommand) -> Answer:
    match command:
        case c.SubmitTask() | c.SubmitPlan() | c.SpawnAgent() | c.CreateSwarm() | c.OpenVote():
            return Answer(command.now_ms, command.spec.id)
        case sc.DelegateTask():
            return Answer(command.now_ms, command.spec.id)
        case c.CancelTask() | c.RetryTask() | c.BlockTask() | c.UnblockTask():
            return Answer(command.now_ms, command.task)
        case c.TerminateAgent() | c.UpdateAgent() | sc.EnableDebug() | sc.RestartAgent():
            return Answer(command.now_ms, command.agent)
        case oc.ResolveEffect():
            return Answer(command.now_ms, command.key)
        case c.CastBallot() | c.CloseVote() | vc.ResolveVote():
            return Answer(command.now_ms, command.vote)
        case _:
            return Answer(command.now_ms)


def next_event(state: SwarmState) -> AnyEvent | None:
    """What follows from the state alone, if anything more does. Fold it before asking again."""
    if state.outside.orphans or (state.closed is not None and state.outside.tasks):
        doubted = outside.next_doubt(state)
        if doubted is not None:
            return doubted
    if state.mail.orphans:
        return mail.next_orphan(state)
    if state.pipelines.orphans:
        return pipelines.next_end(state)
    if state.supervised.degraded is not None:
        whole = supervising.restored(state)
        if whole is not None:
            return whole
    if state.unheld:
        return waiting.next_grant(state)
    seating = state.seating
    if seating.due or seating.led or seating.vacant or seating.headless:
        seated = teams.next_seating(state)
        if seated is not None:
            return seated
    if state.moving:
        moved = updating.next_move(state)
        if moved is not None:
            return moved
    if state.is_mesh:
        opened = auctions.next_in_mesh(state)
        if opened is not False:
            return opened
    elif state.mesh.auctions:
        return auctions.next_left(state)
    return next_assignment(state)
