"""Tools that tell what happened: events as the log has them, figures as other code counts them."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from served import ended, new_swarm, settings_in, submit, until, with_core
from toolcalls import Tools, agent_up

from visionflow.compose.serve.opening import OpenServer
from visionflow.domain import events as e
from visionflow.domain.errors import UnknownSwarm, UsageError
from visionflow.domain.events import AnyEvent, decode_record
from visionflow.domain.tasks import Backoff, RetryPolicy
from visionflow.runtime.swarms import LiveSwarm


def ms(text: str) -> int:
    """A time of a reply, in milliseconds since the epoch."""
    return round(datetime.fromisoformat(text).astimezone(UTC).timestamp() * 1_000)


def logged(opened: OpenServer, swarm: LiveSwarm) -> list[tuple[int, int, AnyEvent]]:
    """All events of a swarm with the number and time of their record, read by this code."""
    found: list[tuple[int, int, AnyEvent]] = []
    for entry in opened.core.log.read(swarm.id):
        record = decode_record(entry.body)
        found += [(entry.seq, record.at_ms, event) for event in record.events]
    return found


async def work(opened: OpenServer, tmp_path: Path) -> LiveSwarm:
    """A swarm in which tasks completed, failed, were given up, cancelled, and one still runs."""
    swarm = await new_swarm(opened)
    await agent_up(swarm, "Echo", name="ann")
    await agent_up(swarm, "Failing", name="bob", tasks_max=2)
    await agent_up(swarm, "Holder", name="cas")
    soon = RetryPolicy(base_ms=1, jitter_bp=0)
    tasks = [await submit(swarm, "echo", number) for number in range(12)]
    tasks += [await submit(swarm, "failing", number, retry=soon) for number in range(5)]
    once = RetryPolicy(backoff=Backoff.NONE)
    tasks += [await submit(swarm, "failing", 9, retry=once)]
    lone = await submit(swarm, "nobody")
    await Tools(opened)("task_cancel", {"taskId": lone})
    stopped = await submit(swarm, "holder", str(tmp_path))
    await until((tmp_path / f"{stopped}.began").exists)
    await Tools(opened)("task_cancel", {"taskId": stopped})
    for task in (*tasks, lone, stopped):
        await ended(swarm, task)
    running = await submit(swarm, "holder", str(tmp_path))
    await until(lambda: swarm.state.tasks[running].status == "running")
    await swarm.settled()
    return swarm


def with_work(tmp_path: Path, use: Callable[[OpenServer, LiveSwarm], Awaitable[None]]) -> None:
    """Use a core with such a swarm; what still runs then is let go."""

    async def run(opened: OpenServer) -> None:
        swarm = await work(opened, tmp_path)
        try:
            await use(opened, swarm)
        finally:
            (tmp_path / "go").touch()

    with_core(settings_in(tmp_path), run)


class Recount:
    """The report's figures once more, from the events, with sums over lists."""

    def __init__(self, events: list[tuple[int, int, AnyEvent]], since: int, until: int) -> None:
        spans: dict[tuple[str, int], list[Any]] = {}
        stopping: set[str] = set()
        self.ends: list[str] = []
        self.submitted = 0
        self.spawned: dict[str, int] = {}
        for _, at, event in events:
            if isinstance(event, e.TaskAssigned):
                spans[event.task, event.attempt] = [event.agent, at, None, None, 0, event.task]
            elif isinstance(event, e.TaskCancelling):
                stopping.add(event.task)
            elif isinstance(event, e.AttemptFailed):
                kind = "stopped" if event.task in stopping else str(event.kind)
                spans[event.task, event.attempt][2:4] = [at, kind]
            elif isinstance(event, e.TaskCompleted):
                spans[event.task, event.attempt][2:5] = [at, "completed", event.duration_us]
                self.ends.append("completed")
            elif isinstance(event, e.TaskFailed):
                self.ends.append("failed")
            elif isinstance(event, e.TaskDeadLettered):
                self.ends.append("dead_letter")
            elif isinstance(event, e.TaskCancelled):
                self.ends.append("cancelled")
            elif isinstance(event, e.TaskSubmitted):
                self.submitted += 1
            elif isinstance(event, e.AgentSpawned):
                self.spawned[event.spec.id] = at
        self.spans = list(spans.values())
        self.errors = [each for each in self.spans if each[3] not in (None, "completed", "stopped")]
        self.completed = [each for each in self.spans if each[3] == "completed"]
        self.since, self.until = since, until

    def busy_ms(self, agent: str) -> int:
        moments: set[int] = set()
        for who, began, over, *_ in self.spans:
            if who == agent:
                moments.update(range(max(began, self.since), min(over or self.until, self.until)))
        return len(moments)

    def of(self, spans: list[list[Any]], agent: str) -> list[list[Any]]:
        return [each for each in spans if each[0] == agent]


@pytest.mark.acceptance("report")
@pytest.mark.acceptance("truth")
def test_every_figure_of_a_report_is_counted_again_from_the_log(tmp_path: Path) -> None:
    async def use(opened: OpenServer, swarm: LiveSwarm) -> None:
        told = await Tools(opened)("performance_report", {"format": "detailed"})
        since, until_ms = ms(told["timeframe"]["since"]), ms(told["timeframe"]["until"])
        again = Recount(logged(opened, swarm), since, until_ms)
        tasks = told["tasks"]
        assert tasks["submitted"] == again.submitted == 21
        for name, status in (
            ("completed", "completed"),
            ("failed", "failed"),
            ("cancelled", "cancelled"),
            ("deadLetter", "dead_letter"),
        ):
            assert tasks[name] == again.ends.count(status) > 0, name
        assert tasks["open"] == {"running": 1}
        assert tasks["successRate"] == again.ends.count("completed") / (
            len(again.ends) - again.ends.count("cancelled")
        )
        total_us = sum(each[4] for each in again.completed)
        assert tasks["avgDuration"] == pytest.approx(total_us / len(again.completed) / 1e6)
        assert tasks["attemptsCancelled"] == 1
        assert tasks["attempts"] == len(again.spans) - 1
        errors = told["errorMetrics"]
        assert errors["total"] == len(again.errors) == len(errors["recent"])
        assert errors["rate"] == len(again.errors) / (len(again.errors) + len(again.completed))
        assert {each["type"]: each["count"] for each in errors["byType"]} == {
            "error": len(again.errors)
        }
        assert "attempt" in errors["recent"][0]["reason"]
        assert {each["id"] for each in told["agents"]} == set(again.spawned)
        for agent in told["agents"]:
            name = agent["id"]
            done, failed = again.of(again.completed, name), again.of(again.errors, name)
            judged = len(done) + len(failed)
            assert agent["completed_tasks"] == len(done)
            assert agent["failed_tasks"] == len(failed)
            assert agent["active_tasks"] == (agent["name"] == "cas")
            lived = until_ms - max(since, again.spawned[name])
            assert agent["utilization"] == pytest.approx(again.busy_ms(name) / lived)
            assert agent["success_rate"] == (len(done) / judged if judged else None)
            assert agent["error_rate"] == (len(failed) / judged if judged else None)
            mean = sum(each[4] for each in done) / len(done) / 1e6 if done else None
            assert agent["avg_task_duration"] == pytest.approx(mean)
            assert (agent["cpu_usage"], agent["memory_usage"]) == (None, None)
        kinds = told["taskTypes"]
        took = sorted(each[4] for each in again.completed)
        assert [(each["type"], each["completed"]) for each in kinds] == [("task", len(took))]
        assert kinds[0]["longest"] == took[-1] / 1e6
        assert kinds[0]["median"] == took[(len(took) + 1) // 2 - 1] / 1e6

    with_work(tmp_path, use)


def test_each_format_and_timeframe_of_a_report_means_something(tmp_path: Path) -> None:
    async def use(opened: OpenServer, swarm: LiveSwarm) -> None:
        tools = Tools(opened)
        plain = await tools("performance_report")
        summary = await tools("performance_report", {"format": "summary"})
        assert (plain["text"], plain["taskTypes"]) == (None, None)
        assert len(plain["errorMetrics"]["recent"]) == 10
        assert (summary["agents"], summary["errorMetrics"]["recent"]) == (None, [])
        totals = plain["tasks"]
        assert (
            f"{totals['submitted']} tasks submitted, {totals['completed']} completed"
            in (summary["text"])
        )
        real = opened.core.host.now_ms
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(opened.core.host, "now_ms", lambda: real() + 7_200_000)
            later = await tools("performance_report", {"timeframe": "1h"})
        assert later["timeframe"]["seconds"] == 3_600
        assert later["tasks"] | {"open": {}} == {
            "submitted": 0,
            "completed": 0,
            "failed": 0,
            "cancelled": 0,
            "deadLetter": 0,
            "successRate": None,
            "avgDuration": None,
            "perMinute": 0.0,
            "attempts": 0,
            "attemptsCancelled": 0,
            "attemptsThrottled": 0,
            "open": {},
        }
        assert later["errorMetrics"]["rate"] is None
        by_name = {each["name"]: each for each in later["agents"]}
        assert by_name["cas"]["utilization"] == 1.0
        assert by_name["ann"]["utilization"] == 0.0
        assert by_name["ann"]["success_rate"] is None
        for wrong in ({"format": "xml"}, {"timeframe": "0s"}, {"timeframe": "long"}):
            with pytest.raises(UsageError):
                await tools("performance_report", wrong)
        with pytest.raises(UnknownSwarm):
            await tools("performance_report", {"swarmId": "swarm_of_nobody"})
        assert swarm.id == plain["swarmId"]

    with_work(tmp_path, use)


@pytest.mark.acceptance("report")
def test_the_guides_selections_of_a_report_find_what_they_look_for(tmp_path: Path) -> None:
    async def use(opened: OpenServer, _: LiveSwarm) -> None:
        told = await Tools(opened)("performance_report", {"format": "json"})
        for agent in told["agents"]:
            assert {"id", "active_tasks", "utilization"} <= set(agent)
        assert set(told["errorMetrics"]) == {"total", "rate", "byType", "recent"}

    with_work(tmp_path, use)


def test_pages_of_events_tell_the_log_from_end_to_end(tmp_path: Path) -> None:
    async def use(opened: OpenServer, swarm: LiveSwarm) -> None:
        tools = Tools(opened)
        found: list[dict[str, Any]] = []
        given: dict[str, Any] = {"limit": 7}
        while True:
            page = await tools("events", given)
            found += page["events"]
            assert len(page["events"]) <= 7
            if page["nextCursor"] is None:
                break
            given = {"limit": 7, "cursor": page["nextCursor"]}
        wanted = [each for each in logged(opened, swarm) if each[0] <= page["head"]]
        assert [(each["seq"], ms(each["at"]), each["type"]) for each in found] == [
            (seq, at, event.__struct_config__.tag) for seq, at, event in wanted
        ]
        assert page["head"] == wanted[-1][0]
        submitted = next(each for each in found if each["type"] == "task_submitted")
        assert submitted["fields"]["spec"]["input"] == 0
        first = submitted["fields"]["spec"]["id"]
        completed = next(
            each["fields"]
            for each in found
            if each["type"] == "task_completed" and each["fields"]["task"] == first
        )
        assert completed["result"] == 0
        tail = await tools("events", {"since": page["head"] - 1})
        assert tail["events"][0]["seq"] == page["head"]
        chosen = await tools("events", {"types": "agent_spawned,agent_ready"})
        assert [each["type"] for each in chosen["events"]].count("agent_spawned") == 3
        for wrong in ({"types": "agent_exploded"}, {"cursor": "7"}, {"since": -1}, {"limit": 0}):
            with pytest.raises(UsageError):
                await tools("events", wrong)
        json.dumps(found)

    with_work(tmp_path, use)


def test_a_large_value_of_an_event_is_told_by_its_size_or_its_blob(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        tools, swarm = Tools(opened), await new_swarm(opened)
        await submit(swarm, "nobody", "x" * 10_000)
        await submit(swarm, "nobody", "x" * 100_000)
        page = await tools("events", {"types": "task_submitted"})
        inputs = [each["fields"]["spec"]["input"] for each in page["events"]]
        assert inputs[0] == {"bytes": 10_003}
        assert opened.core.blobs.has(inputs[1]["blob"])

    with_core(settings_in(tmp_path), use)


def test_the_server_tells_what_it_is_and_what_is_to_come(tmp_path: Path) -> None:
    from mcp_types.version import KNOWN_PROTOCOL_VERSIONS

    from visionflow.interfaces.tools.observing import PROTOCOLS

    async def use(opened: OpenServer) -> None:
        tools, swarm = Tools(opened), await new_swarm(opened)
        await agent_up(swarm, "Echo")
        opened.server.endpoints["tcp"] = "127.0.0.1:1"
        number = opened.server.connections.opened("local:tests")
        told = await tools("server_info")
        assert told["tools"] == list(tools.registry.tools)
        assert set(told["later"]).isdisjoint(told["tools"])
        assert told["usage"] == {"agents": 1, "swarms": 1, "connections": 1}
        assert told["limits"]["agents"] == opened.server.settings.agents_max == 20
        assert told["endpoints"] == {"tcp": "127.0.0.1:1"}
        assert told["ready"] is True
        assert 0 < told["uptimeSeconds"] < 60
        assert told["taskTypes"]["coder"] == ["fix", "implement_solution"]
        assert "run_tests" in told["taskTypes"]["tester"]
        assert len(told["topologies"]) == 6
        assert len(told["strategies"]) == 5
        assert told["priorities"] == {"critical": 0, "high": 10, "medium": 20, "low": 30}
        assert told["settings"]["max_agents"] == {"value": 20, "origin": None}
        opened.server.origins["max_agents"] = "environment MAX_AGENTS"
        told = await tools("server_info")
        assert told["settings"]["max_agents"]["origin"] == "environment MAX_AGENTS"
        opened.server.connections.closed(number)

    assert tuple(reversed(KNOWN_PROTOCOL_VERSIONS)) == PROTOCOLS
    with_core(settings_in(tmp_path), use)


def test_what_was_told_to_one_client_is_seen_by_the_next_call_of_another(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        one, two = Tools(opened, "one"), Tools(opened, "two")
        swarm = await new_swarm(opened)

        async def round(number: int) -> None:
            task = await submit(swarm, "nobody", number)
            listed = await two("task_list", {"limit": 1_000})
            assert task in {each["taskId"] for each in listed["tasks"]}
            await one("task_cancel", {"taskId": task})
            assert (await two("task_status", {"taskId": task}))["status"] == "cancelled"

        await asyncio.gather(*(round(number) for number in range(40)))

    with_core(settings_in(tmp_path), use)
