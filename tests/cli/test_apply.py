"""`visionflow apply`: the change of a real run comes into the user's repository, or is refused."""

import json
import os
import shutil
import subprocess
import threading
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from tests.cli.command_line import visionflow
from visionflow.agents.evidence import Ballot, Change, Vote
from visionflow.agents.report.facts import RunFacts
from visionflow.compose.applying import NotAccepted, apply_run, facts_in, objection
from visionflow.compose.job import RunFolder, create_run, execute
from visionflow.domain.errors import Refused, UnknownId


def git(folder: Path, *words: str) -> str:
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    done = subprocess.run(
        ["git", *identity, *words], cwd=folder, env=env, check=True, timeout=60,
        capture_output=True, text=True,
    )  # fmt: skip
    return done.stdout.strip()


class Fixed(NamedTuple):
    """A workspace as the run found it, and the run."""

    workspace: Path
    folder: RunFolder

    @property
    def out(self) -> Path:
        return self.folder.path.parent


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Fixed:
    """One real run of the playbook `fix`, over code without tests: the quickest there is."""
    top = tmp_path_factory.mktemp("apply")
    workspace = top / "my work"
    workspace.mkdir()
    (workspace / "shop.py").write_text("def name():\n    return f'shop'\n\n\nprint(name())\n")
    git(workspace, "init", "-q", "-b", "main")
    git(workspace, "add", ".")
    git(workspace, "commit", "-q", "-m", "one")
    folder = create_run("Fix the lint findings", workspace, top / "runs", cache=False)
    outcome = execute(
        folder, on_progress=lambda _: None, stop=threading.Event(), kill=threading.Event()
    )
    assert outcome.status == "completed", outcome.summary
    return Fixed(workspace, folder)


@pytest.fixture
def fixed(made: Fixed, tmp_path: Path) -> Fixed:
    """The same, with the workspace in the state in which the run found it."""
    kept = made.workspace.with_name("kept")
    if not kept.exists():
        shutil.copytree(made.workspace, kept, symlinks=True)
    shutil.rmtree(made.workspace)
    shutil.copytree(kept, made.workspace, symlinks=True)
    return made


@pytest.mark.acceptance("workspace")
def test_the_branch_is_made_and_what_to_type_next_is_printed(fixed: Fixed) -> None:
    ran = visionflow("apply", fixed.folder.run[:-1], "--out", fixed.out)
    assert (ran.returncode, ran.stderr) == (0, "")
    first, *commands = ran.stdout.splitlines()
    branch = f"visionflow/{fixed.folder.run}"
    assert first.startswith(f"The branch {branch} is new in '{fixed.workspace}': 1 commit, 1 file")
    assert [line[:10] for line in commands] == ["Look at it", "Take it:  ", "Drop it:  "]
    assert git(fixed.workspace, "status", "--porcelain") == ""
    taken = commands[1].partition(":")[2].strip()
    subprocess.run(["bash", "-c", taken], check=True, timeout=60, capture_output=True)
    assert "return 'shop'" in (fixed.workspace / "shop.py").read_text()


def test_json_is_one_object_and_a_second_time_says_that_it_is_there(fixed: Fixed) -> None:
    words = ("apply", fixed.folder.run, "--out", fixed.out, "--json")
    first, second = (json.loads(visionflow(*words).stdout) for _ in range(2))
    assert (first["already"], second["already"]) == (False, True)
    assert {**first, "already": True} == second
    assert first["files"] == ["shop.py"]
    assert git(fixed.workspace, "rev-parse", first["branch"]) == first["tip"]


@pytest.mark.acceptance("workspace")
def test_files_are_changed_only_where_they_are_as_the_run_found_them(fixed: Fixed) -> None:
    shop = fixed.workspace / "shop.py"
    before = shop.read_text()
    shop.write_text(before + "# mine\n")
    words = ("apply", fixed.folder.run, "--out", fixed.out, "--to-working-tree")
    ran = visionflow(*words)
    assert (ran.returncode, ran.stdout) == (69, "")
    assert "shop.py changed since" in ran.stderr
    shop.write_text(before)
    ran = visionflow(*words)
    assert ran.returncode == 0
    assert ran.stdout.splitlines()[1:] == ["  shop.py"]
    assert shop.read_text() == before.replace("f'shop'", "'shop'")
    assert "branch" not in ran.stdout
    assert visionflow(*words).stdout.startswith("The files hold the change already")


def test_what_a_run_is_not_is_refused(fixed: Fixed, tmp_path: Path) -> None:
    ran = visionflow("apply", "nothing", "--out", fixed.out)
    assert (ran.returncode, "There is no run" in ran.stderr) == (69, True)
    begun = create_run("Fix the lint findings", fixed.workspace, tmp_path / "runs")
    with pytest.raises(UnknownId, match="Nothing is recorded"):
        apply_run(begun)


REJECTED = Vote(
    "q", ("security", "tests"),
    (Ballot("security", "reject", "findings", "a.py:1 is new"),), "rejected",
)  # fmt: skip


def with_change(facts: RunFacts, **changes: object) -> RunFacts:
    assert facts.change is not None
    return msgspec.structs.replace(facts, change=msgspec.structs.replace(facts.change, **changes))


@pytest.mark.acceptance("workspace")
def test_what_a_gate_or_the_vote_turned_down_needs_to_be_insisted_on(
    fixed: Fixed, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = facts_in(fixed.folder)
    assert objection(facts) is None
    assert "tests" in (objection(with_change(facts, gates={"tests": False})) or "")
    for decision in ("undecided", None):
        vote = msgspec.structs.replace(REJECTED, decision=decision)
        assert objection(msgspec.structs.replace(facts, vote=vote)) is not None
    turned_down = msgspec.structs.replace(facts, vote=REJECTED)
    monkeypatch.setattr("visionflow.compose.applying.facts_in", lambda _: turned_down)
    with pytest.raises(NotAccepted, match=r"rejected \(security: a\.py:1 is new\)") as refused:
        apply_run(fixed.folder)
    assert refused.value.status == 1
    assert git(fixed.workspace, "branch", "--list", "visionflow/*") == ""
    applied = apply_run(fixed.folder, force=True)
    assert "rejected" in (applied.forced or "")
    assert git(fixed.workspace, "branch", "--list", "visionflow/*") != ""


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"status": "interrupted"}, "not over"),
        ({"change": None}, "no change"),
        ({"change": Change("rejected", "no fix passed")}, "no fix passed"),
        ({"change": Change("nothing_to_do", "all is well")}, "all is well"),
    ],
)
def test_where_there_is_nothing_to_apply_it_is_said_why(
    changes: dict[str, object], word: str
) -> None:
    known = RunFacts(
        run="r", goal="g", playbook="fix", why="", workspace="/w", out="/o", status="completed",
        started="", seconds=0.0,
    )  # fmt: skip
    with pytest.raises(Refused, match=word):
        objection(msgspec.structs.replace(known, **changes))
