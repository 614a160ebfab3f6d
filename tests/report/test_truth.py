"""No untruth: what was not looked at is named, and nothing is called whole that is not."""

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from tests.report.sample_facts import change, finding, sample, suite_run, tasks, vote
from visionflow.agents.evidence import Answer, Change, Citation, Part, Research, Survey
from visionflow.agents.findings import Suppressed, ToolRun
from visionflow.agents.report.facts import RunFacts, TaskFacts
from visionflow.agents.report.gates import gates_of
from visionflow.agents.report.gathering import gather
from visionflow.agents.report.html import report_html
from visionflow.agents.report.markdown import report_markdown
from visionflow.agents.report.terminal import terminal_lines
from visionflow.agents.report.trust import NO_VOTE
from visionflow.agents.report.view import view_of
from visionflow.agents.roles.job import storable
from visionflow.agents.roles.reviewer import judge
from visionflow.compose.applying import objection
from visionflow.compose.job.progress import Signals
from visionflow.domain.errors import Refused

READ = "every file that a tool reads was read"
LEFT_OUT = "Nothing is known that was left out."
SECURE = ("findings", "secrets", "syntax")
WHOLE = tuple(
    ToolRun(name, "1", files_read=3) for name in ("bandit", "detect-secrets", "ruff", "vulture")
)


def clean(**other: Any) -> RunFacts:
    """An audit that found nothing and left nothing out."""
    passed = msgspec.structs.replace(
        suite_run(), outcome="passed", reason=None, flaky=(), cases=()
    )  # fmt: skip
    usual: dict[str, Any] = {
        "tools": WHOLE, "tests": passed, "notes": (), "architecture": None, "vote": None,
        "change": Change("nothing_to_do", "nothing was found"), "research": None,
        "survey": Survey(9, 3, (Part("all"),)), "head": "a" * 40, "dirty": False,
        "gates": ("tests", "syntax", "findings", "secrets", "patch"),
    }  # fmt: skip
    return sample(**(usual | other))


def _terminal(facts: RunFacts) -> str:
    return "\n".join(terminal_lines(view_of(facts), lambda style, text: text))


def test_a_clean_run_that_read_everything_says_so() -> None:
    view = view_of(clean())
    assert READ in view.trust.good
    assert LEFT_OUT in report_markdown(view)
    assert LEFT_OUT in report_html(view)


def test_files_in_no_part_that_is_reviewed_are_named_and_leave_gates_open() -> None:
    facts = clean(survey=Survey(9, 5, (Part("a", ("a",)),), (), ("b/x.py", "c.py")))
    view = view_of(facts)
    assert {each.what for each in view.not_looked_at} == {"b/x.py", "c.py"}
    assert "2 Python files in no part that was reviewed" in view.trust.doubts
    assert READ not in view.trust.sentence
    assert [gates_of(facts)[name] for name in SECURE] == [None, None, None]
    assert view.verdict == "incomplete"
    assert LEFT_OUT not in report_markdown(view) + report_html(view)


def test_a_test_that_nobody_reviews_leaves_the_syntax_gate_alone() -> None:
    facts = clean(survey=Survey(9, 4, (), (), ("tests/test_x.py",)))
    assert [gates_of(facts)[name] for name in SECURE] == [None, None, True]


def test_files_that_got_lost_on_the_way_to_the_tools_are_counted() -> None:
    view = view_of(clean(survey=Survey(9, 5, (Part("all"),))))
    assert "2 Python files not given to any tool" in view.trust.doubts
    assert [each.what for each in view.not_looked_at] == ["2 Python files"]
    assert READ not in view.trust.sentence


@pytest.mark.parametrize("status", ["running", "interrupted", "failed", "cancelled"])
def test_of_a_run_that_did_not_complete_it_is_not_said_that_everything_was_read(
    status: str,
) -> None:
    assert READ not in view_of(clean(status=status)).trust.sentence


def test_while_a_run_is_under_way_nobody_knows_what_it_leaves_out() -> None:
    view = view_of(clean(status="running"))
    assert LEFT_OUT not in report_markdown(view) + report_html(view)
    assert "The run is not over" in report_markdown(view)


def test_without_a_survey_nobody_knows_what_was_left_out() -> None:
    view = view_of(clean(survey=None))
    assert READ not in view.trust.sentence
    assert LEFT_OUT not in report_markdown(view)


def test_a_run_of_which_nothing_ran_left_out_everything() -> None:
    view = view_of(RunFacts("r", "g", "", "", "/w", "/o/r", "blocked", "", 0.0))
    assert [(each.what, each.why) for each in view.not_looked_at] == [
        ("the whole workspace", "nothing was run")
    ]


def test_a_tool_that_was_not_run_leaves_the_findings_gate_open() -> None:
    facts = clean(tools=(*WHOLE, ToolRun("complexipy", None, ended="not_run", reason="no review")))
    assert gates_of(facts)["findings"] is None


def _review(focus: str | None, part: str | None) -> dict[str, object]:
    return {"tools": storable(WHOLE), "focus": focus, "part": part}


PARTS = (Part("a", ("a",)), Part("rest", besides=("a",)))


@pytest.mark.parametrize(
    ("reviews", "gaps"),
    [
        ([(None, None)], ()),
        ([("security", None), ("performance", None), ("maintainability", None)], ()),
        ([("security", None), ("maintainability", None)], (("performance", None),)),
        ([(None, "a"), (None, "rest")], ()),
        ([("maintainability", None), ("performance", None), ("security", "a")],
         (("security", "rest"), ("security", ""))),
        ([], ()),
    ],
)  # fmt: skip
def test_what_no_review_is_about_is_known_by_focus_and_part(
    reviews: list[tuple[str | None, str | None]], gaps: tuple[tuple[str, str | None], ...]
) -> None:
    results: dict[str, object] = {"survey": {"survey": storable(Survey(9, 3, PARTS))}}
    results |= {f"r{number}": _review(*each) for number, each in enumerate(reviews)}
    assert gather(results).gaps == gaps


def test_a_focus_that_no_review_has_is_named_and_leaves_gates_open() -> None:
    facts = clean(gaps=(("security", "rest"), ("performance", None)))
    view = view_of(facts)
    assert [each.what for each in view.not_looked_at] == ["security of rest", "performance"]
    assert gates_of(facts)["findings"] is None
    assert gates_of(facts)["secrets"] is None
    assert READ not in view.trust.sentence


def test_a_clean_project_passes_and_it_is_said_that_there_was_no_change() -> None:
    view = view_of(clean())
    assert view.gates is not None
    assert view.gates["patch"] is None
    assert (view.verdict, view.tone) == ("passed", "good")
    assert view.headline == "Passed: every gate passed; there is no change to judge."


def test_a_change_of_which_nothing_could_be_told_is_no_good_news() -> None:
    tied = msgspec.structs.replace(vote(), decision="undecided")
    for facts in (clean(change=None), clean(change=change(), vote=tied)):
        view = view_of(facts)
        assert (view.verdict, view.tone) == ("passed", "unsure")
        assert view.headline == "Passed: every gate passed; of a change nothing could be told."


def test_what_goes_on_with_a_run_that_is_not_over_names_its_folder() -> None:
    with pytest.raises(Refused) as refused:
        objection(clean(status="interrupted"))
    command = "visionflow run --resume run_sample --out /home/ada/shop/.visionflow/runs"
    assert refused.value.hint == f"Go on with it: {command}"


def test_of_an_empty_folder_nothing_could_be_checked() -> None:
    tools = tuple(msgspec.structs.replace(run, files_read=0) for run in WHOLE)
    none = msgspec.structs.replace(suite_run(), outcome="no_tests", cases=(), flaky=())
    facts = clean(tools=tools, tests=none, survey=Survey(0, 0, (Part("all"),)))
    assert view_of(facts).headline == "Nothing could be checked."


def test_a_failed_run_names_its_gates_and_what_decided_them() -> None:
    facts = sample()
    view = view_of(facts)
    assert view.headline == "Failed: tests, findings, secrets, cycles."
    assert view.subtitle == (
        "tests: 1 of 214 tests failed; findings: 4 high; secrets: 1 high; cycles: 1 ring of "
        "imports."
    )
    assert "verdict: gates failed: tests, findings, secrets, cycles" in view.trust.bad
    page = report_html(view)
    banner = page[page.index('<div class="verdict') : page.index('<ul class="gates"')]
    assert "findings: 4 high" in banner
    assert facts.why.split("'")[0] not in banner
    assert facts.why.split("'")[0] in page


def test_only_what_is_good_has_a_green_tick() -> None:
    view = view_of(sample())
    page = report_html(view)
    marked = (*view.trust.doubts, *view.trust.good, *view.trust.bad)
    assert len(set(marked)) == len(marked)
    for each in view.trust.good:
        assert not any(word in each for word in ("fail", "not ", "hidden", "coverage"))
    assert page.count('<li class="good">') >= len(view.trust.good)
    assert any(each.startswith("tests failed") for each in view.trust.bad)
    assert any(each.startswith("coverage") for each in set(view.trust.statements) - {*marked})


def test_what_the_project_hides_is_told_on_the_terminal_and_by_the_verdict() -> None:
    grave = Suppressed(finding("bandit", "B602", "high", "m", "a.py", 1), "comment", "# nosec")
    small = Suppressed(finding("ruff", "E731", "low", "m", "a.py", 9), "comment", "# noqa")
    hiding = ToolRun("bandit", "1", files_read=3, suppressed=(grave, small))
    view = view_of(clean(tools=(hiding, *WHOLE[1:])))
    assert (
        "Hidden by the project itself: 2 (1 high)"
        in _terminal(clean(tools=(hiding, *WHOLE[1:]))).splitlines()
    )
    assert view.verdict == "passed"
    assert view.headline == (
        "Passed: every gate passed, but the project itself hides findings (1 high)."
    )
    assert "2 findings hidden by the project itself (1 high)" in view.trust.doubts
    means = {gate.name: gate.means for gate in view.gate_lines}["findings"]
    assert means.endswith("not hidden by the project; it hides 1 high")
    assert "Hidden by" not in _terminal(clean())


def _asked(*answers: Answer, completeness: float | None = 0.0) -> RunFacts:
    found = Research(answers=answers, completeness=completeness)
    return sample(gates=(), tools=(), tests=None, change=None, vote=None, architecture=None,
                  research=found)  # fmt: skip


def test_where_no_term_has_a_line_nothing_answers() -> None:
    view = view_of(_asked(Answer(("moon",), (), 0), Answer(("cheese",), (), 0)))
    assert (view.headline, view.tone) == ("Nothing in this repository answers it.", "unsure")
    found = Answer(("moon",), (Citation("a.py", 1, "moon", "code"),), 1)
    assert view_of(_asked(found, Answer(("cheese",), (), 0))).tone == "good"


def test_a_goal_without_terms_says_so_on_the_terminal() -> None:
    assert "The goal has no term that could be looked up." in _terminal(_asked(completeness=None))


@pytest.mark.parametrize(
    ("head", "dirty", "plain"), [("a" * 40, False, True), (None, False, False), ("a", True, False)]
)
def test_the_printed_apply_command_is_the_one_that_works(
    head: str | None, dirty: bool, plain: bool
) -> None:
    view = view_of(sample(head=head, dirty=dirty))
    assert view.change is not None
    told = {each.name: each.command for each in view.commands}["apply"]
    assert told.endswith("--to-working-tree") is not plain
    assert " --out " in told
    assert view.change.apply == told
    assert {each.command for each in view.issues if each.fixed} == {told}


def test_a_vote_that_was_not_needed_is_not_told_as_a_vote_that_completed() -> None:
    view = view_of(clean())
    assert "vote on security" not in view.trust.sentence
    assert "no vote was needed" in view.trust.statements
    assert {each.reason for each in view.tasks if each.phase == "vote"} == {"no vote was needed"}
    voted = view_of(sample(change=change(), vote=vote()))
    assert "vote on security" in voted.trust.sentence
    assert "no vote was needed" not in voted.trust.statements
    failed = TaskFacts("v", "vote x", "reviewer", "vote", "failed", "it broke", 1, "vote")
    assert "failed: vote x (it broke)" in view_of(clean(tasks=(*tasks(), failed))).trust.doubts


def test_only_warnings_of_the_users_own_are_shown_to_people() -> None:
    view = view_of(sample())
    template, own = view.warnings
    for face in (report_markdown(view), report_html(view), _terminal(sample())):
        assert template.split(":")[-1].strip() not in face
    assert own.split(":")[-1].strip() in report_markdown(view)
    assert own.split(":")[-1].strip() in report_html(view)
    assert view.own_warnings == (own,)


def test_a_gate_that_has_nothing_to_judge_says_so_in_every_face() -> None:
    facts = clean()
    assert "patch nothing to judge" in _terminal(facts)
    assert "| patch | nothing to judge |" in report_markdown(view_of(facts))
    assert "nothing to judge</span>" in report_html(view_of(facts))
    for other in (clean(status="running"), clean(change=None)):
        assert "nothing to judge" not in _terminal(other)
        assert "no change to judge" not in {gate.means for gate in view_of(other).gate_lines}


def test_where_findings_agree_the_terminal_has_both_numbers() -> None:
    view = view_of(sample())
    text = _terminal(sample())
    assert f"Faults: {view.issues_total}" in text
    assert f"and {view.issues_total - 5} more faults, all in findings.sarif" in text
    assert "Faults:" not in _terminal(clean())


def test_a_judge_knows_what_no_review_was_about() -> None:
    whole = {focus: _review(focus, None) for focus in ("security", "performance")}
    assert judge(whole)["gates"]["findings"] is None
    whole["maintainability"] = _review("maintainability", None)
    assert judge(whole)["gates"]["findings"] is True
    outside = Survey(9, 4, (), (), ("b.py",))
    assert judge(whole | {"survey": {"survey": storable(outside)}})["gates"]["findings"] is None


def test_a_vote_that_was_not_needed_is_not_shown_as_completed_while_a_run_goes_on() -> None:
    part = SimpleNamespace(status="completed", ended=True, reason=None, attempts=1)
    asked = SimpleNamespace(title="vote: security", agent="reviewer", type="vote")
    story: Any = SimpleNamespace(tasks={"v": asked, "w": asked}, parts={"v": part, "w": part})
    signals = Signals()
    signals.hear("v", 1, 1.0, NO_VOTE)
    signals.hear("w", 1, 1.0, "approve: 2 findings are gone")
    assert [each.status for each in signals.lines(story)] == ["not_needed", "completed"]
