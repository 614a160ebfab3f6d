"""The disk is full while coding agents are at work: what was finished is kept, the rest goes on."""

import errno
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.coding.sample import make_sample
from tests.kills.watched_contest import QUICK, SLOW, WatchedContest
from visionflow.adapters.os_processes import is_alive
from visionflow.compose.job import ExitCode
from visionflow.domain import events as e

SIZE = "48m"
CHUNK = 65_536


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own that is soon full."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "visionflow-test", str(place)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, timeout=60)
    except FileNotFoundError:
        pytest.skip("no small file system can be mounted here: there is no mount")
    if done.returncode != 0:
        pytest.skip(f"no small file system can be mounted here: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True, timeout=60)


@contextmanager
def filled(place: Path) -> Iterator[None]:
    """Not a byte is free there."""
    ballast = place / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (CHUNK, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError as error:
                assert error.errno == errno.ENOSPC
    try:
        yield
    finally:
        ballast.unlink()


@pytest.mark.acceptance("coding-agents", "durable")
def test_finished_work_is_kept_when_the_disk_is_full_and_the_run_goes_on_once_it_is_not(
    tmp_path: Path, small: Path
) -> None:
    workspace = make_sample(tmp_path / "shop")
    with WatchedContest(workspace, small / "runs") as run:
        run.start()
        run.until(lambda: run.completed(QUICK))
        slow = run.program_of(SLOW)
        quick, printed = run.journal(QUICK), run.log_of(QUICK)
        with filled(small):
            run.let_slow_end()
            code, told = run.ended()
        assert code == ExitCode.INTERNAL, told
        assert "disk is full" in told and "Resume with: visionflow run --resume" in told
        assert "should not happen" not in told
        assert run.living() == [] and not is_alive(slow)
        run.start()
        run.until_slow_ends()
        done = run.conclusion()
        assert (done.code, done.winner) == (0, QUICK)
        assert (run.journal(QUICK), run.log_of(QUICK)) == (quick, printed)
        assert sum(isinstance(v, e.TaskCompleted) and v.task == QUICK for v in run.events) == 1
