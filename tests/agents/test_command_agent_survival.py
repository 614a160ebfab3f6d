"""Nothing of a coding agent's work depends on a process that lives: killed, stopped, cancelled."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from command_work import SANDBOX, Shop
from resuming_tool import write_tool
from role_work import Attempt, Killed

from tests.coding.sample import command_of, run_git
from visionflow.adapters.memory import MemoryBlobs
from visionflow.agents.base import AgentContext, current_attempt
from visionflow.agents.candidates.values import Attempted
from visionflow.agents.command.agent import CommandAgent
from visionflow.agents.command.listening import Log

pytestmark = pytest.mark.acceptance("coding-agents")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def becomes_true(question: Callable[[], bool], seconds_max: float = 60.0) -> bool:
    deadline = time.monotonic() + seconds_max
    while not question():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def worker(folder: Path, command: str) -> subprocess.Popen[str]:
    """Another process that does the task; it leads a group of its own."""
    paths = os.pathsep.join((str(ROOT), str(Path(__file__).parent)))
    return subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("command_work.py")), str(folder), command],
        env={**os.environ, "PYTHONPATH": paths}, stdout=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip


def inside(shop: Shop) -> list[int]:
    """Processes that work in a copy of this run."""
    found: list[int] = []
    for each in Path("/proc").glob("[0-9]*"):
        try:
            if str(shop.folder) in os.readlink(each / "cwd"):
                found.append(int(each.name))
        except OSError:
            continue
    return found


def log_of(shop: Shop, name: str = "candidate-1") -> str:
    place = shop.folder / name / "output.log"
    return place.read_text() if place.exists() else ""


@pytest.mark.parametrize("kill_at", [1, 2, 3, 4])
def test_killed_before_a_part_is_recorded_it_is_done_once_all_the_same(
    shop: Shop, kill_at: int
) -> None:
    actions = "report:10:5,good,commits"
    attempt = Attempt(kill_at=kill_at)
    with pytest.raises(Killed):
        shop.attempted(actions, attempt=attempt)
    done = shop.attempted(actions, shop.task(attempt=2), attempt=Attempt(attempt.done))
    assert done.outcome == "changed"
    assert done.goes == (("started", "adopted") if kill_at == 2 else ("started",))
    assert log_of(shop).count("[visionflow] go ") == 1
    assert done.usage.input_tokens == 10
    ledger = (shop.folder / "usage.jsonl").read_text().splitlines()
    assert [json.loads(line)["go"] for line in ledger] == [1]


def test_a_go_that_had_ended_is_taken_over_as_often_as_it_takes(shop: Shop) -> None:
    first = Attempt(kill_at=2)
    with pytest.raises(Killed):
        shop.attempted("good", attempt=first)
    second = Attempt(first.done, kill_at=1)
    with pytest.raises(Killed):
        shop.attempted("good", attempt=second)
    done = shop.attempted("good", attempt=Attempt(second.done))
    assert done.goes == ("started", "adopted", "adopted")


def test_after_kill_9_it_goes_on_with_the_tools_own_session(shop: Shop, tmp_path: Path) -> None:
    command = write_tool(tmp_path / "bin", hangs=True)
    killed = worker(tmp_path, command)
    journal = shop.folder / "candidate-1" / "go.json"
    assert becomes_true(lambda: journal.exists() and "1111-2222" in journal.read_text())
    assert becomes_true((shop.folder / "candidate-1" / "tree" / "first.txt").exists)
    killed.kill()
    killed.communicate()
    done = shop.attempted(command, shop.task(attempt=2))
    assert done.outcome == "changed", done
    assert done.goes == ("started", "resumed")
    assert done.files == ("first.txt", "second.txt")
    assert done.session == "11111111-2222-3333-4444-555555555555"
    assert done.usage.turns == 2
    assert not (shop.folder / "candidate-1" / "home").exists()


def test_one_that_only_reported_to_machines_said_nothing(shop: Shop, tmp_path: Path) -> None:
    done = shop.attempted(write_tool(tmp_path / "bin", hangs=True), timeout=8)
    assert (done.outcome, done.files) == ("timed_out", ("first.txt",))
    assert done.session == "11111111-2222-3333-4444-555555555555"
    assert done.reason is not None and done.reason.endswith("It said nothing.")
    assert done.summary == ""


@pytest.mark.parametrize("names", [True, False])
def test_a_session_that_its_tool_forgot_is_started_again_and_what_was_there_is_kept(
    shop: Shop, tmp_path: Path, names: bool
) -> None:
    command = write_tool(tmp_path / "bin", hangs=True)
    killed = worker(tmp_path, command)
    task = shop.folder / "candidate-1"
    assert becomes_true(lambda: (task / "go.json").exists() and "1111-2" in
                        (task / "go.json").read_text())  # fmt: skip
    assert becomes_true((task / "tree" / "first.txt").exists)
    killed.kill()
    killed.communicate()
    assert becomes_true(lambda: not inside(shop))
    for each in (task / "home" / ".claude" / "sessions").iterdir():
        each.unlink()
    write_tool(tmp_path / "bin", names=names)
    done = shop.attempted(command, shop.task(attempt=2))
    assert done.goes == ("started", "resumed", "started_again")
    assert done.files == ("first.txt",)
    kept = shop.repository / "repository.git"
    refs = run_git(kept, "for-each-ref", "--format=%(refname)", "refs/visionflow/kept/")
    assert len(refs.splitlines()) == 2, refs


def test_after_kill_9_one_without_sessions_starts_again_and_what_was_there_is_kept(
    shop: Shop, tmp_path: Path
) -> None:
    killed = worker(tmp_path, command_of("writes:part.txt=half,forks,hangs"))
    assert becomes_true(lambda: "hanging" in log_of(shop))
    killed.kill()
    killed.communicate()
    done = shop.attempted("good,report:5:2", shop.task(attempt=2))
    assert inside(shop) == []
    assert done.goes == ("started", "started_again")
    assert done.files == ("shop/limits.py",)
    assert done.usage.output_tokens == 2
    assert any("go 1 was over before scripted_agent.py told" in each for each in done.notes)
    kept = shop.repository / "repository.git"
    names = run_git(kept, "for-each-ref", "--format=%(refname)", "refs/visionflow/kept/")
    other = next(each for each in names.splitlines() if each != done.ref)
    assert f"what go 1 left is kept by {other}" in done.notes
    assert "part.txt" in run_git(kept, "ls-tree", "--name-only", other)


def test_a_worker_that_only_stopped_keeps_others_off_until_its_tree_is_gone(
    shop: Shop, tmp_path: Path
) -> None:
    stopped = worker(tmp_path, command_of("hangs"))
    assert becomes_true(lambda: "hanging" in log_of(shop))
    os.kill(stopped.pid, signal.SIGSTOP)
    attempt, results = Attempt(), list[Attempted]()
    second = threading.Thread(
        target=lambda: results.append(shop.attempted("good", shop.task(attempt=2), attempt=attempt))
    )
    second.start()
    try:
        waiting = "waiting until an earlier attempt of this task is gone"
        assert becomes_true(lambda: waiting in [note for _, note in attempt.notes])
        assert log_of(shop).count("[visionflow] go ") == 1
        assert inside(shop) != []
    finally:
        stopped.kill()
        stopped.communicate()
        second.join(120)
    assert [each.goes for each in results] == [("started", "started_again")]


def test_cancelled_it_returns_when_the_whole_tree_is_gone(shop: Shop) -> None:
    context = AgentContext(
        folder=shop.run / "agent", blobs=MemoryBlobs(), open_sandbox=lambda: SANDBOX,
        write_log=lambda *_: None,
    )  # fmt: skip
    config = {"command": command_of("good,forks,hangs")}
    agent = CommandAgent("a1", "a1", "coder", config, context)

    async def cancelled() -> list[int]:
        current_attempt.set(Attempt())  # pyright: ignore[reportArgumentType]
        work = asyncio.ensure_future(agent.process_task(shop.task()))
        assert await asyncio.to_thread(becomes_true, lambda: "hanging" in log_of(shop))
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        return inside(shop)

    assert asyncio.run(cancelled()) == []
    done = shop.attempted("good", shop.task(attempt=2))
    assert done.goes == ("started", "started_again")


def test_an_agent_that_somebody_killed_is_gone_on_with(shop: Shop, tmp_path: Path) -> None:
    command, results = write_tool(tmp_path / "bin", hangs=True), list[Attempted]()
    work = threading.Thread(target=lambda: results.append(shop.attempted(command)))
    work.start()
    try:
        assert becomes_true((shop.folder / "candidate-1" / "tree" / "first.txt").exists)
    finally:
        for each in inside(shop):
            os.kill(each, signal.SIGKILL)
        work.join(120)
    done = results[0]
    assert (done.outcome, done.goes) == ("changed", ("started", "resumed"))
    assert done.files == ("first.txt", "second.txt")


def test_one_that_is_killed_again_and_again_has_failed_in_the_end(shop: Shop) -> None:
    done = shop.attempted("/bin/sh -c 'echo part > part.txt; kill -9 $$' {goal}")
    assert (done.outcome, done.exit_code) == ("failed", None)
    assert "signal:SIGKILL" in str(done.reason)
    assert done.goes == ("started", "started_again", "started_again")
    assert done.files == ("part.txt",)


def test_a_disk_that_is_full_ends_the_log_and_not_the_agent() -> None:
    log = Log(Path("/dev/full"), 1_000)
    log.begin("go 1")
    log.add("stdout", b"a line\n")
    log.close()
    assert log.fault is not None
    assert "No space left" in log.fault


def test_the_log_holds_whole_lines_of_both_streams(tmp_path: Path) -> None:
    log = Log(tmp_path / "output.log", 1_000)
    log.begin("go 1")
    log.add("stdout", b"one ")
    log.add("stderr", b"error\n")
    log.add("stdout", b"line\nrest")
    log.close()
    assert (tmp_path / "output.log").read_text() == "[visionflow] go 1\nerror\none line\nrest\n"


def test_what_says_how_far_it_came_cannot_be_read_so_it_starts_again(shop: Shop) -> None:
    attempt = Attempt(kill_at=2)
    with pytest.raises(Killed):
        shop.attempted("writes:part.txt=half", attempt=attempt)
    (shop.folder / "candidate-1" / "go.json").write_bytes(b"{")
    done = shop.attempted("good", attempt=Attempt(attempt.done))
    assert done.files == ("shop/limits.py",)
    assert done.goes == ("started", "started_again")


def test_what_another_command_did_is_kept_and_not_taken_over(shop: Shop) -> None:
    attempt = Attempt()
    first = shop.attempted("good", attempt=attempt)
    again = shop.attempted("writes:two.txt=2", attempt=Attempt(attempt.done))
    assert again.goes == ("started", "started_again")
    assert again.files == ("two.txt",)
    kept = shop.repository / "repository.git"
    names = run_git(kept, "for-each-ref", "--format=%(objectname)", "refs/visionflow/kept/")
    assert {str(first.tip), str(again.tip)} <= set(names.splitlines())
