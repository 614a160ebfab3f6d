"""Which findings a change brought, and what the baseline and the tests make of it."""

import msgspec
import pytest

from visionflow.agents.findings import Finding, Severity, ToolRun, with_fingerprints
from visionflow.agents.gate.baseline import (
    read_baseline,
    stale,
    without_accepted,
    write_baseline,
)
from visionflow.agents.gate.covering import changed_coverage, lines_that_can_run
from visionflow.agents.gate.judging import Comparison, Fresh, judge, weighed
from visionflow.agents.gate.results import (
    Accepted,
    Base,
    ChangedCoverage,
    FileLines,
    Findings,
    GateResult,
    Tests,
)
from visionflow.agents.gate.suites import Change, compare, suspects, unknown
from visionflow.agents.gate.verdict import reasons
from visionflow.agents.tools.delta import FileDiff, Hunk, Span
from visionflow.agents.tools.results import Case, Counts, Flaky, TestRun

Place = tuple[str, int]


def run_of(texts: dict[Place, str], tool: str = "ruff", severity: Severity = "low") -> ToolRun:
    """A run with one finding on each of these lines."""
    found = [Finding(tool, "R1", severity, "wrong", path, line) for path, line in texts]
    return ToolRun(tool, "1", with_fingerprints(found, texts))


def changed(path: str, *hunks: tuple[int, int, int, int], old: str | None = None) -> FileDiff:
    """A file with hunks (old first, old count, new first, new count)."""
    read = tuple(Hunk(Span(a, b), Span(c, d)) for a, b, c, d in hunks)
    return FileDiff(old or path, path, read)


def judged(before: dict[Place, str], after: dict[Place, str], *diff: FileDiff) -> Fresh:
    return judge(
        Comparison(
            [run_of(before)], [run_of(after)], diff,
            lambda path, line: before[path, line], lambda path, line: after[path, line],
        )
    )  # fmt: skip


def lines(findings: tuple[Finding, ...]) -> list[Place]:
    return [(each.path, each.line) for each in findings]


def test_a_finding_on_a_changed_line_is_new_unless_it_was_there() -> None:
    found = judged(
        {("a.py", 1): "x = 1", ("a.py", 2): "old()"},
        {("a.py", 1): "x = 1", ("a.py", 5): "old()", ("a.py", 6): "new()"},
        changed("a.py", (1, 0, 2, 5)),
    )
    assert lines(found.new) == [("a.py", 6)]
    assert (found.known, found.fixed) == (2, 0)


def test_of_equal_lines_the_one_that_was_added_is_the_new_one() -> None:
    found = judged(
        {("a.py", 9): "eval(x)"},
        {("a.py", 2): "eval(x)", ("a.py", 10): "eval(x)"},
        changed("a.py", (1, 0, 2, 1)),
    )
    assert lines(found.new) == [("a.py", 2)]


def test_a_new_finding_on_a_line_that_did_not_change_fails_nothing() -> None:
    found = judged({}, {("a.py", 1): "import os"}, changed("a.py", (7, 1, 7, 0)))
    assert found.new == ()
    assert lines(found.elsewhere) == [("a.py", 1)]


def test_a_line_that_is_indented_or_moved_within_its_file_is_no_news() -> None:
    found = judged(
        {("a.py", 3): "eval(x)"},
        {("a.py", 30): "        eval(x)"},
        changed("a.py", (3, 1, 3, 0), (29, 0, 30, 1)),
    )
    assert (found.new, found.known) == ((), 1)


def test_a_renamed_file_keeps_its_findings() -> None:
    found = judged(
        {("old.py", 3): "eval(x)"},
        {("new.py", 3): "eval(x)", ("new.py", 4): "eval(y)"},
        changed("new.py", (3, 0, 4, 1), old="old.py"),
    )
    assert lines(found.new) == [("new.py", 4)]


def test_a_line_that_went_to_another_file_is_moved_and_a_copy_of_it_is_new() -> None:
    cut = changed("a.py", (3, 1, 3, 0))
    paste = changed("b.py", (0, 0, 1, 2))
    found = judged(
        {("a.py", 3): "eval(x)"}, {("b.py", 1): "eval(x)", ("b.py", 2): "eval(x)"}, cut, paste
    )
    assert (lines(found.moved), lines(found.new)) == ([("b.py", 1)], [("b.py", 2)])
    assert found.fixed == 0


def test_a_finding_over_several_lines_is_on_each_of_them() -> None:
    call = Finding("bandit", "B602", "high", "shell", "a.py", 4, end_line=7)
    after = ToolRun("bandit", "1", (call,))
    for changed_line, is_new in ((3, False), (4, True), (7, True), (8, False)):
        diff = (changed("a.py", (changed_line, 1, changed_line, 1)),)
        compared = Comparison([], [after], diff, lambda *_: "", lambda *_: "call(")
        assert bool(judge(compared).new) is is_new


def test_what_is_in_no_changed_file_is_not_looked_at() -> None:
    found = judged({}, {("other.py", 1): "eval(x)"}, changed("a.py", (1, 0, 1, 1)))
    assert found == Fresh((), (), (), 0, 0)


def test_threshold_and_baseline_part_the_new_ones() -> None:
    texts = {("a.py", 1): "a", ("a.py", 2): "b"}
    low, accepted = run_of(texts).findings
    (high,) = run_of({("a.py", 3): "c"}, "bandit", "high").findings
    (info,) = run_of({("a.py", 4): "d"}, "vulture", "info").findings
    fresh = Fresh((low, accepted, high, info), (), (), 0, 0)
    entry = Accepted("a.py", "ruff", "R1", accepted.fingerprint)
    found = weighed(fresh, (entry,), "low")
    assert (found.new, found.below, found.accepted) == ((low, high), (info,), (accepted,))
    assert weighed(fresh, (), "high").new == (high,)


def test_a_baseline_is_read_as_it_was_written_and_sorted() -> None:
    run = run_of({("b.py", 1): "x", ("a.py", 1): "y"})
    content = write_baseline((), reversed(run.findings))
    entries = read_baseline(content).findings
    assert [each.path for each in entries] == ["a.py", "b.py"]
    assert write_baseline(entries, ()) == content
    assert write_baseline(entries, run.findings) == content


ENTRY = b'{"path": "a", "tool": "t", "rule": "r", "fingerprint": "f"}'


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "no baseline"),
        (b"\xff", "no baseline"),
        (b"[]", "Expected `object`"),
        (b'{"version": 2}', "version is 2"),
        (b'{"version": 1, "finding": []}', "finding"),
        (b'{"version": 1, "findings": [{"path": "a", "tool": "t", "rule": "r"}]}', "fingerprint"),
        (b'{"version": 1, "findings": [%s, %s]}' % (ENTRY, ENTRY), "twice"),
    ],
)  # fmt: skip
def test_what_is_no_baseline_is_refused_with_the_place(content: bytes, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        read_baseline(content)


def test_an_entry_is_stale_only_where_somebody_looked() -> None:
    run = run_of({("a.py", 1): "x"})
    there = Accepted("a.py", "ruff", "R1", run.findings[0].fingerprint)
    gone = Accepted("a.py", "ruff", "R1", "0")
    unread = Accepted("b.py", "ruff", "R1", "1")
    unrun = Accepted("a.py", "bandit", "B1", "2")
    no_file = Accepted("c.py", "bandit", "B1", "3")
    read = ToolRun("ruff", "1", run.findings, 1, (("b.py", "odd"),))
    entries = (there, gone, unread, unrun, no_file)
    assert stale(entries, [read], ["a.py", "b.py"]) == (gone, no_file)


XML = b"""<?xml version="1.0" ?>
<coverage><packages><package><classes>
<class filename="pkg/a.py"><lines>
<line number="1" hits="1"/><line number="3" hits="0"/><line number="4" hits="2"/>
<line number="9" hits="0"/></lines></class></classes></package></packages></coverage>"""


def test_coverage_counts_changed_lines_that_can_run() -> None:
    diff = [changed("pkg/a.py", (0, 0, 1, 4)), changed("pkg/other.py", (0, 0, 1, 9))]
    found = changed_coverage(lines_that_can_run(XML), diff)
    assert found == ChangedCoverage(3, 2, (FileLines("pkg/a.py", (3,)),))
    assert found.percent == pytest.approx(200 / 3)
    assert changed_coverage(lines_that_can_run(XML), []).percent is None


def test_what_is_no_coverage_is_refused() -> None:
    for content in (b"", b"<a", b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'):
        with pytest.raises(ValueError, match=r"coverage\.xml"):
            lines_that_can_run(content)


def suite(outcomes: dict[str, str], *flaky: str, missing: str | None = None) -> TestRun:
    failing = [id for id, outcome in outcomes.items() if outcome in ("failed", "error")]
    cases = tuple(
        Case(id, "failed" if outcomes[id] == "failed" else "error", 0.0, summary=f"{id} broke",
             missing=missing)
        for id in failing
    )  # fmt: skip
    return TestRun(
        "failed" if failing else "passed", counts=Counts(passed=len(outcomes)), cases=cases,
        outcomes=outcomes, flaky=tuple(Flaky(id, ("passed",), ()) for id in flaky),
    )  # type: ignore[arg-type] # fmt: skip


def ids(tests: Tests) -> tuple[list[str], list[str], list[str]]:
    return (
        [each.id for each in tests.broken], [each.id for each in tests.flaky],
        [each.id for each in tests.known],
    )  # fmt: skip


def test_a_test_is_broken_when_it_passed_before_or_was_not_there() -> None:
    head = suite(
        {"t.py::a": "failed", "t.py::b": "failed", "t.py::c": "failed", "t.py::d": "passed"}
    )
    base = suite({"t.py::a": "passed", "t.py::b": "failed", "t.py::d": "passed"})
    assert suspects(head) == ("t.py",)
    assert ids(compare(head, base, "all", {})) == (["t.py::a", "t.py::c"], [], ["t.py::b"])
    assert ids(compare(head, None, "all", {}))[0] == ["t.py::a", "t.py::b", "t.py::c"]


def test_a_test_is_newly_flaky_when_it_was_not_flaky_before() -> None:
    head = suite({"t.py::a": "failed", "t.py::b": "failed"}, "t.py::a", "t.py::b")
    base = suite({"t.py::a": "passed", "t.py::b": "failed"}, "t.py::b")
    assert ids(compare(head, base, "all", {})) == ([], ["t.py::a"], ["t.py::b"])


def test_a_failure_on_head_of_a_test_that_was_flaky_before_is_known() -> None:
    head, base = suite({"t.py::a": "failed"}), suite({"t.py::a": "failed"}, "t.py::a")
    assert ids(compare(head, base, "all", {})) == ([], [], ["t.py::a"])


def test_a_module_that_cannot_be_collected_breaks_what_it_held() -> None:
    head, base = suite({"t.py": "error"}), suite({"t.py::a": "passed"})
    assert ids(compare(head, base, "all", {}))[0] == ["t.py"]
    assert ids(compare(suite({"t.py::a": "failed"}), suite({"t.py": "error"}), "all", {})) == (
        [], [], ["t.py::a"],
    )  # fmt: skip


def test_a_renamed_test_file_is_held_against_its_old_name() -> None:
    head, base = suite({"new.py::a": "failed"}), suite({"old.py::a": "failed"})
    assert ids(compare(head, base, "all", {"new.py": "old.py"}))[2] == ["new.py::a"]


def test_a_failure_that_an_absence_explains_says_nothing() -> None:
    head = suite({"t.py::a": "failed"}, missing="numpy")
    assert ids(compare(head, None, "all", {})) == ([], [], [])
    shared = suite({"t.py::a": "failed"}, missing="numpy")
    assert ids(compare(head, shared, "all", {})) == ([], [], [])


def test_an_absence_that_base_does_not_share_breaks_what_it_explains() -> None:
    head = suite({"t.py": "error", "u.py::b": "failed"}, missing="numpy")
    assert suspects(head) == ("t.py", "u.py")
    base = suite({"t.py::a": "passed", "u.py::b": "passed"})
    head = msgspec.structs.replace(head, missing=("numpy",))
    assert ids(compare(head, base, "all", {}))[0] == ["t.py", "u.py::b"]
    assert compare(head, base, "all", {}).missing == ()
    assert compare(head, None, "all", {}).missing == ("numpy",)


def lost(tests: Tests) -> list[tuple[str, str]]:
    return [(each.id, each.message) for each in tests.lost]


def test_a_test_that_passed_and_is_idle_or_gone_is_lost() -> None:
    base = suite({"t.py::a": "passed", "t.py::b": "passed", "t.py::c": "passed",
                  "t.py::d": "skipped", "u.py::e": "passed"})  # fmt: skip
    head = suite({"t.py::a": "skipped", "t.py::b": "xfailed", "t.py::d": "skipped",
                  "u.py": "skipped"})  # fmt: skip
    assert lost(compare(head, base, "all", {})) == [
        ("t.py::a", "skipped now"), ("t.py::b", "expected to fail now"),
        ("t.py::c", "no longer there"), ("u.py::e", "skipped now"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("base", "head", "gone"),
    [
        (["t.py::a"], ["u.py::a"], []),
        (["t.py::a"], ["t.py::New::a"], []),
        (["t.py::a", "v.py::a"], ["u.py::a"], ["v.py::a"]),
        (["t.py::a[1]", "t.py::a[2]"], ["t.py::a[x]"], ["t.py::a[2]"]),
        (["t.py::a"], ["t.py::other"], ["t.py::a"]),
        (["t.py::old"], ["t.py::new"], []),
        (["t.py::a"], ["unchanged.py::a"], ["t.py::a"]),
    ],
)  # fmt: skip
def test_a_test_that_goes_on_elsewhere_or_under_another_name_is_not_lost(
    base: list[str], head: list[str], gone: list[str]
) -> None:
    change = Change(touched=frozenset({"t.py", "u.py"}), renamed={"t.py::old": "t.py::new"})
    passed = suite(dict.fromkeys(head, "passed")), suite(dict.fromkeys(base, "passed"))
    assert [each.id for each in compare(*passed, "all", {}, change).lost] == gone


def test_a_moved_test_that_is_skipped_where_it_went_is_lost() -> None:
    base, head = suite({"t.py::a": "passed"}), suite({"u.py::a": "skipped"})
    change = Change(touched=frozenset({"u.py"}), deleted=frozenset({"t.py"}))
    assert lost(compare(head, base, "all", {}, change)) == [("t.py::a", "no longer there")]


def test_a_test_that_hangs_is_broken_and_those_behind_it_are_counted() -> None:
    base = suite({"t.py::a": "passed", "t.py::b": "passed", "u.py::c": "passed"})
    head = TestRun("timed_out", "too slow", hanging="t.py::b", outcomes={"t.py::a": "passed"})
    told = compare(head, base, "all", {})
    assert (ids(told)[0], told.lost, told.unreached) == (["t.py::b"], (), 1)
    hung = TestRun("timed_out", "too slow", hanging="t.py::b", outcomes={"t.py::a": "passed"})
    told = compare(head, hung, "all", {})
    assert ids(told) == ([], [], ["t.py::b"])


def test_a_suite_without_a_verdict_breaks_each_file_that_passed() -> None:
    base = suite({"t.py::a": "passed", "t.py::b": "passed", "u.py::c": "failed"})
    told = compare(TestRun("could_not_run", "it left"), base, "all", {})
    assert [(each.id, each.message) for each in told.broken] == [
        ("t.py", "2 passed on base and had no result: it left")
    ]


def test_where_base_came_to_no_verdict_either_a_failure_is_not_judged() -> None:
    head = suite({"t.py::a": "failed", "t.py::b": "failed"})
    base = TestRun("timed_out", "too slow", outcomes={"t.py::a": "passed"})
    told = compare(head, base, "all", {})
    assert ids(told)[0] == ["t.py::a"]
    assert [each.id for each in told.untold] == ["t.py::b"]


def test_a_baseline_accepts_a_lost_test_until_it_is_lost_no_more() -> None:
    base, head = suite({"t.py::a": "passed", "t.py::b": "passed"}), suite({})
    told = compare(head, base, "all", {})
    entries = read_baseline(write_baseline((), (), told.lost[:1])).findings
    parted = without_accepted(told, entries)
    assert [each.id for each in parted.allowed] == ["t.py::a"]
    assert [each.id for each in parted.lost] == ["t.py::b"]
    assert stale(entries, [], [], parted) == ()
    assert stale(entries, [], [], compare(base, None, "all", {})) == entries
    assert stale(entries, [], [], None) == ()
    assert without_accepted(told, (), every=True).lost == ()


def test_a_run_that_ended_early_still_tells_of_the_failures_it_saw() -> None:
    assert unknown(TestRun("timed_out", "too slow")) == "too slow"
    seen = TestRun("timed_out", "too slow", outcomes={"t.py::a": "failed"})
    assert unknown(seen) is None
    assert unknown(TestRun("no_tests")) == "no_tests"


def result(**known: object) -> GateResult:
    findings = Findings()
    base = Base("main", "1" * 40, merge_base=True)
    made = GateResult(base=base, head=None, dirty=False, files=(), findings=findings)
    return msgspec.structs.replace(made, **known)


def test_what_is_not_known_fails_only_where_it_is_required() -> None:
    nothing = result(tests_reason="no tests")
    assert reasons(nothing, None, require_tests=False) == ()
    assert reasons(nothing, 90.0, require_tests=True) == ("tests are required: no tests",)


def test_coverage_of_changed_lines_fails_under_the_least_that_was_asked_for() -> None:
    half = result(coverage=ChangedCoverage(4, 2))
    assert reasons(half, None, require_tests=False) == ()
    assert reasons(half, 50.0, require_tests=False) == ()
    (told,) = reasons(half, 50.5, require_tests=False)
    assert "50.0 %" in told
    assert reasons(result(coverage=ChangedCoverage(0, 0)), 100.0, require_tests=False) == ()
