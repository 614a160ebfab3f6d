"""Runs killed with SIGKILL in ten different phases end like a calm one, and do nothing twice."""

import json
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import pytest

from tests.kills.slow_package import make_sample
from tests.kills.watched_run import ORCHESTRATOR, Seen, WatchedRun, orchestrators, phases_of_kills
from visionflow.adapters.os_processes import Identity
from visionflow.domain import events as e

SEEDS = (417, 2029)


class Reference(NamedTuple):
    """What a run came to, as far as it must not depend on how it went."""

    code: int
    status: str
    findings: dict[str, Any]
    gates: dict[str, Any]
    sarif: bytes
    cases: list[tuple[str, str]]
    patch: bytes
    ballots: list[tuple[str, str, str]]
    decision: str


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_sample(tmp_path_factory.mktemp("kills") / "sample")


@pytest.fixture(scope="module")
def calm(workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Reference:
    with WatchedRun(workspace, tmp_path_factory.mktemp("calm")) as run:
        run.start()
        reference = conclusion(run)
        assert phases_of_kills(run.events) == []
    assert reference.gates == {
        "tests": True, "syntax": True, "findings": False, "secrets": True,
        "patch": True,
    }  # fmt: skip
    assert len(reference.cases) == 8
    assert b"-import os" in reference.patch
    assert len(reference.ballots) == 3
    return reference


@pytest.fixture
def run(workspace: Path, tmp_path: Path) -> Iterator[WatchedRun]:
    with WatchedRun(workspace, tmp_path / "runs") as watched:
        yield watched


def conclusion(run: WatchedRun) -> Reference:
    """Wait for the end of a run; nothing of it may live then."""
    code, printed = run.result()
    assert run.living() == []
    run.look()
    folder = run.folder
    assert folder is not None
    assert printed["run"] == folder.name
    assert printed["out"] == str(folder)
    return Reference(
        code,
        printed["status"],
        printed["findings"],
        printed["gates"],
        (folder / "findings.sarif").read_bytes(),
        sorted(cases_of(folder / "junit.xml")),
        (folder / "changes.patch").read_bytes(),
        sorted((v.member, v.choice, v.evidence) for v in run.events if isinstance(v, e.BallotCast)),
        next(v.decision for v in run.events if isinstance(v, e.VoteDecided)),
    )


def is_over(folder: Path | None) -> bool:
    """Whether the summary that is there is the last one."""
    with suppress(OSError, ValueError):
        if folder is not None:
            return json.loads((folder / "summary.json").read_bytes())["status"] == "completed"
    return False


def cases_of(junit: Path) -> Iterator[tuple[str, str]]:
    for case in ElementTree.parse(junit).iter("testcase"):
        outcome = next((child.tag for child in case), "passed")
        yield f"{case.get('classname')}::{case.get('name')}", outcome


def assert_nothing_was_done_twice(run: WatchedRun) -> None:
    """By the log: each step finished once, each task completed once, nobody outlived a kill."""
    steps = Counter((v.task, v.key) for v in run.events if isinstance(v, e.StepFinished))
    done = Counter(v.task for v in run.events if isinstance(v, e.TaskCompleted))
    assert [key for key, times in (steps + done).items() if times > 1] == []
    # A step that is run anew under another key, because what it rests on came out otherwise.
    names = Counter(
        (v.task, v.key.rpartition(":")[0]) for v in run.events if isinstance(v, e.StepFinished)
    )
    assert max(names.values()) == 1, names
    assert run.alive_at_recovery == []


def stamp(run: WatchedRun) -> tuple[int, bytes]:
    """What tells whether the tests' results were written again."""
    assert run.folder is not None
    junit = run.folder / "junit.xml"
    return junit.stat().st_mtime_ns, junit.read_bytes()


def workers_started(run: WatchedRun) -> int:
    return sum(isinstance(v, e.WorkerStarted) for v in run.events)


@pytest.mark.acceptance("durable", "main-job", "workspace")
def test_an_orchestrator_killed_three_times_comes_back_by_itself(
    run: WatchedRun, calm: Reference
) -> None:
    run.start()
    run.hold_at("workers starting")
    run.kill_orchestrator()
    run.recovered(1)
    run.hold_at("preparing")
    # Frozen, it cannot see that its orchestrator is gone: somebody has to end it.
    run.freeze_worker("w1")
    run.kill_orchestrator()
    run.recovered(2)
    run.hold_at("scanning")
    run.kill_orchestrator()
    assert conclusion(run) == calm
    assert phases_of_kills(run.events) == ["workers starting", "preparing", "scanning"]
    assert_nothing_was_done_twice(run)


@pytest.mark.acceptance("durable", "main-job", "workspace")
def test_killed_workers_and_one_that_cannot_end_cost_their_attempts_only(
    run: WatchedRun, calm: Reference
) -> None:
    run.start()
    run.hold_at("examining")
    tester = run.worker_of("tester")
    run.kill_worker(tester)
    run.let_go()
    run.until_started(tester, 2)
    run.hold_at("fixing")
    coder = run.worker_of("coder")
    run.kill_worker(coder)
    run.let_go()
    run.hold_at("voting")
    run.freeze_worker(run.worker_of("reviewer-security"))
    run.kill_orchestrator()
    assert conclusion(run) == calm
    assert phases_of_kills(run.events) == ["examining", "fixing", "voting"]
    assert_nothing_was_done_twice(run)


@pytest.mark.acceptance("durable", "main-job", "workspace")
def test_a_run_of_which_everything_was_killed_is_resumed(run: WatchedRun, calm: Reference) -> None:
    run.start()
    run.hold_at("agents starting")
    run.kill_everything(but=["w1"])
    run.start()
    run.recovered(1)
    run.hold_at("improving")
    before, tests_ran = stamp(run), run.count("coverage run")
    run.kill_everything()
    run.start()
    run.recovered(2)
    run.hold_at("concluding")
    run.kill_everything()
    run.start()
    run.recovered(3)
    run.hold_at("ending")
    run.kill_everything()
    run.start()
    assert conclusion(run) == calm
    kills = ["agents starting", "improving", "concluding", "ending"]
    assert phases_of_kills(run.events) == kills
    assert_nothing_was_done_twice(run)
    # The coder's own measurement runs the tests on its patch, and a voter once more.
    assert stamp(run) == before
    assert run.count("coverage run") >= tests_ran


@pytest.mark.acceptance("durable", "main-job", "workspace")
def test_a_run_killed_right_after_it_finished_prints_its_result(
    run: WatchedRun, calm: Reference
) -> None:
    run.start()
    run.until(lambda: is_over(run.folder))
    run.kill_everything()
    run.look()
    assert run.phase == "finished"
    before, workers = stamp(run), workers_started(run)
    run.start()
    assert conclusion(run) == calm
    # Between the summary and the word that the run is over there is a moment, too.
    assert phases_of_kills(run.events) in ([], ["finished"])
    assert (stamp(run), workers_started(run)) == (before, workers)
    assert_nothing_was_done_twice(run)


@pytest.mark.acceptance("durable", "main-job", "workspace")
@pytest.mark.parametrize("seed", SEEDS)
def test_kills_at_random_moments_change_nothing(
    run: WatchedRun, calm: Reference, seed: int
) -> None:
    chance = random.Random(seed)
    run.start()
    run.until(lambda: run.folder is not None)
    for _ in range(2):
        run.pause(chance.uniform(0.1, 2.5))
        if run.phase == "finished":
            break
        if chance.random() < 0.5:
            run.kill_everything()
            run.start()
        else:
            run.kill_orchestrator()
    assert conclusion(run) == calm
    assert_nothing_was_done_twice(run)


def test_a_worker_just_forked_is_not_taken_for_the_orchestrator_whose_words_it_still_has() -> None:
    front = Seen(Identity(10, "a"), "visionflow run", 1)
    orchestrator = Seen(Identity(11, "b"), f"python -m {ORCHESTRATOR}", 10)
    forked = Seen(Identity(12, "c"), f"python -m {ORCHESTRATOR}", 11)
    assert orchestrators([front, forked, orchestrator]) == [orchestrator.who]
    assert orchestrators([front]) == []
