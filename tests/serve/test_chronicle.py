"""Log lines of a server: the life of its agents and tasks, who was turned away, and no flood."""

import asyncio
import os
import re
import signal
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from served import ended, new_swarm, result_of, settings_in, status_of, submit, until, with_core
from toolcalls import agent_up

from visionflow.adapters.lines import LineLog
from visionflow.compose.serve.opening import OpenServer
from visionflow.domain import commands as c
from visionflow.domain.agents import AgentStatus
from visionflow.domain.tasks import Backoff, RetryPolicy, TaskStatus
from visionflow.ports.log import Head
from visionflow.runtime.chronicle import LINES_MAX
from visionflow.runtime.shares import Share
from visionflow.runtime.swarms import LiveSwarm

UP = (AgentStatus.READY, AgentStatus.PROCESSING)
QUICK = RetryPolicy(backoff=Backoff.LINEAR, attempts_max=2, base_ms=1, jitter_bp=0)


def file_in(folder: Path) -> Path:
    return folder / "home/server/visionflow.log"


def said(opened: OpenServer, agent: str | None = None) -> list[tuple[str, ...]]:
    """Of each line: level, agent, code, message."""
    lines = opened.core.lines.tail(agent, limit=10_000)
    return [tuple(line.split(" ", 5)[2:]) for line in lines]


def codes(opened: OpenServer, agent: str | None = None) -> list[str]:
    return [f"{level} {code}" for level, _, code, _ in said(opened, agent)]


async def terminated(swarm: LiveSwarm, agent: str) -> None:
    await swarm.ask(c.TerminateAgent(now_ms=swarm.now_ms, agent=agent))
    await until(lambda: agent not in swarm.state.agents)
    await swarm.settled()


def test_the_life_of_an_agent_and_its_tasks_is_told_line_by_line(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        swarm = await new_swarm(opened)
        agent = await agent_up(swarm, "Echo")
        pid = swarm.state.workers[swarm.state.agents[agent].worker].pid
        task = await submit(swarm, "echo", "x", description="Say x\nand \x1b[31mstop\u2028there")
        await result_of(swarm, task)
        await terminated(swarm, agent)
        assert codes(opened, agent) == [
            "INFO agent_spawned",
            "INFO agent_ready",
            "INFO task_assigned",
            "INFO task_completed",
            "INFO agent_terminating",
            "INFO agent_terminated",
        ]
        lines = said(opened)
        by_code = {code: message for _, _, code, message in lines}
        assert f"in process {pid} (worker" in by_code["agent_ready"]
        assert f"is process {pid}" in by_code["worker_started"]
        assert by_code["task_submitted"] == f'{task} task "Say x and \\x1b[31mstop there"'
        assert by_code["task_assigned"] == f"{task} task, attempt 1"
        assert re.fullmatch(rf"{task} task in \d+\.\d{{3}} s", by_code["task_completed"])
        assert by_code["swarm_made"].startswith("swarm_1 ")
        await opened.server.swarms.destroy("swarm_1", "no more\nof it", "local:tests")
        last = {code: message for _, _, code, message in said(opened)}
        assert last["swarm_closed"] == "swarm_1: no more of it"
        assert last["swarm_ended"] == "swarm_1 by local:tests: no more of it"

    with_core(settings_in(tmp_path), use)


def test_failures_are_told_by_their_kind_and_the_guides_pipeline_counts_them(
    tmp_path: Path,
) -> None:
    async def use(opened: OpenServer) -> None:
        swarm = await new_swarm(opened)
        agent = await agent_up(swarm, "Failing")
        over = await ended(swarm, await submit(swarm, "failing", 9, retry=QUICK))
        assert over.status is TaskStatus.DEAD_LETTER
        once = await ended(swarm, await submit(swarm, "failing", 1, retry=QUICK))
        assert once.status is TaskStatus.COMPLETED
        told = said(opened, agent)
        faults = [(level, code) for level, _, code, _ in told if level != "INFO"]
        assert faults == [("WARNING", "error"), ("ERROR", "error"), ("WARNING", "error")]
        (last,) = [message for level, _, _, message in told if level == "ERROR"]
        assert f"{over.task} task was dead-lettered" in last and "attempt 2 fails" in last
        first = next(message for level, _, _, message in told if level == "WARNING")
        assert "attempt 1: " in first and first.endswith("it is tried again")

    with_core(settings_in(tmp_path), use)
    pipeline = r"""grep -i "error\|exception" | awk '{print $5}' | sort | uniq -c | sort -rn"""
    counted = subprocess.run(
        ["sh", "-c", f"cat '{file_in(tmp_path)}' | {pipeline}"],
        capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    assert counted.stdout.split() == ["3", "error"]


@pytest.mark.acceptance("governor")
def test_who_is_turned_away_is_told_of_under_a_word_of_its_own_with_the_time_of_the_next_try(
    tmp_path: Path,
) -> None:
    async def use(opened: OpenServer) -> None:
        swarm = await new_swarm(opened)
        agent = await agent_up(swarm, "Throttled")
        task = await submit(swarm, "throttled", 1)
        await until(lambda: [line for line in said(opened, agent) if line[0] == "WARNING"])
        ((code, told),) = [(c, m) for level, _, c, m in said(opened, agent) if level == "WARNING"]
        assert code == "throttled"
        retry_at_ms = swarm.state.tasks[task].retry_at_ms or 0
        at = datetime.fromtimestamp(retry_at_ms / 1_000, UTC)
        assert told.endswith(
            f"somewhere: 429 too many requests; it is tried again at {at:%Y-%m-%dT%H:%M:%SZ}"
        )

    with_core(settings_in(tmp_path), use)


def test_an_agent_whose_process_is_killed_is_told_of_until_it_is_ready_again(
    tmp_path: Path,
) -> None:
    async def use(opened: OpenServer) -> None:
        swarm = await new_swarm(opened)
        agent = await agent_up(swarm, "Echo")
        before = swarm.state.workers[swarm.state.agents[agent].worker].pid
        assert before is not None
        os.kill(before, signal.SIGKILL)
        await until(lambda: status_of(swarm, agent) is not AgentStatus.READY)
        await until(lambda: status_of(swarm, agent) is AgentStatus.READY)
        await swarm.settled()
        assert codes(opened, agent) == [
            "INFO agent_spawned",
            "INFO agent_ready",
            "ERROR killed",
            "INFO agent_recovering",
            "INFO agent_ready",
        ]
        after = swarm.state.workers[swarm.state.agents[agent].worker].pid
        ready = [message for _, _, code, message in said(opened, agent) if code == "agent_ready"]
        assert f"process {before} " in ready[0] and f"process {after} " in ready[1]
        (lost,) = [each for each in said(opened) if each[2] == "worker_lost"]
        assert lost[0] == "WARNING" and "SIGKILL" in lost[3] and "is started again" in lost[3]

    with_core(settings_in(tmp_path), use)


def test_a_swarm_that_is_taken_up_again_says_so_and_who_held_what(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)

    async def first(opened: OpenServer) -> tuple[str, str]:
        swarm = await new_swarm(opened)
        agent = await agent_up(swarm, "Holder")
        task = await submit(swarm, "holder", str(tmp_path))
        await until(lambda: (tmp_path / f"{task}.began").exists())
        await opened.close(kill=True)
        return agent, task

    agent, task = with_core(settings, first)
    (tmp_path / "go").touch()

    async def second(opened: OpenServer) -> None:
        swarm = opened.server.swarms.get("swarm_1")
        await result_of(swarm, task)
        lines = said(opened)
        start = next(at for at, line in enumerate(lines) if line[2] == "swarm_recovered")
        told = [(line[0], line[2]) for line in lines[start:] if line[1] == agent]
        assert ("WARNING", "killed") in told, "the attempt that the first start left open"
        assert told[-1] == ("INFO", "task_completed")

    with_core(settings, second)


def test_an_orderly_stop_is_told_once_and_is_no_failure_of_anything(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)

    async def first(opened: OpenServer) -> str:
        swarm = await new_swarm(opened)
        await agent_up(swarm, "Echo")
        await agent_up(swarm, "Holder")
        task = await submit(swarm, "holder", str(tmp_path))
        await until(lambda: (tmp_path / f"{task}.began").exists())
        return task

    task = with_core(settings, first)
    (tmp_path / "go").touch()

    async def second(opened: OpenServer) -> None:
        swarm = opened.server.swarms.get("swarm_1")
        await result_of(swarm, task)
        await until(lambda: all(status_of(swarm, each) in UP for each in swarm.state.agents))
        await swarm.settled()
        lines = said(opened)
        # A slow machine may have a worker suspected meanwhile, which is no fault.
        faults = [line for line in lines if line[0] == "ERROR" or line[2] == "killed"]
        assert faults == []
        (stopped,) = [line[3] for line in lines if line[2] == "swarm_stopped"]
        workers = len(swarm.state.workers)
        assert stopped.startswith(f"swarm_1 was stopped in order: {workers} worker")
        assert "2 agents built again, 1 attempt made again" in stopped
        assert not {"agent_recovering", "worker_lost"} & {line[2] for line in lines}
        assert swarm.state.tasks[task].kills == 0

    with_core(settings, second)


def test_nothing_is_told_before_it_is_durable(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        swarm = await new_swarm(opened)
        log: Any = opened.core.log
        append, held = log.append, asyncio.Event()

        def slow(stream: str, seq: int, body: bytes) -> "asyncio.Future[Head]":
            async def later() -> Head:
                await held.wait()
                return await append(stream, seq, body)

            return asyncio.ensure_future(later())

        log.append = slow
        agent = asyncio.ensure_future(agent_up(swarm, "Echo"))
        await until(lambda: len(swarm.state.agents) == 1)
        for _ in range(100):
            await asyncio.sleep(0)
        assert not any(code == "agent_spawned" for _, _, code, _ in said(opened))
        held.set()
        assert codes(opened, await agent)[0] == "INFO agent_spawned"

    with_core(settings_in(tmp_path), use)


def test_a_flood_of_tasks_writes_no_flood_of_lines_and_says_how_many_were_left_out(
    tmp_path: Path,
) -> None:
    count = 400

    async def use(opened: OpenServer) -> None:
        swarm = await new_swarm(opened)
        await agent_up(swarm, "Echo", tasks_max=50)
        tasks = await asyncio.gather(*(submit(swarm, "echo", n) for n in range(count)))
        for task in tasks:
            await ended(swarm, task)

    with_core(settings_in(tmp_path), use)
    lines = [line.split(" ", 5)[2:] for line in file_in(tmp_path).read_text().splitlines()]
    told = sum(line[2].startswith("task_") for line in lines)
    left_out = sum(int(line[3].split()[0]) for line in lines if line[2] == "lines_left_out")
    assert left_out > 0
    assert told + left_out == 3 * count, "each was submitted, assigned and completed"
    assert told >= LINES_MAX["task"]


def test_lines_of_steps_and_starts_are_for_debugging_only(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        swarm = await new_swarm(opened)
        await agent_up(swarm, "Echo")
        await result_of(swarm, await submit(swarm, "echo"))
        await swarm.settled()
        assert "DEBUG agent_initialising" in codes(opened)

    with_core(settings_in(tmp_path, log_level="debug"), use)

    async def quiet(opened: OpenServer) -> None:
        swarm = opened.server.swarms.get("swarm_1")
        before = len(said(opened))
        await result_of(swarm, await submit(swarm, "echo"))
        await swarm.settled()
        assert [line for line in said(opened)[before:] if line[0] in ("DEBUG", "INFO")] == []

    with_core(settings_in(tmp_path, log_level="warning"), quiet)


def test_refusals_and_failed_logins_are_warnings_that_are_counted_together(tmp_path: Path) -> None:
    async def use(opened: OpenServer) -> None:
        fleet = opened.core.fleet
        for _ in range(3):
            await fleet.record_call(
                by="token:eve", role="viewer", face="tcp", tool="agent_spawn", code="forbidden",
                message="eve has the role viewer", subject="agent_1_x",
            )  # fmt: skip
            await fleet.record_access(
                by="10.0.0.1", face="http", code="unauthenticated", message="sk-0123456789abcdef01"
            )
        await fleet.record_access(by="token:bob", face="http", code="login", message="bob")
        await fleet.record_call(by="token:bob", role="admin", face="tcp", tool="swarm_init")

    with_core(settings_in(tmp_path), use)
    lines = [line.split(" ", 5)[2:] for line in file_in(tmp_path).read_text().splitlines()]
    refused = [line for line in lines if line[2] == "forbidden"]
    assert [line[:2] for line in refused] == [["WARNING", "agent_1_x"]] * 2
    assert refused[0][3] == "agent_spawn by token:eve over tcp: eve has the role viewer"
    assert refused[1][3].endswith("(2 times)")
    strangers = [line for line in lines if line[2] == "unauthenticated"]
    assert [line[0] for line in strangers] == ["WARNING"] * 2
    assert strangers[0][3] == "10.0.0.1 over http: sk-***"
    assert ["INFO", "-", "login"] in [line[:3] for line in lines]
    assert not any(line[2] == "called" for line in lines), "what is done is in the audit"


class Hand:
    """A clock that is turned by hand."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def call_later(self, _delay_ms: int, call: Any) -> "Hand":
        self.calls.append(call)
        return self

    def cancel(self) -> None:
        self.calls.clear()


def test_a_share_is_whole_again_each_second_and_tells_what_it_left_out_once() -> None:
    hand: Any = Hand()
    left_out: list[int] = []
    share = Share(hand, 2, left_out.append)
    assert [share.take() for _ in range(5)] == [True, True, False, False, False]
    hand.calls.pop()()
    assert left_out == [3]
    assert [share.take() for _ in range(3)] == [True, True, False]
    share.close()
    share.close()
    assert left_out == [3, 1] and hand.calls == []


def test_a_line_is_one_line_whatever_it_holds(tmp_path: Path) -> None:
    log = LineLog(tmp_path / "log")
    log.log("info", None, "x", "a\x85b\u2028c\u202ed\x00e")
    log.close()
    (line,) = (tmp_path / "log").read_text().splitlines()
    assert line.endswith("a\\x85b\\u2028c\\u202ed\\x00e")
