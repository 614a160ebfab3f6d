"""A pipeline handed to a server, from Python."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec

from visionflow.domain.errors import UsageError
from visionflow.interfaces.client.remote import WAIT_S_MAX, RemoteFleet
from visionflow.interfaces.piping import PipelineReport, StageReport

_GROUND = ("workspace", "goal")


class Outcome(msgspec.Struct, frozen=True):
    """What came of it."""

    report: PipelineReport
    result: Any = None


async def at_server(
    fleet: RemoteFleet, stages: Sequence[Mapping[str, Any]], value: object
) -> Outcome:
    """Have a server do these stages, and wait for what comes of it, however long it takes.

    Raises:
        UsageError: a stage has a transform, which is of this program; or the server takes none of
            it.
    """
    for stage in stages:
        if stage.get("transform") is not None:
            raise UsageError(
                f"Stage {stage['stage']} has a transform, and a server runs no code of yours.",
                hint="Leave it out, or use an embedded orchestrator.",
            )
    given = dict(cast("Mapping[str, Any]", value)) if isinstance(value, Mapping) else {}
    goal = value if isinstance(value, str) else str(given.get("goal") or "A pipeline")
    rest = {key: each for key, each in given.items() if key not in _GROUND}
    if not isinstance(value, str | Mapping):
        rest = cast("dict[str, Any]", value)
    places = {"workspace": given.get("workspace"), "swarmId": fleet.swarm}
    arguments: dict[str, Any] = {
        **{name: each for name, each in places.items() if each is not None},
        "task": {"description": goal, **({"input": rest} if rest else {})},
        "stages": [{k: v for k, v in stage.items() if v is not None} for stage in stages],
        "wait": True,
        "waitTimeout": WAIT_S_MAX,
    }
    said = await fleet.client.call("task_orchestrate", arguments, timeout=None)
    reason = str(said.get("reason") or said.get("missing") or "")
    found = cast("dict[str, Any]", said.get("result") or {})
    told = msgspec.convert(found.get("stages", []), tuple[StageReport, ...])
    report = PipelineReport(said["taskId"], said["status"], reason, told)
    return Outcome(report, found.get("result"))
