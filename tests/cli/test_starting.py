"""How a run begins: which playbook, who is asked, what a plan file does, and what is refused."""

import json
import os
import sys
from pathlib import Path

import pytest

from tests.cli.command_line import visionflow
from tests.cli.terminals import OnTerminal

VAGUE = "do something nice"


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    made = tmp_path / "workspace"
    made.mkdir()
    (made / "tidy.py").write_text("def double(n):\n    return 2 * n\n")
    return made


def test_a_goal_that_does_not_tell_ends_with_2_in_a_pipe_and_names_the_playbooks(
    workspace: Path,
) -> None:
    ran = visionflow("run", VAGUE, cwd=workspace)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "--playbook audit or test or fix or explain" in ran.stderr
    assert not (workspace / ".visionflow").exists()


def test_a_person_at_a_terminal_is_asked_and_the_answer_holds(workspace: Path) -> None:
    argv = [sys.executable, "-P", "-m", "visionflow.cli", "run", VAGUE, "--plan-only"]
    with OnTerminal(argv, {"PATH": os.environ["PATH"], "HOME": str(workspace)}, workspace) as asked:
        asked.until(lambda: "Which one?" in asked.text)
        asked.type(b"neither\n")
        asked.until(lambda: "or its number" in asked.text)
        asked.type(b"4\n")
        assert asked.end() == 0, asked.text
    assert "playbook: explain" in (workspace / "plan.yaml").read_text()


def test_a_person_who_does_not_answer_starts_nothing(workspace: Path) -> None:
    argv = [sys.executable, "-P", "-m", "visionflow.cli", "run", VAGUE]
    with OnTerminal(argv, {"PATH": os.environ["PATH"], "HOME": str(workspace)}, workspace) as asked:
        asked.until(lambda: "Which one?" in asked.text)
        asked.type(b"\x04")
        assert asked.end() == 2, asked.text
    assert not (workspace / ".visionflow").exists()


def test_a_plan_alone_is_written_and_printed_and_nothing_runs(workspace: Path) -> None:
    ran = visionflow("run", "Audit this", "--plan-only", cwd=workspace)
    assert ran.returncode == 0
    assert ran.stdout == (workspace / "plan.yaml").read_text()
    assert "flowchart LR" in ran.stdout and "playbook: audit" in ran.stdout
    assert not (workspace / ".visionflow").exists()
    again = visionflow("run", "Audit this", "--plan-only", "--json", cwd=workspace)
    told = json.loads(again.stdout)
    assert (told["playbook"], told["plan"]) == ("audit", str(workspace / "plan.yaml"))
    (workspace / "plan.yaml").write_text("mine: true\n")
    refused = visionflow("run", "Audit this", "--plan-only", cwd=workspace)
    assert refused.returncode == 2
    assert (workspace / "plan.yaml").read_text() == "mine: true\n"


def test_what_no_tool_can_do_has_no_plan(workspace: Path) -> None:
    ran = visionflow("run", "Build a login service", "--plan-only", cwd=workspace)
    assert ran.returncode == 3
    assert "needs_model" in ran.stderr
    assert not (workspace / "plan.yaml").exists()


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("run", "gone.yaml"), 2, "no plan file"),
        (("run", "plan.yaml", "--playbook", "audit"), 2, "no --playbook"),
        (("run", "Audit this", "--playbook", "adit"), 2, "adit"),
        (("run", "plan.yaml"), 78, "plan.yaml:2:"),
        (("run", "--resume", "x", "--playbook", "audit"), 2, "--resume goes on"),
    ],
)
def test_words_that_do_not_fit_are_refused_by_name(
    workspace: Path, words: tuple[str, ...], code: int, told: str
) -> None:
    (workspace / "plan.yaml").write_text("goal: [\n" if "plan.yaml" in words[-1] else "goal: x\n")
    ran = visionflow(*words, cwd=workspace)
    assert ran.returncode == code, ran.stderr
    assert told in ran.stderr
    assert not (workspace / ".visionflow").exists()
