"""Who does a job in a swarm: the agents that are there, those that are spawned for it, and what
nobody can do. It looks at the state and decides; spawning is done elsewhere.
"""

from collections.abc import Iterable, Mapping

import msgspec

from visionflow.agents.plans import Plan
from visionflow.compose.job.coding import AT_ONCE
from visionflow.compose.job.folder import Served
from visionflow.domain.agents import AgentStatus
from visionflow.engine.state import AgentState, SwarmState
from visionflow.interfaces.tools.coders import CAPABILITY, CODER, COMMAND_AGENT
from visionflow.settings.agents import AgentSettings

_GONE = (AgentStatus.FAILED, AgentStatus.TERMINATING, AgentStatus.TERMINATED)

_CODER_CLASS, _FIX = "visionflow.agents:CoderAgent", "fix"
IMPLEMENT = CAPABILITY
"""The kind of coding agents."""
NEEDS_MODEL = "needs_model"
"""What it asks of an agent: queued again, it still goes to nobody who would do other work."""


class Need(msgspec.Struct, frozen=True):
    """A piece of the job, as far as it matters who does it."""

    title: str
    agent_type: str | None
    capabilities: tuple[str, ...] = ()
    agent: str | None = None


class Offer(msgspec.Struct, frozen=True):
    """What an agent can do, whether it is there or to be spawned."""

    agent: str
    type: str
    capabilities: tuple[str, ...]

    def meets(self, need: Need) -> bool:
        """Whether it can do this."""
        if need.agent is not None and need.agent != self.agent:
            return False
        if need.agent_type is not None and need.agent_type != self.type:
            return False
        return set(need.capabilities) <= set(self.capabilities)


def staying(state: SwarmState, agent: str) -> bool:
    """Whether an agent is not on its way out."""
    return (
        state.agents[agent].status not in (AgentStatus.TERMINATING, AgentStatus.TERMINATED)
        and agent not in state.draining
    )


def alive(state: SwarmState) -> list[AgentState]:
    """Agents that work or will, and stay, oldest first."""
    return [
        agent
        for name, agent in state.agents.items()
        if agent.status not in _GONE and name not in state.draining
    ]


def offers_of(state: SwarmState) -> list[Offer]:
    """What the agents of a swarm can do."""
    return [Offer(a.spec.id, a.spec.type, a.spec.capabilities) for a in alive(state)]


def kind_of(agent: AgentState) -> str:
    """What it counts as when a team is put together: a coding agent does what no other coder can,
    and nothing that those do."""
    return IMPLEMENT if agent.spec.class_path == COMMAND_AGENT else agent.spec.type


def apart_from_coding(
    role: str, offers: Iterable[tuple[str, tuple[str, ...]]], templates: AgentSettings
) -> tuple[str, ...]:
    """What the work of a role asks for beside its type, so that no coding agent of that type takes
    it, now or later. `offers`: types and capabilities of the agents that live."""
    template = templates.templates.get(role)
    if role != CODER or template is None or template.class_path != _CODER_CLASS:
        return ()
    coders = [able for kind, able in offers if kind == role]
    coding = any(CAPABILITY in able for able in coders)
    # A client's coder may be one with other words; where it is alone with its kind, it is meant.
    without = any(CAPABILITY not in able and _FIX not in able for able in coders)
    return () if without and not coding else (_FIX,)


def types_of_plan(plan: Plan, doers: Mapping[str, str]) -> tuple[str, ...]:
    """The types of agents that do the tasks of a plan. `doers`: see `Served.doers`."""
    return tuple(dict.fromkeys(doers.get(task.type, task.role) for _, task in plan.tasks()))


def kinds_of(plan: Plan, doers: Mapping[str, str]) -> dict[str, str]:
    """The agents of a plan by its names for them, with the kind of each. No more coding agents
    than are at work at once, and none that nobody here may start; nor any of a role whose tasks
    others do, see `Served.doers`."""
    found: dict[str, str] = {}
    for _, task in plan.tasks():
        if task.type in doers:
            continue
        if task.type != "implement":
            found[task.agent] = task.role
        elif (
            task.command is not None and sum(kind == IMPLEMENT for kind in found.values()) < AT_ONCE
        ):
            found.setdefault(task.agent, IMPLEMENT)
    return found


def forming(
    wanted: Mapping[str, str], state: SwarmState, asked: bool | None, room: int
) -> dict[str, str]:
    """Agents to spawn for a job, by the job's names for them: the type of each.

    `wanted`: the agents that it has, with their types. `asked`: `None` spawns only one of each type
    that is missing where a client has agents of its own: they are the team. `room`: at most so
    many; then one of each type comes first, and where there is no room even for those, nobody:
    two jobs that held half a team each would wait for one another.
    """
    there = alive(state)
    if asked is False:
        return {}
    fill_up = asked is None and not all(agent.spec.formed for agent in there)
    spare: dict[str, int] = {}
    for agent in there:
        spare[kind_of(agent)] = spare.get(kind_of(agent), 0) + 1
    first: dict[str, str] = {}
    more: dict[str, str] = {}
    for name, kind in wanted.items():
        if spare.get(kind, 0) > 0:
            spare[kind] -= 1
        elif kind not in spare and kind not in first.values():
            first[name] = kind
        else:
            more[name] = kind
    if len(first) > room:
        return {}
    wishes = first if fill_up else first | more
    chosen = list(wishes.items())[: max(0, room)]
    return {name: kind for name, kind in wanted.items() if (name, kind) in chosen}


def shares(
    capabilities: Iterable[str],
    types: Iterable[str],
    offers: Iterable[Offer],
    classes: Mapping[str, tuple[str, ...]],
) -> tuple[dict[str, tuple[str, ...]], tuple[str, ...]]:
    """Which types of agents answer for which capabilities that a plan as a whole has to have, and
    which of them nobody here covers.

    Where an agent of a type has one, the tasks for that type ask for it; where none has, those of
    the types whose class would. `classes`: the capabilities of the class behind each type.
    """
    named = list(dict.fromkeys(types))
    found: dict[str, set[str]] = {}
    unmet: list[str] = []
    pool = [each for each in offers if each.type in named]
    for capability in dict.fromkeys(capabilities):
        having = {each.type for each in pool if capability in each.capabilities}
        if not having:
            unmet.append(capability)
            having = {kind for kind in named if capability in classes.get(kind, ())}
        for kind in having:
            found.setdefault(kind, set()).add(capability)
    needs = {kind: tuple(sorted(found[kind])) for kind in named if kind in found}
    return needs, tuple(unmet)


def unmet_by(served: Served, plan: Plan, state: SwarmState) -> tuple[str, ...]:
    """Capabilities that no agent that the plan can use has."""
    types = types_of_plan(plan, served.doers)
    return shares(served.capabilities, types, offers_of(state), {})[1]


def reason_of(served: Served, plan: Plan, state: SwarmState) -> str:
    """Why a plan waits that asks for what nobody covers."""
    unmet = ", ".join(unmet_by(served, plan, state))
    types = ", ".join(types_of_plan(plan, served.doers))
    return (
        f"needs_capabilities: no agent of this swarm that the plan can use has {unmet}. It goes on "
        f"when one is spawned that has, of one of the types {types}."
    )


def covered(capabilities: Iterable[str], types: Iterable[str], state: SwarmState) -> bool:
    """Whether agents of these types have all of these by now."""
    named = set(types)
    had = {word for each in offers_of(state) if each.type in named for word in each.capabilities}
    return had.issuperset(capabilities)


def unmet(need: Need, offers: Iterable[Offer]) -> list[str]:
    """Capabilities that it asks for and that nobody who could be meant has."""
    pool = [o for o in offers if need.agent_type is None or o.type == need.agent_type]
    had = {word for offer in pool for word in offer.capabilities}
    return [word for word in need.capabilities if word not in (*had, NEEDS_MODEL)]


def waiting(needs: Iterable[Need], offers: Iterable[Offer], full: str | None = None) -> list[str]:
    """What no agent can take, and what would mend it, a sentence for each kind of work. `full`:
    why nothing can be spawned now, and what makes room."""
    pool = list(offers)
    kinds: dict[tuple[str | None, tuple[str, ...], str | None], list[str]] = {}
    for need in needs:
        if not any(offer.meets(need) for offer in pool):
            key = (need.agent_type, need.capabilities, need.agent)
            kinds.setdefault(key, []).append(need.title)
    return [_told(*key, titles, full) for key, titles in kinds.items()]


def _told(
    kind: str | None,
    capabilities: tuple[str, ...],
    agent: str | None,
    titles: list[str],
    full: str | None,
) -> str:
    some = ", ".join(titles[:5]) + (f" and {len(titles) - 5} more" if len(titles) > 5 else "")
    verb = "waits" if len(titles) == 1 else "wait"
    words = ", ".join(capabilities)
    if agent is not None:
        return f"{some} {verb}: {agent} cannot take it" + (f" without {words}." if words else ".")
    if IMPLEMENT in capabilities:
        what = "coding agent is in this swarm"
        mend = "agent_spawn with agentType coder and config.profile or config.command"
    elif kind is None:
        what = f"agent of this swarm has {words}" if words else "agent is in this swarm"
        mend = f"agent_spawn an agent that has {words}" if words else "agent_spawn one"
    else:
        what = f"{kind} of this swarm has {words}" if words else f"{kind} is in this swarm"
        mend = f"agent_spawn with agentType {kind}" + (f" and {words}" if words else "")
    once = "" if full is None else f" once there is room: {full}"
    return f"{some} {verb}, because no {what}. {mend} mends it{once}."
