"""Each measure of docs/measures.md, recomputed by hand on a small example."""

from pathlib import Path

import msgspec
import pytest
from role_bench import Bench

from visionflow.agents.findings import Ended, Finding, Severity, ToolRun
from visionflow.agents.measures import MEASURES, measures_of, meets
from visionflow.agents.tools.patchgates import code_quality
from visionflow.agents.tools.results import Counts
from visionflow.agents.tools.verdicts import pass_rate

DOCS = Path(__file__).resolve().parents[2] / "docs" / "measures.md"


def test_the_docs_define_every_measure_and_no_other() -> None:
    titles = [
        line.removeprefix("## ")
        for line in DOCS.read_text(encoding="utf-8").splitlines()
        if line.startswith("## ")
    ]
    assert sorted(titles) == list(MEASURES)


def test_completeness_is_the_share_of_terms_with_a_citation(tmp_path: Path) -> None:
    bench = Bench(tmp_path, {"shop.py": "# price and stock of a parcel\n"})
    # price, stock and parcel stand there; submarine does not.
    result = bench.run("researcher", "research", goal="price, stock, parcel, submarine")
    assert measures_of(result) == {"completeness": 0.75}
    nothing = bench.run("researcher", "research", goal="find the")
    assert measures_of(nothing) == {"completeness": None}


def test_the_scalability_score_is_that_of_the_example_in_the_docs(tmp_path: Path) -> None:
    files = {"a.py": "import b\n", "b.py": "import c\n", "c.py": ""}
    files |= {"d.py": "import e\n", "e.py": "import d\n"}
    bench = Bench(tmp_path, files)
    # 3 of 5 are in no cycle; a-b, a-c, b-c, d-e, e-d are 5 of 20 pairs.
    found = measures_of(bench.run("architect", "analyse_architecture"))
    assert found == {"scalability_score": 0.45}


def run_of(*severities: Severity, ended: Ended = "completed") -> ToolRun:
    findings = tuple(
        Finding("t", "R1", severity, "m", "a.py", number)
        for number, severity in enumerate(severities, 1)
    )
    return ToolRun("t", None, findings, ended=ended)


def test_code_quality_weighs_findings_against_lines() -> None:
    assert code_quality([run_of()], 40) == 1.0
    assert code_quality([run_of("medium")], 200) == 0.5
    # 5 + 0.5 + 0.5 + 0 in 300 lines: w is 2.
    mixed = [run_of("high", "low"), run_of("low", "info")]
    assert code_quality(mixed, 300) == pytest.approx(1 / 3, abs=1e-4)
    assert code_quality([run_of("critical")], 1_000) == 0.5
    assert code_quality([], 10) is None
    assert code_quality([run_of(ended="failed")], 10) is None
    assert code_quality([run_of()], 0) is None


def test_code_quality_of_a_task_is_that_of_what_is_left(tmp_path: Path) -> None:
    bench = Bench(tmp_path, {"a.py": "def f(text):\n    return eval(text)\n\n\nprint(f('1'))\n"})
    result = bench.run("coder", "fix", {"formatting": False})
    # One medium finding in three lines: w is 200 / 3.
    assert measures_of(result) == {"code_quality": pytest.approx(3 / 203, abs=1e-4)}


@pytest.mark.parametrize(
    ("text", "approved"),
    [("NUMBER = 1\n", True), ("NUMBER = eval('1')\n", False)],
)
def test_a_review_approves_where_nothing_medium_or_worse_is_found(
    tmp_path: Path, text: str, approved: bool
) -> None:
    bench = Bench(tmp_path, {"a.py": text})
    result = bench.run("reviewer", "review_code", {"focus_areas": ["security"]})
    assert measures_of(result) == {"approval_required": approved}
    for run in result["tools"]:
        run["ended"] = "failed"
    assert measures_of(result) == {"approval_required": False if not approved else None}


def test_coverage_and_pass_rate_are_shares_of_lines_and_of_tests(tmp_path: Path) -> None:
    files = {
        "pytest.ini": "[pytest]\naddopts = -p no:hypothesispytest\n",
        # Five lines can run: two defs and three of their lines; `return 2` does not.
        "kit.py": "def f(x):\n    if x:\n        return 1\n    return 2\n\n\nF = f\n",
        "test_kit.py": (
            "import pytest\n\nfrom kit import f\n\n\n"
            "def test_good():\n    assert f(1) == 1\n\n\n"
            "def test_bad():\n    assert f(1) == 2\n\n\n"
            "@pytest.mark.skip\ndef test_left_out():\n    assert False\n\n\n"
            "@pytest.mark.xfail\ndef test_expected():\n    assert False\n"
        ),
    }
    bench = Bench(tmp_path, files)
    result = bench.run("tester", "run_tests", {"reruns": 0})
    assert measures_of(result) == {"coverage": 0.8, "pass_rate": 0.5}


def test_pass_rate_counts_errors_and_leaves_flaky_tests_out() -> None:
    assert pass_rate(Counts(passed=6, failed=1, errors=1, skipped=5, xfailed=5, flaky=2)) == 0.75
    assert pass_rate(Counts(skipped=3, flaky=1)) is None


def test_a_demand_is_met_by_as_much_or_more_and_never_by_what_is_unknown() -> None:
    assert meets(0.8, 0.8) and meets(1.0, 0.8) and not meets(0.79, 0.8)
    assert meets(True, True) and not meets(False, True)
    assert meets(None, False) and meets(False, False)
    assert not meets(None, 0.0) and not meets(None, True) and not meets(True, 0.5)


def test_what_is_no_result_of_a_role_has_no_measures() -> None:
    assert measures_of("text") == measures_of({"total": 3}) == {}
    with pytest.raises(msgspec.ValidationError):
        measures_of({"tests": {"outcome": "splendid"}})
