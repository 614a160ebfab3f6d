"""Tester and reviewer: what they do with a task, step by step, without a process around them."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from role_work import Attempt, do
from tool_projects import QUICK, write
from unconfined import RefusingSandbox, UnconfinedSandbox

from visionflow.adapters.memory import MemoryBlobs
from visionflow.agents import BaseAgent, PermanentFailure, ReviewerAgent, Task, TesterAgent
from visionflow.agents.base import AgentContext, current_attempt
from visionflow.agents.roles.reviewer import known_findings, suite_in, tools_in
from visionflow.agents.rules import TOOLS

PROJECT: dict[str, str | bytes] = {
    "pytest.ini": QUICK,
    "shop/__init__.py": "import os\n\n\ndef price(text):\n    return eval(text)\n",
    "tests/test_shop.py": (
        "import pathlib\n\nfrom shop import price\n\n\n"
        "def test_good():\n"
        "    left = pathlib.Path('left.txt')\n"
        "    assert not left.exists()\n"
        "    left.write_text('by a test')\n\n\n"
        "def test_bad():\n    assert price('1') == 2\n"
    ),
}


def task_for(workspace: Path, kind: str, **more: Any) -> Task:
    return Task(id="t1", type=kind, input={"workspace": str(workspace), **more})


def test_a_tester_tells_how_the_projects_own_tests_went(tmp_path: Path) -> None:
    project = write(tmp_path / "ws", PROJECT)
    attempt = Attempt()
    result = do(TesterAgent, tmp_path / "own", task_for(project, "run_tests"), attempt=attempt)
    tests = suite_in([result])
    assert tests is not None
    assert (tests.outcome, tests.counts.passed, tests.counts.failed) == ("failed", 1, 1)
    assert tests.coverage == 100.0
    assert attempt.ran == [
        "prepare worktree", "look at the project", "run tests", "run failures again",
    ]  # fmt: skip
    assert (tmp_path / "own" / "t1" / "junit.xml").is_file()
    assert not (project / "left.txt").exists()
    assert attempt.notes[-1] == (1.0, "tests are done")


def test_tests_that_were_killed_in_the_middle_are_run_again_on_a_clean_copy(
    tmp_path: Path,
) -> None:
    project, own = write(tmp_path / "ws", PROJECT), tmp_path / "own"
    task = task_for(project, "run_tests")
    first = Attempt()
    calm = do(TesterAgent, own, task, attempt=first, config={"reruns": 0})
    worktree = own / "t1" / "repository" / "worktrees" / "tests"
    assert (worktree / "left.txt").exists()
    second = Attempt(first.without("run tests"))
    again = do(TesterAgent, own, task, attempt=second, config={"reruns": 0})
    assert second.ran == ["run tests"]
    counts = [suite_in([each]) for each in (calm, again)]
    assert counts[0] is not None and counts[1] is not None
    assert counts[0].counts == counts[1].counts


def test_a_reviewer_gives_a_run_of_each_tool(tmp_path: Path) -> None:
    project = write(tmp_path / "ws", PROJECT)
    attempt = Attempt()
    result = do(ReviewerAgent, tmp_path / "own", task_for(project, "review_code"), attempt=attempt)
    tools = tools_in([result])
    assert [run.tool for run in tools] == list(TOOLS)
    assert {finding.rule for run in tools for finding in run.findings} == {"B307"}
    assert attempt.ran == [
        "prepare worktree", "look at the project", *(f"scan {tool}" for tool in TOOLS),
    ]  # fmt: skip


def test_where_nothing_confines_nothing_runs_and_nothing_is_known(tmp_path: Path) -> None:
    project = write(tmp_path / "ws", PROJECT)
    tested = do(
        TesterAgent, tmp_path / "t", task_for(project, "run_tests"), sandbox=RefusingSandbox()
    )
    reviewed = do(
        ReviewerAgent, tmp_path / "r", task_for(project, "review_code"), sandbox=RefusingSandbox()
    )
    verdict = do(
        ReviewerAgent,
        tmp_path / "r",
        Task(id="j", type="judge", dependencies={"a": tested, "b": reviewed}),
    )
    tests = suite_in([tested])
    assert tests is not None and tests.outcome == "could_not_run"
    assert verdict == {
        "gates": {"tests": None, "syntax": None, "findings": None},
        "findings": None,
        "verdict": "nothing_checked",
    }


def test_the_verdict_is_made_of_what_the_others_found(tmp_path: Path) -> None:
    project = write(tmp_path / "ws", PROJECT)
    done = {
        kind: do(role, tmp_path / kind, task_for(project, kind))
        for kind, role in (("run_tests", TesterAgent), ("review_code", ReviewerAgent))
    }
    verdict = do(ReviewerAgent, tmp_path, Task(id="j", type="judge", dependencies=done))
    assert verdict["gates"] == {"tests": False, "syntax": True, "findings": True}
    assert verdict["verdict"] == "failed"
    assert verdict["findings"] == known_findings(tools_in(done.values()))


def test_two_roles_may_prepare_the_same_repository_at_once(tmp_path: Path) -> None:
    project, repository = write(tmp_path / "ws", PROJECT), str(tmp_path / "repository")
    sandbox = UnconfinedSandbox()

    async def one(role: type[BaseAgent], kind: str) -> Any:
        context = AgentContext(
            folder=tmp_path / kind,
            blobs=MemoryBlobs(),
            open_sandbox=lambda: sandbox,
            write_log=lambda *_: None,
        )
        current_attempt.set(Attempt())  # pyright: ignore[reportArgumentType]
        agent = role(kind, kind, kind, {}, context)
        return await agent.process_task(task_for(project, kind, repository=repository))

    async def both() -> list[Any]:
        return await asyncio.gather(
            one(TesterAgent, "run_tests"), one(ReviewerAgent, "review_code")
        )

    tested, reviewed = asyncio.run(both())
    assert tested["snapshot"] == reviewed["snapshot"]


@pytest.mark.parametrize("role", [TesterAgent, ReviewerAgent])
def test_a_task_that_no_tool_can_do_fails_for_good(tmp_path: Path, role: type[BaseAgent]) -> None:
    with pytest.raises(PermanentFailure, match="cannot do tasks of type 'write_tests'"):
        do(role, tmp_path, Task(type="write_tests", input={}))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("a text", "is a map with a workspace"),
        ({}, "missing required field `workspace`"),
        ({"workspace": "here"}, "no absolute path"),
        ({"workspace": "/x", "wrkspace": "/y"}, "unknown field `wrkspace`"),
        ({"workspace": "/no/such/folder"}, "cannot be used as a workspace"),
    ],
)
def test_an_input_that_says_too_little_fails_for_good(
    tmp_path: Path, given: Any, said: str
) -> None:
    with pytest.raises(PermanentFailure, match=said):
        do(TesterAgent, tmp_path, Task(id="t", type="run_tests", input=given))


@pytest.mark.parametrize("timeout", [0, -1, "soon", True])
def test_a_timeout_that_is_no_time_fails_for_good(tmp_path: Path, timeout: object) -> None:
    project = write(tmp_path / "ws", {"a.py": ""})
    with pytest.raises(PermanentFailure, match="The setting timeout of a1"):
        do(TesterAgent, tmp_path, task_for(project, "run_tests"), config={"timeout": timeout})
