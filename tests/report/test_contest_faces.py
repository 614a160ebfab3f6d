"""Coding agents side by side: who won and why, what became of the others, and what to type next."""

from html import unescape
from typing import Any

import msgspec
import pytest

from tests.report.contests import (
    BROKEN,
    CLAUDE,
    CONFLICT,
    HELD,
    PREDICATE,
    attempted,
    ballots,
    contest,
    judged,
    left_nothing,
    none_good,
    ranked,
    run_of,
    split,
    tied,
)
from visionflow.agents.candidates.values import Accepted, Contest, Counted, Gated, Ranking, Usage
from visionflow.agents.report.contest_values import CandidateLine, ContestView
from visionflow.agents.report.facts import GoesFacts, TaskFacts
from visionflow.agents.report.html import report_html
from visionflow.agents.report.markdown import report_markdown
from visionflow.agents.report.terminal import terminal_lines
from visionflow.agents.report.values import RunView
from visionflow.agents.report.view import view_of

OUT = "--out /home/ada/shop/.visionflow/runs"


def _view(told: Contest, **other: Any) -> RunView:
    return view_of(run_of(told, **other))


def _contest(told: Contest, **other: Any) -> ContestView:
    found = _view(told, **other).contest
    assert found is not None
    return found


def _line(told: Contest, name: str, **other: Any) -> CandidateLine:
    return next(each for each in _contest(told, **other).candidates if each.candidate == name)


def _terminal(view: RunView) -> list[str]:
    return terminal_lines(view, lambda style, text: text, "/o/report.md")


# The headline ----------------------------------------------------------------------------------


def test_the_winner_and_why_are_the_headline() -> None:
    view = _view(contest())
    assert (view.headline, view.tone) == (
        "candidate-1 is taken: the only one of 2 that nobody objects to.", "good",
    )  # fmt: skip


def test_a_tie_is_said_plainly() -> None:
    view = _view(tied())
    assert view.headline == "candidate-1 is taken, but nothing told it apart from candidate-2."
    assert _contest(tied()).said == (
        "Nothing told candidate-1 apart from candidate-2; it is taken because it is the first.",
        "They made the very same files: candidate-1, candidate-2.",
    )


def test_that_none_is_good_enough_is_said_plainly_with_what_stands_against_each() -> None:
    view = _view(none_good())
    assert view.headline == "candidate-2 is not good enough: tests: a test is broken."
    assert view.tone == "bad"
    assert view.subtitle.startswith("winner: candidate-2: tests say reject")
    assert _contest(none_good()).said == ("None is good enough, so nothing is taken.",)


@pytest.mark.parametrize(
    ("ranking", "headline"),
    [
        (Ranking((ranked(2, 1, False),), None, "A test is broken."),
         "None is good enough. A test is broken."),
        (Ranking((), None, "There is nothing to choose from."),
         "Nothing is taken. There is nothing to choose from."),
    ],
)  # fmt: skip
def test_that_nothing_is_taken_is_said_however_the_ranking_puts_it(
    ranking: Ranking, headline: str
) -> None:
    told = msgspec.structs.replace(none_good(), ranking=ranking)
    assert _view(told).headline == headline


def test_work_that_is_not_in_the_result_is_in_the_headline_by_name() -> None:
    view = _view(split(CONFLICT))
    assert view.headline.startswith("1 of 3 parts is not in the result: names.")
    assert view.tone == "bad"
    assert "names (shop/limits.py was changed by limits too)" in view.subtitle
    assert _view(split()).headline.startswith("All of the work is in the result.")


def test_a_worse_gate_than_landed_is_in_the_headline_too() -> None:
    bad = msgspec.structs.replace(
        split(CONFLICT), judged=(msgspec.structs.replace(BROKEN, candidate="result"),)
    )
    assert _view(bad).headline.startswith("Failed: accept, tests, findings, landed.")


def test_where_every_agent_was_refused_the_providers_words_are_the_headline() -> None:
    refused = Contest(failed=(("candidate-1", "claude: 401 invalid x-api-key"),
                              ("candidate-2", "claude: 401 invalid x-api-key")))  # fmt: skip
    view = _view(refused, status="failed", change=None)
    assert view.headline == "No agent came to an end: claude: 401 invalid x-api-key."
    mixed = msgspec.structs.replace(
        refused, failed=refused.failed[:1], attempted=(left_nothing(2, "timed_out", "30 min"),)
    )
    assert _view(mixed, status="failed").headline == (
        "No agent came to an end. candidate-2: 30 min; candidate-1: claude: 401 invalid x-api-key."
    )


def test_a_run_that_failed_though_an_agent_did_its_work_is_not_told_as_a_refusal() -> None:
    assert _view(contest(ranking=None), status="failed").headline == "The run ended as failed."


def test_without_a_ranking_nothing_is_taken() -> None:
    view = _view(contest(ranking=None))
    assert (view.headline, view.tone) == ("Nothing was ranked, so nothing is taken.", "unsure")


# Trust -----------------------------------------------------------------------------------------


def test_what_was_run_on_the_winner_is_what_is_trusted() -> None:
    trust = _view(contest()).trust
    assert "tests of candidate-1: 214 run, none broken" in trust.good
    assert "pytest -k limit passes, and does not without the change" in trust.good
    assert "NOT confined while they worked: candidate-5" in trust.doubts
    assert "candidate-3 did what it may not: It moved main from bbbbbbb to 3333333" in trust.doubts
    assert "every agent was confined" in _view(tied()).trust.good


@pytest.mark.parametrize(
    ("accepted", "doubt"),
    [
        (Accepted("c", True, on_base=True), "c passes without the change too, so it proves"),
        (Accepted("c", None, reason="no such program"), "c could not be run (no such program)"),
        (Accepted("c", True, on_base=False, doubt="passes only with t.py as it changed it"),
         "c passes only with t.py as it changed it, so look at that: it is no proof"),
    ],
)  # fmt: skip
def test_a_predicate_that_proves_nothing_is_a_doubt(accepted: Accepted, doubt: str) -> None:
    told = contest(judged=(judged(1, accepted=(accepted,)),))
    assert any(each.startswith(doubt) for each in _view(told).trust.doubts)


OWN_TESTS = Accepted(
    PREDICATE, True, 0, on_base=False, counted=Counted(1, 0, 1), touched=("tests/test_a.py",),
    with_base_tests=False, doubt="passes only with tests/test_a.py as this candidate changed it",
)  # fmt: skip


def test_a_winner_by_its_own_tests_is_taken_and_told_as_one_without_proof() -> None:
    told = contest(judged=(judged(1, accepted=(OWN_TESTS,)),))
    view = _view(told)
    assert ((view.gates or {})["accept"], view.tone) == (None, "unsure")
    assert (
        f"Look at it: {PREDICATE} passes only with tests/test_a.py as this candidate changed it, "
        "which is no proof."
    ) in view.headline
    line = _line(told, "candidate-1").predicates[0]
    assert (line.passed, line.with_base_tests, line.tests_passed) == (True, False, 1)
    assert line.told == (
        "passes only with tests/test_a.py as this candidate changed it; that is no proof"
    )
    assert "| 1 of 1, 1 no proof |" in report_markdown(view)
    assert "1 of 1, 1 no proof" in report_html(view)
    assert any("Look at it: " in each for each in _terminal(view))


def test_a_predicate_that_passes_with_the_tests_of_base_says_so() -> None:
    own = msgspec.structs.replace(OWN_TESTS, with_base_tests=True, doubt=None)
    line = _line(contest(judged=(judged(1, accepted=(own,)),)), "candidate-1").predicates[0]
    assert line.told == "passed; without the change it does not; and with the tests of base, too"
    added = msgspec.structs.replace(own, with_base_tests=None)
    line = _line(contest(judged=(judged(1, accepted=(added,)),)), "candidate-1").predicates[0]
    assert line.told.endswith("its tests were added by the change: tests/test_a.py")


def test_a_winner_whose_tests_nobody_ran_is_a_doubt() -> None:
    told = contest(judged=(judged(1, gate=Gated("incomplete", tests=None), accepted=()),))
    view = _view(told, gates=("winner", "tests", "findings"))
    assert "tests of candidate-1: not known" in view.trust.doubts
    assert "no predicate was given, so nothing shows that it does what was asked" in (
        view.trust.doubts
    )
    assert view.tone == "unsure"


def test_where_no_test_was_run_none_is_said_to_be_broken_or_whole() -> None:
    told = contest(judged=(judged(1, gate=Gated("clean", tests=0),
                                  ballots=ballots(tests="abstain")),))  # fmt: skip
    assert _line(told, "candidate-1").broken_total is None
    trust = _view(told).trust
    assert "tests of candidate-1: no test was run (tests say abstain)" in trust.doubts
    assert (_view(told).gates or {})["tests"] is None


def test_what_the_gate_could_not_look_at_is_named() -> None:
    told = contest(failed=(), judged=(judged(1, gate=Gated("incomplete", unseen=("ruff died",))),))
    assert [(each.what, each.why) for each in _view(told).not_looked_at] == [
        ("the gate on candidate-1", "ruff died")
    ]


def test_of_what_nobody_judged_nothing_is_said_to_be_whole() -> None:
    view = _view(contest(judged=(), failed=()))
    assert view.nothing_left_out == "No result was looked at, so what was left out is not known."


# The candidates --------------------------------------------------------------------------------


def test_each_candidate_is_named_for_what_it_did() -> None:
    told = {each.candidate: (each.standing, each.told) for each in _contest(contest()).candidates}
    assert told == {
        "candidate-1": ("taken", "changed 1 file"),
        "candidate-2": ("not_good", "changed 1 file"),
        "candidate-3": ("out", "did what it may not: it moved the branch main"),
        "candidate-4": ("out", "ran out of time: it was ended after 30 min"),
        "candidate-5": ("out", "wrote more output than is read: it wrote more than 64 MiB"),
        "candidate-6": ("out", "came to no end of its own: claude: 401 invalid x-api-key"),
    }


def test_the_best_come_first_and_those_without_a_place_follow_in_order() -> None:
    order = (ranked(2, 1, True, "best"), ranked(1, 2, True, "second"))
    told = contest(ranking=Ranking(order, "candidate-2", "It is best."))
    names = [each.candidate for each in _contest(told).candidates]
    assert names == [f"candidate-{n}" for n in (2, 1, 3, 4, 5, 6)]
    assert [each.standing for each in _contest(told).candidates[:2]] == ["taken", "good"]


def test_what_a_tool_does_not_report_is_not_a_nought() -> None:
    view = _contest(contest())
    assert (view.tokens, view.cost_microdollars, view.unreported) == (34_400, 41_000, 3)
    line = _line(contest(), "candidate-3")
    assert (line.tokens, line.cost_microdollars, line.cost) == (None, None, "not reported")
    half = contest(attempted=(attempted(1, usage=Usage(5, None)),), failed=())
    # A part of a report counts for the sum, as it does for the limit; it is no figure of a line.
    assert (_contest(half).tokens, _line(half, "candidate-1").tokens) == (5, None)
    figures = {each.key: each.text for each in _view(half).figures}
    assert (figures["tokens"], figures["cost"]) == ("5 (1 told nothing or a part)", "not reported")


def test_what_those_used_that_came_to_no_end_counts_and_half_a_sum_says_so() -> None:
    found = contest(
        attempted=(attempted(1, usage=Usage(20, 2, 48)), attempted(2, usage=Usage(9, 1))),
        failed=(("candidate-3", "no credit left"), ("candidate-4", "not started")),
    )
    goes = {
        "candidate-1": GoesFacts(Usage(20, 2, 48), whole=True),
        "candidate-2": GoesFacts(Usage(9, 1), whole=False),  # An earlier go of it was killed.
        "candidate-3": GoesFacts(Usage(300, 40, 1_000, 7), whole=True),
    }
    view = view_of(msgspec.structs.replace(run_of(found), goes=goes)).contest
    assert view is not None
    assert (view.tokens, view.cost_microdollars, view.unreported) == (372, 1_048, 1)
    lines = {each.candidate: each for each in view.candidates}
    assert (lines["candidate-3"].tokens, lines["candidate-3"].turns) == (340, 7)
    assert (lines["candidate-4"].tokens, lines["candidate-4"].cost) == (None, "not reported")
    assert [lines[f"candidate-{n}"].cost for n in (1, 3)] == ["under $0.0001", "$0.0010"]


def test_how_an_attempt_went_on_is_told() -> None:
    assert _line(contest(), "candidate-1").went == "in one go"
    assert _line(contest(), "candidate-2").went == "started, then resumed its session"
    assert _line(contest(), "candidate-4").went == "started, then started again"


def test_what_held_an_agent_is_told_and_that_nothing_did() -> None:
    assert _line(contest(), "candidate-1").held == HELD
    assert (_line(contest(), "candidate-5").held, _line(contest(), "candidate-5").confined) == (
        (), False,
    )  # fmt: skip
    assert "| held by" not in report_markdown(_view(contest()))
    assert "- held by: **nothing**" in report_markdown(_view(contest()))


def test_an_unjudged_result_has_no_figures_of_a_gate() -> None:
    line = _line(contest(), "candidate-3")
    assert (line.gate, line.new_total, line.broken_total, line.tests) == (None,) * 4
    line = _line(contest(judged=(judged(1, gate=Gated("not_run")),)), "candidate-1")
    assert (line.new_total, line.broken_total) == (None, None)


def _running(*tasks: TaskFacts) -> RunView:
    told = Contest(attempted=(attempted(1),), failed=())
    return _view(told, status="running", tasks=tasks, change=None)


def test_while_it_runs_those_that_wait_or_work_are_shown_beside_those_that_ended() -> None:
    def task(number: int, status: str, **other: Any) -> TaskFacts:
        name = f"candidate-{number}"
        usual = TaskFacts(name, name, name, "attempt", status, None, 1, "implement",
                          command=CLAUDE)  # fmt: skip
        return msgspec.structs.replace(usual, **other)

    view = _running(
        task(1, "completed"), task(2, "running"), task(3, "queued", attempts=0),
        task(4, "pending", reason="claude: 429 too many requests", until_ms=1_767_605_400_000),
        task(5, "pending", reason="its worker died"),
        task(6, "pending", attempts=0, of="candidate-1"),
    )  # fmt: skip
    assert view.contest is not None
    told = {each.candidate: (each.standing, each.told) for each in view.contest.candidates}
    assert told == {
        "candidate-1": ("open", "changed 1 file"),
        "candidate-2": ("under_way", "is at work"),
        "candidate-3": ("under_way", "waits for its turn"),
        "candidate-4": (
            "under_way", "waits until 2026-01-05T09:30:00Z: claude: 429 too many requests",
        ),
        "candidate-5": ("under_way", "waits to be tried again: its worker died"),
    }  # fmt: skip
    assert view.contest.candidates[3].until == "2026-01-05T09:30:00Z"
    assert set((view.gates or {}).values()) == {None}


@pytest.mark.parametrize("name", ["names", "again-names"])
def test_a_second_go_is_a_candidate_where_it_was_needed_and_tells_of_the_first(name: str) -> None:
    told = split()
    again = attempted(4, task="again-names")
    idle = left_nothing(5, "not_needed", "prices was merged", task="again-prices")
    merged = msgspec.structs.replace(
        told.integrated[1], landed=(msgspec.structs.replace(told.integrated[1].landed[0],
                                                            task=name),)
    )  # fmt: skip
    told = msgspec.structs.replace(
        told, attempted=(*told.attempted, again, idle),
        integrated=(told.integrated[0], merged),
    )  # fmt: skip
    facts = run_of(told)
    tasks = (*facts.tasks, TaskFacts("again-names", "again", "names", "again", "completed", None,
                                     1, "implement", of="names"))  # fmt: skip
    view = view_of(msgspec.structs.replace(facts, tasks=tasks)).contest
    assert view is not None
    told_of = {each.candidate: each.standing for each in view.candidates}
    words = {each.candidate: each.told for each in view.candidates}
    assert words["names"] == "changed 1 file; done once more as again-names"
    assert words["again-names"] == "changed 1 file in its second go"
    assert told_of == {"result": "taken", "prices": "landed", "limits": "landed",
                       "names": "landed", "again-names": "landed"}  # fmt: skip


# What to type ----------------------------------------------------------------------------------


def _commands(told: Contest, **other: Any) -> dict[str, str]:
    return {each.does: each.command for each in _view(told, **other).commands}


def test_the_commands_take_the_winner_or_another_good_one() -> None:
    assert _commands(tied()) == {
        "Show it": f"visionflow show run_contest {OUT}",
        "Take it": f"visionflow apply run_contest {OUT}",
        "Take candidate-2 instead": f"visionflow apply run_contest candidate-2 {OUT}",
    }
    dirty = _commands(tied(), dirty=True)
    assert dirty["Take candidate-2 instead"].endswith(f"{OUT} --to-working-tree")


def test_where_none_is_good_enough_taking_one_all_the_same_needs_force() -> None:
    assert _commands(none_good()) == {
        "Show it": f"visionflow show run_contest {OUT}",
        "Take candidate-2 all the same": f"visionflow apply run_contest candidate-2 {OUT} --force",
    }


def test_unmerged_work_comes_with_the_command_that_recovers_it() -> None:
    recover = f"visionflow workspace restore run_contest names {OUT}"
    assert _contest(split(CONFLICT)).unmerged[0].recover == recover
    assert _commands(split(CONFLICT))["See the work that is not in the result"] == (
        f"visionflow workspace show run_contest {OUT}"
    )
    view = _view(split(CONFLICT))
    for face in (report_markdown(view), unescape(report_html(view))):
        assert recover in face
        assert "shop/limits.py was changed by limits too" in face


def test_what_is_kept_of_a_second_go_is_recovered_by_its_own_name() -> None:
    again = attempted(4, task="again-names", ref="refs/visionflow/kept/again-names")
    told = split(msgspec.structs.replace(CONFLICT, ref=again.ref))
    told = msgspec.structs.replace(told, attempted=(*told.attempted, again))
    assert _contest(told).unmerged[0].recover == (
        f"visionflow workspace restore run_contest again-names {OUT}"
    )
    lost = split(msgspec.structs.replace(CONFLICT, ref=None))
    assert _contest(lost).unmerged[0].recover is None


def test_parts_of_split_work_are_not_offered_one_by_one() -> None:
    assert [each.take for each in _contest(split()).candidates] == [None] * 4


# The faces -------------------------------------------------------------------------------------
