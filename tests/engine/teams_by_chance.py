"""What teams meet in a world of chance: they are formed, joined, worked with, and too busy."""

from typing import TYPE_CHECKING

from visionflow.domain import commands as c
from visionflow.domain import teams_commands as tc
from visionflow.domain.tasks import TaskSpec
from visionflow.domain.teams import LEADS, MANAGER, TeamSpec, lead_word, team_word

if TYPE_CHECKING:
    from tests.engine.world import World


def happen(world: "World") -> None:
    """One thing of it."""
    world.random.choice((_form, _join, _join, _seat, _name, _busy))(world)


def _form(world: "World") -> None:
    agents = list(world.state.agents)
    if len(agents) < 2:
        return
    chosen = world.random.sample(agents, min(len(agents), world.random.randint(1, 4)))
    if world.state.teams.manager is None and world.random.random() < 0.7:
        manager = chosen[0]
        world.send(tc.PutInCharge(now_ms=world.now_ms, agent=manager, command=world.name("c")))
        chosen = [agent for agent in chosen if agent != manager] or agents[:1]
    team = TeamSpec(
        name=f"t{world.random.randint(1, 3)}",
        lead=chosen[0],
        members=tuple(chosen[1:]),
        capabilities=world.random.choice(((), ("python",), ("review", "testing"))),
        span=world.random.choice((2, 3, 10)),
    )
    command = world.random.choice((None, world.name("c")))
    world.send(tc.FormTeam(now_ms=world.now_ms, team=team, command=command))


def _join(world: "World") -> None:
    teams, agents = list(world.state.teams.teams), list(world.state.agents)
    if agents:
        world.send(
            tc.JoinTeam(
                now_ms=world.now_ms,
                team=world.random.choice([*teams, "none"]),
                agent=world.random.choice(agents),
            )
        )


def _name(world: "World") -> None:
    if world.state.agents and world.random.random() < 0.3:
        agent = world.random.choice(list(world.state.agents))
        world.send(tc.PutInCharge(now_ms=world.now_ms, agent=agent))


def _seat(world: "World") -> None:
    """Work for a seat instead of an agent."""
    teams = list(world.state.teams.teams) or ["t1"]
    team = world.random.choice(teams)
    word = world.random.choice((MANAGER, LEADS, lead_word(team), team_word(team)))
    kind = world.random.choice(("task", "hierarchy.lead"))
    spec = TaskSpec(id=world.name("task"), type=kind, capabilities=(word,))
    world.send(c.SubmitTask(now_ms=world.now_ms, spec=spec))


def _busy(world: "World") -> None:
    teams = list(world.state.teams.teams)
    if teams:
        world.send(
            tc.ReportUtilisation(
                now_ms=world.now_ms,
                team=world.random.choice(teams),
                busy=9,
                places=10,
                for_ms=10_000,
                action="told",
            )
        )
