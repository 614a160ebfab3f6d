"""The researcher: what it does with a task, step by step, and what each setting changes."""

from pathlib import Path
from typing import Any

import pytest
from role_work import Attempt, do
from study import commit
from test_roles import task_for
from tool_projects import write
from unconfined import RefusingSandbox, UnconfinedSandbox

from visionflow.agents.base import PermanentFailure
from visionflow.agents.evidence import Research
from visionflow.agents.roles.job import restored
from visionflow.agents.roles.researcher import ResearcherAgent
from visionflow.agents.task import Task

PROJECT: dict[str, str | bytes] = {
    "pyproject.toml": "[project]\nname = 'shop'\ndependencies = ['idle-one']\n",
    "shop/__init__.py": "import httpx\n\n\ndef price_of(thing):\n    return 1  # TODO: a list\n",
    "shop/bad.py": "def f(:\n",
    "docs/prices.md": "# Prices\n\nA price is a number.\n",
}
GOAL = "Explain how a price and a discount are made"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = write(tmp_path / "ws", PROJECT)
    commit(root, "Prices are numbers now")
    write(root, {"docs/more.md": "What a price is not.\n"})
    return root


def found_in(result: Any) -> Research:
    return restored(result["research"], Research)


def research(project: Path, own: Path, config: dict[str, Any] | None = None, **more: Any) -> Any:
    more = {"goal": GOAL, "repository": str(own.parent / "repository"), **more}
    return do(ResearcherAgent, own, task_for(project, "research", **more), config=config)


def test_a_goal_is_answered_with_citations_and_measured(project: Path, tmp_path: Path) -> None:
    attempt = Attempt()
    result = do(
        ResearcherAgent, tmp_path / "own", task_for(project, "research", goal=GOAL),
        attempt=attempt,
    )  # fmt: skip
    found = found_in(result)
    assert [answer.terms for answer in found.answers] == [
        ("price",), ("discount",), ("price_of",),
    ]  # fmt: skip
    assert found.completeness == result["completeness"] == 0.5
    first = found.answers[0]
    assert (first.citations[0].path, first.citations[0].line) == ("shop/__init__.py", 4)
    assert {each.source for each in first.citations} == {"code", "docs", "log"}
    assert [dependency.name for dependency in found.undeclared] == ["httpx"]
    assert [dependency.name for dependency in found.unused] == ["idle-one"]
    assert [(todo.text, todo.place.line) for todo in found.todos] == [("a list", 5)]
    assert found.indexed == {"code": 2, "docs": 3, "commits": 1}
    assert found.not_read == (("shop/bad.py", "line 1: invalid syntax"),)
    assert attempt.ran == ["prepare worktree", "look at the project", "look it up"]
    assert attempt.notes[-1] == (1.0, "research is done")
    assert len(result["snapshot"]) == 40 and result["warnings"] == []


@pytest.mark.parametrize("kind", ["gather_requirements", "requirements_analysis"])
def test_the_guides_names_for_it_do_the_same(project: Path, tmp_path: Path, kind: str) -> None:
    task = Task(id="t1", type=kind, description=GOAL, input={"workspace": str(project)})
    assert do(ResearcherAgent, tmp_path / "a", task) == research(project, tmp_path / "b")


def test_finished_steps_are_not_run_again(project: Path, tmp_path: Path) -> None:
    task, first = task_for(project, "research", goal=GOAL), Attempt()
    calm = do(ResearcherAgent, tmp_path / "own", task, attempt=first)
    again = Attempt(first.done)
    assert do(ResearcherAgent, tmp_path / "own", task, attempt=again) == calm
    assert again.ran == []
    third = Attempt(first.without("look it up"))
    assert do(ResearcherAgent, tmp_path / "own", task, attempt=third) == calm
    assert third.ran == ["look it up"]


def test_files_known_from_earlier_runs_are_not_read_again(project: Path, tmp_path: Path) -> None:
    cache = str(tmp_path / "cache")
    first = research(project, tmp_path / "a", cache=cache)
    sandbox = UnconfinedSandbox()
    task = task_for(project, "research", goal=GOAL, cache=cache)
    assert do(ResearcherAgent, tmp_path / "b", task, sandbox=sandbox) == first
    assert sandbox.commands == []


def test_without_confinement_text_is_found_and_imports_stay_unknown(
    project: Path, tmp_path: Path
) -> None:
    task = task_for(project, "research", goal=GOAL)
    result = do(ResearcherAgent, tmp_path / "own", task, sandbox=RefusingSandbox())
    found = found_in(result)
    assert found.completeness == 0.5 and found.indexed["code"] == 2
    assert (found.undeclared, found.unused, found.todos) == ((), (), ())
    assert "imports are not known" in found.notes[0]


def test_a_goal_without_terms_has_no_measure(project: Path, tmp_path: Path) -> None:
    task = task_for(project, "research", goal="Explain this repository")
    found = found_in(do(ResearcherAgent, tmp_path / "own", task))
    assert (found.answers, found.completeness) == ((), None)
    assert found.notes[0] == "The goal has no term that could be looked up."


def test_words_that_ask_for_an_audit_are_not_looked_up(project: Path, tmp_path: Path) -> None:
    write(project, {"README.md": "Tests of quality and security.\n"})
    found = found_in(research(project, tmp_path / "own", goal="Audit: security, quality, tests"))
    assert (found.answers, found.completeness) == ((), None)
    assert found.notes[0] == "The goal has no term beside what the tools tell."
    goal = "Audit this repository: security, and where prices are made"
    told = found_in(research(project, tmp_path / "two", goal=goal)).answers
    assert [answer.terms for answer in told][:2] == [("prices",), ("price_of",)]
    asked = found_in(research(project, tmp_path / "three", goal="How is security tested?"))
    assert [answer.terms for answer in asked.answers if len(answer.terms) == 1] == [
        ("security",), ("tested",),
    ]  # fmt: skip


def test_what_builds_write_beside_the_source_is_not_cited(project: Path, tmp_path: Path) -> None:
    write(project, {"shop.egg-info/SOURCES.txt": "price.py\n", "a.egg-info/b.md": "A price.\n"})
    found = found_in(research(project, tmp_path / "own"))
    assert not [c.path for answer in found.answers for c in answer.citations if "egg" in c.path]


def test_search_depth_bounds_citations_and_names(project: Path, tmp_path: Path) -> None:
    deep = found_in(research(project, tmp_path / "a", {"search_depth": 5}))
    flat = found_in(research(project, tmp_path / "b", {"search_depth": 1}))
    assert max(len(answer.citations) for answer in deep.answers) > 1
    assert {len(answer.citations) for answer in flat.answers} == {0, 1}


def test_sources_are_where_citations_come_from(project: Path, tmp_path: Path) -> None:
    heard: dict[str, set[str]] = {}
    for source in ("documentation", "code_repositories"):
        result = research(project, tmp_path / source, {"sources": [source]})
        cited = [each for answer in found_in(result).answers for each in answer.citations]
        heard[source] = {each.source for each in cited}
    assert heard == {"documentation": {"docs"}, "code_repositories": {"code", "log"}}


def test_the_web_and_words_that_name_no_source_are_warned_about(
    project: Path, tmp_path: Path
) -> None:
    config = {"sources": ["web", "documentation", "books"], "serach_depth": 3}
    slip, web, books = research(project, tmp_path / "own", config)["warnings"]
    assert slip.endswith("is no setting and is only context; did you mean 'search_depth'?")
    assert web == "researcher: the source 'web' has no effect: there is no network here"
    assert books.startswith("researcher: the source 'books' has no effect: there are code, ")


def test_timeout_bounds_the_reading(project: Path, tmp_path: Path) -> None:
    task, sandbox = task_for(project, "research", goal=GOAL), UnconfinedSandbox()
    do(ResearcherAgent, tmp_path / "own", task, sandbox=sandbox, config={"timeout": 7})
    assert 0 < sandbox.commands[0].wall_ms <= 7_000


@pytest.mark.parametrize(
    "config",
    [{"search_depth": 0}, {"search_depth": 51}, {"sources": "web"}, {"timeout": 0},
     {"max_concurrent_tasks": 0}, {"timeout": "soon"}],
)  # fmt: skip
def test_a_setting_that_makes_no_sense_is_refused(
    project: Path, tmp_path: Path, config: dict[str, Any]
) -> None:
    with pytest.raises(PermanentFailure, match=f"researcher.*{next(iter(config))}"):
        research(project, tmp_path / "own", config)


def test_a_task_without_a_workspace_or_of_another_type_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PermanentFailure, match="workspace"):
        task = Task(id="t", type="research", description=GOAL, input={"goal": GOAL})
        do(ResearcherAgent, tmp_path, task)
    with pytest.raises(PermanentFailure, match="cannot do tasks of type 'market_research'"):
        do(ResearcherAgent, tmp_path, Task(id="t", type="market_research"))


def test_a_task_without_any_input_is_about_the_folder_of_the_program(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    task = Task(id="t", type="requirements_analysis", description=GOAL)
    there = do(ResearcherAgent, tmp_path / "own", task)["research"]
    assert there == research(project, tmp_path / "named", {})["research"]


def test_a_goal_beyond_the_repository_is_told_to_be(project: Path, tmp_path: Path) -> None:
    said = "Only this repository was read"
    for goal, told in (("Research authentication best practices", True), (GOAL, False)):
        task = task_for(project, "requirements_analysis", goal=goal)
        notes = do(ResearcherAgent, tmp_path / str(told), task)["notes"]
        assert any(note.startswith(said) for note in notes) == told


def test_it_offers_no_capability_that_needs_a_network() -> None:
    offered = set(ResearcherAgent.capabilities)
    assert {"research", "information_gathering", "documentation_analysis"} <= offered
    assert not offered & {"market_research", "competitive_analysis", "web_search"}


def test_a_hostile_goal_and_hostile_names_change_nothing(project: Path, tmp_path: Path) -> None:
    write(project, {"shop/\x1b[31m|`<b>.py": "price = 1\n"})
    goal = 'price" OR NEAR(* ^ -- \x1b[2J; DROP TABLE lines; "'
    task = task_for(project, "research", goal=goal)
    found = found_in(do(ResearcherAgent, tmp_path / "own", task))
    assert ("price",) in [answer.terms for answer in found.answers]
    assert found.answers[0].hits
