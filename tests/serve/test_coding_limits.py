"""Limits of the coding agents of a swarm, which all goals in it share."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from desks import Desk
from test_coding_agents import BREAKS, GOAL, GOOD, on_desk

from tests.coding.sample import command_of
from visionflow.domain.errors import UsageError


async def candidates(desk: Desk, swarm: str, **more: Any) -> list[dict[str, Any]]:
    """What became of the candidates of a goal in this swarm."""
    found = await desk.call("task_orchestrate", task=GOAL, swarmId=swarm, wait=True, **more)
    return found["result"]["contest"]["candidates"]


@pytest.mark.acceptance("coding-agents", "governor")
def test_goals_of_one_swarm_share_its_tokens_and_its_status_tells_what_was_used(
    tmp_path: Path,
) -> None:
    async def use(desk: Desk) -> None:
        made = await desk.call("swarm_init", limits={"maxTokens": 100, "maxCost": 2})
        other = await desk.call("swarm_init")
        limits = {
            "maxTokens": 100, "maxCost": 2.0, "endsAt": None, "agentTimeout": None,
            "agentMemory": None,
        }  # fmt: skip
        assert made["limits"] == limits and other["limits"] is None
        fresh = await desk.call("swarm_status", swarmId=made["swarmId"])
        assert fresh["limits"] == limits
        assert fresh["usage"] == {
            "tokens": 0, "cost": 0.0, "starts": 0, "withoutTokens": 0, "withoutCost": 0,
        }  # fmt: skip
        (first,) = await candidates(desk, made["swarmId"], candidates=1)
        (second,) = await candidates(desk, made["swarmId"], candidates=1)
        assert (first["standing"], first["tokens"]) == ("taken", 120)
        assert second["tokens"] is None
        assert f"limit of tokens of the swarm {made['swarmId']} reached" in second["told"]
        used = await desk.call("swarm_status", swarmId=made["swarmId"])
        assert used["usage"] == {
            "tokens": 120, "cost": 0.003, "starts": 1, "withoutTokens": 0, "withoutCost": 0,
        }  # fmt: skip
        (free,) = await candidates(desk, other["swarmId"], candidates=1)
        assert free["standing"] == "taken"
        shown = await desk.call("swarm_status", swarmId=other["swarmId"])
        assert (shown["limits"], shown["usage"]) == (None, None)

    on_desk(tmp_path, use, GOOD)


def test_what_a_tool_does_not_report_is_not_told_as_nothing(tmp_path: Path) -> None:
    async def use(desk: Desk) -> None:
        made = await desk.call("swarm_init", limits={"maxTokens": 100})
        await candidates(desk, made["swarmId"], candidates=1)
        used = await desk.call("swarm_status", swarmId=made["swarmId"])
        assert used["usage"] == {
            "tokens": None, "cost": None, "starts": 1, "withoutTokens": 1, "withoutCost": 1,
        }  # fmt: skip

    on_desk(tmp_path, use, BREAKS)


@pytest.mark.acceptance("governor")
def test_the_tighter_of_the_goals_and_the_swarms_time_for_one_agent_holds(tmp_path: Path) -> None:
    async def use(desk: Desk) -> None:
        made = await desk.call("swarm_init", limits={"agentTimeout": 1})
        (found,) = await candidates(
            desk, made["swarmId"], candidates=1, limits={"agentTimeout": 3_000}
        )
        assert found["outcome"] == "timed_out" and "its time limit" in found["told"]
        own = {"command": command_of("hangs"), "timeout": 3_000}
        await desk.call(
            "agent_spawn", agentType="coder", config=own, swarmId=made["swarmId"], wait=True
        )
        (found,) = await candidates(desk, made["swarmId"], candidates=1)
        assert found["outcome"] == "timed_out" and "its time limit" in found["told"]

    on_desk(tmp_path, use, command_of("hangs"))


@pytest.mark.acceptance("governor")
def test_the_time_of_a_swarm_ends_who_is_at_work_and_lets_nobody_start_after_it(
    tmp_path: Path,
) -> None:
    async def use(desk: Desk) -> None:
        made = await desk.call("swarm_init", limits={"timeLimit": 5})
        both = await candidates(desk, made["swarmId"], candidates=2, parallelism=1)
        assert "the time that was left of the swarm" in both[0]["told"]
        assert f"limit of time of the swarm {made['swarmId']} reached" in both[1]["told"]

    on_desk(tmp_path, use, command_of("hangs"))


def test_limits_and_use_outlive_the_server_and_the_swarm(tmp_path: Path) -> None:
    told: list[dict[str, Any]] = []

    async def first(desk: Desk) -> None:
        made = await desk.call("swarm_init", limits={"maxTokens": 1_000, "timeLimit": "2h"})
        await candidates(desk, made["swarmId"], candidates=1)
        told.append(await desk.call("swarm_status", swarmId=made["swarmId"]))

    async def then(desk: Desk) -> None:
        swarm = told[0]["swarmId"]
        told.append(await desk.call("swarm_status", swarmId=swarm))
        await desk.call("swarm_destroy", swarmId=swarm)
        told.append(await desk.call("swarm_status", swarmId=swarm))

    on_desk(tmp_path, first, GOOD)
    on_desk(tmp_path, then, GOOD)
    assert told[0]["usage"]["tokens"] == 120
    assert told[0]["limits"]["endsAt"] is not None
    assert all(each["limits"] == told[0]["limits"] for each in told)
    assert all(each["usage"] == told[0]["usage"] for each in told)


@pytest.mark.parametrize(
    ("limits", "named"),
    [
        ({"maxToken": 5}, "maxToken"),
        ({"maxTokens": 0}, "maxTokens"),
        ({"maxCost": -1}, "maxCost"),
        ({"timeLimit": 0}, "timeLimit"),
        ({"agentTimeout": 0}, "agentTimeout"),
        ({"agentMemory": "1Ki"}, "agentMemory"),
        ({"agentMemory": "much"}, "agentMemory"),
    ],
)
def test_limits_of_a_swarm_that_cannot_be_meant_are_refused(
    tmp_path: Path, limits: dict[str, Any], named: str
) -> None:
    async def use(desk: Desk) -> None:
        with pytest.raises(UsageError, match=named):
            await desk.call("swarm_init", limits=limits)
        assert (await desk.call("swarm_list"))["swarms"] == []

    on_desk(tmp_path, use, GOOD)


def test_goals_at_once_in_one_swarm_all_count(tmp_path: Path) -> None:
    async def use(desk: Desk) -> None:
        made = await desk.call("swarm_init", limits={"maxTokens": 1_000_000})
        swarm = made["swarmId"]
        await asyncio.gather(*(candidates(desk, swarm, candidates=2) for _ in range(2)))
        used = await desk.call("swarm_status", swarmId=swarm)
        assert (used["usage"]["tokens"], used["usage"]["starts"]) == (480, 4)

    on_desk(tmp_path, use, GOOD)
