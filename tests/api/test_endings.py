"""How it ends: closed, forked, abandoned, or with a caller that is gone; nobody waits for ever."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.api.agents import Doubler, Sleeper, wait_for_line
from visionflow import AgentOrchestrator, Limits, Task, VisionFlowError
from visionflow.domain.errors import Refused, UnknownId, UsageError
from visionflow.interfaces.orchestrator import Fleet

ROOT = Path(__file__).parents[2]
WAIT_S = 60.0


def run(program: str, folder: Path, *words: str) -> "subprocess.Popen[str]":
    """A program of its own, with `folder` for its temporary files."""
    script = folder / "program.py"
    script.write_text(program)
    (folder / "tmp").mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, str(script), *words],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "TMPDIR": str(folder / "tmp")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def is_alive(pid: int) -> bool:
    """Whether there is such a process that is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until_gone(pid: int) -> None:
    """Until this process is gone."""
    end = time.monotonic() + WAIT_S
    while is_alive(pid):
        assert time.monotonic() < end, f"process {pid} is still there"
        time.sleep(0.01)


def test_a_loop_that_is_closed_while_it_waited_keeps_nobody_else_from_an_answer(
    tmp_path: Path,
) -> None:
    with AgentOrchestrator() as fleet:
        slow = fleet.spawn(Sleeper)[0].submit(Task(input=str(tmp_path / "pids")))

        async def wait() -> None:
            await slow

        loop = asyncio.new_event_loop()
        waiting = loop.create_task(wait())
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
        os.kill(wait_for_line(tmp_path / "pids", 1), signal.SIGKILL)
        slow.result(WAIT_S)
        fleet.spawn(Doubler, capabilities=["maths"])
        assert fleet.submit(Task(input=2, required_capabilities=["maths"])).result(WAIT_S) == 4
        assert not waiting.done()
        waiting._log_destroy_pending = False  # type: ignore[attr-defined]


def test_what_a_caller_has_called_at_the_end_may_raise(caplog: pytest.LogCaptureFixture) -> None:
    def call() -> None:
        raise ValueError("the caller's own")

    with AgentOrchestrator() as fleet:
        fleet.spawn(Doubler)
        handles = [fleet.submit(Task(input=n)) for n in range(20)]
        for handle in handles:
            handle.on_done(call)
        assert [handle.result(WAIT_S) for handle in handles] == [2 * n for n in range(20)]
    assert "the caller's own" in caplog.text


def test_everything_says_that_it_is_closed_once_it_is() -> None:
    orchestrator = AgentOrchestrator()
    fleet = orchestrator.open()
    handle = fleet.submit(Task(required_capabilities=["none"]))
    orchestrator.close()
    orchestrator.close()
    with pytest.raises(VisionFlowError, match="was closed"):
        handle.result(WAIT_S)
    for call in (
        lambda: fleet.submit(Task()),
        lambda: fleet.spawn(Doubler),
        lambda: fleet.cancel(handle),
        fleet.agents,
        lambda: fleet.queries.counts(),
        orchestrator.open,
    ):
        with pytest.raises(VisionFlowError, match="was closed"):
            call()


def test_threads_that_ask_while_it_closes_all_get_an_answer() -> None:
    orchestrator = AgentOrchestrator(limits=Limits(mailbox_max=100, queue_max=100))
    fleet = orchestrator.open()
    begun = threading.Barrier(3)

    def submit(fleet: Fleet) -> None:
        begun.wait(WAIT_S)
        with pytest.raises(VisionFlowError):
            while True:
                handles.append(fleet.submit(Task(required_capabilities=["none"])))

    def ask(fleet: Fleet) -> None:
        begun.wait(WAIT_S)
        with pytest.raises(VisionFlowError, match="closed"):
            while True:
                fleet.agents()

    handles = [fleet.submit(Task(required_capabilities=["none"]))]
    threads = [threading.Thread(target=call, args=(fleet,)) for call in (submit, ask)]
    for thread in threads:
        thread.start()
    begun.wait(WAIT_S)
    orchestrator.close()
    for thread in threads:
        thread.join(WAIT_S)
        assert not thread.is_alive()
    assert all(handle.wait(WAIT_S) for handle in handles)


def test_a_task_is_accepted_once_it_is_durable_and_found_again_by_its_id(tmp_path: Path) -> None:
    with AgentOrchestrator(tmp_path) as fleet:
        spawned = fleet.spawn(Doubler)[0]
        done = fleet.submit(Task(input=1))
        assert done.result(WAIT_S) == 2
        waiting = fleet.submit(Task(input=2, required_capabilities=["later"]))
        assert waiting.wait_accepted(WAIT_S)
        assert waiting.accepted
        with pytest.raises(Refused, match="already"):
            fleet.submit(Task(id=done.id)).wait_accepted(WAIT_S)
    with AgentOrchestrator(tmp_path) as fleet:
        assert fleet.handle(done.id).result(WAIT_S) == 2
        again = fleet.handle(waiting.id)
        assert not again.done
        assert [agent.id for agent in fleet.agents()] == [spawned.id]
        fleet.spawn(Doubler, capabilities=["later"])
        assert again.result(WAIT_S) == 4
        with pytest.raises(UnknownId, match="task_none"):
            fleet.handle("task_none")


FORKING = """
import os, sys, time
from visionflow import AgentOrchestrator, Task
from tests.api.agents import Doubler, Sleeper

if __name__ == "__main__":
    with AgentOrchestrator(sys.argv[1] if sys.argv[1:] else None) as fleet:
        fleet.spawn(Sleeper)
        fleet.submit(Task(input="pids"))
        while not os.path.exists("pids"):
            time.sleep(0.01)
        reader, writer = os.pipe()
        if os.fork() == 0:
            os.close(writer)
            try:
                fleet.submit(Task())
            except Exception as error:
                print(error, flush=True)
            if not sys.argv[1:]:
                sys.exit(0)
            os.read(reader, 1)
            time.sleep(60)
            os._exit(0)
        if sys.argv[1:]:
            time.sleep(60)
        print(os.wait()[1])
        fleet.spawn(Doubler, capabilities=["maths"])
        print(fleet.submit(Task(input=2, required_capabilities=["maths"])).result(60))
        os.kill(int(open("pids").read().split()[0]), 9)
"""


def test_a_forked_copy_of_the_program_cannot_use_it_and_takes_nothing_away_when_it_ends(
    tmp_path: Path,
) -> None:
    program = run(FORKING, tmp_path)
    out, err = program.communicate(timeout=WAIT_S)
    assert (program.returncode, err) == (0, "")
    told, status, result = out.splitlines()
    assert "forked from the one" in told
    assert (status, result) == ("0", "4")
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_forked_copy_keeps_neither_the_workers_nor_the_store_of_a_killed_program(
    tmp_path: Path,
) -> None:
    program = run(FORKING, tmp_path, str(tmp_path / "store"))
    assert program.stdout is not None
    assert "forked from the one" in program.stdout.readline()
    worker = wait_for_line(tmp_path / "pids", 1)
    copies = Path(f"/proc/{program.pid}/task/{program.pid}/children").read_text().split()
    program.kill()
    program.wait(WAIT_S)
    try:
        wait_until_gone(worker)
        with AgentOrchestrator(tmp_path / "store") as fleet:
            assert len(fleet.agents()) == 1
    finally:
        for copy in copies:
            if is_alive(int(copy)):
                os.kill(int(copy), signal.SIGKILL)
        program.communicate(timeout=WAIT_S)


UNGUARDED = """
from visionflow import AgentOrchestrator, BaseAgent, Task

class Doubler(BaseAgent):
    def process_task(self, task):
        return 2 * task.input

fleet = AgentOrchestrator().open()
fleet.spawn(Doubler)
while fleet.agents():
    pass
print(fleet.queries.agents()[0].reason)
"""


def test_a_script_without_a_main_guard_is_told_so_and_one_that_closes_nothing_leaves_nothing(
    tmp_path: Path,
) -> None:
    program = run(UNGUARDED, tmp_path)
    out, err = program.communicate(timeout=WAIT_S)
    assert program.returncode == 0
    assert 'if __name__ == "__main__"' in out
    assert "failed and takes no tasks" in err
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_worker_may_not_open_what_its_program_opens() -> None:
    from visionflow.agents import loading

    loading.importing.append("program.py")
    try:
        with pytest.raises(UsageError, match=r"imports program\.py"):
            AgentOrchestrator().open()
    finally:
        loading.importing.pop()


def test_a_thread_that_submits_without_a_pause_keeps_nobody_from_an_answer() -> None:
    with AgentOrchestrator(limits=Limits(mailbox_max=100, queue_max=100)) as fleet:
        enough = threading.Event()

        def submit() -> None:
            while not enough.is_set():
                fleet.submit(Task(required_capabilities=["none"]))

        thread = threading.Thread(target=submit)
        thread.start()
        try:
            assert [fleet.agents() for _ in range(3)] == [[], [], []]
        finally:
            enough.set()
            thread.join(WAIT_S)
