"""How confined commands end: limits, cancellation, killed workers; nothing is ever left."""

import asyncio
import os
import secrets
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

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

from visionflow.adapters.confine import Means, OsSandbox
from visionflow.adapters.confine.output import KeptOutput
from visionflow.adapters.confine.probe import established

DAEMON = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        open("alive", "w").close()
        time.sleep(300)
    os._exit(0)
os.wait()
while not os.path.exists("alive"):
    time.sleep(0.001)
"""


@pytest.fixture(params=CONFINING, ids=named)
def sandbox(request: pytest.FixtureRequest) -> OsSandbox:
    return sandbox_of(request.param)


@pytest.fixture
def token() -> str:
    return secrets.token_hex(8)


def own_groups(worker: int) -> set[str]:
    """Control groups of a worker's commands that are still there."""
    found = established(tuple(CONFINING[:1]))
    return {
        each.name for _, parent in found.groups for each in parent.glob(f"visionflow-{worker}-*")
    }


def test_an_exit_code_and_both_streams_come_back(sandbox: OsSandbox, tmp_path: Path) -> None:
    code = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"
    heard: dict[str, bytes] = {"stdout": b"", "stderr": b""}

    def hear(name: str, data: bytes) -> None:
        heard[name] += data

    done = asyncio.run(sandbox.run(python_command(tmp_path, code), hear))
    assert (done.exit_code, done.ended_by) == (3, None)
    assert (done.stdout, done.stderr) == ("out\n", "err\n")
    assert heard == {"stdout": b"out\n", "stderr": b"err\n"}
    assert done.memory_peak_bytes is not None
    assert done.memory_peak_bytes > 1_000_000


def test_death_by_signal_is_named(sandbox: OsSandbox, tmp_path: Path) -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    done = run(sandbox, python_command(tmp_path, code))
    if done.enforced.filesystem == "bubblewrap":  # which reports it the way a shell does
        assert done.exit_code == 128 + signal.SIGSEGV
    else:
        assert (done.exit_code, done.ended_by) == (None, "signal:SIGSEGV")


@pytest.mark.acceptance("confine")
def test_a_daemon_forked_twice_ends_with_its_command(
    sandbox: OsSandbox, tmp_path: Path, token: str
) -> None:
    done = run(sandbox, python_command(tmp_path, DAEMON, token))
    assert done.exit_code == 0, done.stderr
    assert processes_with(token) == []


@pytest.mark.acceptance("confine")
def test_forking_for_ever_is_contained(sandbox: OsSandbox, tmp_path: Path, token: str) -> None:
    code = """
import os
open("begun", "w").close()
while True:
    try:
        os.fork()
    except OSError:
        open("refused", "w").close()
"""
    command = python_command(tmp_path, code, token, wall_ms=1500, processes_max=40)
    done = run(sandbox, command)
    assert done.exit_code is None
    assert done.ended_by in ("wall_clock", "signal:SIGKILL")
    assert (tmp_path / "begun").exists()
    assert processes_with(token) == []


@pytest.mark.acceptance("confine")
def test_eating_memory_ends_as_memory(sandbox: OsSandbox, tmp_path: Path) -> None:
    code = "kept = []\nwhile True: kept.append(bytearray(4_000_000))"
    ceiling = 150_000_000
    done = run(sandbox, python_command(tmp_path, code, memory_bytes=ceiling))
    assert (done.exit_code, done.ended_by) == (None, "memory")
    assert done.memory_peak_bytes is not None
    assert done.memory_peak_bytes > ceiling // 2


def test_memory_is_watched_where_no_control_group_can_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = sandbox_of(CONFINING[0])
    monkeypatch.setattr("visionflow.adapters.confine.groups.named", lambda _parents: {})
    code = "import time; kept = bytearray(b'x') * 300_000_000; time.sleep(60)"
    done = run(sandbox, python_command(tmp_path, code, memory_bytes=100_000_000))
    assert done.ended_by == "memory"
    forks = "import os, time\nfor _ in range(60): os.fork() or time.sleep(60)\ntime.sleep(60)"
    done = run(sandbox, python_command(tmp_path, forks, processes_max=20))
    assert done.ended_by == "signal:SIGKILL" or "unavailable" in done.stderr


@pytest.mark.acceptance("confine")
def test_the_wall_clock_ends_the_whole_tree(sandbox: OsSandbox, tmp_path: Path, token: str) -> None:
    code = DAEMON + "time.sleep(300)"
    done = run(sandbox, python_command(tmp_path, code, token, wall_ms=400))
    assert (done.exit_code, done.ended_by) == (None, "wall_clock")
    assert done.wall_ms >= 400
    assert processes_with(token) == []


def test_cancelling_ends_the_tree_before_it_returns(
    sandbox: OsSandbox, tmp_path: Path, token: str
) -> None:
    async def cancelled() -> list[int]:
        command = python_command(tmp_path, DAEMON + "time.sleep(300)", token)
        task = asyncio.ensure_future(sandbox.run(command))
        alive = await asyncio.to_thread(becomes_true, (tmp_path / "alive").exists)
        assert alive
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return processes_with(token)

    assert asyncio.run(cancelled()) == []
    assert own_groups(os.getpid()) == set()


@pytest.mark.acceptance("confine")
@pytest.mark.parametrize("victim", ["worker", "launcher"])
def test_a_killed_worker_or_launcher_leaves_nothing(
    sandbox: OsSandbox, tmp_path: Path, token: str, victim: str
) -> None:
    means = established((CONFINING[CONFINING.index(_means_of(sandbox))],)).means
    code = f"""
    import asyncio, sys
    from pathlib import Path
    sys.path.insert(0, {str(Path(__file__).parent)!r})
    from confine_support import CONFINING, python_command, sandbox_of
    from test_confine_ends import DAEMON
    command = python_command(Path({str(tmp_path)!r}), DAEMON + "time.sleep(300)", {token!r})
    print(asyncio.run(sandbox_of(CONFINING[{CONFINING.index(means)}]).run(command)).ended_by)
    """
    (tmp_path / "scratch").mkdir()
    worker = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "TMPDIR": str(tmp_path / "scratch")},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert becomes_true((tmp_path / "alive").exists)
        below = processes_with(token)
        assert len(below) > 1
        if victim == "worker":
            worker.kill()
        else:
            os.kill(_launcher_below(worker.pid), signal.SIGKILL)
        assert becomes_true(lambda: set(processes_with(token)) <= {worker.pid})
        said, _ = worker.communicate(timeout=30)
        assert said == ("" if victim == "worker" else "signal:SIGKILL\n")
        assert becomes_true(lambda: not list((tmp_path / "scratch").iterdir()))
        assert becomes_true(lambda: not own_groups(worker.pid))
    finally:
        worker.kill()
        worker.communicate()


def _means_of(sandbox: OsSandbox) -> Means:
    return next(each for each in CONFINING if OsSandbox((each,)).confinement == sandbox.confinement)


def _launcher_below(worker: int) -> int:
    for each in processes_with("confine/start.py"):
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        if int(fields[1]) == worker:
            return each
    raise AssertionError("no launcher below the worker")


def test_ten_megabytes_of_output_stay_bounded(sandbox: OsSandbox, tmp_path: Path) -> None:
    code = "import sys; sys.stdout.write('first' + 'x' * 10_000_000 + 'last')"
    heard: list[int] = []
    command = python_command(tmp_path, code, output_bytes_max=10_000)
    done = asyncio.run(sandbox.run(command, lambda _name, data: heard.append(len(data))))
    assert sum(heard) == 10_000_009
    assert len(done.stdout) < 10_200
    assert done.stdout.startswith("firstx")
    assert done.stdout.endswith("xlast")
    assert "[... 9990009 bytes left out ...]" in done.stdout


def test_kept_output_is_whole_up_to_the_bound_and_halved_beyond() -> None:
    kept = KeptOutput(10)
    for part in (b"0123", b"4567", b"89"):
        kept.add(part)
    assert kept.text() == "0123456789"
    for part in (b"a", b"bcdefghijkl"):
        kept.add(part)
    assert kept.text() == "01234\n[... 12 bytes left out ...]\nhijkl"


def test_a_listener_that_raises_ends_the_command_too(
    sandbox: OsSandbox, tmp_path: Path, token: str
) -> None:
    def refuse(_name: str, _data: bytes) -> None:
        raise RuntimeError("full")

    code = "import time; print('x', flush=True); time.sleep(300)"
    with pytest.raises(RuntimeError, match="full"):
        asyncio.run(sandbox.run(python_command(tmp_path, code, token), refuse))
    assert processes_with(token) == []


def test_commands_run_side_by_side_and_leave_no_groups(tmp_path: Path) -> None:
    sandbox = sandbox_of(CONFINING[0])

    async def all_of_them() -> list[str]:
        runs = [sandbox.run(python_command(tmp_path, f"print({n})")) for n in range(5)]
        return [done.stdout for done in await asyncio.gather(*runs)]

    assert asyncio.run(all_of_them()) == [f"{n}\n" for n in range(5)]
    assert own_groups(os.getpid()) == set()


@pytest.mark.skipif(os.geteuid() != 0, reason="is a plain user already")
def test_a_plain_user_is_confined_as_well(tmp_path: Path) -> None:
    python = next((each for each in ("/usr/bin/python3",) if os.access(each, os.X_OK)), None)
    if python is None or _version(python) != sys.version_info[:2]:
        pytest.skip("no Python of this version that other users can run")
    code = """
    import asyncio, sys, tempfile
    from pathlib import Path
    from confine_support import python_command
    from visionflow.adapters.confine import OsSandbox
    sandbox = OsSandbox()
    assert sandbox.confinement.active, sandbox.confinement
    forks = "import os, time\\nfor _ in range(60): os.fork() or time.sleep(60)"
    with tempfile.TemporaryDirectory() as folder:
        command = python_command(Path(folder), forks, processes_max=20, wall_ms=5000)
        print(asyncio.run(sandbox.run(command)).stderr)
        eat = "kept = bytearray(b'x') * 300_000_000; import time; time.sleep(60)"
        command = python_command(Path(folder), eat, memory_bytes=100_000_000)
        print(asyncio.run(sandbox.run(command)).ended_by)
    """
    packages, source = _copied_for_others(tmp_path)
    done = subprocess.run(
        [python, "-c", textwrap.dedent(code)],
        env={"PYTHONPATH": os.pathsep.join((source, packages)), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd="/",
        user=65534,
        group=65534,
        extra_groups=(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "BlockingIOError" in done.stdout
    assert done.stdout.endswith("memory\n")


def _version(python: str) -> tuple[int, ...]:
    said = subprocess.check_output([python, "-c", "import sys; print(*sys.version_info[:2])"])
    return tuple(int(each) for each in said.split())


def _copied_for_others(tmp_path: Path) -> tuple[str, str]:
    """Our code and its packages where a plain user may read them."""
    import msgspec

    import visionflow

    packages, source = tmp_path / "packages", tmp_path / "source"
    for module in (msgspec, visionflow):
        folder = Path(str(module.__file__)).parent
        shutil.copytree(folder, packages / folder.name)
    source.mkdir()
    shutil.copy(Path(__file__).with_name("confine_support.py"), source)
    for each in (tmp_path, *tmp_path.parents):
        if each.stat().st_uid == os.geteuid() and str(each) not in ("/", "/tmp"):
            each.chmod(0o755)
    return str(packages), str(source)
