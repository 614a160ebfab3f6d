"""Locks that outlive everybody but the command, and output that has an end."""

import asyncio
import ctypes
import fcntl
import os
import secrets
import signal
import struct
import subprocess
import sys
import textwrap
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from confine_support import (
    CONFINING,
    becomes_true,
    named,
    processes_with,
    python_command,
    run,
    sandbox_of,
)
from test_confine_ends import DAEMON

from visionflow.adapters.confine import Means, OsSandbox, running
from visionflow.adapters.confine.inside.removal import remove_tree
from visionflow.adapters.confine.ordering import order_for


@pytest.fixture(params=CONFINING, ids=named)
def sandbox(request: pytest.FixtureRequest) -> OsSandbox:
    return sandbox_of(request.param)


@pytest.fixture
def token() -> str:
    return secrets.token_hex(8)


def is_free(lock: Path) -> bool:
    """Whether nobody holds it now."""
    place = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(place)
    return True


@pytest.mark.acceptance("confine")
def test_a_lock_is_held_while_its_command_lives_and_free_at_its_end(
    sandbox: OsSandbox, tmp_path: Path
) -> None:
    lock = tmp_path / "lock"
    held = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(held, fcntl.LOCK_EX)
    code = "import os\nopen('up', 'w').close()\nwhile not os.path.exists('go'): pass"

    async def whole() -> tuple[bool, int | None]:
        command = msgspec.structs.replace(python_command(tmp_path, code), locks=(held,))
        task = asyncio.ensure_future(sandbox.run(command))
        assert await asyncio.to_thread(becomes_true, (tmp_path / "up").exists)
        os.close(held)
        free = is_free(lock)
        (tmp_path / "go").touch()
        return free, (await task).exit_code

    assert asyncio.run(whole()) == (False, 0)
    assert is_free(lock)


@pytest.mark.acceptance("confine")
def test_the_command_itself_does_not_get_the_lock(sandbox: OsSandbox, tmp_path: Path) -> None:
    held = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    code = """
import os
for each in range(3, 100):
    if os.path.lexists(f"/proc/self/fd/{each}"):
        print(os.readlink(f"/proc/self/fd/{each}"))
"""
    try:
        command = msgspec.structs.replace(python_command(tmp_path, code), locks=(held,))
        done = run(sandbox, command)
    finally:
        os.close(held)
    assert done.exit_code == 0, done.stderr
    assert "lock" not in done.stdout


@pytest.mark.acceptance("confine")
@pytest.mark.parametrize("victim", ["worker", "launcher", "both", "group", "terminal"])
def test_whoever_gets_the_lock_after_a_kill_finds_no_process_left(
    sandbox: OsSandbox, tmp_path: Path, token: str, victim: str
) -> None:
    lock = tmp_path / "lock"
    worker = _worker_with(lock, sandbox, token)
    inside = _those_inside(token, worker.pid)
    try:
        assert becomes_true((tmp_path / "alive").exists, 60)
        assert len(inside()) > 1
        assert not is_free(lock)
        launcher = _launchers_below(worker.pid)
        if victim in ("worker", "both"):
            os.kill(worker.pid, signal.SIGKILL)
        if victim in ("launcher", "both"):
            os.kill(launcher[0], signal.SIGKILL)
        if victim in ("group", "terminal"):  # as a host ends a worker, and a terminal that closes
            os.killpg(worker.pid, signal.SIGKILL if victim == "group" else signal.SIGHUP)
        held = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
        if victim == "launcher":  # whose worker goes on and has the lock too
            worker.kill()
        fcntl.flock(held, fcntl.LOCK_EX)
        left = inside()
        os.close(held)
        assert left == []
    finally:
        worker.kill()
        worker.wait()
    assert becomes_true(lambda: not _keepers(launcher))


# In a process namespace the kernel ends the tree with its first process; bubblewrap makes one.
SHARING = [each for each in CONFINING if not (each.namespaces or each.bubblewrap)]


@pytest.mark.acceptance("confine")
@pytest.mark.parametrize("means", SHARING, ids=named)
def test_a_launcher_that_is_killed_while_it_ends_its_tree_leaves_the_lock_with_who_goes_on(
    means: Means, tmp_path: Path, token: str
) -> None:
    sandbox, lock = sandbox_of(means), tmp_path / "lock"
    worker = _worker_with(lock, sandbox, token)
    inside = _those_inside(token, worker.pid)
    reaper: list[int] = []
    try:
        assert becomes_true((tmp_path / "alive").exists, 60)
        (launcher,) = _launchers_below(worker.pid)
        parents = {_parent(each) for each in inside()}
        reaper = [each for each in _keepers([launcher]) if each in parents]
        os.kill(reaper[0], signal.SIGSTOP)
        worker.kill()
        assert becomes_true(lambda: _awaits_an_end(launcher)), "it did not wait for its reaper"
        assert inside() and not is_free(lock)
        os.kill(launcher, signal.SIGKILL)
        held = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
        fcntl.flock(held, fcntl.LOCK_EX)
        left = inside()
        os.close(held)
        assert left == []
    finally:
        for each in reaper:
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGCONT)
        worker.kill()
        worker.wait()


@pytest.mark.parametrize("means", SHARING, ids=named)
def test_a_reaper_that_was_stopped_ends_its_tree_once_the_launcher_is_killed(
    means: Means, tmp_path: Path, token: str
) -> None:
    sandbox = sandbox_of(means)
    command = python_command(tmp_path, DAEMON + "time.sleep(300)", token)

    async def whole() -> list[int]:
        task = asyncio.ensure_future(sandbox.run(command))
        assert await asyncio.to_thread(becomes_true, (tmp_path / "alive").exists)
        (launcher,) = _launchers_below(os.getpid())
        (reaper,) = _keepers([launcher])
        os.kill(reaper, signal.SIGSTOP)
        os.kill(launcher, signal.SIGKILL)
        await asyncio.wait({task}, timeout=10)
        left = processes_with(token)
        with suppress(ProcessLookupError):
            os.kill(reaper, signal.SIGCONT)
        await task
        return left

    assert asyncio.run(whole()) == []


@pytest.mark.parametrize("means", SHARING, ids=named)
def test_a_command_is_not_over_before_its_tree_is_though_its_launcher_was_killed(
    means: Means, tmp_path: Path, token: str
) -> None:
    sandbox = sandbox_of(means)
    silent = "import os, sys\nsys.stdout.close()\nfor each in (1, 2): os.close(each)\n"
    command = python_command(tmp_path, silent + DAEMON + "time.sleep(300)", token)

    async def whole() -> tuple[bool, str | None, list[int]]:
        task = asyncio.ensure_future(sandbox.run(command))
        assert await asyncio.to_thread(becomes_true, (tmp_path / "alive").exists)
        (launcher,) = _launchers_below(os.getpid())
        slow = _slow_to_die(processes_with(token)[-1])
        try:
            os.kill(launcher, signal.SIGKILL)
            await asyncio.wait({task}, timeout=2)
            early = task.done()
        finally:
            _let_die(slow)
        return early, (await task).ended_by, processes_with(token)

    assert asyncio.run(whole()) == (False, "signal:SIGKILL", [])


@pytest.mark.acceptance("confine")
def test_a_launcher_that_is_killed_while_its_tree_is_dying_leaves_the_lock_held(
    sandbox: OsSandbox, tmp_path: Path, token: str
) -> None:
    lock = tmp_path / "lock"
    worker = _worker_with(lock, sandbox, token)
    inside = _those_inside(token, worker.pid)
    slow = 0
    try:
        assert becomes_true((tmp_path / "alive").exists, 60)
        (launcher,) = _launchers_below(worker.pid)
        slow = _slow_to_die(inside()[-1])
        worker.kill()
        assert becomes_true(lambda: _state(slow) == "t"), "nobody ended it"
        # Whoever lets the lock go too early does so now, one step on.
        becomes_true(lambda: len(_keepers([launcher])) == 0, 0.5)
        os.kill(launcher, signal.SIGKILL)
        assert becomes_true(lambda: _state(launcher) in ("", "Z"))
        assert not is_free(lock)
    finally:
        worker.kill()
        if slow:
            _let_die(slow)
        worker.wait()
    held = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    fcntl.flock(held, fcntl.LOCK_EX)
    left = inside()
    os.close(held)
    assert left == []


def test_no_command_begins_before_the_keeper_knows_whom_to_wait_for(tmp_path: Path) -> None:
    """Else it would let go at once, were the launcher killed in between."""
    order = order_for(python_command(tmp_path, "open('told', 'a').write('began ')"), Means(), {})
    hear, tell = os.pipe()
    told, result = os.pipe()
    raw = order.encoded()
    os.write(tell, struct.pack("=I", len(raw)) + raw)
    late = f"""
    import sys, time
    sys.path.insert(0, {str(Path(running.__file__).parent)!r})
    from inside import keeper, launcher
    def watch(tell, reaper):
        time.sleep(0.5)
        with open({str(tmp_path / "told")!r}, "a") as file:
            file.write("watched ")
    keeper.watch = watch
    launcher.main({hear}, {result})
    """
    argv = [sys.executable, "-I", "-S", "-c", textwrap.dedent(late)]
    subprocess.run(argv, pass_fds=(hear, result), check=True, timeout=60)
    for each in (hear, tell, told, result):
        os.close(each)
    remove_tree(order.scratch)
    assert (tmp_path / "told").read_text() == "watched began "


_PTRACE = ctypes.CDLL(None, use_errno=True).ptrace
_PTRACE.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
_SEIZE, _DETACH, _STOPS_AT_ITS_END, _ALL = 0x4206, 17, 0x40, 0x40000000


def _slow_to_die(process: int) -> int:
    """The same process, which is not gone when it is killed, but once it is let."""
    assert _PTRACE(_SEIZE, process, None, _STOPS_AT_ITS_END) == 0, os.strerror(ctypes.get_errno())
    return process


def _let_die(process: int) -> None:
    os.waitpid(process, _ALL)
    _PTRACE(_DETACH, process, None, None)


def _state(process: int) -> str:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def _awaits_an_end(process: int) -> bool:
    """Whether it holds a descriptor of a process."""
    try:
        places = list(Path(f"/proc/{process}/fd").iterdir())
        return any("pidfd" in os.readlink(each) for each in places)
    except OSError:
        return False


def _worker_with(lock: Path, sandbox: OsSandbox, token: str) -> "subprocess.Popen[bytes]":
    """A process that runs a command under a lock, in the lock's folder, until it is killed."""
    index = next(n for n, each in enumerate(CONFINING)
                 if OsSandbox((each,)).confinement == sandbox.confinement)  # fmt: skip
    code = f"""
    import asyncio, fcntl, os, sys
    from pathlib import Path
    sys.path.insert(0, {str(Path(__file__).parent)!r})
    import msgspec
    from confine_support import CONFINING, python_command, sandbox_of
    from test_confine_ends import DAEMON
    held = os.open({str(lock)!r}, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(held, fcntl.LOCK_EX)
    command = python_command(Path({str(lock.parent)!r}), DAEMON + "time.sleep(300)", {token!r})
    command = msgspec.structs.replace(command, locks=(held,), wall_ms=300_000)
    os.set_inheritable(held, False)
    asyncio.run(sandbox_of(CONFINING[{index}]).run(command))
    """
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], start_new_session=True)


def _those_inside(token: str, worker: int) -> Callable[[], list[int]]:
    return lambda: [each for each in processes_with(token) if each != worker]


def _launchers_below(worker: int) -> list[int]:
    return [each for each in processes_with("confine/start.py") if _parent(each) == worker]


def _keepers(launchers: list[int]) -> list[int]:
    """What shares the launcher's command line and its parent's id."""
    return [each for each in processes_with("confine/start.py") if _parent(each) in launchers]


def _parent(process: int) -> int:
    try:
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


@pytest.mark.acceptance("confine")
def test_more_output_than_may_be_read_ends_the_whole_tree(
    sandbox: OsSandbox, tmp_path: Path, token: str
) -> None:
    code = DAEMON + "while True: sys.stdout.write('x' * 1000); sys.stderr.write('y' * 1000)"
    heard: list[int] = []
    command = msgspec.structs.replace(
        python_command(tmp_path, code, token, wall_ms=300_000), output_total_bytes_max=300_000
    )
    done = asyncio.run(sandbox.run(command, lambda _name, data: heard.append(len(data))))
    assert (done.exit_code, done.ended_by) == (None, "output")
    assert sum(heard) == 300_000
    assert processes_with(token) == []


def test_as_much_output_as_may_be_read_is_no_flood(sandbox: OsSandbox, tmp_path: Path) -> None:
    command = msgspec.structs.replace(
        python_command(tmp_path, "print('x' * 999)"), output_total_bytes_max=1000
    )
    done = run(sandbox, command)
    assert (done.exit_code, done.ended_by, len(done.stdout)) == (0, None, 1000)
