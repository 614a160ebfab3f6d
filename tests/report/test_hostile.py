"""What strangers wrote is shown, and does nothing: in no face, whatever it says."""

import json
import re
from html.parser import HTMLParser

import pytest

from tests.report.sample_facts import HOSTILE, KEY, SECRET, finding, hostile, sample
from visionflow.agents.evidence import Answer, Citation, Research
from visionflow.agents.findings import Suppressed, ToolRun
from visionflow.agents.report.html import report_html
from visionflow.agents.report.markdown import report_markdown
from visionflow.agents.report.masking import hidden, withheld
from visionflow.agents.report.terminal import WIDTH, terminal_lines
from visionflow.agents.report.view import RunView, as_json, view_of
from visionflow.agents.tools.results import Case, Counts, TestRun

TAGS = frozenset(
    """a b body br caption circle code dd defs details div dl dt figcaption figure footer g h1 h2
    h3 h4 head header html li line link main marker meta nav ol p path pre rect section small span
    strong style summary svg table tbody td text th thead title tr ul""".split()
)
_ATTRIBUTES = frozenset(
    """aria-hidden aria-label charset class content cx cy d data-figure data-issue height href
    http-equiv id lang marker-end markerheight markerwidth name open orient preserveaspectratio r
    refx refy rel role rx scope stroke-width style tabindex text-anchor title transform viewbox
    width x x1 x2 y y1 y2""".split()
)


class Structure(HTMLParser):
    """The tags and attributes of a page, in order, without its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: set[str] = set()
        self.styles: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            self.attributes.add(name)
            if name in ("href", "src"):
                self.links.add(value or "")
            if name == "style":
                self.styles.add(value or "")


def _faces(view: RunView) -> dict[str, str]:
    return {
        "html": report_html(view),
        "markdown": report_markdown(view),
        "json": json.dumps(as_json(view), ensure_ascii=False),
        "terminal": "\n".join(terminal_lines(view, lambda style, text: text, "/o/report.md")),
    }


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_repository_cannot_write_into_the_page(text: str) -> None:
    page = Structure(report_html(view_of(hostile(text))))
    assert page.tags <= TAGS
    assert page.attributes <= _ATTRIBUTES
    assert all(link.startswith("#") or link == "data:," for link in page.links)
    assert all(re.fullmatch(r"(?:[a-z-]+:[0-9.a-z()#-]+;?)+", style) for style in page.styles)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_repository_cannot_write_into_the_markdown(text: str) -> None:
    written = report_markdown(view_of(hostile(text)))
    # What stands in code spans and blocks is shown, not interpreted.
    outside = re.sub(r"(?ms)^ *(`{3,})text$.*?^ *\1$", "", written)
    outside = re.sub(r"(?s)(?<![`\\])(`+)(?!`)(.+?)(?<!`)\1(?!`)", "", outside)
    assert "<" not in outside
    assert "](" not in outside.replace("\\](", "").replace("\\]\\(", "")
    assert "\n# heading" not in outside
    assert "\n| fake" not in outside


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_repository_steers_no_terminal_and_floods_no_face(text: str) -> None:
    view = view_of(hostile(text))
    faces = _faces(view)
    for name, face in faces.items():
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", face), name
    assert len(faces["html"]) < 130_000
    assert len(faces["markdown"]) < 60_000
    own = [command.command for command in view.commands] + [view.issues[0].command]
    for line in terminal_lines(view, lambda style, told: told):
        assert len(line) <= WIDTH or any(command in line for command in own)


def _with_secrets() -> RunView:
    """A run in which every tool, test and study prints the secrets it came across."""
    line = f'PASSWORD = "{SECRET}"  # and {KEY}'
    leaking = (
        finding("bandit", "B105", "low", f"Possible hardcoded password: '{SECRET}'",
                "conf.py", 3, 259, line),
        finding("ruff", "E501", "low", f"`{SECRET}` is too long", "conf.py", 3, None, line),
    )  # fmt: skip
    secret = finding("detect-secrets", "Secret Keyword", "high", "Secret, sha256 3f1c9d20ab",
                     "conf.py", 3, 798, line)  # fmt: skip
    quiet = Suppressed(
        finding("detect-secrets", "Secret Keyword", "high", f"Secret '{SECRET}'", "b.yaml", 7,
                798, f"pw: {SECRET}"),
        "comment", f"password: {SECRET}  # pragma: allowlist secret",
    )  # fmt: skip
    tools = (
        ToolRun("bandit", "1", leaking[:1], 2),
        ToolRun("detect-secrets", "1", (secret,), 2, suppressed=(quiet,)),
        ToolRun("ruff", "1", leaking[1:], 2),
    )
    case = Case("t.py::test_x", "failed", 0.1, f"E   password='{SECRET}'\n{KEY}", f"{KEY} != 1")
    cited = (
        Citation("conf.py", 3, line, "code"),
        Citation("b.yaml", 7, f"pw: {SECRET}", "docs"),
        Citation("elsewhere.ini", 1, f"password = {SECRET}", "docs"),
        Citation("notes.md", 1, f"token: {SECRET}", "docs"),
    )
    return view_of(
        sample(
            tools=tools, goal=f"Find {KEY}", notes=(f"read {KEY}",), change=None,
            tests=TestRun("failed", f"{KEY} leaked", Counts(0, 1), 1, (case,), (case,)),
            research=Research((Answer(("password",), cited, 4),)),
        )
    )  # fmt: skip


def test_a_secret_is_in_no_face() -> None:
    for name, face in _faces(_with_secrets()).items():
        assert SECRET not in face, name
        assert SECRET[:12] not in face, name
        assert KEY not in face, name


def test_where_a_secret_stands_and_a_hash_of_it_are_told() -> None:
    view = _with_secrets()
    told = [issue for issue in view.issues if issue.place == "conf.py:3"]
    assert told
    assert view.issues[0].snippet == f"PASSWORD = {hidden(_rest())}"
    assert view.research is not None
    assert view.research.answers[0].citations[0].text == view.issues[0].snippet
    assert "[hidden, sha256 " in view.issues[0].snippet


def _rest() -> str:
    return f'"{SECRET}"  # and {KEY}'


@pytest.mark.parametrize(
    "line",
    [f"x = '{SECRET}'", f"x: {SECRET}", f"x={SECRET} # 'note'", SECRET, f"f(`{SECRET}`)",
     f'{{"a": "{SECRET}', f"  {SECRET}  "],
)  # fmt: skip
def test_of_a_line_with_a_secret_only_what_stands_before_it_is_shown(line: str) -> None:
    assert SECRET not in withheld(line)
    assert "[hidden, sha256 " in withheld(line)


def test_equal_secrets_have_equal_hashes_and_what_is_masked_stays() -> None:
    assert hidden(SECRET) == hidden(SECRET) != hidden(KEY)
    assert hidden("****") == "****"
    assert withheld('PASSWORD = "****"') == 'PASSWORD = "****"'


@pytest.mark.parametrize(
    "harmless",
    ["password_field = form.find('name')", "assert token == other", "tokens = split(text)",
     '"""Session tokens: made, checked and revoked."""', "https://example.org/a:b@c"],
)  # fmt: skip
def test_code_that_only_speaks_of_secrets_is_shown(harmless: str) -> None:
    cited = Research((Answer(("token",), (Citation("a.py", 1, harmless, "code"),), 1),))
    view = view_of(sample(research=cited))
    assert view.research is not None
    assert view.research.answers[0].citations[0].text == harmless
