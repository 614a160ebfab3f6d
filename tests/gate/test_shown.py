"""How an answer is written: for people, for programs, for SARIF readers and for GitHub."""

import json

import msgspec

from visionflow.agents.findings import Finding, Suppressed
from visionflow.agents.gate.machine import as_github, as_json, as_sarif
from visionflow.agents.gate.results import (
    Accepted,
    Base,
    BrokenTest,
    ChangedCoverage,
    ChangedFile,
    FileLines,
    Findings,
    GateResult,
    Tests,
    ToolState,
)
from visionflow.agents.gate.shown import as_text
from visionflow.agents.gate.verdict import reasons

EVAL = Finding("bandit", "B307", "medium", "eval, 100 %", "a,b:c.py", 3, 5, 4, 78, "f1", "eval(x)")
UNUSED = Finding("ruff", "F401", "low", "unused", "a.py", 1, fingerprint="f2")
INFO = Finding("vulture", "unused-method", "info", "unused", "a.py", 9, fingerprint="f3")
RESULT = GateResult(
    base=Base("origin/main", "0123456789" * 4, merge_base=True),
    head="1" * 40,
    dirty=True,
    files=(ChangedFile("a,b:c.py", "added", 4), ChangedFile("a.py", "changed", 2)),
    findings=Findings(new=(EVAL, UNUSED), below=(INFO,), known=7, fixed=1),
    stale=(Accepted("gone.py", "ruff", "F401", "f4"),),
    tests=Tests(
        12, "affected", ("tests/test_a.py",),
        broken=(BrokenTest("tests/test_a.py::test_x[1]", "tests/test_a.py", "assert 1\n== 2"),),
        flaky=(BrokenTest("tests/test_a.py::test_y", "tests/test_a.py"),),
    ),
    coverage=ChangedCoverage(6, 3, (FileLines("a.py", (1, 2, 5)),)),
    tools=(
        ToolState("bandit", "1.9", "completed", None, 1, (("bad.py", "syntax error"),)),
        ToolState("ruff", "0.14", "failed", "it crashed", 0, ()),
    ),
    notes=("The history is shallow.",),
)  # fmt: skip
FAILED = msgspec.structs.replace(RESULT, failed=reasons(RESULT, None, require_tests=False))
CLEAN = GateResult(Base("HEAD", "2" * 40, merge_base=False), None, False, (), Findings())


def plain(_: str, text: str) -> str:
    return text


def test_the_text_has_what_fails_first_and_the_verdict_last() -> None:
    assert as_text(FAILED, plain).splitlines() == [
        "a,b:c.py:3:5: medium: eval, 100 % [bandit B307]",
        "a.py:1: low: unused [ruff F401]",
        "a.py:9: info: unused [vulture unused-method] (under the threshold)",
        "findings: 7 known before, 1 gone",
        "baseline: gone.py ruff F401 is gone",
        "broken: tests/test_a.py::test_x[1]: assert 1 == 2",
        "newly flaky: tests/test_a.py::test_y",
        "tests: 12 run (1 file that the change reaches)",
        "coverage: 3 of 6 changed lines ran (50 %)",
        "  not run: a.py: 1, 2, 5",
        "not looked at: bandit: bad.py (syntax error)",
        "not looked at: ruff: it crashed",
        "note: The history is shallow.",
        (
            "Gate: 2 new findings on changed lines; 1 test broken; 1 test newly flaky. "
            "2 files changed against where HEAD left origin/main (012345678)."
        ),
    ]


def test_a_clean_gate_says_so_and_why_tests_are_not_known() -> None:
    text = as_text(msgspec.structs.replace(CLEAN, tests_reason="there are no tests"), plain)
    assert text.splitlines() == [
        "tests: not known: there are no tests",
        (
            "Gate: nothing new; tests unknown: there are no tests. "
            "0 files changed against HEAD (222222222)."
        ),
    ]


def test_what_was_not_looked_at_makes_a_clean_gate_incomplete_and_fails_where_it_must_not() -> None:
    file = ChangedFile("a.py", "changed", 1)
    read = ToolState("ruff", "1", "completed", None, 1, (("a.py", "a symbolic link"),))
    unread = ToolState("bandit", "1", "completed", None, 0, (("a.py", "it crashed"),))
    for tools, verdict in (((read,), "clean"), ((read, unread), "incomplete")):
        result = msgspec.structs.replace(CLEAN, files=(file,), tools=tools)
        assert json.loads(as_json(result, 0))["verdict"] == result.verdict == verdict
        assert ("in what was looked at" in as_text(result, plain)) is (verdict == "incomplete")
        assert ("bandit did not read a.py" in as_github(result)) is (verdict == "incomplete")
        required = reasons(result, None, require_tests=False, require_tools=True)
        assert bool(required) is (verdict == "incomplete")


def test_what_the_change_hides_is_told_and_fails_nothing() -> None:
    hidden = Findings(suppressed=(Suppressed(EVAL, "comment", "# nosec"),))
    result = msgspec.structs.replace(CLEAN, findings=hidden)
    assert reasons(result, None, require_tests=False) == ()
    told = json.loads(as_json(result, 0))["findings"]["suppressed"]
    assert [(each["finding"]["rule"], each["where"]) for each in told] == [("B307", "# nosec")]
    assert "[bandit B307] (hidden by # nosec)" in as_text(result, plain)
    assert "title=hidden by this change%3A bandit B307::" in as_github(result)
    assert as_github(result).startswith("::notice ")


def test_lost_tests_stand_in_every_form_at_their_line() -> None:
    gone = BrokenTest("tests/test_a.py::test_z", "tests/test_a.py", "no longer there", 7)
    result = msgspec.structs.replace(CLEAN, tests=Tests(1, "affected", (), lost=(gone,)))
    result = msgspec.structs.replace(result, failed=reasons(result, None, require_tests=False))
    assert result.failed == ("1 test lost",)
    assert "lost: tests/test_a.py::test_z: no longer there" in as_text(result, plain)
    assert "::error file=tests/test_a.py,line=7,title=lost test::" in as_github(result)
    (found,) = json.loads(as_sarif(result))["runs"][0]["results"]
    assert found["ruleId"] == "lost-test"
    assert found["locations"][0]["physicalLocation"]["region"]["startLine"] == 7


def test_many_findings_are_cut_and_counted() -> None:
    many = tuple(msgspec.structs.replace(UNUSED, line=line) for line in range(1, 301))
    result = msgspec.structs.replace(CLEAN, findings=Findings(new=many, elsewhere=many))
    text = as_text(result, plain)
    assert "... and 250 more new findings" in text
    assert "... and 295 more new on lines that did not change" in text
    assert len(text.splitlines()) < 70


def test_the_json_is_one_object_with_verdict_and_unknown_as_null() -> None:
    assert as_json(FAILED, 1).count(b"\n") == 1
    told = json.loads(as_json(FAILED, 1))
    assert (told["verdict"], told["exit_code"]) == ("failed", 1)
    assert told["coverage"]["percent"] == 50.0
    assert [each["rule"] for each in told["findings"]["new"]] == ["B307", "F401"]
    clean = json.loads(as_json(CLEAN, 0))
    assert (clean["verdict"], clean["tests"], clean["coverage"]) == ("clean", None, None)


def test_sarif_has_a_run_for_each_tool_and_one_for_tests() -> None:
    runs = json.loads(as_sarif(FAILED))["runs"]
    found = {
        run["tool"]["driver"]["name"]: [each["ruleId"] for each in run["results"]] for run in runs
    }
    assert found == {
        "bandit": ["B307"], "ruff": ["F401"], "tests": ["broken-test", "flaky-test"],
    }  # fmt: skip
    results = [each for run in runs for each in run["results"]]
    assert len({each["partialFingerprints"]["visionflow/v1"] for each in results}) == 4


def test_github_gets_commands_that_no_name_or_message_can_break() -> None:
    lines = as_github(FAILED).splitlines()
    assert lines[0] == (
        "::error file=a%2Cb%3Ac.py,line=3,endLine=4,col=5,title=bandit B307::eval, 100 %25"
    )
    assert lines[1] == "::warning file=a.py,line=1,title=ruff F401::unused"
    assert "::error file=tests/test_a.py,line=1,title=broken test::" in lines[3]
    assert "assert 1 == 2" in lines[3]
    covered = [line for line in lines if "not covered" in line]
    assert ["line=1,endLine=2" in line for line in covered] == [True, False]
    assert lines[-2] == "::notice title=visionflow gate::The history is shallow."
    assert lines[-1].startswith("::error title=visionflow gate::2 new findings")
    assert as_github(CLEAN) == "::notice title=visionflow gate::nothing new\n"


def test_a_hostile_message_is_one_harmless_line_everywhere() -> None:
    bad = Finding("t", "r", "high", "x\n::error::forged\x1b[31m%0A", "p\n::error::q.py", 1)
    result = msgspec.structs.replace(CLEAN, findings=Findings(new=(bad,)), failed=("1",))
    for text in (as_github(result), as_text(result, plain)):
        assert "\x1b" not in text
        assert not any(line.startswith("::error::") for line in text.splitlines())
    first = as_github(result).splitlines()[0]
    assert first.startswith("::error file=p%0A%3A%3Aerror%3A%3Aq.py,line=1")
    assert first.endswith("::x ::error::forged%250A")
