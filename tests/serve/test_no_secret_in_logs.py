"""Secrets that are planted everywhere reach no log, reply or reason; floods fill no disk."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from served import ended, new_swarm, result_of, settings_in, submit, until, with_core
from toolcalls import Tools, agent_up

from visionflow.adapters.host_os import OsHost
from visionflow.compose.outputs import KEPT_BYTES_MAX, OUTPUT_BYTES_MAX
from visionflow.compose.serve.opening import OpenServer
from visionflow.domain.tasks import Backoff, RetryPolicy, TaskStatus
from visionflow.runtime.intake import unpack
from visionflow.runtime.shares import AGENT_LINES_MAX
from visionflow.runtime.swarms import LiveSwarm

pytestmark = pytest.mark.acceptance("logs")
HERE = Path(__file__).parent
ONCE = RetryPolicy(backoff=Backoff.NONE)
TOKEN, KEY, PASSWORD = "env-planted-0123", "config-planted-4567", 'input planted "89"'
DATA = ("log.db", "views", "blobs", "fleet.db")
"""What holds the tasks themselves: their inputs are in there by nature."""


def logs_in(home: Path) -> dict[str, str]:
    """Every file but those of the data, by name."""
    found = (each for each in home.rglob("*") if each.is_file())
    return {
        str(each.relative_to(home)): each.read_bytes().decode("utf-8", "replace")
        for each in found
        if not any(part.startswith(DATA) for part in each.relative_to(home).parts)
    }


async def leaky(swarm: LiveSwarm, name: str = "Leaky", ready: bool = True) -> str:
    command = swarm.node.intake.agent(
        name.lower(),
        f"{HERE / 'secret_agents.py'}:{name}",
        capabilities=(name.lower(),),
        config={"apiKey": KEY, "nested": {"clientSecret": KEY}, "model": "small"},
    )
    await swarm.ask(command)
    if ready:
        await until(lambda: swarm.state.agents[command.spec.id].status == "ready")
    return command.spec.id


def test_no_file_of_lines_reply_or_reason_holds_what_an_agent_was_trusted_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLANTED_TOKEN", TOKEN)
    secrets = [TOKEN, KEY, PASSWORD, PASSWORD.replace('"', '\\"')]
    told: dict[str, str] = {}
    spawn = OsHost.spawn

    def noted(self: OsHost, argv: Any, env: Any, secret: bytes, *more: Any) -> Any:
        secrets.append(secret.decode())
        return spawn(self, argv, env, secret, *more)

    monkeypatch.setattr(OsHost, "spawn", noted)

    async def use(opened: OpenServer) -> None:
        swarm, tools = await new_swarm(opened), Tools(opened)
        agent = await leaky(swarm)
        hopeless = await leaky(swarm, "Failing", ready=False)
        await until(lambda: swarm.state.agents[hopeless].status == "failed")
        over = await ended(swarm, await submit(swarm, "leaky", {"password": PASSWORD}, retry=ONCE))
        assert over.status is TaskStatus.FAILED and "no luck with ***" in (over.reason or "")
        await ended(swarm, await submit(swarm, "leaky", {"password": PASSWORD, "dies": True},
                                        retry=ONCE))  # fmt: skip
        calls: list[tuple[str, dict[str, Any]]] = [
            ("agent_logs", {"agentId": agent}), ("agent_status", {"agentId": agent}),
            ("agent_status", {"agentId": hopeless}), ("agent_health", {"swarmId": "swarm_1"}),
            ("agent_update", {"agentId": agent, "config": {"model": "large"}}),
            ("events", {"swarmId": "swarm_1", "limit": 1000}),
            ("task_list", {"swarmId": "swarm_1"}), ("task_status", {"taskId": over.task}),
            ("performance_report", {"swarmId": "swarm_1"}),
        ]  # fmt: skip
        for name, given in calls:
            told[f"{name} {given}"] = json.dumps(await tools(name, given), ensure_ascii=False)

    with_core(settings_in(tmp_path), use, 120)
    assert len(secrets) > 4, "workers have one each"
    texts = {**told, **logs_in(tmp_path / "home")}
    leaks = [(name, each) for name, text in texts.items() for each in secrets if each in text]
    assert leaks == []
    printed = texts["server/workers.log"]
    assert "it has ***" in printed and "KeyError ***" in printed, "what is left is told"
    lines = texts["server/visionflow.log"]
    assert "has ***" in lines and "Authorization: Bearer ***" in lines
    assert "'model': 'small'" in lines, "what is no secret stays"


def test_what_is_shown_of_settings_can_be_handed_back_and_keeps_the_secret(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        swarm, tools = await new_swarm(opened), Tools(opened)
        command = swarm.node.intake.agent(
            "echo", f"{HERE / 'task_agents.py'}:Echo", config={"apiKey": KEY, "model": "small"}
        )
        await swarm.ask(command)
        agent = command.spec.id
        shown = (await tools("agent_status", {"agentId": agent}))["config"]
        assert shown == {"apiKey": "***", "model": "small"}
        changed = await tools(
            "agent_update", {"agentId": agent, "config": {**shown, "model": "large"}}
        )
        assert changed["config"] == {"apiKey": "***", "model": "large"}
        kept = unpack(swarm.state.agents[agent].spec.config, swarm.blobs)
        assert kept == {"apiKey": KEY, "model": "large"}

    with_core(settings_in(tmp_path), use)


def test_a_flood_of_lines_and_output_fills_no_disk_and_leaves_others_their_room(
    tmp_path: Path,
) -> None:
    async def use(opened: OpenServer) -> None:
        swarm, tools = await new_swarm(opened), Tools(opened)
        flooding, other = await leaky(swarm, "Flooding"), await agent_up(swarm, "Chatty")
        await result_of(swarm, await submit(swarm, "flooding", 5_000))
        await result_of(swarm, await submit(swarm, "chatty", "still heard"))
        said = (await tools("agent_logs", {"agentId": other, "limit": 1000}))["lines"]
        assert any("has still heard" in line for line in said)
        folder = tmp_path / "home/server/workers"

        def is_bounded() -> bool:
            return all(each.stat().st_size <= OUTPUT_BYTES_MAX for each in folder.glob("*.out"))

        await until(is_bounded)
        lines = (await tools("agent_logs", {"agentId": flooding, "limit": 1000}))["lines"]
        while not any("lines_left_out" in line for line in lines):
            await asyncio.sleep(0.05)
            lines = (await tools("agent_logs", {"agentId": flooding, "limit": 1000}))["lines"]
        seconds = {line.split(" ", 2)[1][:8] for line in lines}
        own = sum(" agent line " in line for line in lines)
        assert own <= (len(seconds) + 1) * AGENT_LINES_MAX
        log = (tmp_path / "home/server/visionflow.log").read_text()
        assert "output_dropped" in log

    with_core(settings_in(tmp_path), use, 120)
    assert (tmp_path / "home/server/workers.log").stat().st_size <= 2 * KEPT_BYTES_MAX
