"""The tools under the sandbox of this machine: what the project's tests may do, and may not."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from tool_projects import QUICK, reviewed, suite_of, write

from visionflow.adapters.confine import OsSandbox
from visionflow.agents.tools.project import look
from visionflow.agents.tools.results import TestRun
from visionflow.agents.tools.review import ReviewRequest, review

_TRIES = """
import os, pathlib, socket
import pytest
import mod

def test_works_in_its_own_copy_and_folders():
    pathlib.Path("made-by-test").write_text("x")
    pathlib.Path(os.environ["HOME"], "file").write_text("x")
    assert mod.f(1) == 1

def test_cannot_read_or_write_the_users_folder():
    with pytest.raises(OSError):
        pathlib.Path({secret!r}).read_text()
    with pytest.raises(OSError):
        pathlib.Path({secret!r} + "2").write_text("x")

def test_cannot_dial_out():
    with pytest.raises(OSError):
        socket.create_connection(("192.0.2.1", 80), timeout=2)
"""


def _confined(run: TestRun) -> bool:
    """False on a machine where nothing confines; then nothing may have been executed."""
    if OsSandbox().confinement.active:
        return True
    assert (run.outcome, run.enforced, run.counts.total) == ("could_not_run", None, 0)
    return False


@pytest.mark.acceptance("confine")
def test_a_confined_suite_runs_and_is_measured_and_reaches_nothing_else(tmp_path: Path) -> None:
    workspace = write(tmp_path / "workspace", {"secret": "s"})
    tests = _TRIES.format(secret=str(workspace / "secret"))
    root = write(tmp_path / "copy", {
        "pytest.ini": QUICK, "mod.py": "def f(x):\n    return x\n", "test_a.py": tests,
    })  # fmt: skip
    run = suite_of(root, tmp_path / "out", sandbox=OsSandbox(), workspace=workspace)
    if _confined(run):
        assert (run.outcome, run.reason, run.counts.passed) == ("passed", None, 3)
        assert run.coverage == 100.0
        assert run.enforced is not None
        assert run.enforced.filesystem
    assert sorted(path.name for path in workspace.iterdir()) == ["secret"]


def test_a_confined_suite_uses_the_environment_of_the_users_folder(tmp_path: Path) -> None:
    workspace = write(tmp_path / "workspace", {"README": ""})
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", str(workspace / ".venv")], check=True
    )
    body = "import sys\ndef test_a(): assert 'workspace' in sys.prefix\n"
    root = write(tmp_path / "copy", {"mod.py": "x = 1\n", "test_a.py": body})
    run = suite_of(root, tmp_path / "out", sandbox=OsSandbox(), workspace=workspace)
    if _confined(run):
        assert (run.outcome, run.reason) == ("passed", None)
        assert "lent by VisionFlow" in run.environment


def test_a_confined_review_finds_the_same_as_an_unconfined_one(tmp_path: Path) -> None:
    root = write(
        tmp_path / "copy", {"a.py": "import os\nexec(os.name)\n", "broken.py": "def f(:\n"}
    )
    runs = reviewed(root, tmp_path / "1", OsSandbox())
    if not OsSandbox().confinement.active:
        assert {run.ended for run in runs} == {"not_run"}
        return
    plain = reviewed(root, tmp_path / "2")
    assert [run.findings for run in runs] == [run.findings for run in plain]
    assert all(any(held.startswith("filesystem") for held in run.enforced) for run in runs)


def test_a_cancelled_suite_leaves_no_task_behind(tmp_path: Path) -> None:
    from tool_projects import request_for
    from unconfined import UnconfinedSandbox

    from visionflow.agents.tools.project import look
    from visionflow.agents.tools.testing import run_tests

    body = "import time\ndef test_a(): time.sleep(60)\n"
    root = write(tmp_path / "copy", {"pytest.ini": QUICK, "test_a.py": body})

    async def cancelled() -> int:
        started = asyncio.Event()
        request = request_for(root, tmp_path / "out")
        work = asyncio.ensure_future(
            run_tests(UnconfinedSandbox(), look(str(root)), request, lambda _: started.set())
        )
        await asyncio.wait_for(started.wait(), 30)
        work.cancel()
        done = await asyncio.gather(work, return_exceptions=True)
        assert isinstance(done[0], asyncio.CancelledError)
        return len(asyncio.all_tasks())

    assert asyncio.run(cancelled()) == 1


@pytest.mark.acceptance("confine")
def test_all_review_tools_work_under_this_machines_confinement(tmp_path: Path) -> None:
    root = write(tmp_path / "repo", {
        "a.py": "import os\neval(x)\n\n\ndef lost():  # noqa: F821\n    pass  # nosec\n",
        "b.env": "SECRET_TOKEN=aB3dE5fG7hI9\n",
    })  # fmt: skip
    sandbox = OsSandbox()
    if not sandbox.confinement.active:
        return
    scratch = str(tmp_path / "scratch")
    request = ReviewRequest(str(root), look(str(root)), scratch=scratch, depth="thorough")
    runs = asyncio.run(review(sandbox, request))
    assert {run.ended for run in runs} == {"completed"}
    assert all(run.enforced for run in runs)
    assert sorted(finding.rule for run in runs for finding in run.findings) == [
        "B307", "F401", "F821", "KeywordDetector", "unused-function",
    ]  # fmt: skip
