"""Two teams of scripted agents that add up numbers, as actions of a workload."""

from typing import Any

import msgspec

from visionflow.domain import commands as c
from visionflow.domain import teams_commands as tc
from visionflow.domain.agents import AgentSpec
from visionflow.domain.commands import AnyCommand
from visionflow.domain.tasks import Payload, TaskSpec
from visionflow.domain.teams import DELEGATE, MANAGER, TeamSpec
from visionflow.testing.simulator.world import World
from visionflow.testing.workload import Action

TEAMS = {"odd": ("lead1", "m11", "m12", "m13"), "even": ("lead2", "m21", "m22", "m23")}
NUMBERS = list(range(40))


def spawn(name: str, kind: str, *needs: str) -> Action:
    """Of the class that the test calls `adding`."""

    def make(now: int, command: str) -> AnyCommand:
        spec = AgentSpec(name, kind, name, "scripted:adding", ("add", name[:2]))
        return c.SpawnAgent(now_ms=now, command=command, spec=spec)

    return Action(0, f"spawn {name}", make, needs=needs)


def teams(*managers: str) -> list[Action]:
    """Spawn the people of both teams and form these, once the managers are there."""
    made = [spawn(name, "adder") for people in TEAMS.values() for name in people]
    return made + [_form(team, people, managers) for team, people in TEAMS.items()]


def _form(team: str, people: tuple[str, ...], managers: tuple[str, ...]) -> Action:
    lead, *members = people

    def make(now: int, command: str) -> AnyCommand:
        spec = TeamSpec(team, lead, tuple(members))
        return tc.FormTeam(now_ms=now, command=command, team=spec)

    needs = tuple(f"spawn {name}" for name in (*people, *managers))
    return Action(0, f"form {team}", make, needs=needs)


def submit(spec: TaskSpec, at_ms: int) -> Action:
    """A task, once the teams are there."""

    def make(now: int, command: str) -> AnyCommand:
        return c.SubmitTask(now_ms=now, command=command, spec=spec)

    needs = tuple(f"form {team}" for team in TEAMS)
    return Action(at_ms, f"submit {spec.id}", make, (spec.id,), needs)


def delegation(number: int, at_ms: int, **config: Any) -> Action:
    """Have numbers from this one on added up by a team that the manager chooses."""
    order: dict[str, Any] = {"type": "add", "input": NUMBERS[number:], "capabilities": ["add"]}
    if config:
        order["config"] = config
    spec = TaskSpec(
        id=f"whole{number}",
        type=DELEGATE,
        input=Payload(inline=msgspec.msgpack.encode(order)),
        capabilities=(MANAGER,),
        timeout_ms=3_600_000,
    )
    return submit(spec, at_ms)


def result_of(world: World, task: str) -> Any:
    """What a task came to."""
    inline, *rest = world.witness.check.tasks[task].result
    body = inline if inline is not None else world.disk.blobs[rest[0]]
    return msgspec.msgpack.decode(body)
