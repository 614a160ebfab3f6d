"""What is told of the teams of a hierarchical swarm."""

from typing import Annotated

from visionflow.engine.state import SwarmState
from visionflow.engine.topology.hierarchy import success_bp
from visionflow.interfaces.tools.arguments import Result
from visionflow.interfaces.tools.forms import about


class TeamTold(Result, frozen=True, kw_only=True):
    """A team of the hierarchy."""

    name: str
    lead: str | None
    members: list[str]
    tasks: Annotated[int, about("That it has, not ended.")]
    success_rate: Annotated[float | None, about("Of its last 20 attempts.")]
    escalated: Annotated[str | None, about("The last that came before the manager.")]


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
