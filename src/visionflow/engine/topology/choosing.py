"""Who is given a task, among those that could take it: the strategies of a swarm. Pure.

Two of them need nothing of this: centralized and balanced stand in the levels of the matching
index, which gives the best agent at once. The others look at each that could take the task.
"""

import msgspec

from visionflow.domain.mesh import AuctionBid
from visionflow.domain.swarms import Strategy
from visionflow.engine.matching import GroupKey
from visionflow.engine.mesh.bidding import bid_of
from visionflow.engine.places import places_taken
from visionflow.engine.records import Record
from visionflow.engine.scoring import PRIOR_TASKS
from visionflow.engine.state import AgentState, SwarmState

BIDS_MAX = 16
"""Agents that are asked for a bid, at most."""
BIDDING_WORTH_US = 1_000_000
"""An adaptive swarm has agents bid for tasks of a type that took this long on average."""


class Bidding(msgspec.Struct, frozen=True, gc=False):
    """Bids for a task, and who wins."""

    winner: str
    bids: tuple[AuctionBid, ...]
    able: int
    likely_us: int | None


def candidates(state: SwarmState, key: GroupKey) -> list[str]:
    """The agents that could begin such a task at once, in the order of their turns; where there is
    none, those that could be given it ahead."""
    found = [name for name, _ in state.matching.takers(key)]
    free = [name for name in found if _is_free(state, state.agents[name])]
    return free or found


def _is_free(state: SwarmState, agent: AgentState) -> bool:
    return places_taken(state, agent) < agent.spec.tasks_max


def specialist(state: SwarmState, names: list[str], task_type: str) -> str:
    """Among the narrowest specialists the one with the best record for this type of task, by its
    share of success and then by how fast it was; whoever never did one is given the benefit of
    the doubt."""
    least = min(len(state.agents[name].spec.capabilities) for name in names)
    narrow = [name for name in names if len(state.agents[name].spec.capabilities) == least]

    def badness(name: str) -> tuple[int, int]:
        record = state.records.of_type(name, task_type)
        tried = record.completed + record.failed + PRIOR_TASKS
        return -10_000 * (record.completed + PRIOR_TASKS) // tried, record.mean_us

    return min(narrow, key=badness)


def bidding(state: SwarmState, names: list[str], key: GroupKey, task_type: str) -> Bidding:
    """What these agents, of whom there is at least one, bid for a task, by their record."""
    asked = names[:BIDS_MAX]
    of_type = state.records.of_type
    bids = tuple(bid_by_record(state, n, key[0], of_type(n, task_type)) for n in asked)
    # Of equal bids the first one, whose turn it is, so that equal agents share the load.
    winner = max(bids, key=lambda bid: bid.total_bp)
    return Bidding(winner.agent, bids, len(names), likely_us(state, asked, task_type))


def bid_by_record(
    state: SwarmState, name: str, required: tuple[str, ...], record: Record
) -> AuctionBid:
    """What an agent would bid, by what the engine knows of it. How much of its resources is free
    only whoever measures it can say."""
    agent = state.agents[name]
    return bid_of(
        name,
        required=required,
        offered=agent.spec.capabilities,
        open_tasks=places_taken(state, agent),
        tasks_max=agent.spec.tasks_max,
        completed=record.completed,
        failed=record.failed,
        free_bp=None,
    )


def likely_us(state: SwarmState, names: list[str], task_type: str) -> int | None:
    """What a task of this type took these agents on average; `None`: none of them did one."""
    records = [state.records.of_type(name, task_type) for name in names]
    count = sum(record.completed for record in records)
    if not count:
        return None
    return sum(record.completed * record.mean_us for record in records) // count


def wants_bids(state: SwarmState, names: list[str], task_type: str) -> bool:
    """Whether agents are to bid: always where they decide among themselves; where the strategy is
    adaptive, if several could do the task and like ones took long."""
    strategy = Strategy.CENTRALIZED if state.spec is None else state.spec.strategy
    if strategy is Strategy.DISTRIBUTED:
        return True
    if strategy is not Strategy.ADAPTIVE or len(names) < 2:
        return False
    likely = likely_us(state, names[:BIDS_MAX], task_type)
    return likely is not None and likely >= BIDDING_WORTH_US
