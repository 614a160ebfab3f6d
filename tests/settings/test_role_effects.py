"""What each setting of a role changes, seen in the results of its tasks."""

import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest
from role_bench import Bench, changes, written

from visionflow import AgentOrchestrator, Task
from visionflow.adapters.memory import MemoryBlobs
from visionflow.agents.evidence import Architecture, Change, Research
from visionflow.agents.findings import ToolRun
from visionflow.agents.tools.results import TestRun as Run
from visionflow.compose.job import create_run, make_plan
from visionflow.compose.job.outputs import facts_of
from visionflow.compose.job.plan import swarm_of
from visionflow.compose.job.story import PartStory, Story
from visionflow.domain.errors import UsageError
from visionflow.domain.tasks import TaskStatus

SHOP = {
    "shop/__init__.py": "",
    "shop/price.py": (
        "from shop import stock\n\n\ndef price_of(count: int) -> int:\n"
        "    if count > 9:\n        return count * 9\n    return count * 10\n"
    ),
    "shop/stock.py": "from shop import price\n\n\ndef stock_of(name: str) -> int:\n    return 3\n",
    "docs/price.md": "# How a price is made\n\nThe price is ten each.\nA price may be lower.\n",
}


# Coordinator -----------------------------------------------------------------------------------


def agents_file(folder: Path, **config: object) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "agents.yaml"
    template = {"class": "visionflow.agents.CoordinatorAgent", "default_config": config}
    path.write_bytes(msgspec.json.encode({"agent_templates": {"coordinator": template}}))
    return path


GOAL = "Test and review this repository"


@pytest.mark.acceptance("config")
@changes("coordinator", "max_workers", "supervision_interval")
def test_the_coordinators_workers_and_interval_hold_for_its_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISIONFLOW_HOME", str(tmp_path / "home"))
    workspace = written(tmp_path / "ws", SHOP)
    usual = create_run(GOAL, workspace, tmp_path / "out").read_order()
    path = agents_file(tmp_path / "y", max_workers=1, supervision_interval=250)
    other = create_run(GOAL, workspace, tmp_path / "out", agents=path).read_order()
    assert (usual.supervision_ms, other.supervision_ms) == (5_000, 250)
    assert swarm_of(usual).limits.workers_max >= 2
    assert swarm_of(other).limits.workers_max == 1


@pytest.mark.acceptance("config")
@changes("coordinator", "strategy")
def test_a_sequential_coordinator_lets_no_two_tasks_of_a_phase_run_at_once(
    tmp_path: Path,
) -> None:
    workspace = written(tmp_path / "ws", SHOP)
    usual = make_plan(GOAL, workspace).plan
    path = agents_file(tmp_path / "y", strategy="sequential")
    other = make_plan(GOAL, workspace, agents=path).plan
    assert usual is not None and other is not None
    assert not any(phase.sequential for phase in usual.phases)
    wide = [phase for phase in other.phases if len(phase.tasks) > 1]
    assert wide and all(phase.sequential for phase in wide)


@pytest.mark.acceptance("config")
@changes("coordinator", "escalation_threshold")
def test_a_run_of_which_too_little_completed_asks_for_a_person(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISIONFLOW_HOME", str(tmp_path / "home"))
    workspace = written(tmp_path / "ws", SHOP)
    usual = create_run(GOAL, workspace, tmp_path / "out")
    path = agents_file(tmp_path / "y", escalation_threshold=0.1)
    other = create_run(GOAL, workspace, tmp_path / "out", agents=path)
    notes: list[str] = []
    for run in (usual, other):
        order = run.read_order()
        story = Story(order.plan)
        story.plan = PartStory(TaskStatus.COMPLETED)
        for number, part in enumerate(story.parts.values()):
            part.status = TaskStatus.FAILED if number % 2 else TaskStatus.COMPLETED
        facts = facts_of(run, order, story, "completed", MemoryBlobs())
        notes.append(" ".join(facts.notes))
    assert "A person has to look at this" in notes[0] and "escalation_threshold is 0.7" in notes[0]
    assert "A person has to look" not in notes[1]


# Researcher ------------------------------------------------------------------------------------


def research(bench: Bench, **config: object) -> tuple[Research, list[str]]:
    result = bench.run("researcher", "research", config, goal="How is the price made?")
    return msgspec.convert(result["research"], Research), result["warnings"]


@pytest.mark.acceptance("config")
@changes("researcher", "search_depth")
def test_search_depth_bounds_the_citations_of_an_answer(tmp_path: Path) -> None:
    bench = Bench(tmp_path, SHOP)
    shallow, _ = research(bench, search_depth=1)
    deep, _ = research(bench, search_depth=5)
    assert max(len(answer.citations) for answer in shallow.answers) == 1
    assert max(len(answer.citations) for answer in deep.answers) > 1


@pytest.mark.acceptance("config")
@changes("researcher", "sources")
def test_citations_come_from_the_sources_that_are_named(tmp_path: Path) -> None:
    bench = Bench(tmp_path, SHOP)
    docs, warned = research(bench, sources=["documentation", "web"])
    code, _ = research(bench, sources=["code"])
    assert {c.source for a in docs.answers for c in a.citations} == {"docs"}
    assert {c.source for a in code.answers for c in a.citations} == {"code"}
    assert warned == ["researcher: the source 'web' has no effect: there is no network here"]


@pytest.mark.acceptance("config")
@changes("researcher", "max_concurrent_tasks")
def test_an_agent_works_on_as_many_tasks_at_once_as_its_template_says(tmp_path: Path) -> None:
    together = """
import asyncio


class Meeting:
    here = 0
    all_here = asyncio.Event()


async def meet(task):
    Meeting.here += 1
    if Meeting.here == task.input:
        Meeting.all_here.set()
    await Meeting.all_here.wait()
    return Meeting.here
"""
    folder = written(tmp_path, {"meeting.py": together})
    (folder / "agents.yaml").write_text(
        "agent_templates:\n  researcher:\n    class: meeting.py:meet\n"
        "    default_config: {max_concurrent_tasks: 3}\n",
        encoding="utf-8",
    )
    with AgentOrchestrator(agents=folder / "agents.yaml") as fleet:
        (agent,) = fleet.spawn_template("researcher")
        handles = [agent.submit(Task(input=3)) for _ in range(3)]
        assert [handle.result(60) for handle in handles] == [3, 3, 3]
        with pytest.raises(UsageError, match="max_concurrent_tasks is 0"):
            fleet.spawn_template("researcher", config={"max_concurrent_tasks": 0})


# Architect -------------------------------------------------------------------------------------


def architecture(bench: Bench, **config: object) -> tuple[Architecture, list[str]]:
    result = bench.run("architect", "analyse_architecture", config)
    return msgspec.convert(result["architecture"], Architecture), result["warnings"]


@pytest.mark.acceptance("config")
@changes("architect", "documentation_level")
def test_a_minimal_architecture_leaves_modules_out_and_keeps_figures(tmp_path: Path) -> None:
    bench = Bench(tmp_path, SHOP)
    usual, _ = architecture(bench)
    minimal, _ = architecture(bench, documentation_level="minimal")
    assert len(usual.modules) == 3 and usual.edges
    assert not minimal.modules and not minimal.edges
    assert minimal.cycles == usual.cycles != ()
    assert minimal.scalability_score == usual.scalability_score


@pytest.mark.acceptance("config")
@changes("architect", "architecture_style")
def test_a_style_is_held_against_the_imports_and_an_unknown_one_is_warned_about(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path, {"a/__init__.py": "import b\n", "b/__init__.py": ""})
    plain, _ = architecture(bench)
    strict, _ = architecture(bench, architecture_style="microservices")
    layered, _ = architecture(bench, architecture_style="layered")
    assert not any("Held against" in note for note in plain.notes)
    assert any("microservices: 1 import from" in note for note in strict.notes)
    assert any("layered: 0 imports" in note for note in layered.notes)
    _, warned = architecture(bench, architecture_style="baroque")
    assert len(warned) == 1 and "'baroque' has no effect" in warned[0]


# Analyst ---------------------------------------------------------------------------------------


@pytest.mark.acceptance("config")
@changes("analyst", "commits_max")
def test_trends_are_of_so_many_commits(tmp_path: Path) -> None:
    bench = Bench(tmp_path, SHOP)
    for words in (("init", "-q"), ("add", "-A"), ("commit", "-qm", "one"),
                  ("commit", "-q", "--allow-empty", "-m", "two")):  # fmt: skip
        who = ("-c", "user.name=a", "-c", "user.email=a@b")
        subprocess.run(["git", *who, *words], cwd=bench.workspace, check=True, timeout=60)
    assert bench.run("analyst", "analyse")["trends"]["commits"] == 2
    cut = bench.run("analyst", "analyse", {"commits_max": 1})["trends"]
    assert (cut["commits"], cut["cut"]) == (1, True)


# Times -----------------------------------------------------------------------------------------


@pytest.mark.acceptance("config")
@changes("researcher", "timeout")
@changes("architect", "timeout")
@changes("tester", "timeout")
@changes("reviewer", "timeout")
@changes("analyst", "timeout")
@pytest.mark.parametrize(
    ("role", "kind"),
    [
        ("researcher", "research"),
        ("architect", "analyse_architecture"),
        ("tester", "run_tests"),
        ("reviewer", "review_code"),
        ("analyst", "analyse"),
    ],
)
def test_a_timeout_is_the_wall_clock_of_the_foreign_commands(
    tmp_path: Path, role: str, kind: str
) -> None:
    bench = Bench(tmp_path, SUITE)
    bench.run(role, kind, {"timeout": 77})
    assert any(70_000 < command.wall_ms <= 77_000 for command in bench.sandbox.commands)


# Tester ----------------------------------------------------------------------------------------

SUITE = {
    **SHOP,
    "pytest.ini": "[pytest]\naddopts = -p no:hypothesispytest\n",
    "tests/test_price.py": (
        "import unittest\n\nfrom shop.price import price_of\n\n\n"
        "def test_few():\n    assert price_of(2) == 20\n\n\n"
        "class Cases(unittest.TestCase):\n"
        "    def test_none(self):\n        self.assertEqual(price_of(0), 0)\n"
    ),
    "tests/e2e/test_whole.py": "def test_whole():\n    assert True\n",
}


def suite_run(bench: Bench, **config: object) -> tuple[Run, dict[str, Any]]:
    result = bench.run("tester", "run_tests", config)
    return msgspec.convert(result["tests"], Run), result


@pytest.mark.acceptance("config")
@changes("tester", "coverage_threshold")
def test_the_coverage_gate_is_told_against_the_threshold(tmp_path: Path) -> None:
    bench = Bench(tmp_path, SUITE)
    run, low = suite_run(bench, coverage_threshold=0.5)
    assert run.coverage is not None and 50 < run.coverage < 99
    _, high = suite_run(bench, coverage_threshold=0.99)
    assert (low["coverage_gate"], high["coverage_gate"]) == (True, False)


@pytest.mark.acceptance("config")
@changes("tester", "test_types", "test_framework")
def test_only_tests_of_the_named_kinds_and_framework_run(tmp_path: Path) -> None:
    bench = Bench(tmp_path, SUITE)
    unit, result = suite_run(bench, test_types=["unit"])
    assert (result["coverage_gate"], result["warnings"]) == (None, [])
    assert set(unit.outcomes) == {
        "tests/test_price.py::test_few", "tests/test_price.py::Cases::test_none",
    }  # fmt: skip
    e2e, result = suite_run(bench, test_types=["e2e", "smoke"], test_framework="nose")
    assert set(e2e.outcomes) == {"tests/e2e/test_whole.py::test_whole"}
    smoke, nose = result["warnings"]
    assert "'smoke' is no kind" in smoke and "'nose' is not run here" in nose
    cases, _ = suite_run(bench, test_framework="unittest")
    assert set(cases.outcomes) == {"tests/test_price.py::Cases::test_none"}


@pytest.mark.acceptance("config")
@changes("tester", "reruns")
def test_a_failure_is_run_again_as_often_as_it_is_said(tmp_path: Path) -> None:
    flaky = (
        "import pathlib\n\n\ndef test_second_time():\n"
        f"    seen = pathlib.Path({str(tmp_path / 'seen')!r})\n"
        "    seen.write_text(seen.read_text() + 'x' if seen.exists() else 'x')\n"
        "    assert len(seen.read_text()) > 1\n"
    )
    bench = Bench(tmp_path, {"pytest.ini": SUITE["pytest.ini"], "test_flaky.py": flaky})
    never, _ = suite_run(bench, reruns=0)
    assert (never.outcome, never.flaky) == ("failed", ())
    (tmp_path / "seen").unlink()
    again, _ = suite_run(bench, reruns=1)
    assert [each.id for each in again.flaky] == ["test_flaky.py::test_second_time"]
    assert len(again.flaky[0].alone) == 1


# Reviewer --------------------------------------------------------------------------------------

SLIPS = {
    "slips.py": (
        "import os\n\n\nclass Shop:\n    def never_called(self):\n        return eval('1')\n"
    ),
}


def review(bench: Bench, **config: object) -> tuple[dict[str, ToolRun], list[str]]:
    result = bench.run("reviewer", "review_code", config)
    runs = msgspec.convert(result["tools"], list[ToolRun])
    return {run.tool: run for run in runs}, result["warnings"]


@pytest.mark.acceptance("config")
@changes("reviewer", "review_depth")
def test_a_quick_review_asks_fewer_tools_and_a_thorough_one_tells_more(tmp_path: Path) -> None:
    bench = Bench(tmp_path, SLIPS)
    quick, _ = review(bench, review_depth="quick")
    standard, _ = review(bench)
    thorough, _ = review(bench, review_depth="thorough")
    assert sorted(quick) == ["bandit", "detect-secrets", "ruff"]
    every = ["bandit", "complexipy", "detect-secrets", "ruff", "vulture"]
    assert sorted(standard) == sorted(thorough) == every
    told = [
        {finding.severity for run in runs.values() for finding in run.findings}
        for runs in (quick, standard, thorough)
    ]
    assert "low" not in told[0] and "low" in told[1]
    assert "info" not in told[1] and "info" in told[2]


@pytest.mark.acceptance("config")
@changes("reviewer", "focus_areas", "automated_fixes")
def test_a_reviewer_looks_at_its_areas_and_changes_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path, SLIPS)
    runs, warned = review(bench, focus_areas=["security"], automated_fixes=True)
    rules = {(run.tool, finding.rule) for run in runs.values() for finding in run.findings}
    assert sorted(runs) == ["bandit", "detect-secrets", "ruff"]
    assert ("bandit", "B307") in rules and ("ruff", "F401") not in rules
    assert len(warned) == 1 and "automated_fixes has no effect" in warned[0]
    text = (bench.workspace / "slips.py").read_text(encoding="utf-8")
    assert text == SLIPS["slips.py"]


# Coder -----------------------------------------------------------------------------------------


def change_of(bench: Bench, **config: object) -> tuple[Change, list[str]]:
    result = bench.run("coder", "fix", config)
    return msgspec.convert(result["change"], Change), result["warnings"]


UNUSED = {
    "pytest.ini": SUITE["pytest.ini"],
    "kit/__init__.py": "",
    "kit/half.py": "import os\n\n\ndef half(number):\n    return number // 2\n",
    "test_kit.py": "import kit.half\n\n\ndef test_it_is_there():\n    assert kit.half.half\n",
}


@pytest.mark.acceptance("config")
@changes("coder", "languages", "linting")
def test_a_coder_mends_findings_of_its_language_where_it_may(tmp_path: Path) -> None:
    bench = Bench(tmp_path, UNUSED)
    rust, warned = change_of(bench, languages=["rust"])
    unlinted, _ = change_of(bench, linting=False)
    assert rust.outcome == unlinted.outcome == "nothing_to_do"
    assert len(warned) == 1 and "only python is fixed" in warned[0]


@pytest.mark.acceptance("config")
@changes("coder", "coverage_threshold", "timeout")
def test_a_patch_that_brings_coverage_below_the_threshold_is_not_kept(tmp_path: Path) -> None:
    bench = Bench(tmp_path, UNUSED)
    # Without the import that runs, one of two lines runs, and not two of three.
    usual, _ = change_of(bench, timeout=77)
    assert [each.rule for each in usual.commits] == ["F401"]
    assert any(70_000 < command.wall_ms <= 77_000 for command in bench.sandbox.commands)
    strict, _ = change_of(bench, coverage_threshold=0.6)
    assert strict.outcome == "rejected" and not strict.commits
    assert "coverage" in str(strict.reason) or "coverage" in strict.dropped[0].why


@pytest.mark.acceptance("config")
@changes("coder", "formatting")
def test_files_are_formatted_where_the_project_asks_for_it_and_the_coder_may(
    tmp_path: Path,
) -> None:
    files = {f"part{number}.py": f"NUMBER = {number}\n" for number in range(19)}
    files |= {"pyproject.toml": "[tool.ruff.format]\n", "odd.py": "ODD   =  1\n"}
    bench = Bench(tmp_path, files)
    formatted, _ = change_of(bench)
    assert [each.files for each in formatted.commits] == [("odd.py",)]
    left, _ = change_of(bench, formatting=False)
    assert left.outcome == "nothing_to_do"
