"""A run that is stopped in the middle and taken up again ends as a calm one does."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from jobs import GOAL, SAMPLE, carry_out, events_of, run_on, steps_of, write

from visionflow.compose.job import JobProgress, RunFolder, create_run, execute, list_runs
from visionflow.compose.job.exits import ExitCode
from visionflow.domain.errors import StoreInUse


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, RunFolder]]:
    place = tmp_path_factory.mktemp("calm")
    workspace = write(place / "ws", SAMPLE)
    folder, _ = run_on(workspace, place / "out")
    yield workspace, folder


def status(progress: JobProgress, name: str) -> str:
    return next(task.status for task in progress.tasks if task.name == name)


MOMENTS: dict[str, Callable[[JobProgress], bool]] = {
    "before anything ran": lambda p: True,
    "while the tests run": lambda p: status(p, "tests") == "running",
    "after the first scan": lambda p: p.findings is not None,
}


@pytest.mark.acceptance("main-job")
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_resumed_run_has_the_findings_and_gates_of_a_calm_one(
    calm: tuple[Path, RunFolder], tmp_path: Path, moment: str
) -> None:
    workspace, quiet = calm
    folder = create_run(GOAL, workspace, tmp_path / "out")

    def stop_then(progress: JobProgress, stop: threading.Event) -> None:
        if MOMENTS[moment](progress):
            stop.set()

    cut = carry_out(folder, stop_then)
    assert (cut.status, cut.exit_code) == ("interrupted", ExitCode.INTERRUPTED)
    assert [info.status for info in list_runs(tmp_path / "out")] == ["interrupted"]
    assert folder.report.is_file()
    before = steps_of(folder)
    whole = carry_out(folder)
    expected = quiet.read_summary()
    assert expected is not None
    assert whole.status == "completed"
    assert whole.summary["gates"] == expected["gates"]
    assert whole.summary["findings"] == expected["findings"]
    assert folder.sarif.read_bytes() == quiet.sarif.read_bytes()
    after = steps_of(folder)
    assert after[: len(before)] == before
    assert sorted(set(after)) == sorted(after) == sorted(steps_of(quiet))
    order = folder.read_order()
    kinds = [event["type"] for event in events_of(folder)]
    assert kinds.count("recovered") == 1
    assert kinds.count("plan_submitted") == 1
    assert kinds.count("agent_spawned") == len(order.agents)


def test_a_run_that_somebody_works_on_is_running_and_cannot_be_taken_up(tmp_path: Path) -> None:
    folder = create_run(GOAL, write(tmp_path / "ws", SAMPLE), tmp_path / "out")
    assert folder.status() == "running"
    seen: list[str] = []

    def once(progress: JobProgress, stop: threading.Event) -> None:
        if not seen:
            seen.append(folder.status())
            with pytest.raises(StoreInUse):
                carry_out(RunFolder(folder.path))
            seen.append(folder.status())
        stop.set()

    carry_out(folder, once)
    assert seen == ["running", "running"]
    assert folder.status() == "interrupted"


def test_killing_ends_at_once_and_leaves_the_run_to_be_resumed(tmp_path: Path) -> None:
    folder = create_run(GOAL, write(tmp_path / "ws", SAMPLE), tmp_path / "out")
    kill = threading.Event()
    outcome = execute(folder, on_progress=lambda _: kill.set(), stop=threading.Event(), kill=kill)
    assert outcome.status == "interrupted"
    pids = [event["pid"] for event in events_of(folder) if event["type"] == "worker_started"]
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
