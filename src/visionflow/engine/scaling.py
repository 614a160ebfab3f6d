"""How many agents of a type there shall be: pure, from what was measured.

More are wanted while tasks wait and those who could do them are busy; fewer once, for a whole
cool-down, no task waited and the busiest moment would have needed fewer. The bounds of a type hold
for what is decided here alone: whatever clients spawn beyond them stays.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from visionflow.domain.teams import TEAM_PREFIX
from visionflow.engine.matching import needs
from visionflow.engine.state import AgentState, SwarmState
from visionflow.engine.topology.seats import has_seats, offers_of, seated

LOOKED_AT_MAX = 256
"""Of the tasks that wait for the same, so many next in line are looked at."""
NAMED_MAX = 4
"""Types that a sentence names."""
UTILISATION_BP = 9_000
COOL_DOWN_MS = 60_000
QUEUE_WAIT_MS = 2_000


class Bounds(msgspec.Struct, frozen=True):
    """How many agents of a type the autoscaler may make it."""

    least: int = 0
    most: int | None = None
    """`None`: it makes none of this type."""


class Rules(msgspec.Struct, frozen=True):
    """When more are wanted, and how often a number may change."""

    utilisation_bp: int = UTILISATION_BP
    """Of the places that agents of a type have: at this share they are taken for busy."""
    queue_wait_ms: int = QUEUE_WAIT_MS
    """Tasks that have waited this long are a backlog."""
    cool_down_ms: int = COOL_DOWN_MS
    """After a decision a type stays as it is for so long; and what was not needed for so long may
    go."""


class Backlog(msgspec.Struct, frozen=True):
    """Tasks that wait for an agent of one type."""

    count: int = 0
    oldest_ms: int = 0
    """How long the one of those next in line waits that has waited longest."""
    mean_ms: int = 0


class Load(msgspec.Struct, frozen=True):
    """What there is of a type, and what it has to do."""

    agents: int
    """Those that are there to stay, on their way to ready included."""
    places: int
    """Tasks that they can work on at once."""
    busy: int
    """Of those places, how many are taken."""
    backlog: Backlog = Backlog()
    removable: int = 0
    """Agents that were made for the number's sake, and may go."""
    seated: int = 0
    """Tasks that wait for a seat in a team where agents of the type could do them. One more of the
    type would not have such a seat, but none is one too many."""
    peak: int | None = None
    """The most places that were taken at one time over the whole last cool-down; `None`: it has
    not been watched for so long, or some task was a backlog meanwhile."""


class Room(msgspec.Struct, frozen=True):
    """How many more agents there may be, and what bounds that."""

    count: int
    why: str


class Decision(msgspec.Struct, frozen=True):
    """A number that is to change."""

    before: int
    after: int
    evidence: str


def decide_number(
    load: Load,
    bounds: Bounds,
    rules: Rules,
    rooms: Iterable[Room] = (),
    quiet_ms: int | None = None,
) -> Decision | None:
    """The number of agents that a type shall have, where it is another than it has.

    `rooms`: what else bounds it. `quiet_ms`: how long ago the last decision about it was; `None`:
    there was none.
    """
    if bounds.most is None or (quiet_ms is not None and quiet_ms < rules.cool_down_ms):
        return None
    if load.agents < bounds.least:
        why = f"there are {load.agents}, at least {bounds.least} shall be"
        return _more(load, bounds.least, bounds.most, rooms, why)
    if _is_short(load, rules):
        each = max(1, load.places // max(1, load.agents))
        # At most twice as many at one time: what is on its way may be enough.
        step = min(-(-load.backlog.count // each), max(1, load.agents))
        return _more(load, load.agents + step, bounds.most, rooms, _shown(load))
    return _fewer(load, bounds, rules)


def _is_short(load: Load, rules: Rules) -> bool:
    waits = max(load.backlog.mean_ms, load.backlog.oldest_ms)
    busy = load.busy * 10_000 >= rules.utilisation_bp * load.places
    return load.backlog.count > 0 and waits >= rules.queue_wait_ms and busy


def _more(load: Load, wanted: int, most: int, rooms: Iterable[Room], why: str) -> Decision | None:
    bound = Room(most - load.agents, f"its maximum is {most}")
    for room in rooms:
        if room.count < bound.count:
            bound = room
    after = min(wanted, load.agents + max(0, bound.count))
    if after <= load.agents:
        return None
    held = f"; {bound.why}" if after < wanted else ""
    return Decision(load.agents, after, f"{why}{held}")


def _fewer(load: Load, bounds: Bounds, rules: Rules) -> Decision | None:
    if load.backlog.count or load.seated or not load.removable or not load.agents:
        return None
    if load.peak is None:
        return None
    each = max(1, load.places // load.agents)
    needed = -(-load.peak * 10_000 // (each * rules.utilisation_bp))
    after = max(bounds.least, needed, load.agents - load.removable)
    if after >= load.agents:
        return None
    over_s = rules.cool_down_ms / 1_000
    why = f"no task waited for {over_s:g} s, and at most {load.peak} of {load.places} places were "
    return Decision(load.agents, after, f"{why}taken at one time")


def _shown(load: Load) -> str:
    waiting = load.backlog
    one = waiting.count == 1
    share = "" if not load.places else f" ({load.busy / load.places:.0%})"
    return (
        f"{waiting.count} task{' waits' if one else 's wait'}, the oldest "
        f"{waiting.oldest_ms / 1_000:.1f} s and on average {waiting.mean_ms / 1_000:.1f} s; "
        f"{load.busy} of {load.places} places are taken{share}"
    )


# For whom ---------------------------------------------------------------------------------------


def worker_more(
    types: Sequence[str],
    there: Mapping[str, int],
    bounds: Mapping[str, Bounds],
    rooms: Callable[[str], Sequence[Room] | None],
) -> tuple[str | None, str]:
    """Of which type a team gets a worker more, and what is done, in words; no type: none is made.

    `types`: of its workers, those that it has most of first. `there`: how many there are of each
    type. `rooms`: what else bounds a type, the first that does being told; `None`: nobody can make
    one.
    """
    if not types:
        return None, "told, for it has no workers, so there is no type to make one more of"
    why: list[str] = []
    for each in types:
        most = bounds.get(each, Bounds()).most
        bounding = rooms(each) if most else None
        if not most or bounding is None:
            continue
        own = Room(most - there.get(each, 0), f"the maximum of type {each} is {most}")
        room = min((own, *bounding), key=lambda found: found.count)
        if room.count > 0:
            return each, f"a worker of type {each} is made"
        why.append(room.why)
    if why:
        return None, f"told, for {why[0]}"
    named = " or ".join(types[:NAMED_MAX])
    return None, f"told, for nothing here makes more of type {named}"


# What waits ------------------------------------------------------------------------------------


def backlogs(
    state: SwarmState, offers: Mapping[str, frozenset[str]], full: frozenset[str], now_ms: int
) -> dict[str, Backlog]:
    """What waits for agents of each of these types.

    `offers`: what an agent of a type offers. A task that several types could do waits for the
    most special of them that is not `full`, so that it is counted once. One that is meant for a
    certain agent waits for nobody else.
    """
    order = sorted(offers, key=lambda kind: (kind in full, len(offers[kind]), kind))
    waits: dict[str, list[int]] = {}
    counts: dict[str, int] = {}
    for key, size, next_in_line in state.matching.groups(LOOKED_AT_MAX):
        wanted = needs(key)
        kind = next((kind for kind in order if wanted <= offers[kind]), None)
        if key[2] is not None or kind is None:
            continue
        counts[kind] = counts.get(kind, 0) + size
        found = (now_ms - state.tasks[name].changed_ms for name in next_in_line)
        waits.setdefault(kind, []).extend(max(0, each) for each in found)
    return {
        kind: Backlog(counts[kind], max(times), sum(times) // len(times))
        for kind, times in waits.items()
    }


def waiting_for_teams(state: SwarmState) -> dict[str, int]:
    """By type: how many tasks wait for a seat in a team in which agents of the type could do them.
    One that several types could do is counted for each."""
    found: dict[str, int] = {}
    if not has_seats(state):
        return found
    for key, size, _ in state.matching.groups(0):
        team = next((w.removeprefix(TEAM_PREFIX) for w in key[0] if w.startswith(TEAM_PREFIX)), "")
        if team in state.teams.teams:
            wanted, people = needs(key), seated(state, team)
            able = (a.spec.type for a in people if wanted <= offers_of(state, a.spec))
            for kind in dict.fromkeys(able):
                found[kind] = found.get(kind, 0) + size
    return found


# Who may go ------------------------------------------------------------------------------------


def removable(state: SwarmState, agents: Iterable[AgentState]) -> list[AgentState]:
    """Of these, oldest first, those that were made for the number's sake, in the order in which
    they go: the youngest first, and who has a seat in a team after who has none. A team's lead and
    the manager stay."""
    teams, team_of = state.teams.teams, state.seating.team_of
    loose: list[AgentState] = []
    members: list[AgentState] = []
    for agent in agents:
        name = agent.spec.id
        if not agent.spec.scaled or name == state.teams.manager:
            continue
        team = team_of.get(name)
        if team is None:
            loose.append(agent)
        elif teams[team].lead != name:
            members.append(agent)
    return [*reversed(loose), *reversed(members)]
