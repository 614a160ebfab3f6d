"""Whole runs of coding agents side by side: the good one wins, the others are named."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from codings import GOAL, Shop, at_work_in, candidate, most_at_once, task
from jobs import carry_out, events_of, snapshot

from tests.cli.command_line import visionflow
from tests.coding.sample import ACCEPT, command_of
from tests.kills.watched_run import processes_of
from visionflow.agents.command.journal import Journal, journal_in
from visionflow.compose.applying import apply_run
from visionflow.compose.job import (
    ExitCode,
    JobProgress,
    Outcome,
    RunFolder,
    execute,
    read_plan,
)
from visionflow.domain.errors import VisionFlowError

HANGS, BREAKS, GOOD, FOREIGN, FLOODS = (f"candidate-{number}" for number in range(1, 6))
ADDED = '''

def limited(calls, most):
    """Whether a further call is too many."""
    return calls >= most
'''


class Contest(NamedTuple):
    """Five agents with one goal, after their run."""

    shop: Shop
    before: dict[str, Any]
    folder: RunFolder
    outcome: Outcome


@pytest.fixture(scope="module")
def contest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Contest]:
    shop = Shop(tmp_path_factory.mktemp("contest"))
    before = snapshot(shop.workspace)
    folder, outcome = shop.run(
        "forks,hangs",
        f"outside:{shop.workspace}/README.md,breaks",
        "forks,good,report:100:20:1500",
        "good,foreign",
        "floods",
        accept=(ACCEPT,), at_once=2, wall_ms=12_000, output_bytes=100_000,
    )  # fmt: skip
    yield Contest(shop, before, folder, outcome)


@pytest.mark.acceptance("coding-agents")
def test_of_five_agents_the_good_one_wins_and_every_gate_passes(contest: Contest) -> None:
    summary = contest.outcome.summary
    assert (contest.outcome.status, contest.outcome.exit_code) == ("completed", ExitCode.DONE)
    assert summary["gates"] == {"winner": True, "accept": True, "tests": True, "findings": True}
    assert summary["contest"]["winner"] == GOOD
    assert summary["contest"]["candidates"][0]["candidate"] == GOOD
    won = candidate(contest.outcome, GOOD)
    assert (won["standing"], won["tokens"], won["cost_microdollars"]) == ("taken", 120, 1_500)
    assert [each["passed"] for each in won["predicates"]] == [True]
    assert won["predicates"][0]["on_base"] is False


@pytest.mark.acceptance("coding-agents", "confine")
@pytest.mark.parametrize(
    ("name", "standing", "outcome", "words"),
    [
        (HANGS, "out", "timed_out", "its time limit"),
        (BREAKS, "not_good", "changed", "test_three_cost_three_times_as_much"),
        (FOREIGN, "out", "violation", "moved the branch main"),
        (FLOODS, "out", "flooded", "more than 100,000 bytes of output"),
    ],
)
def test_each_of_the_others_is_named_for_what_it_did(
    contest: Contest, name: str, standing: str, outcome: str, words: str
) -> None:
    told = candidate(contest.outcome, name)
    assert (told["standing"], told["outcome"]) == (standing, outcome)
    assert words in " ".join(told["reasons"])
    assert words in contest.folder.report.read_text()
    assert words in contest.folder.page.read_text()


@pytest.mark.acceptance("coding-agents")
def test_two_agents_were_at_work_at_once_and_never_a_third(contest: Contest) -> None:
    assert most_at_once(contest.folder, "candidate-") == 2


@pytest.mark.acceptance("coding-agents", "confine")
def test_no_process_of_a_run_is_left_when_it_is_over(contest: Contest) -> None:
    started = [e["pid"] for e in events_of(contest.folder) if e["type"] == "worker_started"]
    assert started
    assert not [pid for pid in started if Path(f"/proc/{pid}").exists()]
    assert processes_of(contest.folder.path) == []
    assert at_work_in(contest.folder) == []  # Two left a process behind that ignores signals.


@pytest.mark.acceptance("workspace", "coding-agents")
def test_tree_and_git_are_as_before_until_apply_brings_the_winner_as_a_branch(
    contest: Contest,
) -> None:
    shop = contest.shop
    assert snapshot(shop.workspace) == contest.before
    tried = (contest.folder.coding / BREAKS / "output.log").read_text()
    assert f"could not write {shop.workspace}/README.md" in tried
    for refused in (HANGS, BREAKS, FOREIGN, FLOODS):
        with pytest.raises(VisionFlowError):
            apply_run(contest.folder, refused)
    assert snapshot(shop.workspace) == contest.before
    applied = apply_run(contest.folder)
    branch = f"visionflow/{contest.folder.run}"
    assert (applied.brought.branch, applied.candidate) == (branch, GOOD)
    assert shop.git("for-each-ref", "--format=%(refname)") == (
        f"refs/heads/main\nrefs/heads/{branch}"
    )
    assert shop.git("diff", "--stat=80", "--name-only", f"main..{branch}") == "shop/limits.py"
    assert ADDED.strip() in shop.git("show", f"{branch}:shop/limits.py")
    assert shop.git("rev-list", "--count", f"main..{branch}") == "1"
    body = shop.git("log", "-1", "--format=%B", branch)
    assert f"VisionFlow-Run: {contest.folder.run}" in body and f"VisionFlow-Task: {GOOD}" in body
    files = {name: v for name, v in snapshot(shop.workspace).items() if ".git" not in name[:4]}
    assert files == {name: v for name, v in contest.before.items() if ".git" not in name[:4]}


@pytest.mark.acceptance("coding-agents")
def test_where_nobody_is_good_enough_that_is_said_and_nothing_can_be_applied(
    tmp_path: Path,
) -> None:
    shop = Shop(tmp_path)
    before = snapshot(shop.workspace)
    folder, outcome = shop.run("wrong", "say:nothing", "fails", accept=(ACCEPT,))
    assert (outcome.status, outcome.exit_code) == ("completed", ExitCode.GATE_FAILED)
    assert outcome.summary["gates"]["winner"] is False
    assert "None of 3 is good enough" in outcome.summary["headline"]
    assert "None of 3 is good enough" in folder.report.read_text()
    outcomes = [candidate(outcome, f"candidate-{number}")["outcome"] for number in (1, 2, 3)]
    assert outcomes == ["changed", "nothing_changed", "failed"]
    with pytest.raises(VisionFlowError, match="candidate-1"):
        apply_run(folder)
    assert snapshot(shop.workspace) == before


@pytest.mark.acceptance("coding-agents")
def test_what_nothing_tells_apart_is_said_to_be_a_tie(tmp_path: Path) -> None:
    other = "replaces:shop/limits.py=Whether a further=Tells if one more"
    folder, outcome = Shop(tmp_path).run("good", f"good,{other}", "good")
    assert outcome.exit_code == ExitCode.DONE
    assert outcome.summary["contest"]["winner"] == "candidate-1"
    headline = outcome.summary["headline"]
    assert "nothing told it apart from candidate-2" in headline and "candidate-3" in headline
    said = " ".join(outcome.summary["contest"]["said"])
    assert "candidate-1" in said and "candidate-3" in said, said
    assert "nothing told it apart" in folder.report.read_text()


@pytest.mark.acceptance("coding-agents", "governor")
@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ({"tokens": 1_000}, "limit of tokens reached: used 1,200 of 1,000"),
        ({"cost_microdollars": 15_000}, "limit of money reached: used $0.0200 of $0.0150"),
    ],
)
def test_a_limit_that_is_reached_stops_the_next_agent_before_it_starts(
    tmp_path: Path, limit: dict[str, int], words: str
) -> None:
    folder, outcome = Shop(tmp_path).run(*["report:600:600:20000,fails"] * 2, at_once=1, **limit)
    assert outcome.exit_code == ExitCode.FAILED
    assert candidate(outcome, "candidate-1")["tokens"] == 1_200
    assert words in task(outcome, "candidate 2")["reason"]
    assert words in folder.page.read_text()
    assert journals(folder) == {"candidate-1": 1, "candidate-2": 0}


@pytest.mark.acceptance("coding-agents", "governor")
def test_the_time_of_a_run_ends_who_is_at_work_and_lets_nobody_start(tmp_path: Path) -> None:
    folder, outcome = Shop(tmp_path).run(*["hangs"] * 2, at_once=1, run_wall_ms=6_000)
    assert outcome.exit_code == ExitCode.FAILED
    first = candidate(outcome, "candidate-1")
    assert first["outcome"] == "timed_out"
    assert "the time that was left of the run" in first["told"]
    assert "limit of the run's time reached" in task(outcome, "candidate 2")["reason"]
    assert journals(folder) == {"candidate-1": 1, "candidate-2": 0}


@pytest.mark.acceptance("coding-agents", "confine")
def test_an_agent_that_takes_more_memory_than_it_may_is_ended_and_named(tmp_path: Path) -> None:
    folder, outcome = Shop(tmp_path).run("hogs", "fails", memory_bytes=200_000_000)
    told = candidate(outcome, "candidate-1")
    assert (told["outcome"], told["standing"]) == ("out_of_memory", "out")
    assert "more memory than it may" in folder.report.read_text()


@pytest.mark.acceptance("coding-agents", "governor")
def test_a_key_that_is_refused_ends_the_run_with_the_providers_words(tmp_path: Path) -> None:
    # Each goes on trying for ten minutes after it said so, as tools do.
    folder, outcome = Shop(tmp_path).run(*["refuses:600"] * 2)
    assert (outcome.status, outcome.exit_code) == ("failed", ExitCode.FAILED)
    assert "401 invalid x-api-key" in outcome.summary["headline"]
    for number in (1, 2):
        told = task(outcome, f"candidate {number}")
        assert (told["status"], told["attempts"]) == ("failed", 1)
        assert "401 invalid x-api-key" in told["reason"]
        (go,) = journal_of(folder, f"candidate-{number}").goes
        assert go.ended is not None and go.ended.exit_code is None  # It was not waited for.
    assert at_work_in(folder) == []


@pytest.mark.acceptance("coding-agents", "governor")
def test_an_agent_that_was_asked_to_wait_waits_once_and_wins_without_git(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISIONFLOW_HOME", str(tmp_path / "home"))  # The tool is slow there alone.
    shop = Shop(tmp_path)
    shop.without_git()
    before = snapshot(shop.workspace)
    untils: set[int | None] = set()

    def see(progress: JobProgress, stop: threading.Event) -> None:
        untils.update(each.until_ms for each in progress.tasks)

    folder, outcome = shop.run("throttled:1:2,good", watch=see)
    assert outcome.exit_code == ExitCode.DONE
    waits = [each for each in events_of(folder) if each["type"] == "attempt_failed"]
    assert [each["kind"] for each in waits] == ["throttled"]
    assert "429 rate_limit_error" in waits[0]["reason"]
    assert untils == {None, waits[0]["retry_at_ms"]}
    assert task(outcome, "candidate 1")["status"] == "completed"
    assert candidate(outcome, "candidate-1")["goes"] == ["started", "started_again"]
    assert snapshot(shop.workspace) == before
    applied = apply_run(folder, to_working_tree=True)
    assert applied.brought.files == ("shop/limits.py",)
    after = snapshot(shop.workspace)
    changed = {name for name in after if after[name] != before.get(name)}
    assert (shop.workspace / "shop/limits.py").read_text().endswith(ADDED)
    assert {name for name in changed if name != "shop"} == {"shop/limits.py"}


@pytest.mark.acceptance("coding-agents")
def test_a_run_that_was_stopped_goes_on_with_what_was_not_finished(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    wait = "waits:build/go,writes:build/late.txt=late,fails:9"

    kill = threading.Event()

    def kill_then(progress: JobProgress) -> None:
        told = {each.name: (each.status, each.note) for each in progress.tasks}
        if told["candidate 1"][0] == "completed" and "started" in told["candidate 2"][1]:
            kill.set()

    folder = shop.order("fails", wait)
    cut = execute(folder, on_progress=kill_then, stop=threading.Event(), kill=kill)
    assert (cut.status, cut.exit_code) == ("interrupted", ExitCode.INTERRUPTED)
    assert at_work_in(folder) == []
    first, go = journal_of(folder, "candidate-1"), folder.coding / "candidate-2" / "tree" / "build"

    def let_go(progress: JobProgress, stop: threading.Event) -> None:
        if len(journal_of(folder, "candidate-2").goes) > 1 and go.parent.is_dir():
            go.mkdir(exist_ok=True)
            (go / "go").touch()

    done = carry_out(folder, let_go)
    assert done.exit_code == ExitCode.FAILED
    assert journal_of(folder, "candidate-1") == first
    assert candidate(done, "candidate-1")["goes"] == ["started"]
    late = candidate(done, "candidate-2")
    assert (late["goes"], late["exit_code"]) == (["started", "started_again"], 9)
    assert late["went"] == "started, then started again"
    # What git is told to ignore is no part of what an agent left.
    assert (late["outcome"], late["files"]) == ("failed", [])


@pytest.mark.acceptance("coding-agents", "workspace")
def test_agents_work_on_what_was_not_committed_too_and_on_a_folder_below_the_top(
    tmp_path: Path,
) -> None:
    shop = Shop(tmp_path)
    below = shop.workspace / "shop"
    (below / "limits.py").write_text('"""How often, and not yet committed."""\n')
    (below / "new.py").write_text("NEW = 1\n")
    before = snapshot(shop.workspace)
    folder, outcome = shop.run(
        "replaces:limits.py=not yet=by now,replaces:new.py=1=2", workspace=below
    )
    assert outcome.exit_code == ExitCode.DONE
    assert outcome.summary["dirty"] is True
    won = candidate(outcome, "candidate-1")
    assert sorted(won["files"]) == ["limits.py", "new.py"]
    assert snapshot(shop.workspace) == before
    apply_run(folder, to_working_tree=True)
    assert (below / "limits.py").read_text() == '"""How often, and by now committed."""\n'
    assert (below / "new.py").read_text() == "NEW = 2\n"


@pytest.mark.acceptance("coding-agents")
def test_a_plan_of_candidates_is_written_and_run_by_the_command_line(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    asked = ("--agent", command_of("good"), "--candidates", 2, "--accept", ACCEPT)
    where = ("--workspace", shop.workspace)
    planned = visionflow("run", GOAL, *map(str, asked), *where, "--plan-only", cwd=tmp_path)
    assert planned.returncode == 0, planned.stderr
    assert not shop.out.exists() and "nothing was run" in planned.stderr
    plan = read_plan(tmp_path / "plan.yaml").plan
    assert [each.id for _, each in plan.tasks()] == [
        "candidate-1", "candidate-2", "judge-1", "judge-2", "rank",
    ]  # fmt: skip
    ran = visionflow("run", "plan.yaml", "--out", shop.out, "--json", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    summary = json.loads(ran.stdout)
    assert summary["contest"]["winner"] == "candidate-1"
    applied = visionflow("apply", summary["run"], "--out", shop.out, cwd=tmp_path)
    assert applied.returncode == 0, applied.stderr
    assert ADDED.strip() in shop.git("show", f"visionflow/{summary['run']}:shop/limits.py")


CAT = ("--agent", "cat {goal}")
BAD: dict[str, tuple[tuple[str, ...], str]] = {
    "unknown program": (("--agent", "nosuchprogram {goal}"), "no program nosuchprogram"),
    "no candidates": ((*CAT, "--candidates", "0"), "1 to 50 candidates"),
    "too few": ((*CAT, *CAT, "--candidates", "1"), "2 agents were named for 1 candidates"),
    "no agent": (("--candidates", "2"), "needs a coding agent"),
    "no time": ((*CAT, "--time-limit", "0s"), "more than nothing"),
    "odd time": ((*CAT, "--agent-timeout", "soon"), "--agent-timeout is 'soon'"),
    "odd size": ((*CAT, "--agent-memory", "much"), "--agent-memory is 'much'"),
    "no tokens": ((*CAT, "--max-tokens", "0"), "above zero"),
    "nobody at once": ((*CAT, "--max-agents", "0"), "At least one agent"),
    "odd agent": (("--agent", 'cat "{goal}'), "is no command line"),
    "odd predicate": ((*CAT, "--accept", 'pytest -k "'), "is no command line"),
    "no predicate": ((*CAT, "--accept", " "), "needs a command line"),
    "other playbook": ((*CAT, "--playbook", "audit"), "playbook code"),
}


@pytest.mark.acceptance("coding-agents")
@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_meant_ends_with_2_and_a_sentence_before_anything_is_written(
    tmp_path: Path, case: str
) -> None:
    words, told = BAD[case]
    (tmp_path / "ws").mkdir()
    done = visionflow("run", GOAL, *words, "--workspace", "ws", "--out", "runs", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (ExitCode.USAGE, "")
    assert done.stderr.startswith("visionflow: ") and told in done.stderr
    assert done.stderr.count("\n") == 1
    assert [each.name for each in tmp_path.rglob("*")] == ["ws"]


@pytest.mark.acceptance("coding-agents")
def test_a_fault_in_a_plan_file_is_told_with_its_line_before_anything_is_written(
    tmp_path: Path,
) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text(
        "goal: x\nplaybook: code\nphases:\n- name: work\n  tasks:\n"
        "  - {id: a, role: coder, type: implement, comand: 'cat {goal}'}\n"
    )
    done = visionflow("run", plan, "--workspace", tmp_path, "--out", "runs", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (ExitCode.CONFIG, "")
    assert "plan.yaml:6: " in done.stderr and "comand" in done.stderr
    assert [each.name for each in tmp_path.rglob("*")] == ["plan.yaml"]


def journal_of(folder: RunFolder, name: str) -> Journal:
    return journal_in(folder.coding / name)


def journals(folder: RunFolder) -> dict[str, int]:
    """How often a program was started, by candidate; its output tells the same."""
    found: dict[str, int] = {}
    for number in (1, 2):
        name = f"candidate-{number}"
        goes = journal_of(folder, name).goes
        log = folder.coding / name / "output.log"
        assert log.exists() == bool(goes)
        found[name] = len(goes)
    return found
