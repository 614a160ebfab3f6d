"""The tool agent_scale: as many agents of a type as asked for."""

from typing import Annotated, Any, ClassVar

import msgspec

from visionflow.domain import supervision_commands as sc
from visionflow.domain.access import OPERATORS
from visionflow.domain.errors import Refused, UsageError
from visionflow.interfaces.server import Server
from visionflow.interfaces.tools.arguments import Arguments, Result
from visionflow.interfaces.tools.casting import Wish, cast
from visionflow.interfaces.tools.ending import Surplus, counted, draining, end_surplus
from visionflow.interfaces.tools.forms import about, form
from visionflow.interfaces.tools.readiness import Births
from visionflow.interfaces.tools.spawning import place_for, spawn_each, spawned_before
from visionflow.interfaces.tools.tool import AnyTool, Call, Tool
from visionflow.runtime.swarms import LiveSwarm

SCALE = "agent_scale"
COUNT_MAX = 1_000


class AgentScale(Arguments, frozen=True, kw_only=True):
    """Arguments of agent_scale."""

    ALIASES: ClassVar[dict[str, str]] = {"type": "agentType"}

    agent_type: Annotated[str, about("A template's name.")]
    count: Annotated[int, about("How many there shall be.")]
    swarm_id: Annotated[str | None, about("As in agent_spawn.")] = None
    config: Annotated[dict[str, Any] | None, form("object", "Settings of new ones.")] = None


class Scaled(Result, frozen=True, kw_only=True):
    """What was done to get there."""

    swarm_id: str
    swarm_created: bool
    agent_type: str
    target: int
    before: int
    now: int
    """Those that stay, the new ones included."""
    draining: int
    """Beside them: those that take nothing more and end with the tasks that they hold."""
    spawned: list[str]
    ended: list[Surplus]
    refused: int
    """New ones that a limit refused."""
    reason: str | None
    warnings: list[str]


def scaling(server: Server, births: Births) -> AnyTool:
    """agent_scale."""

    async def run(call: Call, given: AgentScale) -> Scaled:
        if not 0 <= given.count <= COUNT_MAX:
            raise UsageError(f"count is {given.count}; it is 0 to {COUNT_MAX}.")
        wish = Wish(type=given.agent_type, config=given.config or {})
        one = msgspec.structs.replace(await cast(server, wish), scaled=True)
        swarm, created = await place_for(server, call, SCALE, given.swarm_id, "0")
        first = spawned_before(swarm, call, SCALE)
        have = counted(swarm, given.agent_type)
        ours = [agent.spec.id for agent in have if agent.spec.id in first]
        before, wanted = len(have) - len(ours), given.count - len(have)
        warnings = list(one.warnings)
        bounded = given.agent_type in server.templates.scaling.bounds
        if wanted != 0 and bounded and server.scales(swarm.spec):
            warnings.append(await _begin_cool_down(server, swarm, given, len(have)))
        outcomes = await spawn_each(
            server, call, SCALE, swarm, [one] * max(0, wanted), births, len(first)
        )
        refused = [each for each in outcomes if isinstance(each, Refused)]
        ended: list[Surplus] = []
        if wanted < 0:
            ended = await end_surplus(server, call, SCALE, swarm, have, given.count)
        # Those that were refused may be admitted when the same call comes again.
        call.provisional = bool(refused)
        call.saw(swarm)
        return Scaled(
            swarm_id=swarm.id,
            swarm_created=created,
            agent_type=given.agent_type,
            target=given.count,
            before=before,
            now=len(counted(swarm, given.agent_type)),
            draining=draining(swarm, given.agent_type),
            spawned=[*ours, *(each[1] for each in outcomes if not isinstance(each, Refused))],
            ended=ended,
            refused=len(refused),
            reason=str(refused[0]) if refused else None,
            warnings=warnings,
        )

    return Tool(
        name=SCALE,
        group="agents",
        summary="Have so many agents of a type: spawn the missing, end the surplus, idle first.",
        arguments=AgentScale,
        result=Scaled,
        roles=OPERATORS,
        run=run,
        example={"agentType": "coder", "count": 5},
        positional=("agentType", "count"),
    )


async def _begin_cool_down(server: Server, swarm: LiveSwarm, given: AgentScale, have: int) -> str:
    """What somebody decided by hand is a decision about the type like the autoscaler's own, so
    that it does not undo it at once. What the caller is to know of that."""
    await swarm.ask(
        sc.RecordScale(
            now_ms=swarm.now_ms,
            agent_type=given.agent_type,
            before=have,
            after=given.count,
            evidence=f"{SCALE} asked for {given.count}",
        )
    )
    cool_down_s = server.templates.scaling.rules.cool_down_ms / 1_000
    return (
        f"The swarm is scaled by its load (autoscale): after {cool_down_s:g} s the number of "
        f"{given.agent_type} agents may change again by itself."
    )
