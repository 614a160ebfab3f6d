"""Every face shows the same: what the view has, and nothing that it has not."""

import re
from html import unescape
from html.parser import HTMLParser
from typing import Any

import msgspec
import pytest

from tests.report.sample_facts import large_architecture, many_findings, sample, suite_run
from visionflow.agents.report.facts import RunFacts
from visionflow.agents.report.html import report_html
from visionflow.agents.report.markdown import report_markdown
from visionflow.agents.report.terminal import LINES_MAX, WIDTH, terminal_lines
from visionflow.agents.report.view import RunView, view_of
from visionflow.agents.tools.text import code, markdown

EMPTY = RunFacts("r", "g", "test", "why", "/w", "/o/r", "failed", "", 0.5, gates=("tests",))
KINDS: dict[str, RunFacts] = {
    "usual": sample(),
    "large": sample(tools=many_findings(900), architecture=large_architecture(500)),
    "running": sample(status="running", tests=None, change=None, vote=None),
    "explain": sample(gates=(), tools=(), tests=None, change=None, vote=None),
    "empty": EMPTY,
}


@pytest.fixture(params=list(KINDS))
def view(request: pytest.FixtureRequest) -> RunView:
    return view_of(KINDS[request.param])


class _Page(HTMLParser):
    """What a page shows: its text, the figures and the issues that are marked in it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text = ""
        self.figures: dict[str, str] = {}
        self.issues: list[str] = []
        self._figure: str | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self._figure = given.get("data-figure")
        place = given.get("data-issue")
        if place is not None:
            self.issues.append(place)

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._figure is not None:
            self.figures[self._figure] = data
            self._figure = None


def _plain(style: str, text: str) -> str:
    return text


def _tagged(style: str, text: str) -> str:
    return f"<{style}>{text}</>"


def test_the_page_shows_every_figure_and_issue_of_the_view(view: RunView) -> None:
    page = _Page(report_html(view))
    assert page.figures == {each.key: each.text for each in view.figures}
    assert page.issues == [issue.place for issue in view.issues]
    for each in (*view.trust.statements, view.headline):
        assert each in page.text
    for issue in view.issues:
        assert issue.message in page.text
        assert issue.command in page.text
    for unseen in view.not_looked_at:
        assert unseen.what in page.text
        assert unseen.why in page.text
    for gate in view.gate_lines:
        assert gate.name in page.text


def test_the_markdown_shows_every_figure_and_the_first_issues_of_the_view(view: RunView) -> None:
    text = report_markdown(view)
    assert text.splitlines()[0] == f"> {markdown(view.trust.sentence, 4_000)}"
    for each in view.figures:
        assert f"| {each.label} | {markdown(each.text)} |" in text
    for issue in view.issues[:50]:
        assert code(issue.place) in text
    listed = re.findall(r"(?m)^(?:\d+\.|-) (?:critical|high|medium|low|info) ", text)
    hidden = len(view.suppressed[:50])
    assert len(listed) == len(view.issues[:50]) + hidden
    for unseen in view.not_looked_at[:50]:
        assert code(unseen.what) in text
    for name, value in (view.gates or {}).items():
        word = {True: "passed", False: "**failed**", None: "could not be told"}[value]
        assert f"| {name} | {word} |" in text


def test_the_terminal_shows_the_same_figures_and_the_first_five(view: RunView) -> None:
    lines = terminal_lines(view, _plain, "/o/r/report.md")
    text = "\n".join(lines)
    assert lines[0].startswith(view.headline)
    for each in view.figures:
        if each.key in ("findings", "tests", "coverage"):
            assert f"{each.label}: {each.text}" in text
    for issue in view.issues[:5]:
        assert f"{issue.place} " in text
        assert issue.command in text
    assert len(re.findall(r"(?m)^  (?:critical|high|medium|low|info) ", text)) == len(
        view.issues[:5]
    )
    for gate, value in (view.gates or {}).items():
        word = {True: "passed", False: "failed", None: "unknown"}[value]
        assert f"{gate} {word}" in text
    if view.not_looked_at:
        assert f"Not looked at: {view.not_looked_at_total:,}" in text


def test_the_end_on_the_terminal_has_at_most_25_lines_that_fit(view: RunView) -> None:
    lines = terminal_lines(view, _plain, "/o/r/report.md")
    assert len(lines) <= LINES_MAX
    commands = {command.command for command in view.commands}
    commands |= {issue.command for issue in view.issues}
    for line in lines:
        assert len(line) <= WIDTH or any(command in line for command in commands)
    assert "Report: /o/r/report.md" in lines
    assert lines[-1] == f"Show it: {view.commands[0].command}"


def test_what_was_not_looked_at_is_never_crowded_out() -> None:
    tool = KINDS["large"].tools[0]
    unread = tuple((f"file{n}.py", "it does not parse") for n in range(300))
    facts = sample(
        gates=tuple(f"a gate with a long name {n}" for n in range(20)),
        tools=(type(tool)("ruff", "1", tool.findings, 1, unread),),
        notes=tuple(f"note {n}" for n in range(20)), status="running",
    )  # fmt: skip
    lines = terminal_lines(view_of(facts), _plain, "/o/report.md")
    assert len(lines) <= LINES_MAX
    assert "Not looked at: 301" in lines
    assert any("more, in the report" in line for line in lines)
    assert any(line.startswith("Go on with it: ") for line in lines)
    assert lines[-1].startswith("Show it: ")


def test_colours_wrap_words_and_change_none() -> None:
    view = view_of(sample())
    plain = terminal_lines(view, _plain)
    coloured = terminal_lines(view, _tagged)
    assert coloured != plain
    assert [re.sub(r"<(?:good|bad|unsure|faint|bold)>|</>", "", line) for line in coloured] == plain


def test_what_is_unknown_is_called_unknown_in_every_face() -> None:
    view = view_of(EMPTY)
    assert "No tool was run, so nothing is known." in report_markdown(view)
    assert "No tool was run, so nothing is known." in _Page(report_html(view)).text
    assert "Findings: unknown" in "\n".join(terminal_lines(view, _plain))
    assert "No tester reported." in report_markdown(view)


def test_the_page_is_sound_html_with_every_landmark() -> None:
    page = report_html(view_of(sample()))
    assert page.startswith("<!doctype html>")
    assert page.endswith("</html>\n")
    for wanted in (
        '<html lang="en">', "<main>", "<nav aria-label=", "<h1>", "<caption>", "<title>",
        'name="viewport"', 'class="skip"',
    ):  # fmt: skip
        assert wanted in page
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(ids)
    assert _unbalanced(page) == []


def _unbalanced(page: str) -> list[str]:
    """Tags that are closed out of turn."""
    void = {"meta", "link", "br", "img", "hr", "input"}
    stack: list[str] = []
    wrong: list[str] = []

    class Check(HTMLParser):
        def handle_starttag(self, tag: str, attrs: Any) -> None:
            if tag not in void:
                stack.append(tag)

        def handle_endtag(self, tag: str) -> None:
            if not stack or stack.pop() != tag:
                wrong.append(f"{tag} at {self.getpos()}")

    Check().feed(page)
    return [*wrong, *stack]


def test_the_page_fetches_nothing_and_runs_nothing() -> None:
    page = unescape(report_html(view_of(sample())))
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in page
    assert "<script" not in page
    assert not re.search(r"""(?:src|href|action|data)=["'](?!#|data:,")""", page)
    assert not re.search(r"url\((?!#)", page)
    assert "@import" not in page


def test_a_run_that_only_explains_shows_answers_and_no_word_of_findings() -> None:
    view = view_of(KINDS["explain"])
    lines = terminal_lines(view, _plain)
    assert "security: 23 lines" in lines
    assert "  README.md:14 Security reports go to security@example.org." in lines
    assert any(line.startswith("hotspot shop/orders/service.py: 74 changes") for line in lines)
    for face in (report_markdown(view), report_html(view), "\n".join(lines)):
        assert "indings" not in face.replace("findings.sarif", "")


def test_a_run_that_was_asked_nothing_shows_no_answers() -> None:
    facts = sample()
    assert facts.research is not None
    asked = msgspec.structs.replace(facts.research, answers=(), completeness=None)
    empty = msgspec.structs.replace(asked, entry_points=(), undeclared=(), unused=(), todos=())
    for research, heading in ((asked, "tells of itself"), (empty, None)):
        view = view_of(msgspec.structs.replace(facts, research=research))
        assert "completeness" not in [each.key for each in view.figures]
        for face in (report_markdown(view), report_html(view)):
            assert "What the repository answers" not in face
            assert ("What the repository" in face) is (heading is not None)
            assert heading is None or heading in face


def test_failures_flaky_tests_and_slow_ones_are_told_apart() -> None:
    run = suite_run()
    text = report_markdown(view_of(sample()))
    assert f"- failed {code(run.cases[0].id)}" in text
    assert f"- flaky {code(run.flaky[0].id)}: run again alone passed, passed" in text
    assert f"Slowest: {code(run.slowest[0].id)}, 2.31 s." in text


def test_dissent_is_shown() -> None:
    view = view_of(sample())
    assert view.vote is not None
    assert [each.member for each in view.vote.ballots if each.dissent] == ["reviewer-performance"]
    assert "| reject (dissent) |" in report_markdown(view)
    assert "dissent" in _Page(report_html(view)).text
