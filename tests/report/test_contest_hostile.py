"""What agents wrote is shown, and does nothing: names, words, reasons and whole changes."""

import json
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.report.contests import (
    BASE,
    CONFLICT,
    DIFF,
    attempted,
    ballots,
    contest,
    judged,
    run_of,
    split,
)
from tests.report.sample_facts import HOSTILE, KEY, SECRET, finding
from tests.report.test_hostile import TAGS, Structure
from visionflow.agents.candidates.values import (
    Accepted,
    Contest,
    Gated,
    Ranked,
    Ranking,
    Sides,
    Unmerged,
    Usage,
    Violation,
)
from visionflow.agents.report.facts import TaskFacts
from visionflow.agents.report.html import report_html
from visionflow.agents.report.markdown import report_markdown
from visionflow.agents.report.terminal import WIDTH, terminal_lines
from visionflow.agents.report.values import RunView
from visionflow.agents.report.view import as_json, view_of

_ATTRIBUTES = {"aria-labelledby", "open", "tabindex", "role", "aria-label", "class", "id", "scope"}


def hostile_contest(text: str, parts: bool = False) -> Contest:
    """Everything that an agent, its tool or a judged project can have a hand in says `text`."""
    made = attempted(
        1, task=text, agent=text, reason=text, files=(text,), summary=text, log=text, held=(text,),
        notes=(text,), session=text, ref=text, violations=(Violation("stash", text),),
        usage=Usage(1, 1, 1, 1),
    )  # fmt: skip
    found = judged(
        1, candidate=text, reason=text, notes=(text,),
        gate=Gated("failed", (text,), (text,), (finding("ruff", text, "high", text, text, 1),),
                   (text,), (text,), 3),
        accepted=(Accepted(text, False, 1, text, text, 1, None), Accepted(text, None, reason=text)),
        ballots=(msgspec.structs.replace(ballots(tests="reject")[0], member=text, evidence=text,
                                         reason=text, facts={text: text}),),
    )  # fmt: skip
    left = Unmerged(text, "conflict", text, (Sides(text, text, text, text, text),), text)
    return contest(
        attempted=(made,), failed=((text + "2", text),), judged=(found,),
        integrated=split(CONFLICT).integrated if parts else (), split=parts,
        ranking=Ranking((Ranked(text, 1, True, (text,)),), text, text, (text,), ((text, text),),
                        (left,) if parts else ()),
        diffs={text: DIFF + "+" + text + "\n" + text + "\n"},
    )  # fmt: skip


def _views(text: str) -> list[RunView]:
    tasks = (TaskFacts(text, text, text, text, "pending", text, 1, "implement", None, 1, text),)
    return [
        view_of(run_of(hostile_contest(text), tasks=tasks)),
        view_of(run_of(hostile_contest(text, parts=True), goal=text, tasks=tasks)),
        view_of(run_of(contest(failed=((text, text),), ranking=None), status="running",
                       tasks=tasks)),
    ]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_an_agent_cannot_write_into_the_page(text: str) -> None:
    for view in _views(text):
        page = Structure(report_html(view))
        assert page.tags <= TAGS | {"article", "ins", "del", "ol", "b"}
        assert all(link.startswith("#") or link == "data:," for link in page.links)
        assert page.attributes - _ATTRIBUTES <= {
            "charset", "content", "data-figure", "href", "http-equiv", "lang", "name", "rel",
            "title",
        }  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_an_agent_cannot_write_into_the_markdown(text: str) -> None:
    for view in _views(text):
        outside = _outside_code(report_markdown(view))
        assert "<" not in outside
        assert "](" not in outside.replace("\\](", "").replace("\\]\\(", "")
        assert "\n# heading" not in outside
        assert "\n| fake" not in outside


def _outside_code(written: str) -> str:
    """What is interpreted: neither fences, as a reader of Markdown finds their ends, nor spans."""
    kept: list[str] = []
    fence = ""
    for line in written.split("\n"):
        bare = line.strip()
        if fence:
            fence = "" if bare == fence else fence
        elif re.fullmatch(r"`{3,}(?:text|diff)", bare):
            fence = bare.rstrip("abcdefghijklmnopqrstuvwxyz")
        else:
            kept.append(line)
    assert not fence
    return re.sub(r"(?<![`\\])(`+)(?!`)(.+?)(?<!`)\1(?!`)", "", "\n".join(kept))


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_an_agent_steers_no_terminal_and_floods_no_face(text: str) -> None:
    for view in _views(text):
        faces = _faces(view)
        for name, face in faces.items():
            odd = re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", face)
            assert not odd, name
        assert len(faces["html"]) < 200_000
        assert len(faces["markdown"]) < 90_000
        assert view.contest is not None
        own = [each.command for each in view.commands]
        own += [each.recover for each in view.contest.unmerged if each.recover]
        for line in terminal_lines(view, lambda style, told: told):
            assert len(line) <= WIDTH or any(command in line for command in own)


def _faces(view: RunView) -> dict[str, str]:
    return {
        "html": report_html(view),
        "markdown": report_markdown(view),
        "json": json.dumps(as_json(view), ensure_ascii=False),
        "terminal": "\n".join(terminal_lines(view, lambda style, text: text, "/o/report.md")),
    }


@settings(deadline=None, max_examples=60)
@given(st.text(max_size=400))
def test_whatever_a_change_says_it_closes_no_fence_and_no_element(text: str) -> None:
    told = contest(diffs={"candidate-1": DIFF + "+" + text})
    view = view_of(run_of(told))
    page = Structure(report_html(view))
    assert page.tags <= TAGS | {"article", "ins", "del", "ol", "b"}
    assert report_html(view).count("<ins>") + report_html(view).count("<del>") == (
        report_html(view).count("</ins>") + report_html(view).count("</del>")
    )
    _outside_code(report_markdown(view))


def test_a_change_as_long_as_one_line_is_cut_and_says_so() -> None:
    view = view_of(run_of(contest(diffs={"candidate-1": "+" + "x" * 700_000})))
    assert view.contest is not None
    assert view.contest.candidates[0].diff == "[cut here: the change goes on]\n"


def test_a_credential_in_what_an_agent_wrote_is_in_no_face() -> None:
    leaking = f'+PASSWORD = "{SECRET}"\n+KEY = "{KEY}"\n'
    made: dict[str, Any] = {"summary": f"I used {KEY}", "reason": f"token {KEY}", "notes": (KEY,)}
    told = contest(
        attempted=(attempted(1, **made),), failed=(("candidate-2", f"bad key {KEY}"),),
        judged=(judged(1, accepted=(Accepted("c", False, 1, KEY, f"password = '{SECRET}'"),)),),
        diffs={"candidate-1": DIFF + leaking},
    )  # fmt: skip
    for name, face in _faces(view_of(run_of(told))).items():
        assert KEY not in face, name
        assert SECRET not in face, name
    assert BASE not in report_markdown(view_of(run_of(told)))
