"""`visionflow apply RUN CANDIDATE`: the one that is asked for, or why not, with all of them."""

import json
from pathlib import Path

import msgspec
import pytest

from tests.agents.changed_folder import AFTER, git, held
from tests.cli.kept_work import KeptWork
from visionflow.agents.report.facts import RunFacts
from visionflow.agents.workspace.journal import Journal, write_journal
from visionflow.cli.applying import apply
from visionflow.compose.applying import NotAccepted, apply_run, applying
from visionflow.domain.errors import Refused, StoreInUse, UnknownId


@pytest.fixture
def work(tmp_path: Path) -> KeptWork:
    return KeptWork(tmp_path)


def told(monkeypatch: pytest.MonkeyPatch, facts: RunFacts) -> None:
    monkeypatch.setattr("visionflow.compose.applying.facts_in", lambda _: facts)


@pytest.mark.acceptance("coding-agents")
def test_without_a_name_the_winner_is_applied(
    work: KeptWork, monkeypatch: pytest.MonkeyPatch
) -> None:
    told(monkeypatch, work.facts())
    applied = apply_run(work.folder)
    assert (applied.candidate, applied.brought.branch) == (
        "candidate-1", f"visionflow/{work.run}",
    )  # fmt: skip
    assert git(work.workspace, "rev-parse", f"visionflow/{work.run}") == work.tips["1"]


@pytest.mark.acceptance("coding-agents")
@pytest.mark.parametrize("asked", ["candidate-2", "2"])
def test_another_candidate_gets_a_branch_of_its_own_and_needs_force_where_it_is_not_good(
    work: KeptWork, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    told(monkeypatch, work.facts())
    apply_run(work.folder)
    with pytest.raises(NotAccepted, match=r"not judged good \(tests: test_total fails\)"):
        apply_run(work.folder, asked)
    applied = apply_run(work.folder, asked, force=True)
    assert applied.brought.branch == f"visionflow/{work.run}-candidate-2"
    assert applied.forced is not None
    assert git(work.workspace, "rev-parse", applied.brought.branch) == work.tips["2"]
    git(work.workspace, "fsck", "--full", "--strict")


@pytest.mark.acceptance("coding-agents")
def test_what_broke_a_rule_needs_force_and_what_changed_nothing_cannot_be_applied(
    work: KeptWork, monkeypatch: pytest.MonkeyPatch
) -> None:
    told(monkeypatch, work.facts())
    with pytest.raises(NotAccepted, match="violation: it moved main"):
        apply_run(work.folder, "3")
    assert apply_run(work.folder, "3", force=True).brought.branch is not None
    with pytest.raises(Refused, match="nothing changed: it changed nothing"):
        apply_run(work.folder, "4", force=True)


@pytest.mark.acceptance("coding-agents")
@pytest.mark.parametrize(
    ("asked", "says"), [("nobody", "no candidate 'nobody'"), ("cand", "More than one candidate")]
)
def test_a_name_that_means_no_one_is_refused_with_what_became_of_each(
    work: KeptWork, monkeypatch: pytest.MonkeyPatch, asked: str, says: str
) -> None:
    told(monkeypatch, work.facts())
    with pytest.raises(UnknownId, match=says) as refused:
        apply_run(work.folder, asked)
    listed = str(refused.value)
    for words in (
        "candidate-1 (place 1, +9 -4 lines, good)", "candidate-2 (place 2, +9 -4 lines, it was",
        "candidate-3 (violation: it moved main)", "candidate-4 (nothing changed",
        "candidate-5 (failed: the key was refused)",
    ):  # fmt: skip
        assert words in listed


@pytest.mark.acceptance("coding-agents")
def test_where_none_is_good_enough_it_says_so_and_how_to_take_one_all_the_same(
    work: KeptWork, monkeypatch: pytest.MonkeyPatch
) -> None:
    told(monkeypatch, work.facts(winner=None))
    for force in (False, True):
        with pytest.raises(NotAccepted, match="is good enough: A test fails") as refused:
            apply_run(work.folder, force=force)
        assert f"apply {work.run} candidate-1" in str(refused.value)
        assert "--force" in str(refused.value)
    assert git(work.workspace, "branch", "--list", "visionflow/*") == ""


@pytest.mark.acceptance("coding-agents")
@pytest.mark.parametrize("status", ["running", "interrupted"])
def test_before_a_run_is_over_a_finished_candidate_can_be_taken_and_the_winner_not(
    work: KeptWork, monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    told(monkeypatch, work.facts(status))
    with pytest.raises(Refused, match=r"not over.*by its name"):
        apply_run(work.folder)
    applied = apply_run(work.folder, "1", to_working_tree=True)
    assert applied.candidate == "candidate-1"
    wanted = {**AFTER, "edited.py": b"new = '1'\n"}
    assert {name: what for name, (what, _) in held(work.workspace).items()} == wanted


def test_two_calls_at_once_and_one_killed_in_another_run_are_refused(
    work: KeptWork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told(monkeypatch, work.facts())
    with applying(work.folder), pytest.raises(StoreInUse, match="is being applied by process"):
        apply_run(work.folder)
    other = KeptWork(tmp_path / "other")
    other.folder.path.rename(work.out / other.run)
    place = work.out / other.run / "state" / "repository"
    left = Journal("ab", "files", str(work.workspace), work.base, work.tips["1"])
    (place / "applying.json").write_bytes(msgspec.json.encode(left))
    with pytest.raises(Refused, match=f"An apply of {other.run} was killed half way"):
        apply_run(work.folder, to_working_tree=True)
    assert apply_run(work.folder).brought.branch is not None


def test_the_command_says_whose_work_it_is_and_which_links_lead_out(
    work: KeptWork, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told(monkeypatch, work.facts())
    assert apply(work.run, "2", out=work.out, force=True, json=True) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["candidate"], printed["links_out"]) == ("candidate-2", [])
    assert "not judged good" in printed["forced"]
    write_journal(work.repository, Journal("ab", "branch", str(work.workspace), work.base, "0"))
    assert apply(work.run, "2", out=work.out, force=True) == 0
    shown = capsys.readouterr()
    assert "is there already" in shown.out
    assert "brought in all the same" in shown.err
