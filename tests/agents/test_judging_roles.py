"""Candidates are judged on their commit: by the gate, by the predicates, in a vote on evidence."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from contest import Arena, choices, reason
from role_work import Attempt, Killed
from unconfined import RefusingSandbox

from tests.coding.sample import ACCEPT, run_git
from visionflow.agents.candidates.values import Integrated, Landed, Unmerged, Violation
from visionflow.agents.roles.job import storable
from visionflow.ports.sandbox import Command, Completed

CODING = pytest.mark.acceptance("coding-agents")
APPROVED = {"tests": "approve", "findings": "approve", "accept": "approve", "scope": "approve"}


@CODING
def test_a_good_candidate_wins_over_one_that_breaks_a_test_and_one_that_does_not_do_it(
    tmp_path: Path,
) -> None:
    arena = Arena(tmp_path)
    arena.attempt("candidate-1", "breaks")
    arena.attempt("candidate-2", "wrong")
    good = arena.attempt("candidate-3", "good")
    breaks, wrong = arena.judge("candidate-1"), arena.judge("candidate-2")
    judged = arena.judge("candidate-3")
    assert choices(judged) == APPROVED
    assert reason(judged, "tests") == "1 test: none is broken or lost"
    assert judged.gate is not None and judged.gate.verdict == "clean"
    assert [(each.passed, each.on_base) for each in judged.accepted] == [(True, False)]
    assert breaks.gate is not None
    broken = "tests/test_prices.py::test_three_cost_three_times_as_much"
    assert breaks.gate.broken == (broken,)
    assert reason(breaks, "tests") == f"a test is broken: {broken}"
    assert choices(wrong)["accept"] == "reject"
    assert reason(wrong, "accept").startswith(f"`{ACCEPT}` does not pass: it ended with 1")
    ranking, change = arena.rank()
    assert (ranking.winner, change.outcome, change.tip) == ("candidate-3", "changed", good.tip)
    assert ranking.why == "candidate-3 is the only one of 3 that nobody objects to."
    assert (change.base, change.gates) == (arena.base, {"tests": True, "findings": True})
    assert [each.title for each in change.commits] == ["Add a limit"]
    assert arena.git("rev-parse", f"refs/heads/{change.branch}") == good.tip
    assert "+def limited" in (arena.state / "changes.patch").read_text()


@CODING
def test_nothing_of_the_judgement_is_left_but_what_base_says_of_the_predicate(
    tmp_path: Path,
) -> None:
    arena = Arena(tmp_path)
    arena.attempt("candidate-1", "good")
    arena.attempt("candidate-2", "wordy")
    ran = Attempt()
    arena.judge("candidate-1", attempt=ran)
    assert "run it on base" in ran.ran
    coding = arena.state / "coding"
    assert [each.name for each in coding.iterdir()] == ["on-base"]
    kept = [each for each in (coding / "on-base").iterdir() if each.suffix == ".json"]
    found = json.loads(kept[0].read_text())
    assert (len(kept), found["passed"], found["counted"]["passed"]) == (1, False, 0)
    kept[0].write_text(json.dumps({**found, "passed": True}))
    judged = arena.judge("candidate-2")
    assert judged.accepted[0].on_base is True
    assert choices(judged)["accept"] == "abstain"


class _Lending(RefusingSandbox):
    """Tells which locks each command is lent, by the folder in which it would have run."""

    def __init__(self) -> None:
        self.lent: dict[str, list[str]] = {}

    async def run(
        self, command: Command, on_output: Callable[[str, bytes], None] | None = None
    ) -> Completed:
        held = [os.readlink(f"/proc/self/fd/{each}") for each in command.locks]
        self.lent[command.cwd] = held
        return await super().run(command, on_output)


def test_what_runs_on_base_for_all_who_judge_holds_their_lock_too(tmp_path: Path) -> None:
    """A judge that is killed leaves it for a moment, in the folder that the next one takes."""
    arena, sandbox = Arena(tmp_path), _Lending()
    arena.attempt("candidate-1", "good")
    arena.judge("candidate-1", sandbox=sandbox)
    (folder,) = [each for each in sandbox.lent if "/on-base/" in each]
    assert sandbox.lent[folder] == [f"{Path(folder).parent}.lock"]


@CODING
@pytest.mark.parametrize("kill_at", [1, 2, 3, 4])
def test_a_judgement_that_was_killed_goes_on_with_what_it_knows(
    tmp_path: Path, kill_at: int
) -> None:
    arena = Arena(tmp_path)
    arena.attempt("candidate-1", "good")
    first = Attempt(kill_at=kill_at)
    with pytest.raises(Killed):
        arena.judge("candidate-1", attempt=first)
    second = Attempt(first.done)
    judged = arena.judge("candidate-1", attempt=second)
    assert choices(judged) == APPROVED
    assert len(second.ran) == 4 - (kill_at - 1)


@CODING
def test_what_cannot_be_judged_says_why_and_starts_nothing(tmp_path: Path) -> None:
    arena = Arena(tmp_path)
    moved = Violation("foreign_branch", "main was moved from a to b")
    arena.attempt("candidate-1", "good", outcome="violation", violations=(moved,))
    arena.attempt("candidate-2", "good", outcome="timed_out", reason="30 min were over")
    refusing = RefusingSandbox()
    said = {
        of: arena.judge(of, sandbox=refusing)
        for of in ("candidate-1", "candidate-2", "candidate-3", None)
    }
    assert {of: (each.tip, each.reason) for of, each in said.items()} == {
        "candidate-1": (None, "main was moved from a to b"),
        "candidate-2": (None, "30 min were over"),
        "candidate-3": (None, "its agent came to no end with it"),
        None: (None, "nothing was merged"),
    }
    ranking, change = arena.rank()
    assert (ranking.winner, change.outcome) == (None, "rejected")
    assert change.reason == ranking.why
    assert not (arena.state / "changes.patch").exists()


@CODING
def test_where_nothing_can_be_run_nobody_approves_what_nobody_saw(tmp_path: Path) -> None:
    arena = Arena(tmp_path)
    arena.attempt("candidate-1", "good", held=())
    judged = arena.judge("candidate-1", sandbox=RefusingSandbox(), gate=None)
    assert choices(judged) == {
        "tests": "abstain", "findings": "abstain", "accept": "reject", "scope": "abstain",
    }  # fmt: skip
    assert not judged.good
    assert "cannot be run: Nothing here can confine foreign code." in reason(judged, "accept")


@CODING
def test_a_new_finding_is_an_objection_and_names_its_place(tmp_path: Path) -> None:
    arena = Arena(tmp_path, ())
    arena.attempt("candidate-1", "writes:shop/more.py=import os\\n\\nN = eval('1')")
    judged = arena.judge("candidate-1")
    assert choices(judged)["findings"] == "reject"
    assert "shop/more.py:1 ruff F401" in reason(judged, "findings")
    assert choices(judged)["accept"] == "abstain"
    assert not judged.good
    ranking, _ = arena.rank()
    assert ranking.winner is None
    assert ranking.why.startswith("candidate-1 is not good enough: findings: 2 are new")


@CODING
def test_who_edits_what_the_predicate_names_is_told_of_and_comes_after_who_did_not(
    tmp_path: Path,
) -> None:
    arena = Arena(tmp_path)
    easy = "writes:accepted/test_limits.py=def test_it():\\n    assert True"
    arena.attempt("candidate-1", easy)
    arena.attempt("candidate-2", "wordy")
    judged = arena.judge("candidate-1")
    assert judged.accepted[0].passed is True
    assert choices(judged)["scope"] == "abstain"
    assert reason(judged, "scope").endswith("accepted/test_limits.py")
    arena.judge("candidate-2")
    ranking, _ = arena.rank()
    assert ranking.winner == "candidate-2"
    assert ranking.why.endswith(
        f"candidate-1 has no proof by `{ACCEPT}`: it passes only with accepted/test_limits.py as "
        "this candidate changed it."
    )


@CODING
def test_two_that_made_the_same_files_are_named_and_the_cheaper_one_is_taken(
    tmp_path: Path,
) -> None:
    arena = Arena(tmp_path, ())
    arena.attempt("candidate-1", "good", usage={"cost_microdollars": 900})
    arena.attempt("candidate-2", "good", usage={"cost_microdollars": 100})
    for name in ("candidate-1", "candidate-2"):
        arena.judge(name)
    ranking, _ = arena.rank()
    assert ranking.same == (("candidate-1", "candidate-2"),)
    assert ranking.winner == "candidate-2"


def in_sha256(folder: Path) -> Path:
    shutil.rmtree(folder / ".git")
    run_git(folder, "init", "--quiet", "--object-format=sha256")
    run_git(folder, "add", "--all")
    run_git(folder, "commit", "--quiet", "-m", "the shop")
    return folder


def without_git(folder: Path) -> Path:
    shutil.rmtree(folder / ".git")
    return folder


def edited(folder: Path) -> Path:
    (folder / "README.md").write_text("# a shop that nobody committed\n")
    return folder


def shallow(folder: Path) -> Path:
    run_git(folder, "commit", "--quiet", "--allow-empty", "-m", "another")
    run_git(folder.parent, "clone", "--quiet", "--depth=1", f"file://{folder}", "cut")
    return folder.parent / "cut"


@CODING
@pytest.mark.parametrize("altered", [in_sha256, without_git, edited, shallow])
def test_whatever_the_workspace_is_kept_in_its_candidates_are_judged(
    tmp_path: Path, altered: Callable[[Path], Path]
) -> None:
    arena = Arena(tmp_path, altered=altered)
    arena.attempt("candidate-1", "good,writes:build/out.txt=x")
    judged = arena.judge("candidate-1")
    assert choices(judged) == APPROVED
    assert judged.gate is not None and judged.gate.verdict == "clean"
    ranking, change = arena.rank()
    assert (ranking.winner, change.base) == ("candidate-1", arena.base)
    assert change.files == ("build/out.txt", "shop/limits.py")


@CODING
def test_work_split_over_agents_is_judged_and_taken_as_one_and_what_is_missing_is_named(
    tmp_path: Path,
) -> None:
    arena = Arena(tmp_path)
    api = arena.commit("api", "good", arena.base)
    cli = arena.commit("cli", "writes:shop/cli.py=N = 1", api)
    lost = Unmerged("web", "conflict", "both changed README.md")
    merges = (
        Integrated(arena.base, api, (Landed("api", api),), (lost,)),
        Integrated(api, cli, (Landed("cli", cli),), (lost,)),
    )
    for number, each in enumerate(merges):
        arena.results[f"integrate-{number}"] = {"integrated": storable(each)}
    judged = arena.judge(None)
    assert (judged.candidate, judged.tip) == ("result", cli)
    assert choices(judged) == APPROVED
    ranking, change = arena.rank()
    assert (ranking.winner, ranking.unmerged) == ("result", (lost,))
    assert (change.base, change.tip) == (arena.base, cli)
    assert [(each.title, each.files) for each in change.commits] == [
        ("api", ("shop/limits.py",)), ("cli", ("shop/cli.py",)),
    ]  # fmt: skip


@CODING
def test_what_is_said_to_have_landed_and_is_not_in_the_result_is_unmerged(tmp_path: Path) -> None:
    arena = Arena(tmp_path)
    api = arena.commit("api", "good", arena.base)
    web = arena.commit("web", "writes:shop/web.py=N = 1", arena.base)
    claims = (Landed("api", api), Landed("web", web))
    arena.results["integrate"] = {"integrated": storable(Integrated(arena.base, api, claims))}
    arena.results["judge"] = {
        "judged": {"candidate": "result", "tip": api, "gate": {"verdict": "clean"}}
    }
    ranking, change = arena.rank()
    assert ranking.winner == "result"
    assert [(each.task, each.reason) for each in ranking.unmerged] == [("web", "failed")]
    assert "is no ancestor of the result" in ranking.unmerged[0].message
    assert [each.title for each in change.commits] == ["api"]
