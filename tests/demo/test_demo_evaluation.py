"""What counts as found, missed and invented, on small facts."""

from typing import Any

from visionflow.agents.evidence import Cycle, Dependency, Place, Research
from visionflow.agents.findings import Finding, Suppressed, ToolRun
from visionflow.agents.report.facts import RunFacts
from visionflow.agents.tools.results import Case, Counts, FileCoverage, Flaky, TestRun
from visionflow.compose.demo.evaluating import evaluate, leaks, table
from visionflow.compose.demo.manifest import Fault, Manifest, Planted

SHELL = Fault(Planted("shell", "shell", rules=("bandit:B602",)), "a.py", 3)
HIDDEN = Fault(
    Planted("hidden", "hidden", kind="suppressed", rules=("ruff:F401",), by="comment"), "a.py", 5
)


def manifest(*faults: Fault, lines: dict[str, tuple[int, ...]] | None = None) -> Manifest:
    return Manifest(faults, lines or {}, ("SECRET",), 1, "c")


def facts(**more: Any) -> RunFacts:
    return RunFacts("r", "g", "audit", "why", "/w", "/o", "completed", "", 0.0, **more)


def finding(rule: str, line: int, tool: str = "bandit", path: str = "a.py") -> Finding:
    return Finding(tool, rule, "low", "said", path, line)


def test_a_finding_is_found_by_rule_and_place_alone() -> None:
    right = facts(tools=(ToolRun("bandit", "1", (finding("B602", 3),)),))
    assert evaluate(right, manifest(SHELL)).found == ("shell",)
    for wrong in (finding("B602", 4), finding("B603", 3), finding("B602", 3, path="b.py")):
        told = evaluate(facts(tools=(ToolRun("bandit", "1", (wrong,)),)), manifest(SHELL))
        assert (told.missed, len(told.invented)) == (("shell",), 1)


def test_what_is_reported_and_not_planted_counts_against_the_precision_of_its_class() -> None:
    found = (finding("B602", 3), finding("B602", 9))
    (row,) = evaluate(facts(tools=(ToolRun("bandit", "1", found),)), manifest(SHELL)).rows
    assert (row.recall, row.precision) == (1.0, 0.5)
    assert row.invented == ("finding bandit:B602 at a.py:9",)


def test_a_hidden_finding_must_be_hidden_by_what_hides_it() -> None:
    def by(how: Any) -> RunFacts:
        hidden = Suppressed(finding("F401", 5, "ruff"), how, "noqa")
        return facts(tools=(ToolRun("ruff", "1", suppressed=(hidden,)),))

    assert evaluate(by("comment"), manifest(HIDDEN)).found == ("hidden",)
    assert evaluate(by("configuration"), manifest(HIDDEN)).missed == ("hidden",)
    shown = facts(tools=(ToolRun("ruff", "1", (finding("F401", 5, "ruff"),)),))
    assert evaluate(shown, manifest(HIDDEN)).missed == ("hidden",)


def test_tests_are_told_apart_by_how_they_fail() -> None:
    planted = manifest(
        Fault(Planted("bad", "bad", kind="failing", names=("t::bad",)), None, None),
        Fault(Planted("shaky", "shaky", kind="flaky", names=("t::shaky",)), None, None),
    )
    cases = (Case("t::bad", "failed", 0.0), Case("t::shaky", "failed", 0.0))
    counts = Counts(failed=2)
    right = TestRun("failed", counts=counts, cases=cases, flaky=(Flaky("t::shaky", (), ()),))
    assert set(evaluate(facts(tests=right), planted).found) == {"bad", "shaky"}
    wrong = evaluate(facts(tests=TestRun("failed", counts=counts, cases=cases)), planted)
    assert wrong.missed == ("shaky",)
    assert "failing t::shaky" in wrong.invented


def test_a_line_that_no_test_runs_is_an_invention_unless_it_is_planted_itself() -> None:
    fault = Fault(Planted("branch", "branch", kind="uncovered"), "a.py", 3)
    planted = manifest(fault, lines={"a.py": (3, 4, 5)})
    seen = TestRun("passed", files=(FileCoverage("a.py", 9, (4, 5), 2, ((3, 1),)),))
    told = evaluate(facts(tests=seen), planted)
    assert (told.found, told.invented) == (("branch",), ())
    more = TestRun("passed", files=(FileCoverage("a.py", 9, (4, 8), 2, ((3, 1),)),))
    assert evaluate(facts(tests=more), planted).invented == ("uncovered not run at a.py:8",)


def test_cycles_and_dependencies_are_found_by_name() -> None:
    planted = manifest(
        Fault(Planted("ring", "ring", kind="cycle", names=("p.a", "p.b")), "p/a.py", 1),
        Fault(Planted("lost", "lost", kind="undeclared", names=("requests",)), "a.py", 7),
    )
    from visionflow.agents.evidence import Architecture

    ring = Architecture(cycles=(Cycle(("p.b", "p.a"), ()),))
    lost = Research(undeclared=(Dependency("requests", Place("a.py", 7)),))
    told = evaluate(facts(architecture=ring, research=lost), planted)
    assert set(told.found) == {"ring", "lost"}
    other = Research(undeclared=(Dependency("flask", Place("a.py", 7)),))
    assert evaluate(facts(research=other), planted).found == ()


def test_what_leaks_into_an_output_is_named() -> None:
    pages = {
        "report.md": "`<script>alert(1)`",
        "report.html": "<p><script>alert(1)",
        "summary.json": "\x1b[2J SECRET",
    }
    assert leaks(pages, manifest()) == (
        "a script of the sample's in report.html",
        "a control character in summary.json",
        "a secret in summary.json",
    )


def test_the_table_counts_what_is_invented_in_the_clean_twin() -> None:
    bad = evaluate(facts(tools=(ToolRun("bandit", "1", (finding("B602", 3),)),)), manifest(SHELL))
    noisy = evaluate(facts(tools=(ToolRun("bandit", "1", (finding("B602", 8),)),)), manifest())
    lines = table(bad, noisy, lambda share: "-" if share is None else f"{share:.0%}")
    assert "| shell | 1 | 1 | 0 | 0 | 100% | 100% |" in lines
    assert "| bandit:B602 | 0 | 0 | 0 | 1 | 0% | - |" in lines
