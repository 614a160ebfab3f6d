"""The auditor's look at auctions."""

from collections.abc import Iterator

from visionflow.domain.mesh import ELECTORATE_MAX
from visionflow.domain.tasks import TaskStatus
from visionflow.engine.state import SwarmState


def auction_faults(state: SwarmState) -> Iterator[str]:
    """What does not hold of the auctions that are open."""
    mesh = state.mesh
    for name, auction in mesh.auctions.items():
        task = state.tasks.get(name)
        if task is None or task.status is not TaskStatus.QUEUED:
            yield f"task {name} is bid for and is not queued"
        elif task.attempt != auction.attempt:
            yield f"attempt {auction.attempt} of {name} is bid for; the last is {task.attempt}"
        if name in state.matching:
            yield f"task {name} is bid for and stands in line"
        voters = dict.fromkeys(seat.agent for seat in auction.seats)
        if not 2 <= len(voters) == len(auction.seats) <= ELECTORATE_MAX:
            yield f"the auction of {name} has seats for {list(voters)}, each of which has one vote"
    if len(mesh.auctions) != mesh.opened - mesh.settled - mesh.lapsed - mesh.ended:
        yield f"{len(mesh.auctions)} auctions are open, of {mesh.opened} that were opened"
