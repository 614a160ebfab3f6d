"""The operating system as a host: the suites, and what only the real one has."""

import asyncio
import errno
import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from visionflow.adapters import host_os, os_processes
from visionflow.adapters.host_os import OsHost
from visionflow.adapters.os_processes import Identity
from visionflow.domain.errors import CommandNotStarted
from visionflow.ports.host import Exit
from visionflow.testing.conformance import CLOCK_CASES, PROCESS_CASES, Case, HostSubject
from visionflow.testing.conformance.host import WITNESS

STAY = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"]
CASES = CLOCK_CASES + PROCESS_CASES


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_it_is_a_host(case: Case[HostSubject]) -> None:
    asyncio.run(case(HostSubject(open=OsHost)))


def test_without_process_descriptors_an_exit_is_told_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(os, "pidfd_open")
    for case in PROCESS_CASES:
        asyncio.run(case(HostSubject(open=OsHost)))


def test_time_starts_no_earlier_than_it_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    now_ns = 5_000_000_000

    def fake_ns() -> int:
        return now_ns

    monkeypatch.setattr(host_os.time, "time_ns", fake_ns)
    monkeypatch.setattr(host_os.time, "monotonic_ns", lambda: 77_000_000_000)
    host = OsHost(floor_ms=7_000)
    assert host.now_ms() == 7_000
    now_ns = 8_000_000_000
    assert host.now_ms() == 8_000
    now_ns = 6_000_000_000
    assert host.now_ms() == 8_000


def test_time_passes_while_the_clock_shows_an_earlier_hour(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Retries, limits and deadlines wait for it: it must not stand still for that hour."""
    hour_ms, measured_ms, wall_ms = 3_600_000, 500, 10 * 3_600_000
    monkeypatch.setattr(host_os.time, "time_ns", lambda: wall_ms * 1_000_000)
    monkeypatch.setattr(host_os.time, "monotonic_ns", lambda: measured_ms * 1_000_000)
    host = OsHost()
    set_at_ms = host.now_ms()
    wall_ms -= hour_ms  # Somebody sets it back.
    told: list[int] = []
    for _ in range(4):
        told.append(host.now_ms())
        measured_ms += 1_000
        wall_ms += 1_000
    assert told == [set_at_ms + passed for passed in (0, 1_000, 2_000, 3_000)]
    wall_ms -= hour_ms  # Once more, before it has caught up.
    assert host.now_ms() == set_at_ms + 4_000
    wall_ms += 3 * hour_ms  # It is right again, and further.
    assert host.now_ms() == wall_ms
    wall_ms -= 5_000
    measured_ms += 2_000
    behind_ms = host.now_ms()
    measured_ms += 2_000
    assert (behind_ms, host.now_ms()) == (wall_ms + 5_000, wall_ms + 7_000)


async def ended(child: host_os.OsProcess) -> Exit:
    future: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
    child.on_exit(future.set_result)
    return await asyncio.wait_for(future, 20)


def test_children_leave_nothing_behind_in_this_process() -> None:
    async def scenario() -> None:
        host = OsHost()
        before = len(os.listdir("/proc/self/fd")), threading.active_count()
        for _ in range(5):
            child = host.spawn(STAY, {}, b"x")
            child.kill()
            assert await ended(child) == Exit(None, "SIGKILL")
        with pytest.raises(CommandNotStarted):
            host.spawn(["/no/such"], {}, b"x")
        with pytest.raises(CommandNotStarted):
            host.spawn(STAY, {}, b"two\nlines")
        gc.collect()
        assert (len(os.listdir("/proc/self/fd")), threading.active_count()) == before

    asyncio.run(scenario())


def test_the_end_of_the_parent_ends_the_pipe_of_each_child(tmp_path: Path) -> None:
    # The parent dies by SIGKILL; the witness exits by itself when its pipe ends. A second child
    # that lives on must not keep the pipe of the first one open.
    program = f"""
import asyncio, os, signal, sys
from visionflow.adapters.host_os import OsHost
async def main():
    host = OsHost()
    first = host.spawn([sys.executable, "-c", {WITNESS!r}], {{}}, b"x", sys.argv[1] + "/first")
    second = host.spawn({STAY!r}, {{}}, b"x")
    while not open(sys.argv[1] + "/first").read():
        await asyncio.sleep(0.01)
    print(first.pid, first.started, second.pid, second.started, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""
    found = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, timeout=60, text=True
    )
    assert found.returncode == -signal.SIGKILL, found.stderr
    first_pid, first_started, second_pid, second_started = found.stdout.split()

    async def scenario() -> None:
        host = OsHost()
        first = Identity(int(first_pid), first_started)
        async with asyncio.timeout(20):
            while os_processes.is_alive(first):
                await asyncio.sleep(0.005)
        assert os_processes.is_alive(Identity(int(second_pid), second_started))
        assert host.end_leftover(int(second_pid), second_started)
        assert not os_processes.is_alive(Identity(int(second_pid), second_started))

    asyncio.run(scenario())


def test_a_leftover_whose_leader_is_dead_is_ended_too() -> None:
    # The leader goes away by SIGKILL of nobody of ours; what it started stays in its session.
    program = (
        "import subprocess, sys, os\n"
        f"child = subprocess.Popen({STAY!r})\n"
        "print(open('/proc/self/stat').read().split(')')[1].split()[19], child.pid, flush=True)\n"
        "os._exit(0)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as leader:
        assert leader.stdout is not None
        who = os_processes.identity(leader.pid)
        words = leader.stdout.readline().split()
        leader.wait(20)
    assert who is not None
    orphan = os_processes.identity(int(words[1]))
    assert orphan is not None
    host = OsHost()
    for other_boot_or_later in ("00000000-1", f"{who.started}99999"):
        assert not host.end_leftover(leader.pid, other_boot_or_later)
        assert os_processes.is_alive(orphan)
    assert host.end_leftover(leader.pid, who.started)
    assert not os_processes.is_alive(orphan)


def test_what_a_descendant_forked_just_before_it_was_killed_is_ended_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In a session of its own: nothing leads from the family to it any more."""
    go, born = tmp_path / "go", tmp_path / "born"
    code = f"""
    import os, time
    if os.fork() == 0:
        os.setsid()
        open({str(tmp_path / "alive")!r}, "w").close()
        while not os.path.exists({str(go)!r}):
            time.sleep(0.005)
        child = os.fork()
        if child:
            with open({str(born)!r} + ".new", "w") as file:
                file.write(str(child))
            os.rename({str(born)!r} + ".new", {str(born)!r})
    time.sleep(600)
    """
    send = os_processes.send

    def late(who: Identity, number: signal.Signals) -> None:
        go.touch()
        _await(born)
        send(who, number)

    monkeypatch.setattr(os_processes, "send", late)
    argv = [sys.executable, "-I", "-S", "-c", textwrap.dedent(code)]
    with subprocess.Popen(argv, start_new_session=True) as leader:
        _await(tmp_path / "alive")
        who = os_processes.identity(leader.pid)
        assert who is not None
        assert os_processes.end_family(who)
    child = os_processes.identity(int(born.read_text()))
    if child is not None and os_processes.is_alive(child):
        send(child, signal.SIGKILL)
        pytest.fail("it was left alive")


def _await(file: Path) -> None:
    deadline = time.monotonic() + 60
    while not file.exists():
        assert time.monotonic() < deadline, f"{file.name} did not come"
        time.sleep(0.005)


def test_a_command_name_with_brackets_does_not_confuse_the_process_table(tmp_path: Path) -> None:
    odd = tmp_path / "a) Z 1 (b"
    odd.symlink_to(sys.executable)
    with subprocess.Popen([str(odd), *STAY[1:]], start_new_session=True) as child:
        found = os_processes.stat(child.pid)
        child.kill()
    assert found is not None
    assert (found.parent, found.group, found.session) == (os.getpid(), child.pid, child.pid)
    assert found.alive


def test_processes_are_told_apart_where_there_is_no_proc(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os_processes, "PROC", tmp_path)
    me = os_processes.identity(os.getpid())
    assert me is not None
    assert os_processes.is_alive(me)
    assert not os_processes.is_alive(Identity(me.pid, "1.0"))
    with subprocess.Popen(STAY, start_new_session=True) as child:
        who = os_processes.identity(child.pid)
        assert who is not None
        assert not os_processes.end_family(Identity(child.pid, "1.0"))
        assert os_processes.end_family(who)
    assert child.returncode == -signal.SIGKILL
    assert os_processes.identity(child.pid) is None


def test_a_process_that_cannot_be_watched_is_not_left_running(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No descriptor is free for it: whoever wanted it is told, and nothing of it stays."""

    async def scenario() -> None:
        host, started = OsHost(), list[int]()
        before = len(os.listdir("/proc/self/fd"))

        def none_free(pid: int) -> int:
            started.append(pid)
            raise OSError(errno.EMFILE, "Too many open files")

        with monkeypatch.context() as patch:
            patch.setattr(os, "pidfd_open", none_free)
            with pytest.raises(CommandNotStarted, match="Too many open files"):
                host.spawn(STAY, {}, b"x")
        with monkeypatch.context() as patch:
            patch.setattr(os, "pipe", lambda: none_free(0))
            with pytest.raises(CommandNotStarted, match="Too many open files"):
                host.spawn(STAY, {}, b"x")
        assert os_processes.stat(started[0]) is None
        assert len(os.listdir("/proc/self/fd")) == before

    asyncio.run(scenario())


@pytest.mark.parametrize("attached", [False, True])
def test_an_end_is_told_though_the_process_table_cannot_be_read_at_first(
    monkeypatch: pytest.MonkeyPatch, attached: bool
) -> None:
    async def scenario() -> None:
        host, tries = OsHost(), list[str]()
        child = host.spawn(STAY, {}, b"x")
        async with asyncio.timeout(60):
            # For a moment after it began it has no environment to be known by.
            while os_processes.mark_of(os_processes.Identity(child.pid, child.started)) is None:
                await asyncio.sleep(0.005)
        module = sys.modules["visionflow.adapters.attached"] if attached else host_os
        watched = host.attach(child.pid, child.started) if attached else child
        assert watched is not None

        def unreadable(mark: str) -> None:
            tries.append(mark)
            if len(tries) < 3:
                raise OSError(errno.EMFILE, "Too many open files")

        with monkeypatch.context() as patch:
            patch.setattr(module, "end_started_by", unreadable)
            told: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
            watched.on_exit(told.set_result)
            watched.kill()
            await asyncio.wait_for(told, 60)
            watched.kill()  # Harmless, though its number may be somebody else's by now.
        assert len(tries) == 3

    asyncio.run(scenario())
