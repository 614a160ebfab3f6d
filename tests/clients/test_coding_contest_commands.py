"""The real Claude Code and Codex side by side, by `visionflow run` and `visionflow apply` as their
user writes them: each edits in its own way, one fake model leads them all."""

import os
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from fake_models import Model, Script, Step, served
from tool_users import (
    ADDED,
    KEY,
    PATCH,
    Ran,
    ToolUser,
    bash,
    claude,
    claude_edits,
    codex,
    shell,
    steps,
)

from tests.job.jobs import snapshot
from tests.kills.watched_run import processes_of
from visionflow.agents.command.journal import journal_in

pytestmark = pytest.mark.acceptance("coding-agents", "workspace", "confine")
RELEASE = os.environ.get("VISIONFLOW_RELEASE") == "1"
TIMEOUT = "90s"
FLOODS = 'yes "$(head -c 4000 /dev/zero | tr "\\0" x)" > /proc/$PPID/fd/1'
"""Claude Code keeps what a command prints to itself, so that goes to where itself prints."""


class Other(NamedTuple):
    """One who must not win."""

    agent: Callable[[str], str]
    does: Script
    standing: str
    outcome: str
    words: str
    """Those that it is named with."""


def never(over: threading.Event) -> Script:
    """A model that does not answer until all is over."""

    def script(results: list[str]) -> Step:
        over.wait(900)
        return "Too late."

    return script


OVER = threading.Event()
BREAKS = Other(
    codex,
    steps(shell(PATCH), shell("sed -i 's/price [*] count/price + count/' shop/prices.py"), "So."),
    "not_good", "changed", "a test is broken",
)  # fmt: skip
SOME: dict[str, Other] = {"bob": BREAKS}
ALL: dict[str, Other] = {
    **SOME,
    "eve": Other(
        claude,
        steps(bash("git branch -f main $(git commit-tree -m x HEAD^{tree})"), "Moved."),
        "out", "violation", "moved the branch main",
    ),
    "fay": Other(
        claude, steps(bash(FLOODS), "Told."), "out", "flooded",
        "wrote more than 67,108,864 bytes of output",
    ),
    "ivy": Other(
        claude, steps(bash("tail -f /dev/null"), "Seen."), "out", "timed_out", "its time limit",
    ),
    "hal": Other(codex, never(OVER), "out", "timed_out", "its time limit"),
}  # fmt: skip
OTHERS = ALL if RELEASE else SOME
NUMBERS = {word: number for number, word in enumerate(OTHERS, start=2)}


class Contest(NamedTuple):
    """After a run of a good Claude Code and of the others."""

    user: ToolUser
    model: Model
    before: dict[str, Any]
    ran: Ran


@pytest.fixture(scope="module")
def contest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Contest]:
    user = ToolUser(tmp_path_factory.mktemp("contest"))
    before = snapshot(user.workspace)
    scripts = {"(ada)": claude_edits("Calls are limited.")}
    scripts |= {f"({word})": other.does for word, other in OTHERS.items()}
    agents = [claude("ada"), *(other.agent(word) for word, other in OTHERS.items())]
    with served(steps("Whose is this?"), scripts) as model:
        try:
            ran = user.runs(model, agents, "--agent-timeout", TIMEOUT)
        finally:
            OVER.set()
        yield Contest(user, model, before, ran)


def test_the_good_one_wins_with_the_figures_that_its_tool_reports(contest: Contest) -> None:
    ran = contest.ran
    assert (ran.code, ran.summary["status"]) == (0, "completed"), ran.said
    assert ran.summary["gates"] == {"winner": True, "accept": True, "tests": True, "findings": True}
    assert ran.summary["contest"]["winner"] == "candidate-1"
    won = ran.candidate(1)
    assert (won["standing"], won["goes"], won["confined"]) == ("taken", ["started"], True)
    assert (won["input_tokens"], won["output_tokens"], won["tokens"]) == (5, 5, 10)
    assert won["cost_microdollars"] > 0 and won["summary"] == "Calls are limited."
    assert contest.model.failed == []
    assert '"name":"Edit"' in (ran.folder.coding / "candidate-1/output.log").read_text()


def test_codex_edits_in_its_own_way_and_what_it_does_not_report_is_not_known(
    contest: Contest,
) -> None:
    told = contest.ran.candidate(NUMBERS["bob"])
    assert told["files"] == ["shop/limits.py", "shop/prices.py"]
    assert (told["tokens"], told["cost_microdollars"]) == (6, None)
    assert all(each["passed"] for each in told["predicates"])
    log = (contest.ran.folder.coding / told["candidate"] / "output.log").read_text()
    assert '"type":"file_change"' in log


@pytest.mark.parametrize("word", OTHERS)
def test_each_of_the_others_is_named_for_what_it_did(contest: Contest, word: str) -> None:
    other = OTHERS[word]
    told = contest.ran.candidate(NUMBERS[word])
    assert (told["standing"], told["outcome"]) == (other.standing, other.outcome)
    assert other.words in " ".join(told["reasons"])
    assert other.words in contest.ran.folder.report.read_text()
    assert other.words in contest.ran.folder.page.read_text()


def test_every_tools_session_is_known_and_no_key_is_left_in_the_run(contest: Contest) -> None:
    folder = contest.ran.folder
    for number in (1, *NUMBERS.values()):
        assert journal_in(folder.coding / f"candidate-{number}").session is not None
    files = [each for each in folder.path.rglob("*") if each.is_file() and not each.is_symlink()]
    assert files and not [each for each in files if KEY.encode() in each.read_bytes()]


def test_nothing_of_a_tool_is_left_alive(contest: Contest) -> None:
    assert processes_of(contest.ran.folder.path) == []


def test_apply_refuses_the_others_and_brings_the_good_one_as_a_branch(contest: Contest) -> None:
    user, model, run = contest.user, contest.model, contest.ran.summary["run"]
    assert snapshot(user.workspace) == contest.before
    for word, number in NUMBERS.items():
        refused = user.visionflow(model, "apply", run, f"candidate-{number}")
        assert refused.returncode != 0 and f"candidate-{number}" in refused.stderr
        assert OTHERS[word].words in refused.stderr
    assert snapshot(user.workspace) == contest.before
    applied = user.visionflow(model, "apply", run)
    assert applied.returncode == 0, applied.stderr
    branch = f"visionflow/{run}"
    assert branch in applied.stdout
    assert user.git("diff", "--name-only", f"main..{branch}") == "shop/limits.py"
    assert ADDED.strip() in user.git("show", f"{branch}:shop/limits.py")
    assert user.git("status", "--porcelain") == ""
