"""A job whose answer is known before it is done, for agents that try to talk to everybody.

Numbers are split into parts, summed part by part, combined, and checked. Whoever sums a part says
so to each of the others; whoever checks has the whole counted again by an agent that it names. What
the topology refuses is told in the result, so the log can be held against it.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from visionflow.agents.base import BaseAgent
from visionflow.agents.task import Task
from visionflow.domain.errors import Refused
from visionflow.domain.tasks import Payload, Phase, TaskSpec

SUM = "sum"
"""What every agent of the job offers."""
TEAM = ("coordinator", "researcher", "coder", "coder", "tester")
"""Types of the agents, in the order of joining."""
PARTS: tuple[str | None, ...] = ("tester", None, "coder", "researcher", None, "coder")
"""Of each part, the type of agent that it is for, in the order in which it is asked for."""


class Summing(BaseAgent):
    """Does any task of the job."""

    type = "summing"
    capabilities = (SUM,)

    async def process_task(self, task: Task) -> dict[str, Any]:
        """See `BaseAgent`."""
        match task.type:
            case "split":
                return {"parts": _split(task.input["numbers"], task.input["parts"])}
            case "work":
                return await self._work(task)
            case "combine":
                return {"total": sum(done["sum"] for done in task.dependencies.values())}
            case "check":
                return await self._check(task)
            case _:
                return {"total": sum(task.input)}

    async def _work(self, task: Task) -> dict[str, Any]:
        (split,) = task.dependencies.values()
        await asyncio.sleep(task.input["ms"] / 1_000)
        found = sum(split["parts"][task.input["part"]])
        told: list[str] = []
        refused: dict[str, str] = {}
        for name in task.input["agents"]:
            if name == self.agent_id:
                continue
            try:
                await self.send_message(name, {"part": task.input["part"], "sum": found})
                told.append(name)
            except Refused as error:
                if error.reason != "not_allowed":
                    raise
                refused[name] = str(error)
        return {"sum": found, "by": self.agent_id, "told": told, "refused": refused}

    async def _check(self, task: Task) -> dict[str, Any]:
        totals = [done["total"] for done in task.dependencies.values() if "total" in done]
        (parts,) = [done["parts"] for done in task.dependencies.values() if "parts" in done]
        numbers = [number for part in parts for number in part]
        result: dict[str, Any] = {"total": totals[0], "right": totals == [sum(numbers)]}
        try:
            again = await self.delegate("count", input=numbers, agent=task.input["recount_by"])
        except Refused as error:
            return {**result, "recounted": None, "refused": str(error), "by": self.agent_id}
        counted = (await self.result_of(again))["total"]
        return {**result, "recounted": counted, "refused": None, "by": self.agent_id}


def _split(numbers: Sequence[int], parts: int) -> list[list[int]]:
    return [list(numbers[place::parts]) for place in range(parts)]


def job(
    root: str, agents: Sequence[str], numbers: Sequence[int], work_ms: int = 20
) -> tuple[Phase, ...]:
    """The phases of the job, for a plan of this id; `agents`, of the types of `TEAM`, are those
    that are told of parts, and the first coder among them is to count again. Each part takes
    `work_ms`."""

    def spec(name: str, phase: str, given: Mapping[str, Any], of: str | None = None) -> TaskSpec:
        return TaskSpec(
            id=f"{root}_{name}",
            type=phase,
            input=Payload(inline=msgspec.msgpack.encode(given)),
            capabilities=(SUM,),
            agent_type=of,
            parent=root,
            phase=phase,
        )

    work = tuple(
        spec(f"work{place}", "work", {"part": place, "agents": list(agents), "ms": work_ms}, of)
        for place, of in enumerate(PARTS)
    )
    recount_by = agents[TEAM.index("coder")]
    return (
        Phase("split", (spec("split", "split", {"numbers": numbers, "parts": len(PARTS)}),)),
        Phase("work", work),
        Phase("combine", (spec("combine", "combine", {}),)),
        Phase(
            "check",
            (spec("check", "check", {"recount_by": recount_by}, "tester"),),
            uses=("split",),
        ),
    )
