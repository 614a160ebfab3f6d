"""Coding agents side by side, as each face lays them out: page, text, terminal and JSON."""

import re
from html.parser import HTMLParser
from typing import Any

import msgspec
import pytest

from tests.report.contests import (
    BROKEN,
    CONFLICT,
    DIFF,
    attempted,
    ballots,
    contest,
    judged,
    none_good,
    ranked,
    run_of,
    split,
    tied,
)
from visionflow.agents.candidates.values import Contest, Ranking
from visionflow.agents.report.contest_markdown import WORDS
from visionflow.agents.report.contest_values import ContestView
from visionflow.agents.report.html import report_html
from visionflow.agents.report.markdown import report_markdown
from visionflow.agents.report.terminal import LINES_MAX, WIDTH, terminal_lines
from visionflow.agents.report.values import RunView
from visionflow.agents.report.view import as_json, from_json, view_of

OUT = "--out /home/ada/shop/.visionflow/runs"
KINDS = {
    "usual": contest(), "tied": tied(), "none good": none_good(), "split": split(),
    "unmerged": split(CONFLICT), "early": Contest(),
}  # fmt: skip


def _view(told: Contest, **other: Any) -> RunView:
    return view_of(run_of(told, **other))


def _contest(told: Contest, **other: Any) -> ContestView:
    found = _view(told, **other).contest
    assert found is not None
    return found


def _terminal(view: RunView) -> list[str]:
    return terminal_lines(view, lambda style, text: text, "/o/report.md")


class _Text(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.text = ""
        self.scopes: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "th":
            self.scopes.append(dict(attrs).get("scope") or "")

    def handle_data(self, data: str) -> None:
        self.text += data


def _faces(view: RunView) -> dict[str, str]:
    return {
        "html": _Text(report_html(view)).text,
        "markdown": re.sub(r"\\([\\`*_\[\]#|~>&<$@.])", r"\1", report_markdown(view)),
        "terminal": "\n".join(_terminal(view)),
    }


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_face_has_each_candidate_with_how_it_came_out(kind: str) -> None:
    view = _view(KINDS[kind])
    assert view.contest is not None
    for name, face in _faces(view).items():
        assert view.headline[:60] in face, name
        for each in view.contest.candidates:
            assert each.candidate in face, name
            assert WORDS[each.standing] in face, name
        for figure in view.figures:
            if figure.key in ("candidates", "landed", "tokens", "cost"):
                assert figure.text in face, (name, figure)


def test_the_page_and_the_markdown_have_the_change_and_what_stands_against_it() -> None:
    view = _view(contest())
    faces = _faces(view)
    for name in ("html", "markdown"):
        for line in DIFF.splitlines():
            assert line in faces[name], (name, line)
        for each in (
            "tests/test_prices.py::test_total fails now", "Do not use bare", "tests say reject",
            "did not pass: it ended with 1", "It moved main from bbbbbbb to 3333333",
            "I added limited().",
        ):  # fmt: skip
            assert each in faces[name], (name, each)


def test_no_face_tells_of_tests_or_findings_of_a_review_that_nobody_made() -> None:
    for face in _faces(_view(contest())).values():
        assert "No tester reported" not in face
        assert "No tool was run" not in face
        assert "Findings gone with the patch" not in face
        assert "no vote was needed" not in face


def test_added_and_removed_lines_are_marked_in_the_page_and_keep_their_signs() -> None:
    page = report_html(_view(contest()))
    assert "<del>-# nothing yet\n</del>" in page
    assert (
        "<ins>+\n+\n+def limited(calls, allowed):\n+    return calls &gt;= allowed\n</ins>" in page
    )
    assert "<b>diff --git a/shop/limits.py b/shop/limits.py\n" in page
    assert "<ins>+++ b/" not in page


def test_every_header_of_a_table_says_what_it_is_of() -> None:
    assert set(_Text(report_html(_view(contest()))).scopes) == {"col", "row"}


def test_only_the_winners_change_is_open_where_there_are_many() -> None:
    opened = re.findall(r'<details class="fold"( open)?><summary>Its change',
                        report_html(_view(contest())))  # fmt: skip
    assert opened == [" open", "", ""]


@pytest.mark.parametrize("kind", list(KINDS))
def test_the_end_on_the_terminal_fits(kind: str) -> None:
    view = _view(KINDS[kind])
    lines = _terminal(view)
    assert len(lines) <= LINES_MAX
    own = [each.command for each in view.commands]
    own += [each.recover or "" for each in ([] if view.contest is None else view.contest.unmerged)]
    for line in lines:
        assert len(line) <= WIDTH or any(each and each in line for each in own), line


def test_of_fifty_candidates_the_terminal_shows_the_best_and_says_how_many_more() -> None:
    many = contest(
        attempted=tuple(attempted(n) for n in range(1, 51)), failed=(),
        judged=tuple(judged(n) for n in range(1, 51)),
        ranking=Ranking(tuple(ranked(n, n, True, "good") for n in range(1, 51)), "candidate-1",
                        "It is the best."),
        diffs={f"candidate-{n}": DIFF * 400 for n in range(1, 51)},
    )  # fmt: skip
    view = _view(many)
    lines = _terminal(view)
    assert "  and 43 more, in the report" in lines
    assert len(lines) <= LINES_MAX
    assert len(report_markdown(view)) < 90_000
    assert len(report_html(view)) < 1_200_000
    assert view.contest is not None
    assert all(
        each.diff is not None and each.diff.endswith("[cut here: the change goes on]\n")
        for each in view.contest.candidates
    )


def test_the_json_is_whole_and_makes_the_same_faces_again() -> None:
    view = _view(contest())
    again = from_json(msgspec.json.decode(msgspec.json.encode(as_json(view))))
    assert again == view
    assert report_html(again) == report_html(view)


def test_a_summary_of_an_older_release_has_no_contest() -> None:
    stored = as_json(_view(contest()))
    del stored["contest"]
    assert from_json(stored).contest is None


def test_ballots_of_each_are_kept_apart() -> None:
    told = contest(judged=(judged(1, ballots=ballots(tests="approve", scope="abstain")), BROKEN))
    cast = {each.candidate: [one.choice for one in each.ballots]
            for each in _contest(told).candidates}  # fmt: skip
    assert cast["candidate-1"] == ["approve", "abstain"]
    assert cast["candidate-2"] == ["reject"] * 3
