"""The reviewer: what it does with a task, what its settings change, and a review by hand."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from role_work import Attempt, do
from tool_projects import write
from unconfined import RefusingSandbox, UnconfinedSandbox

from visionflow.adapters.memory import MemoryBlobs
from visionflow.agents import PermanentFailure, ReviewerAgent, Task
from visionflow.agents.base import AgentContext
from visionflow.agents.evidence import FOCUSES
from visionflow.agents.roles.reviewer import tools_in
from visionflow.agents.roles.reviewing import Checked, ReviewReport
from visionflow.agents.rules import TOOLS, rule_of
from visionflow.ports.sandbox import Sandbox

PROJECT: dict[str, str | bytes] = {
    "shop/__init__.py": "",
    "shop/price.py": (
        "import os\n\n\ndef price(text, seen=[]):\n    seen.append(text)\n    return eval(text)\n"
        "\n\ndef every(items):\n    found = []\n    for item in items:\n        if item:\n"
        "            found.append(item)\n    return found\n\n\nprice(every('1'))\n"
    ),
    "tools/run.py": "def lost():\n    pass\n",
}


def task_for(workspace: Path, kind: str, **more: Any) -> Task:
    return Task(id="t1", type=kind, input={"workspace": str(workspace), **more})


def reviewed(folder: Path, config: dict[str, Any] | None = None, **more: Any) -> Any:
    project = write(folder / "ws", PROJECT)
    task = task_for(project, "review_code", **more)
    return do(ReviewerAgent, folder / "own", task, config=config)


def rules_in(result: Any) -> set[str]:
    return {finding.rule for run in tools_in([result]) for finding in run.findings}


def test_a_task_with_a_focus_runs_the_tools_of_that_focus_only(tmp_path: Path) -> None:
    project = write(tmp_path / "ws", PROJECT)
    attempt = Attempt()
    task = task_for(project, "review_code", focus="performance")
    result = do(ReviewerAgent, tmp_path / "own", task, attempt=attempt)
    assert attempt.ran == ["prepare worktree", "look at the project", "scan ruff"]
    assert rules_in(result) == {"PERF401"}
    assert (result["focus"], result["part"], result["warnings"]) == ("performance", None, [])


def test_a_part_is_reviewed_by_itself_and_says_so(tmp_path: Path) -> None:
    part = {"name": "tools", "folders": ["tools"]}
    thorough = {"review_depth": "thorough"}
    result = reviewed(tmp_path, thorough, part=part, focus="maintainability")
    assert rules_in(result) == {"unused-function"}
    assert result["part"] == "tools"
    assert {run["part"] for run in result["tools"]} == {"tools"}


def test_reviewers_of_each_focus_find_together_what_one_of_all_finds(tmp_path: Path) -> None:
    cache = str(tmp_path / "cache")
    whole = reviewed(tmp_path, cache=cache)
    split = [reviewed(tmp_path, cache=cache, focus=focus) for focus in FOCUSES]
    assert [run.tool for run in tools_in([whole])] == list(TOOLS)
    assert [run.findings for run in tools_in(split)] == [r.findings for r in tools_in([whole])]
    assert all(run["cached"] == run["files_read"] for result in split for run in result["tools"])


def test_finished_tools_are_not_run_again_by_a_later_attempt(tmp_path: Path) -> None:
    project = write(tmp_path / "ws", PROJECT)
    task = task_for(project, "review_code", focus="security")
    first = Attempt()
    calm = do(ReviewerAgent, tmp_path / "own", task, attempt=first)
    left = {key: value for key, value in first.done.items() if not key.startswith("scan ruff")}
    second = Attempt(left)
    again = do(ReviewerAgent, tmp_path / "own", task, attempt=second)
    assert second.ran == ["scan ruff"]
    assert again == calm


def test_focus_areas_hold_where_the_task_names_no_focus(tmp_path: Path) -> None:
    config = {"focus_areas": ["performance", "security"]}
    found = rules_in(reviewed(tmp_path, config))
    assert found == {"B307", "PERF401"}
    assert all(rule_of("ruff", rule).focus != "maintainability" for rule in found if rule != "B307")
    assert "B006" in rules_in(reviewed(tmp_path, config, focus="maintainability"))
    none = reviewed(tmp_path, {"focus_areas": []})
    assert none["tools"] == []
    assert "focus_areas is empty" in none["warnings"][0]


def test_the_depth_changes_what_is_told(tmp_path: Path) -> None:
    found = [
        reviewed(tmp_path, {"review_depth": depth}, focus="maintainability")
        for depth in ("quick", "standard", "thorough")
    ]
    assert [run["tool"] for run in found[0]["tools"]] == ["ruff"]
    assert [run["tool"] for run in found[1]["tools"]] == ["complexipy", "ruff", "vulture"]
    assert [rules_in(each) for each in found] == [
        {"B006"}, {"B006", "F401"}, {"B006", "F401", "unused-function"},
    ]  # fmt: skip


def test_the_timeout_bounds_each_tool(tmp_path: Path) -> None:
    result = reviewed(tmp_path, {"timeout": 0.001})
    for run in tools_in([result]):
        assert run.ended == "failed"
        assert "reached its" in (run.reason or "")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"automated_fixes": True}, "automated_fixes has no effect"),
        ({"reviw_depth": "quick"}, "did you mean 'review_depth'"),
    ],
)
def test_a_setting_without_effect_is_warned_about(
    tmp_path: Path, config: dict[str, Any], said: str
) -> None:
    warnings = reviewed(tmp_path, config, focus="performance")["warnings"]
    assert len(warnings) == 1
    assert said in warnings[0]


@pytest.mark.parametrize(
    "config",
    [{"review_depth": "deep"}, {"focus_areas": ["beauty"]}, {"focus_areas": 1}, {"timeout": 0}],
)
def test_a_setting_that_is_none_fails_for_good(tmp_path: Path, config: dict[str, Any]) -> None:
    with pytest.raises(PermanentFailure, match="setting"):
        reviewed(tmp_path, config)


def no_log(level: str, text: str) -> None:
    """Nobody reads it."""


def by_hand(folder: Path, submission: Any, sandbox: Sandbox | None = None) -> ReviewReport:
    chosen = sandbox or UnconfinedSandbox()
    context = AgentContext(
        folder=folder / "agent", blobs=MemoryBlobs(), open_sandbox=lambda: chosen,
        write_log=no_log,
    )  # fmt: skip
    agent = ReviewerAgent("a1", "a1", "reviewer", {}, context)
    return asyncio.run(agent.review_code(submission))


def test_a_folder_is_reviewed_by_hand_as_the_guide_has_it(tmp_path: Path) -> None:
    project = write(tmp_path / "ws", PROJECT)
    report = by_hand(tmp_path, project)
    parts = (report.quality, report.security, report.practices, report.performance)
    assert [[issue.rules[0][1] for issue in part] for part in parts] == [
        [], ["B307"], ["B006", "F401"], ["PERF401"],
    ]  # fmt: skip
    assert (report.recommendation, report.approved) == ("request_changes", False)
    assert all(part.complete for part in parts)


@pytest.mark.parametrize(
    ("source", "recommendation"),
    [
        ("import subprocess; subprocess.call(word, shell=True)", "reject"),
        ({"a.py": "from b import f\n\nf()\n", "b.py": "def f(): return 1\n"}, "approve"),
    ],
)
def test_source_text_is_reviewed_and_recommended_on(
    tmp_path: Path, source: Any, recommendation: str
) -> None:
    assert by_hand(tmp_path, source).recommendation == recommendation


def test_a_single_file_is_reviewed_by_itself(tmp_path: Path) -> None:
    project = write(tmp_path / "ws", PROJECT)
    report = by_hand(tmp_path, project / "shop" / "price.py")
    assert [issue.path for issue in report.security] == ["price.py"]
    assert len(report.quality) == 0


def test_what_could_not_be_read_is_not_approved(tmp_path: Path) -> None:
    report = by_hand(tmp_path, "x = 1\n", RefusingSandbox())
    assert (report.recommendation, report.approved) == ("undecided", None)


@pytest.mark.parametrize("submission", ["/no/such/place", {"../a.py": "x"}, {"/etc/x": "x"}])
def test_a_submission_that_is_none_is_refused(tmp_path: Path, submission: Any) -> None:
    with pytest.raises(PermanentFailure, match=r"There is no code at|leads out"):
        by_hand(tmp_path, submission)


def test_nothing_looked_at_is_nothing_found() -> None:
    assert Checked().complete
    assert list(Checked()) == []
