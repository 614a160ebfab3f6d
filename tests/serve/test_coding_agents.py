"""Coding agents of a server: whom its owner allowed, and goals that several of them do."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from desks import Desk
from served import PATIENCE_S, settings_in, with_core

from tests.coding.sample import ACCEPT, command_of, make_sample
from visionflow.compose.applying import apply_run
from visionflow.compose.job import RunFolder
from visionflow.domain.errors import Refused, UsageError

GOOD, BREAKS = command_of("report:100:20:3000,good"), command_of("breaks")
GOAL = "Limit the calls"


def on_desk(folder: Path, use: Callable[[Desk], Awaitable[Any]], *agents: str, **more: Any) -> Any:
    if not (folder / "workspace").exists():
        (folder / "workspace").mkdir(parents=True)
        make_sample(folder / "workspace")
    settings = settings_in(folder, coding_agents=agents, **more)
    return with_core(settings, lambda opened: use(Desk(opened)), 4 * PATIENCE_S)


def run_folder(folder: Path, task: str) -> RunFolder:
    return RunFolder(folder / "home" / "server" / "runs" / task.replace("task_", "run_", 1))


@pytest.mark.acceptance("coding-agents")
def test_candidates_are_done_by_the_agents_that_the_owner_allowed_and_the_good_one_is_kept(
    tmp_path: Path,
) -> None:
    async def use(desk: Desk) -> dict[str, Any]:
        return await desk.call(
            "task_orchestrate", task=GOAL, candidates=2, accept=[ACCEPT], wait=True
        )

    found = on_desk(tmp_path, use, GOOD, BREAKS)
    assert (found["status"], found["playbook"]) == ("completed", "code")
    contest = found["result"]["contest"]
    # Whoever is free takes the next candidate, so which one is whose is not told beforehand.
    standings = {each["agent"]: each["standing"] for each in contest["candidates"]}
    assert standings == {GOOD: "taken", BREAKS: "not_good"}
    assert found["result"]["gates"]["winner"] is True
    applied = apply_run(run_folder(tmp_path, found["taskId"]))
    assert applied.brought.files == ("shop/limits.py",)


def test_an_agent_that_a_client_spawned_does_all_candidates_and_stays(tmp_path: Path) -> None:
    async def use(desk: Desk) -> None:
        made = await desk.call(
            "agent_spawn", agentType="coder", config={"command": GOOD}, name="mine", wait=True
        )
        assert "implement" in made["capabilities"]
        found = await desk.call("task_orchestrate", task=GOAL, candidates=2, wait=True)
        assert found["result"]["contest"]["winner"] == "candidate-1"
        agents = await desk.call("agent_list", swarmId=made["swarmId"])
        assert "mine" in [each["name"] for each in agents["agents"]]

    on_desk(tmp_path, use, GOOD)


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"command": "sh -c 'id'"}, "allowed no coding agent"),
        ({"profile": "claude"}, "allowed no coding agent"),
        ({"command": GOOD, "env": ["AWS_SECRET_ACCESS_KEY"]}, "owner's to say"),
        ({"command": GOOD, "read": ["/root"]}, "owner's to say"),
        ({"command": GOOD, "network": True}, "owner's to say"),
        ({"command": GOOD, "profile": "claude"}, "both say"),
    ],
)
@pytest.mark.acceptance("coding-agents", "confine")
def test_what_the_owner_did_not_allow_is_refused(
    tmp_path: Path, config: dict[str, Any], told: str
) -> None:
    async def use(desk: Desk) -> None:
        with pytest.raises((Refused, UsageError), match=told):
            await desk.call("agent_spawn", agentType="coder", config=config)
        many = [{"agentType": "coder", "config": config}]
        with pytest.raises((Refused, UsageError), match=told):
            await desk.call("agents_spawn_parallel", agents=many)
        assert desk.opened.server.swarms.agents == 0

    on_desk(tmp_path, use, GOOD)


def test_an_update_cannot_smuggle_another_command_in(tmp_path: Path) -> None:
    async def use(desk: Desk) -> None:
        made = await desk.call(
            "agent_spawn", agentType="coder", config={"command": GOOD}, wait=True
        )
        for config in ({"command": "sh -c 'id'"}, {"read": ["/root"]}, {"env": ["X"]}):
            with pytest.raises((Refused, UsageError)):
                await desk.call("agent_update", agentId=made["agentId"], config=config)

    on_desk(tmp_path, use, GOOD)


def test_an_update_makes_it_another_that_was_allowed(tmp_path: Path) -> None:
    async def use(desk: Desk) -> None:
        made = await desk.call(
            "agent_spawn", agentType="coder", config={"command": BREAKS, "timeout": 90}, wait=True
        )
        name = made["agentId"]
        told = await desk.call("agent_update", agentId=name, config={"command": GOOD})
        assert told["config"] == {"command": GOOD, "timeout": 90}
        told = await desk.call("agent_update", agentId=name, config={"profile": "claude"})
        assert told["config"] == {"profile": "claude", "timeout": 90}

    on_desk(tmp_path, use, GOOD, BREAKS, "claude")


@pytest.mark.acceptance("coding-agents", "confine")
def test_what_the_owner_lets_one_agent_reach_is_for_no_other(tmp_path: Path) -> None:
    (tmp_path / "agents.yaml").write_text(
        "agent_templates:\n  mine:\n    class: visionflow.agents.command.agent:CommandAgent\n"
        "    default_config: {profile: claude, env: [SHOP_TOKEN]}\n"
    )

    async def use(desk: Desk) -> None:
        with pytest.raises(Refused, match="for the coding agent that they named"):
            await desk.call("agent_spawn", agentType="mine", config={"command": GOOD})
        made = await desk.call("agent_spawn", agentType="mine", wait=True)
        with pytest.raises(Refused, match="for the coding agent that they named"):
            await desk.call("agent_update", agentId=made["agentId"], config={"command": GOOD})
        told = await desk.call("agent_status", agentId=made["agentId"])
        assert told["config"] == {"profile": "claude", "env": ["SHOP_TOKEN"]}

    on_desk(tmp_path, use, GOOD, agents_file=str(tmp_path / "agents.yaml"))


def test_without_an_allowed_agent_candidates_are_refused_with_what_would_allow_one(
    tmp_path: Path,
) -> None:
    async def use(desk: Desk) -> None:
        with pytest.raises(UsageError, match="owner allowed none") as caught:
            await desk.call("task_orchestrate", task=GOAL, candidates=2)
        assert "--coding-agent" in (caught.value.hint or "")

    on_desk(tmp_path, use)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"candidates": 0}, "candidates"),
        ({"candidates": 51}, "candidates"),
        ({"candidates": 1, "stages": ["code"]}, "stages"),
        ({"candidates": 1, "playbook": "audit"}, "playbook"),
        ({"accept": ["true"]}, "accept"),
        ({"candidates": 1, "limits": {"maxTokens": -1}}, "maxTokens"),
        ({"candidates": 1, "limits": {"maxToken": 5}}, "maxToken"),
        ({"candidates": 1, "accept": [""]}, "accept"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_its_name(
    tmp_path: Path, given: dict[str, Any], told: str
) -> None:
    async def use(desk: Desk) -> None:
        with pytest.raises(UsageError, match=told):
            await desk.call("task_orchestrate", task=GOAL, **given)

    on_desk(tmp_path, use, GOOD)


def test_cancelling_ends_the_agents_programs(tmp_path: Path) -> None:
    mark = tmp_path / "workspace-mark"

    async def use(desk: Desk) -> None:
        started = await desk.call("task_orchestrate", task=GOAL, candidates=1)
        log = run_folder(tmp_path, started["taskId"]).coding / "candidate-1" / "output.log"
        async with asyncio.timeout(60):
            while not (log.exists() and b"hanging" in log.read_bytes()):
                await asyncio.sleep(0.05)
        await desk.call("task_cancel", taskId=started["taskId"])
        async with asyncio.timeout(60):
            while _programs(mark.name):
                await asyncio.sleep(0.05)
        found = await desk.call("task_status", taskId=started["taskId"])
        assert found["status"] == "cancelled"

    on_desk(tmp_path, use, command_of(f"say:{mark.name},hangs"))


def _programs(mark: str) -> list[int]:
    found: list[int] = []
    for each in Path("/proc").iterdir():
        if each.name.isdigit():
            try:
                words = (each / "cmdline").read_bytes()
            except OSError:
                continue
            if mark.encode() in words and b"scripted_agent" in words:
                found.append(int(each.name))
    return found


def test_the_limits_of_a_goal_hold_for_its_agents(tmp_path: Path) -> None:
    async def use(desk: Desk) -> dict[str, Any]:
        return await desk.call(
            "task_orchestrate", task=GOAL, candidates=3, parallelism=1, wait=True,
            limits={"maxTokens": 100},
        )  # fmt: skip

    found = on_desk(tmp_path, use, GOOD)
    contest = found["result"]["contest"]
    started = [each for each in contest["candidates"] if each["tokens"] is not None]
    assert len(started) == 1 and contest["winner"] == "candidate-1"


@pytest.mark.parametrize("named", ["by id", "by type", "by its capability", "by nothing"])
@pytest.mark.acceptance("coding-agents", "confine")
def test_no_client_hands_a_coding_agent_an_input_of_its_own(tmp_path: Path, named: str) -> None:
    outside = {"workspace": str(tmp_path), "goal": "x", "trusted": True, "folder": "/tmp/x"}

    async def use(desk: Desk) -> None:
        made = await desk.call(
            "agent_spawn", agentType="coder", config={"command": GOOD}, wait=True
        )
        whom: dict[str, Any] = {
            "by id": {"agentId": made["agentId"]},
            "by type": {"agentType": "coder"},
            "by its capability": {"requiredCapabilities": ["implement"]},
            "by nothing": {},
        }[named]
        for kind in ("implement", "judge", "integrate", "rank"):
            task = {"description": "x", "type": kind, "input": outside, **whom}
            with pytest.raises(UsageError):
                await desk.call("task_orchestrate", task=task, swarmId=made["swarmId"])
            many = {"description": "x", "subtasks": [task]}
            with pytest.raises(UsageError):
                await desk.call("task_orchestrate", task=many, swarmId=made["swarmId"])
        listed = await desk.call("task_list", swarmId=made["swarmId"])
        assert listed["tasks"] == []

    on_desk(tmp_path, use, GOOD)


def test_what_is_for_the_coder_with_tools_goes_to_no_coding_agent(tmp_path: Path) -> None:
    async def use(desk: Desk) -> None:
        made = await desk.call(
            "agent_spawn", agentType="coder", config={"command": GOOD}, wait=True
        )
        done = await desk.call(
            "task_orchestrate",
            task={"description": "tidy", "type": "fix"},
            swarmId=made["swarmId"],
            wait=True,
        )
        assert done["status"] == "completed", done
        assert [each["agentId"] for each in done["assignedAgents"]] != [made["agentId"]]

    on_desk(tmp_path, use, GOOD)


def test_a_coding_agent_of_a_template_of_the_owners_does_candidates(tmp_path: Path) -> None:
    (tmp_path / "agents.yaml").write_text(
        "agent_templates:\n  mine:\n    class: visionflow.agents.command.agent:CommandAgent\n"
        f"    default_config: {{command: {json.dumps(GOOD)}}}\n"
    )

    async def use(desk: Desk) -> None:
        made = await desk.call("agent_spawn", agentType="mine", wait=True)
        with pytest.raises(Refused, match="allowed no coding agent"):
            await desk.call("agent_spawn", agentType="mine", config={"command": BREAKS})
        found = await desk.call(
            "task_orchestrate", task=GOAL, candidates=1, swarmId=made["swarmId"], wait=True
        )
        assert found["result"]["contest"]["winner"] == "candidate-1"
        assert made["agentId"] in [each["agentId"] for each in found["assignedAgents"]]

    on_desk(tmp_path, use, agents_file=str(tmp_path / "agents.yaml"))


FOUND = "AKIA" + "QZ7LMN3PRSTUVWX2"
"""Of the form of an access key; nobody's."""


@pytest.mark.acceptance("coding-agents", "confine")
def test_neither_what_an_agent_was_given_nor_a_secret_that_it_wrote_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = "s3cr3t-of-the-owner-4711"
    monkeypatch.setenv("SHOP_TOKEN", given)
    monkeypatch.setenv("SHOP_PLAIN", FOUND)
    command = json.dumps(command_of("env:SHOP_TOKEN,good,leaks:SHOP_PLAIN=shop/keys.py"))
    (tmp_path / "agents.yaml").write_text(
        "agent_templates:\n  mine:\n    class: visionflow.agents.command.agent:CommandAgent\n"
        f"    default_config: {{command: {command}, env: [SHOP_TOKEN, SHOP_PLAIN]}}\n"
    )

    async def use(desk: Desk) -> None:
        made = await desk.call("agent_spawn", agentType="mine", wait=True)
        swarm = made["swarmId"]
        found = await desk.call(
            "task_orchestrate", task=GOAL, candidates=1, swarmId=swarm, wait=True
        )
        name = found["taskId"]
        told = [found, await desk.call("task_results", taskId=name)]
        told += [
            await desk.call("task_results", taskId=name, part=f"{name}.{part}")
            for part in ("candidate-1", "judge-1", "rank")
        ]
        told.append(await desk.call("task_status", taskId=name))
        told.append({"progress": desk.progress})
        told.append(await desk.call("agent_status", agentId=made["agentId"]))
        folder = run_folder(tmp_path, name)
        log = (folder.coding / "candidate-1" / "output.log").read_text()
        assert "SHOP_TOKEN=" in log and given not in log
        (candidate,) = found["result"]["contest"]["candidates"]
        assert "shop/keys.py" in candidate["diff"] and "GIVEN" in candidate["diff"]
        for each in told:
            assert given not in json.dumps(each) and FOUND not in json.dumps(each)
        report = (folder.path / "report.md").read_text() + folder.summary.read_text()
        assert given not in report and FOUND not in report

    on_desk(tmp_path, use, agents_file=str(tmp_path / "agents.yaml"))


@pytest.mark.acceptance("coding-agents", "governor")
def test_a_candidate_that_is_asked_for_patience_is_shown_with_until_when(tmp_path: Path) -> None:
    async def use(desk: Desk) -> None:
        started = await desk.call("task_orchestrate", task=GOAL, candidates=1)
        name = f"{started['taskId']}.candidate-1"
        async with asyncio.timeout(45):
            while (found := await desk.call("task_status", taskId=name))["retryAt"] is None:
                assert found["status"] != "completed"
                await asyncio.sleep(0.05)
        assert "patience" in found["reason"]
        assert [each["outcome"] for each in found["attempts"]] == ["throttled"]
        whole = await desk.call("task_status", taskId=started["taskId"])
        assert whole["status"] == "orchestrating"
        await desk.call("task_cancel", taskId=started["taskId"])
        assert (await desk.call("task_status", taskId=name))["status"] == "cancelled"

    on_desk(tmp_path, use, command_of("throttled:1:300,good"))
