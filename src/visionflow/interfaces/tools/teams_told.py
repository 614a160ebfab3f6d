"""What is told of the teams of a hierarchical swarm."""

from itertools import islice
from typing import Annotated

from visionflow.domain.swarms import Topology
from visionflow.engine.state import SwarmState
from visionflow.engine.topology.hierarchy import success_bp
from visionflow.engine.topology.rules import topology_in_force
from visionflow.interfaces.tools.arguments import Result
from visionflow.interfaces.tools.forms import about

NAMED_MAX = 5


class TeamTold(Result, frozen=True, kw_only=True):
    """A team of the hierarchy."""

    name: str
    lead: str | None
    members: list[str]
    tasks: Annotated[int, about("That it has, not ended.")]
    success_rate: Annotated[float | None, about("Of its last 20 attempts.")]
    escalated: Annotated[str | None, about("The last that came before the manager.")]


def idle_teams(state: SwarmState) -> list[str]:
    """That there are teams and none is chosen for anything as things are."""
    topology = topology_in_force(state)
    if not state.teams.teams or topology is Topology.HIERARCHICAL:
        return []
    names = ", ".join(islice(state.teams.teams, NAMED_MAX))
    more = len(state.teams.teams) - NAMED_MAX
    some = names + (f" and {more} more" if more > 0 else "")
    told = f"The topology is {topology}, so no work is given to a team ({some})"
    return [f"{told}: topology_optimize with apply and topology hierarchical gives it to them."]


def teams_told(state: SwarmState) -> list[TeamTold]:
    """The teams as they are, in the order in which they were formed."""
    found: list[TeamTold] = []
    for name, team in state.teams.teams.items():
        share = success_bp(team)
        found.append(
            TeamTold(
                name=name,
                lead=team.lead,
                members=list(team.members),
                tasks=state.seating.loads.get(name, 0),
                success_rate=None if share is None else share / 10_000,
                escalated=team.escalated or None,
            )
        )
    return found
