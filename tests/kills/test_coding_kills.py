"""A run of coding agents that is killed with SIGKILL at each of its phases ends like a calm one."""

import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.coding.sample import make_sample, run_git
from tests.job.jobs import snapshot
from tests.kills.watched_contest import (
    AGAIN_TWO,
    QUICK,
    SLOW,
    Conclusion,
    WatchedContest,
    WatchedSplit,
)
from visionflow.domain import events as e

RELEASE = os.environ.get("VISIONFLOW_RELEASE") == "1"
pytestmark = pytest.mark.acceptance("coding-agents", "durable", "workspace", "confine")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_sample(tmp_path_factory.mktemp("coding") / "shop")


@pytest.fixture(scope="module")
def calm(workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Conclusion:
    with WatchedContest(workspace, tmp_path_factory.mktemp("calm")) as run:
        run.start()
        run.until(lambda: run.completed(QUICK))
        run.program_of(SLOW)
        run.let_slow_end()
        reference = run.conclusion()
        assert [go.how for go in run.journal(SLOW).goes] == ["started"]
    assert (reference.code, reference.winner) == (0, QUICK)
    assert reference.standings == [(QUICK, "taken", "changed"), (SLOW, "good", "changed")]
    return reference


@pytest.fixture
def run(workspace: Path, tmp_path: Path) -> Iterator[WatchedContest]:
    before = snapshot(workspace)
    with WatchedContest(workspace, tmp_path / "runs") as watched:
        yield watched
    assert snapshot(workspace) == before


def assert_done_once(run: WatchedContest) -> None:
    """By the log, the journals, what was printed, and /proc."""
    steps = Counter((v.task, v.key) for v in run.events if isinstance(v, e.StepFinished))
    done = Counter(v.task for v in run.events if isinstance(v, e.TaskCompleted))
    assert [key for key, times in (steps + done).items() if times > 1] == []
    assert run.alive_at_recovery == []
    for name in run.names:
        goes = run.journal(name).goes
        # A go is on record before its program is started, and named in the log before that, too.
        begun = run.log_of(name).count(b"[visionflow] go ")
        assert len(run.programs[name]) <= begun <= len(goes)
        assert run.most[name] <= 1
        assert [go.number for go in goes] == list(range(1, len(goes) + 1))


def test_eleven_kills_in_one_run_change_nothing_and_finished_work_is_not_done_again(
    run: WatchedContest, calm: Conclusion
) -> None:
    run.start()
    run.hold_at("workers starting")
    run.kill_orchestrator()
    run.recovered(1)
    run.hold_at("copied")
    run.kill_everything()
    run.start()
    run.recovered(2)
    run.program_of(SLOW)
    run.until(lambda: run.completed(QUICK))
    quick, printed = run.journal(QUICK), run.log_of(QUICK)
    run.kill_orchestrator()
    run.recovered(3)
    run.program_of(SLOW)
    worker = run.worker_of(SLOW)
    started = sum(isinstance(v, e.WorkerStarted) and v.worker == worker for v in run.events)
    run.kill_worker(worker)
    run.until_started(worker, started + 1)
    run.program_of(SLOW)
    run.kill_front()
    run.start()
    run.recovered(4)
    run.kill_program(SLOW)
    run.freeze()
    run.let_slow_end()
    # The program has ended and that is on the disk; nobody has recorded it.
    run.until(lambda: run.journal(SLOW).goes[-1].ended is not None)
    run.kill_everything()
    assert run.phase == "copied"
    run.start()
    run.recovered(5)
    run.hold_at("judging")
    run.kill_orchestrator()
    run.recovered(6)
    run.hold_at("judged one")
    run.let_go()
    run.kill_worker(run.worker_of("tester"))
    run.reached("judged")
    run.kill_everything()
    run.start()
    run.reached("ending")
    run.kill_everything()
    run.start()
    assert run.conclusion() == calm
    assert_done_once(run)
    assert (run.journal(QUICK), run.log_of(QUICK)) == (quick, printed)
    hows = run.journal(SLOW).hows
    assert (hows[0], hows[-1]) == ("started", "adopted")
    assert set(hows[1:-1]) == {"started_again"} and len(hows) >= 6
    assert run.told(SLOW)["went"].startswith("started, then started again")
    assert run.told(SLOW)["went"].endswith("then adopted what an earlier go had finished")
    # What it had written in each life is kept, beside what it left at last.
    kept = run_git(run.repository, "for-each-ref", "--format=%(refname)", "refs/visionflow/kept/")
    assert len(kept.splitlines()) >= 3, kept


Kill = Callable[[WatchedContest], None]


def _everything(run: WatchedContest) -> None:
    run.kill_everything()
    run.start()


def _front(run: WatchedContest) -> None:
    run.kill_front()
    run.start()


def _slow_worker(run: WatchedContest) -> None:
    run.kill_worker(run.worker_of(SLOW))


KILLS: dict[str, Kill] = {
    "everything": _everything,
    "front": _front,
    "orchestrator": WatchedContest.kill_orchestrator,
    "worker": _slow_worker,
}


@pytest.mark.parametrize("seed", range(12) if RELEASE else (7,))
def test_kills_at_random_moments_change_nothing(
    run: WatchedContest, calm: Conclusion, seed: int
) -> None:
    chance = random.Random(seed)
    run.start()
    run.until(lambda: run.phase not in ("nothing", "created"))
    for number in range(4):
        run.pause(chance.uniform(0.05, 2.0))
        KILLS[chance.choice(sorted(KILLS))](run)
        if number == 1:
            run.program_of(SLOW)
            run.let_slow_end()
    run.until_slow_ends()
    assert run.conclusion() == calm
    assert_done_once(run)


MERGING = ("merging", "once more", "merging again", "judging", "ranking", "ending")


def test_work_at_odds_is_merged_the_same_when_it_is_killed_at_each_step_of_the_queue(
    workspace: Path, tmp_path: Path
) -> None:
    with WatchedSplit(workspace, tmp_path / "calm") as calm:
        calm.start()
        reference = calm.conclusion()
    assert (reference.code, reference.winner) == (0, "result")
    with WatchedSplit(workspace, tmp_path / "killed") as run:
        run.start()
        for phase in MERGING:
            run.reached(phase)
            run.kill_everything()
            run.start()
        assert run.conclusion() == reference
        assert_done_once(run)
        assert run.told(AGAIN_TWO)["standing"] == "landed"
        assert run_git(run.repository, "show", f"{run.told('result')['tip']}:README.md") == (
            "# shop two one"
        )
