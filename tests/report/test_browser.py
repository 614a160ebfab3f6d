"""The page in a real browser: it fits, it loads nothing, and its own policy has nothing to say."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts import screenshots
from scripts.chromium import Page, address, installed, page
from tests.report.contests import CONFLICT, DIFF, contest, run_of, split
from tests.report.sample_facts import (
    HOSTILE,
    hostile,
    large_architecture,
    many_findings,
    sample,
)
from tests.report.test_contest_hostile import hostile_contest
from visionflow.agents.report.facts import RunFacts
from visionflow.agents.report.html import report_html
from visionflow.agents.report.view import view_of

pytestmark = pytest.mark.skipif(installed() is None, reason="there is no chromium here")

WIDTHS = (1280, 390)
KINDS: dict[str, RunFacts] = {
    "usual": sample(),
    "large": sample(tools=many_findings(900), architecture=large_architecture(500)),
    "running": sample(status="running", tests=None, change=None, vote=None),
    "hostile markup": hostile(HOSTILE[1]),
    "hostile style": hostile(HOSTILE[9]),
    "hostile length": hostile(HOSTILE[-1]),
    "candidates": run_of(contest()),
    "parts": run_of(split(CONFLICT)),
    "hostile candidates": run_of(hostile_contest(HOSTILE[1])),
    "hostile style of candidates": run_of(hostile_contest(HOSTILE[9])),
    "hostile length of candidates": run_of(hostile_contest(HOSTILE[-1])),
}
_OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
_CONTRAST = """
(() => {
  const parse = (c) => (c.match(/[\\d.]+/g) || []).map(Number);
  const lum = ([r, g, b]) => { const f = (v) => { v /= 255;
    return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; };
    return 0.2126 * f(r) + 0.7152 * f(g) + 0.0722 * f(b); };
  const ground = (e) => { for (; e; e = e.parentElement) {
    const c = parse(getComputedStyle(e).backgroundColor);
    if (c.length === 3 || c[3] === 1) return c; }
    return [255, 255, 255]; };
  const faint = new Set();
  for (const e of document.querySelectorAll('body *:not(svg *)')) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !e.checkVisibility() || e.closest('.vh, .skip')) continue;
    const a = lum(parse(getComputedStyle(e).color)), b = lum(ground(e));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) faint.add(`${e.tagName}.${e.className} ${ratio.toFixed(2)}`);
  }
  return [...faint];
})()
"""


@pytest.fixture(scope="module")
def tab() -> Iterator[Page]:
    with page() as opened:
        yield opened


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("pages")
    return {name: _written(folder / f"{name}.html", facts) for name, facts in KINDS.items()}


def _written(path: Path, facts: RunFacts) -> str:
    path.write_text(report_html(view_of(facts)), encoding="utf-8")
    return address(path)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("kind", list(KINDS))
def test_the_page_fits_its_width_and_troubles_nobody(
    tab: Page, pages: dict[str, str], kind: str, width: int, dark: bool
) -> None:
    tab.open(pages[kind], width, 900, dark)
    assert tab.evaluate("document.querySelector('h1') !== null")
    assert tab.evaluate("innerWidth") == width
    assert tab.evaluate(_OVERFLOW) <= 0
    assert tab.troubles() == []


@pytest.mark.parametrize("width", WIDTHS)
def test_everything_that_can_be_opened_still_fits(
    tab: Page, pages: dict[str, str], width: int
) -> None:
    for kind in ("usual", "hostile length", "candidates", "hostile length of candidates"):
        tab.open(pages[kind], width, 900, False)
        opened = tab.evaluate(
            "[...document.querySelectorAll('details')].map((e) => { e.open = true; }).length"
        )
        assert opened > 2
        assert tab.evaluate(_OVERFLOW) <= 0


@pytest.mark.parametrize("kind", ["usual", "candidates"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_text_stands_out_from_its_ground(
    tab: Page, pages: dict[str, str], dark: bool, kind: str
) -> None:
    tab.open(pages[kind], 1280, 900, dark)
    assert tab.evaluate(_CONTRAST) == []


def test_light_and_dark_differ(tab: Page, pages: dict[str, str]) -> None:
    grounds: list[str] = []
    for dark in (False, True):
        tab.open(pages["usual"], 1280, 900, dark)
        grounds.append(tab.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert grounds[0] != grounds[1]


@pytest.mark.parametrize(("width", "columns"), [(1700, 3), (1280, 2), (400, 1)])
def test_candidates_stand_side_by_side_where_there_is_room(
    tab: Page, pages: dict[str, str], width: int, columns: int
) -> None:
    tab.open(pages["candidates"], width, 900, False)
    tops = "[...document.querySelectorAll('.beside > *')].map((e) => e.offsetTop)"
    found = tab.evaluate(tops)
    assert found.count(found[0]) == columns
    assert len(found) == 6


def test_a_change_is_read_on_a_narrow_screen_without_moving_the_page(
    tab: Page, pages: dict[str, str]
) -> None:
    tab.open(pages["candidates"], 400, 900, False)
    shown = tab.evaluate(
        "(() => { const e = document.querySelector('pre.diff'); return {text: e.innerText,"
        " wide: e.scrollWidth - e.clientWidth, left: e.getBoundingClientRect().left,"
        " size: parseFloat(getComputedStyle(e).fontSize)}; })()"
    )
    assert [line for line in shown["text"].splitlines() if line] == DIFF.splitlines()
    assert shown["wide"] <= 0 and shown["left"] >= 0
    assert shown["size"] >= 10


def test_what_can_be_scrolled_can_be_reached_by_the_keyboard_and_has_a_name(
    tab: Page, pages: dict[str, str]
) -> None:
    tab.open(pages["candidates"], 400, 900, False)
    found = tab.evaluate(
        "[...document.querySelectorAll('.diff, .scroll')]"
        ".map((e) => e.tabIndex === 0 && !!e.getAttribute('aria-label'))"
    )
    assert len(found) > 3 and all(found)


def test_a_browser_that_is_troubled_is_noticed(tab: Page, tmp_path: Path) -> None:
    told = report_html(view_of(sample()))
    bad = tmp_path / "bad.html"
    bad.write_text(
        told.replace("<h1>", "<script>1</script><img src='http://127.0.0.1:9/x.png'>"
                     "<div style='width:5000px'>wide</div><h1>"),
        encoding="utf-8",
    )  # fmt: skip
    tab.open(address(bad), 1280, 900, False)
    assert len(tab.troubles()) >= 2
    assert tab.evaluate(_OVERFLOW) > 0


def test_the_pictures_of_the_docs_are_taken_by_a_command(
    tab: Page, pages: dict[str, str], tmp_path: Path
) -> None:
    report = Path(pages["usual"].removeprefix("file://"))
    written = screenshots.take(tab, report, tmp_path / "images")
    assert [path.name for path in written] == [
        "report-wide-light.png", "report-wide-dark.png", "report-narrow-light.png",
        "report-narrow-dark.png", "report-architecture-wide-light.png",
    ]  # fmt: skip
    for path in written:
        content = path.read_bytes()
        width = int.from_bytes(content[16:20], "big")
        assert content[:8] == b"\x89PNG\r\n\x1a\n"
        assert width == (390 if "narrow" in path.name else 1280)
        assert len(content) < screenshots.BYTES_MAX
    assert len({path.read_bytes() for path in written}) == len(written)
    documented = screenshots.ROOT / "docs" / "images"
    assert {path.name for path in written} <= {path.name for path in documented.iterdir()}
