"""What a mesh's peers might report, in a world of chance: true claims and false ones, late and
doubled, opinions, copies."""

from typing import TYPE_CHECKING

import msgspec

from visionflow.domain import mesh_commands as mc
from visionflow.domain.mesh import AuctionBallot, AuctionBid, Holder, Seat

if TYPE_CHECKING:
    from tests.engine.calm import Calm
    from tests.engine.world import World


def claim(
    world: "Calm",
    task: str,
    attempt: int,
    seats: tuple[Seat, ...],
    winner: str,
    voters: list[str] | None = None,
    worker: str | None = None,
) -> mc.ReportClaim:
    """The claim of an electorate's winner; `voters`: all of them, where nobody is named."""
    names = [seat.agent for seat in seats] if voters is None else voters
    places = {seat.agent: seat.worker for seat in seats}
    return mc.ReportClaim(
        now_ms=world.now_ms,
        task=task,
        attempt=attempt,
        agent=winner,
        worker=worker or places.get(winner, "worker_0"),
        bids=tuple(AuctionBid(name, 5_000, 5_000) for name in places),
        ballots=tuple(AuctionBallot(name, winner, 1) for name in names),
        round=1,
        took_ms=3,
    )


def happen(world: "World") -> None:
    """One thing of it."""
    world.random.choice((_claim, _claim, _claim, _claim, _again, _opinion, _copies))(world)


def _claim(world: "World") -> None:
    auctions = world.state.mesh.auctions
    if not auctions:
        return
    task = world.random.choice(list(auctions))
    auction, choice = auctions[task], world.random.choice
    names = [seat.agent for seat in auction.seats]
    count = choice((len(names), len(names), len(names) // 2 + 1, len(names) // 2))
    voters = world.random.sample(names, count)
    if world.random.random() < 0.05:
        voters.append("nobody")
    winner = choice(names) if world.random.random() < 0.95 else choice(list(world.state.agents))
    attempt = auction.attempt - choice((0, 0, 0, 0, 1))
    place = choice((None, None, None, "worker_x"))
    told = claim(world, task, attempt, auction.seats, winner, voters, place)
    world.claims.append(told)
    world.send(told)


def _again(world: "World") -> None:
    """It was sent again, because nobody had acknowledged it."""
    if world.claims:
        told = world.random.choice(world.claims)
        world.send(msgspec.structs.replace(told, now_ms=world.now_ms))


def _opinion(world: "World") -> None:
    agents = list(world.state.agents)
    read_only = world.random.sample(agents, min(len(agents), world.random.choice((0, 0, 0, 0, 2))))
    members = len(agents)
    world.send(
        mc.ReportMembership(
            now_ms=world.now_ms,
            members=members,
            reachable=max(0, members - len(read_only)),
            read_only=tuple(read_only),
            converged_ms=world.random.choice((None, 0, 1_200)),
        )
    )


def _copies(world: "World") -> None:
    if not world.state.tasks or not world.state.agents:
        return
    name = world.random.choice(list(world.state.tasks))
    found, agents = world.state.tasks[name], list(world.state.agents)
    holders = world.random.sample(agents, min(len(agents), world.random.randint(0, 3)))
    world.send(
        mc.ReportReplicas(
            now_ms=world.now_ms,
            task=name,
            attempt=found.attempt - world.random.choice((0, 0, 1)),
            agent=world.random.choice(agents),
            digest="d" * 64,
            size_bytes=1,
            required=3,
            holders=tuple(Holder(each, world.state.agents[each].worker) for each in holders),
        )
    )
