"""The view: what is told first, what is bounded, and that nothing is invented or lost."""

import shlex
import subprocess
from typing import Any

import msgspec
import pytest

from tests.report.sample_facts import (
    finding,
    large_architecture,
    many_findings,
    sample,
    suite_run,
    tasks,
)
from visionflow.agents.evidence import Hotspot, Issue, Part, Survey
from visionflow.agents.findings import SEVERITIES, ToolRun
from visionflow.agents.report.commands import quoted
from visionflow.agents.report.facts import RunFacts, TaskFacts
from visionflow.agents.report.figures import findings_told
from visionflow.agents.report.graphs import levels
from visionflow.agents.report.pictures import pictures_of, ticks
from visionflow.agents.report.ranking import ranked
from visionflow.agents.report.telling import percent, ranges, seconds
from visionflow.agents.report.view import as_json, from_json, view_of

KEYS_SINCE_0_1 = ["run", "status", "out", "findings", "gates", "seconds"]


def test_the_keys_that_json_always_had_come_first_and_keep_their_meaning() -> None:
    told = as_json(view_of(sample()))
    assert list(told)[:6] == KEYS_SINCE_0_1
    assert told["run"] == "run_sample"
    assert list(told["findings"]) == list(SEVERITIES)
    assert told["findings"]["high"] == 4
    assert told["gates"] == {
        "tests": False, "syntax": True, "findings": False, "secrets": False, "cycles": False,
        "patch": True,
    }  # fmt: skip
    assert told["seconds"] == 41.7


def test_a_stored_view_comes_back_as_it_was() -> None:
    view = view_of(sample())
    assert from_json(msgspec.json.decode(msgspec.json.encode(as_json(view)))) == view


def test_a_summary_of_an_older_release_can_still_be_shown() -> None:
    old = {"run": "r", "status": "completed", "out": "/o", "findings": None, "gates": {},
           "seconds": 1.0}  # fmt: skip
    assert from_json(old).run == "r"


def test_the_same_facts_give_the_same_view() -> None:
    turned = tuple(
        msgspec.structs.replace(run, findings=tuple(reversed(run.findings)))
        for run in reversed(sample().tools)
    )
    assert as_json(view_of(sample())) == as_json(view_of(sample(tools=turned)))


def _issue(severity: Any, path: str, line: int = 1, focus: Any = "maintainability") -> Issue:
    return Issue(severity, path, line, "m", (("ruff", "R"),), None, focus, ("f",))


def test_issues_are_ranked_by_severity_then_what_is_new_then_security_then_where_it_hurts() -> None:
    facts = sample()
    wanted = [
        _issue("critical", "z.py"),
        _issue("high", "tests/test_a.py", focus="security"),
        _issue("high", "a.py"),
        _issue("medium", "shop/orders/service.py", 1),
        _issue("medium", "shop/orders/pricing.py", 1),
        _issue("medium", "shop/report.py", 90),
        _issue("medium", "b.py", 1),
        _issue("medium", "tests/test_a.py", 1),
        _issue("medium", "b.py", 2),
        _issue("info", "a.py"),
    ]
    told = ranked(reversed(wanted), facts)
    assert [(each.severity, each.path, each.line) for each in told] == [
        (each.severity, each.path, each.line) for each in wanted
    ]
    assert told[3].why == ("medium severity", "in a hotspot: 74 changes, complexity 87")
    assert told[5].why == ("medium severity", "no test runs this line")
    assert told[1].why == ("high severity", "security", "in a test")


def test_tools_that_agree_are_one_issue_and_say_so() -> None:
    view = view_of(sample())
    weak = next(each for each in view.issues if each.place == "shop/users/tokens.py:52")
    assert weak.rules == ("bandit B324", "ruff S324")
    assert "2 tools agree" in weak.why
    assert view.issues_total < sum((view.findings or {}).values())


def test_what_the_patch_mends_is_acted_on_by_taking_the_patch() -> None:
    view = view_of(sample())
    unused = next(each for each in view.issues if each.place == "shop/report.py:4")
    assert unused.fixed
    taken = "visionflow apply run_sample --out /home/ada/shop/.visionflow/runs"
    assert unused.command == f"{taken} --to-working-tree"
    other = next(each for each in view.issues if each.place == "shop/jobs.py:88")
    assert not other.fixed
    assert other.command == "${EDITOR:-vi} +88 /home/ada/shop/shop/jobs.py"


@pytest.mark.parametrize(
    "name", ["a b.py", "$(touch x).py", "`id`;'\".py", "a\nb\x1b[31m.py", "\\n.py", "ü\x85.py"]
)
def test_a_command_names_the_file_whatever_it_is_called(name: str) -> None:
    word = quoted(f"/w/{name}")
    assert word.isprintable()
    told = subprocess.run(
        ["bash", "-c", f"printf %s {word}"], capture_output=True, check=True, timeout=20
    )
    assert told.stdout == f"/w/{name}".encode()


def test_commands_are_those_that_make_sense_now() -> None:
    done = {command.name for command in view_of(sample()).commands}
    assert done == {"show", "apply"}
    running = view_of(sample(status="running", change=None))
    assert [command.name for command in running.commands] == ["show", "resume"]
    resume = running.commands[1].command
    assert shlex.split(resume)[:4] == ["visionflow", "run", "--resume", "run_sample"]


def test_a_rejected_change_is_not_offered() -> None:
    made = sample().change
    assert made is not None
    view = view_of(sample(change=msgspec.structs.replace(made, outcome="rejected")))
    assert view.change is not None
    assert view.change.apply is None
    assert "apply" not in {command.name for command in view.commands}
    assert not any(issue.fixed for issue in view.issues)


def test_the_line_of_trust_says_what_did_not_hold() -> None:
    failed = ToolRun("bandit", "1", ended="failed", reason="it ran out of memory")
    lost = TaskFacts("t", "research", "researcher", "examine", "failed", "it broke", 3)
    run = msgspec.structs.replace(suite_run(), coverage=None, coverage_reason="no coverage here")
    held = msgspec.structs.replace(run.enforced, memory=None)
    facts = sample(
        tools=(failed,), tasks=(*tasks()[:3], lost),
        tests=msgspec.structs.replace(run, enforced=held),
    )  # fmt: skip
    trust = view_of(facts).trust
    assert trust.sentence.startswith("How far to trust this: completed: survey, ")
    for said in (
        "failed: research (it broke)",
        "bandit failed (it ran out of memory)",
        "tests failed (1 of 214 tests failed), NOT confined: memory",
        "coverage unknown (no coverage here)",
        "1 path of the workspace could not be copied",
        "1 flaky test in quarantine",
    ):
        assert said in trust.doubts
        assert said in trust.sentence
    what = {each.what: each.why for each in view_of(facts).not_looked_at}
    assert what["all that bandit looks for"] == "it ran out of memory"
    assert what["coverage"] == "no coverage here"
    assert what["research"] == "it broke"
    assert what["data/export.csv"] == "could not be copied (Permission denied)"


def test_a_clean_run_leaves_no_doubt() -> None:
    tool = ToolRun("ruff", "1", files_read=3)
    run = msgspec.structs.replace(suite_run(), outcome="passed", reason=None, flaky=(), cases=())
    facts = sample(
        tools=(tool,), tests=run, notes=(), architecture=None, vote=None,
        gates=("tests", "syntax", "findings"), survey=Survey(9, 3, (Part("all"),)),
    )  # fmt: skip
    assert view_of(facts).trust.doubts == ()
    assert view_of(facts).not_looked_at == ()


def test_a_run_under_way_says_what_is_still_to_come() -> None:
    at_work = (*tasks()[:2], TaskFacts("t", "tests", "tester", "examine", "running"))
    view = view_of(sample(status="running", tasks=at_work, tests=None, change=None, vote=None))
    assert view.headline == "Under way: tests."
    assert "the run is not over, and more may be found" in view.trust.doubts
    assert "running: tests" in view.trust.sentence
    assert view.tests is None


@pytest.mark.parametrize("status", ["failed", "blocked", "cancelled"])
def test_a_run_that_did_not_complete_has_no_good_headline(status: str) -> None:
    view = view_of(sample(status=status))
    assert (view.headline, view.tone) == (f"The run ended as {status}.", "bad")


def test_a_playbook_without_gates_is_not_called_unchecked() -> None:
    view = view_of(sample(gates=(), tools=(), tests=None))
    assert view.headline == "Done: this playbook has no gate."
    assert view.findings is None
    assert not view.issues_known


def test_an_empty_run_is_told_as_unknown() -> None:
    facts = RunFacts("r", "g", "", "", "/w", "/o/r", "failed", "", 0.0, gates=("tests",))
    view = view_of(facts)
    assert view.gates == {"tests": None}
    assert view.findings is None
    assert findings_told(view.findings) == "unknown"
    assert "tests: no result" in view.trust.sentence


def test_ten_thousand_findings_are_bounded_and_counted() -> None:
    view = view_of(sample(tools=many_findings(10_000), architecture=large_architecture(600)))
    assert view.issues_total == 10_000
    assert len(view.issues) == 200
    assert {issue.severity for issue in view.issues} == {"high"}
    assert len(msgspec.json.encode(as_json(view))) < 400_000


def test_a_large_project_is_drawn_by_packages_and_says_so() -> None:
    view = view_of(sample(architecture=large_architecture(600)))
    assert view.architecture is not None
    graph = view.architecture.graph
    assert graph.unit == "package"
    assert len(graph.nodes) == 40
    assert sum(node.modules for node in graph.nodes) == 600
    assert graph.said.startswith("600 modules drawn as 40 packages")
    assert {node.name for node in graph.nodes if node.in_cycle} == {"big.part00", "big.part01"}
    assert any(edge.in_cycle for edge in graph.edges)
    drawn = pictures_of(view).graph
    assert drawn is not None
    assert len(drawn.boxes) == 40
    assert all(0 <= box.x <= drawn.width - drawn.node_w for box in drawn.boxes)
    assert len({(box.x, box.y) for box in drawn.boxes}) == 40


def test_a_flat_project_of_many_modules_still_has_a_drawing() -> None:
    found = large_architecture(300)
    flat = msgspec.structs.replace(
        found,
        modules=tuple(
            msgspec.structs.replace(module, name=f"m{number:04}")
            for number, module in enumerate(found.modules)
        ),
        edges=(("m0001", "m0000"),),
        cycles=(),
    )
    view = view_of(sample(architecture=flat))
    assert view.architecture is not None
    graph = view.architecture.graph
    assert len(graph.nodes) == 60
    assert graph.nodes[0].name == "(others)"
    assert sum(node.modules for node in graph.nodes) == 300


def test_levels_put_what_is_imported_below_and_rings_together() -> None:
    edges = [("a", "b"), ("b", "c"), ("c", "b"), ("c", "d"), ("e", "d")]
    assert levels(["a", "b", "c", "d", "e", "f"], edges) == {
        "a": 2, "b": 1, "c": 1, "d": 0, "e": 1, "f": 0,
    }  # fmt: skip


def test_every_module_of_a_small_project_is_drawn_with_its_cycle_in_red() -> None:
    view = view_of(sample())
    drawn = pictures_of(view).graph
    assert drawn is not None
    assert view.architecture is not None
    assert len(drawn.boxes) == view.architecture.modules
    assert sorted(box.title.split(",")[0] for box in drawn.boxes if box.red) == [
        "shop.orders.discounts",
        "shop.orders.pricing",
    ]
    assert sum(link.red for link in drawn.links) == 2


def test_hotspots_keep_their_numbers_in_the_scatter() -> None:
    found = sample().architecture
    assert found is not None
    odd = msgspec.structs.replace(
        found, modules=(), hotspots=(Hotspot("x.py", 9, 4, 1.0, None, None, None),)
    )
    view = view_of(sample(architecture=odd))
    chart = pictures_of(view).scatter
    assert chart is not None
    assert [dot.title for dot in chart.dots] == ["x.py: 9 changes, complexity 4"]


def test_the_red_dots_are_the_hotspots_and_each_of_the_worst_is_named() -> None:
    found = sample().architecture
    assert found is not None
    chart = pictures_of(view_of(sample())).scatter
    assert chart is not None
    hot = {dot.title.split(":")[0] for dot in chart.dots if dot.hot}
    assert hot == {spot.path for spot in found.hotspots}
    assert {label.text for label in chart.labels} <= hot
    assert len(chart.labels) == 7


def test_a_tool_of_the_users_own_needs_no_row_in_the_rule_table() -> None:
    own = ToolRun("their-tool", None, (finding("their-tool", "X1", "low", "m", "a.py", 3),), 1)
    assert view_of(sample(tools=(own,))).issues[0].rules == ("their-tool X1",)


def test_numbers_in_words() -> None:
    assert ranges([3, 4, 5, 9, 11, 12]) == "3-5, 9, 11-12"
    assert ranges(range(0, 60, 2)).endswith("and 18 more")
    assert percent(99.9999) == "99.99 %"
    assert percent(100) == "100.00 %"
    assert percent(None) == "unknown"
    assert seconds(41.72) == "41.7 s"
    assert seconds(150) == "2 min 30 s"
    assert ticks(1) == [0, 1]
    assert ticks(87)[-1] == 50
