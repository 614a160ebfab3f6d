"""Real worker processes over the hub's socket."""

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import msgspec
import pytest
from orchestra import WAIT_S, Orchestrator, run, spec, task, unpacked

from visionflow.adapters.files import FileBlobs
from visionflow.adapters.host_os import OsHost, OsProcess
from visionflow.adapters.hub import BlockingPublisher, Claim, Grant, Hub, worker_grant
from visionflow.adapters.title import PADDING
from visionflow.agents.loading import load_agent_class
from visionflow.domain.errors import ConfigError
from visionflow.domain.messages import (
    PROTOCOL,
    AgentDown,
    AgentUp,
    CancelAttempt,
    Failed,
    Heartbeat,
    Hello,
    HostAgent,
    LogLine,
    Result,
    Started,
    StepDone,
    Stop,
)
from visionflow.domain.tasks import FailureKind
from visionflow.ports.host import Exit
from visionflow.worker import exits
from visionflow.worker.heartbeat import ThreadHeartbeat

AGENTS = """
import asyncio, os, signal, subprocess, sys, time
from visionflow.agents.base import BaseAgent

def echo(task):
    return {"pid": os.getpid(), "input": task.input, "order": os.environ.get("VISIONFLOW_WORKER")}

class Stepper(BaseAgent):
    async def process_task(self, task):
        big = await self.step("big", "x".__mul__, 200_000)
        await self.step("sleep", asyncio.sleep, 60)
        return big

class Parent(BaseAgent):
    async def process_task(self, task):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        self.log(f"child {child.pid}")
        await asyncio.sleep(60)

class Greedy(BaseAgent):
    def process_task(self, task):
        kept = []
        while True:
            kept.append(b"x" * 2_000_000)
            time.sleep(0.005)

class Stubborn(BaseAgent):
    async def process_task(self, task):
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                pass

if __name__ == "__main__":
    raise SystemExit("this must not run in a worker")
"""


class Fleet:
    """A hub at a socket, and worker processes that are spawned as the orchestrator does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.script = folder / "agents.py"
        self.script.write_text(AGENTS)
        self.socket = str(folder / "s" / "h")
        self.blobs = FileBlobs(folder / "blobs")
        self.hub = Hub(self._verify, self._gone)
        self.orchestrator = Orchestrator(self.hub.local())
        self.host = OsHost(asyncio.get_running_loop())
        self.gone: list[str] = []
        self.process: OsProcess | None = None
        self.exit: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()

    def _verify(self, claim: Claim) -> Grant | None:
        pid = self.process.pid if self.process else 0
        if (claim.secret, claim.incarnation, claim.pid) != ("hush", 1, pid):
            return None
        return worker_grant(claim.worker, "sw", claim.role)

    def _gone(self, sender: str) -> None:
        self.gone.append(sender)

    def order(self, **changes: Any) -> dict[str, Any]:
        return {
            "worker": "w1",
            "incarnation": 1,
            "swarm": "sw",
            "socket": self.socket,
            "blobs": str(self.folder / "blobs"),
            "folder": str(self.folder / "agents"),
            "heartbeat_ms": 50,
            "orphan_grace_ms": 0,
            "memory_bytes": None,
            "import_paths": [],
        } | changes

    async def start(self, secret: bytes = b"hush", **changes: Any) -> Orchestrator:
        await self.hub.listen(self.socket)
        self.process = self.host.spawn(
            [sys.executable, "-P", "-m", "visionflow.compose.worker", PADDING],
            {**os.environ, "VISIONFLOW_WORKER": json.dumps(self.order(**changes))},
            secret,
            str(self.folder / "out"),
        )
        self.process.on_exit(self.exit.set_result)
        return self.orchestrator

    async def host_agent(self, name: str) -> None:
        self.orchestrator.tell(HostAgent(spec("a1", f"{self.script}:{name}")))
        await self.orchestrator.wait_for(AgentUp)

    async def ended(self) -> Exit:
        return await asyncio.wait_for(self.exit, WAIT_S)

    async def close(self) -> None:
        if self.process is not None and not self.exit.done():
            self.process.kill()
            await self.ended()
        await self.hub.close()


def with_fleet(body: Callable[[Fleet], Coroutine[Any, Any, None]], tmp_path: Path) -> None:
    async def main() -> None:
        fleet = Fleet(tmp_path)
        try:
            await body(fleet)
        finally:
            await fleet.close()

    run(main())


def test_a_worker_says_hello_works_beats_and_stops(tmp_path: Path) -> None:
    async def body(fleet: Fleet) -> None:
        orchestrator = await fleet.start()
        (hello,) = await orchestrator.wait_for(Hello)
        assert fleet.process and hello == Hello("w1", 1, "hush", fleet.process.pid, (), PROTOCOL)
        await fleet.host_agent("echo")
        orchestrator.tell(task("t", value=[1, b"\0"]))
        result = await orchestrator.end_of("t")
        assert isinstance(result, Result)
        value = unpacked(result.value)
        assert value == {"pid": fleet.process.pid, "input": [1, b"\0"], "order": None}
        beats = await orchestrator.wait_for(Heartbeat, 2)
        last = beats[-1]
        assert isinstance(last, Heartbeat) and (last.resident_bytes or 0) > 1_000_000
        assert (last.worker, last.incarnation, last.attempts, last.early) == ("w1", 1, (), False)
        assert Path(f"/proc/{fleet.process.pid}/comm").read_text() == "visionflow w1\n"
        shown = Path(f"/proc/{fleet.process.pid}/cmdline").read_bytes()
        assert shown.rstrip(b"\0") == b"visionflow w1 a1", "what ps and htop show"
        environment = Path(f"/proc/{fleet.process.pid}/environ").read_bytes()
        assert b"VISIONFLOW_WORKER=" in environment, "what lies behind the title is as it was"
        os.kill(fleet.process.pid, signal.SIGINT)
        orchestrator.tell(HostAgent(spec("a2", "no.such.module:Thing")))
        (down,) = await orchestrator.wait_for(AgentDown)
        assert "no.such.module" in down.reason
        orchestrator.tell(Stop("done"))
        assert await fleet.ended() == Exit(exits.DONE, None)
        while sorted(fleet.gone) != ["w1.1", "w1.1.beat"]:
            await asyncio.sleep(0.01)

    async def patient(fleet: Fleet) -> None:
        try:
            await body(fleet)
        except AssertionError:
            print((fleet.folder / "out").read_text())
            raise

    with_fleet(patient, tmp_path)


def test_a_worker_with_the_wrong_secret_never_gets_in(tmp_path: Path) -> None:
    async def body(fleet: Fleet) -> None:
        orchestrator = await fleet.start(secret=b"guess")
        assert await fleet.ended() == Exit(exits.REFUSED, None)
        assert orchestrator.heard == [] and fleet.hub.counts.refused >= 1

    with_fleet(body, tmp_path)


def test_a_step_is_cancelled_in_the_middle_and_its_large_value_stays(tmp_path: Path) -> None:
    async def body(fleet: Fleet) -> None:
        orchestrator = await fleet.start()
        await orchestrator.wait_for(Hello)
        await fleet.host_agent("Stepper")
        orchestrator.tell(task("t", announce=True))
        (done,) = await orchestrator.wait_for(StepDone)
        body = fleet.blobs.get(done.value.blob)
        assert msgspec.msgpack.decode(body) == "x" * 200_000
        orchestrator.tell(CancelAttempt("t", 1, "enough"))
        failed = await orchestrator.end_of("t")
        assert isinstance(failed, Failed) and failed.reason == "enough"

    with_fleet(body, tmp_path)


def test_results_survive_a_cut_wire_and_a_dead_hub(tmp_path: Path) -> None:
    async def body(fleet: Fleet) -> None:
        orchestrator = await fleet.start(orphan_grace_ms=10_000)
        await orchestrator.wait_for(Hello)
        await fleet.host_agent("echo")
        orchestrator.acks = False
        orchestrator.tell(task("t"))
        await orchestrator.end_of("t")
        fleet.hub.disconnect("w1.1")
        await orchestrator.wait_for(Result, 2)
        await fleet.hub.close()
        fleet.hub = Hub(fleet._verify)
        again = Orchestrator(fleet.hub.local())
        await fleet.hub.listen(fleet.socket)
        (hello,) = await again.wait_for(Hello)
        assert hello.attempts == (("t", 1),)
        (result,) = await again.wait_for(Result)
        assert result == orchestrator.all(Result)[0]
        again.tell(task("u"))
        assert isinstance(await again.end_of("u"), Result)

    with_fleet(body, tmp_path)


@pytest.mark.parametrize("agent", ["echo", "Stubborn"])
def test_sigterm_drains_and_ends_with_0(agent: str, tmp_path: Path) -> None:
    async def body(fleet: Fleet) -> None:
        orchestrator = await fleet.start()
        await orchestrator.wait_for(Hello)
        await fleet.host_agent(agent)
        if agent == "Stubborn":
            orchestrator.tell(task("t", announce=True, timeout_ms=10))
            await orchestrator.wait_for(Started)
        assert fleet.process
        fleet.process.terminate()
        assert await fleet.ended() == Exit(exits.DONE, None)
        if agent == "Stubborn":
            assert (await orchestrator.end_of("t")).kind is FailureKind.TIMEOUT

    with_fleet(body, tmp_path)


def test_a_worker_over_its_memory_ceiling_says_so_and_ends(tmp_path: Path) -> None:
    async def body(fleet: Fleet) -> None:
        orchestrator = await fleet.start(memory_bytes=150_000_000)
        await orchestrator.wait_for(Hello)
        await fleet.host_agent("Greedy")
        orchestrator.tell(task("t"))
        failed = await orchestrator.end_of("t")
        assert failed.kind is FailureKind.RESOURCES and "150000000" in failed.reason
        assert await fleet.ended() == Exit(exits.MEMORY, None)
        (line,) = [line for line in orchestrator.all(LogLine) if "ceiling" in line.text]
        assert "a watcher of resident memory" in line.text
        assert line.agent == (await orchestrator.wait_for(AgentUp))[0].agent, "in its own lines"

    with_fleet(body, tmp_path)


ORCHESTRATOR = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_process import Fleet, HostAgent, Hello, LogLine, spec, task

async def main():
    fleet = Fleet(Path(sys.argv[1]))
    orchestrator = await fleet.start(orphan_grace_ms=0)
    await orchestrator.wait_for(Hello)
    await fleet.host_agent("Parent")
    orchestrator.tell(task("t"))
    (line,) = await orchestrator.wait_for(LogLine)
    print(fleet.process.pid, line.text.split()[1], flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


def test_a_worker_and_its_children_die_with_a_killed_orchestrator(tmp_path: Path) -> None:
    orchestrator = subprocess.Popen(
        [sys.executable, "-c", ORCHESTRATOR, str(tmp_path), str(Path(__file__).parent)],
        stdout=subprocess.PIPE,
    )
    assert orchestrator.stdout is not None
    pids = [int(text) for text in orchestrator.stdout.readline().split()]
    assert len(pids) == 2
    ends = [os.pidfd_open(pid) for pid in pids]
    orchestrator.kill()
    orchestrator.wait(WAIT_S)
    orchestrator.stdout.close()
    for end in ends:
        assert _readable(end), "a process outlived its orchestrator"
        os.close(end)


def _readable(descriptor: int) -> bool:
    return bool(select.select([descriptor], [], [], WAIT_S)[0])


def test_a_worker_started_by_hand_says_how_it_is_started() -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "visionflow.compose.worker"],
        env={},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and "started by its orchestrator" in done.stderr


def test_a_stuck_loop_is_noticed_from_the_heartbeats_thread() -> None:
    stalled, beats = threading.Event(), list[bytes]()

    class Wire:
        def publish(self, subject: str, payload: bytes) -> None:
            beats.append(payload)

        def close(self) -> None:
            beats.append(b"closed")

    heartbeat = ThreadHeartbeat(Wire, "hb", lambda early: b"x", 1, lambda: 9.0, stalled.set)
    heartbeat.start()
    assert stalled.wait(WAIT_S)
    heartbeat.stop()
    assert len(beats) >= 3 and beats[-1] == b"closed"


def test_a_second_thread_waits_for_a_script_that_is_being_loaded(tmp_path: Path) -> None:
    script, begun, go = tmp_path / "slow.py", tmp_path / "begun", tmp_path / "go"
    script.write_text(
        "import time\nfrom pathlib import Path\nfrom visionflow import BaseAgent\n"
        f"Path({str(begun)!r}).touch()\n"
        f"while not Path({str(go)!r}).exists(): time.sleep(0.01)\n"
        "class Slow(BaseAgent):\n    pass\n"
    )
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(load_agent_class, f"{script}:Slow")
        while not begun.exists():
            time.sleep(0.01)
        second = threads.submit(load_agent_class, f"{script}:Slow")
        wait([second], timeout=0.2)
        go.touch()
        assert first.result(30) is second.result(30)


def test_a_script_is_loaded_once_under_a_private_name_and_says_what_is_wrong(
    tmp_path: Path,
) -> None:
    script = tmp_path / "mine.py"
    script.write_text(AGENTS)
    first = load_agent_class(f"{script}:Stepper")
    assert first is load_agent_class(f"{script}:Stepper") and first.__module__ != "__main__"
    (tmp_path / "broken.py").write_text("x = 1\nimport no_such_thing\n")
    for path, said in [
        (f"{script}:Nobody", "has no Nobody"),
        (f"{script}:os", "neither a class nor a function"),
        (f"{tmp_path / 'none.py'}:A", "no Python file"),
        (f"{tmp_path / 'broken.py'}:A", "broken.py:2"),
        ("no_colon", "not the import path"),
        ("json:JSONDecoder", "does not derive"),
        ("json:dump", "cannot be called with one task"),
    ]:
        with pytest.raises(ConfigError) as caught:
            load_agent_class(path)
        assert said in str(caught.value)


def test_a_publisher_without_a_hub_says_that_nobody_answers(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="No hub answers"):
        BlockingPublisher(str(tmp_path / "none"), Claim())
