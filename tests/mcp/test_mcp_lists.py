"""Pages, prompts, addresses and hints: what MCP lists is true of the tools that there are."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.shared.exceptions import MCPError

from visionflow.interfaces.mcp.durable import CANCEL, ORCHESTRATE, RESULTS, STATUS
from visionflow.interfaces.mcp.pages import page
from visionflow.interfaces.mcp.prompts import PROMPTS, Prompts
from visionflow.interfaces.mcp.resources import KINDS
from visionflow.interfaces.mcp.wording import DESTRUCTIVE, REPEATABLE
from visionflow.interfaces.tools.all import LATER, ORDER


@given(st.lists(st.text(min_size=1), unique=True), st.integers(1, 7))
def test_pages_give_every_entry_once_in_order(names: list[str], size: int) -> None:
    entries = [(name, name) for name in names]
    found: list[str] = []
    part, cursor = page(entries, None, size)
    found += part
    while cursor is not None:
        part, cursor = page(entries, cursor, size)
        assert part, "a page after a cursor has something"
        found += part
    assert found == names


def test_entries_that_come_and_go_neither_repeat_nor_hide_others() -> None:
    entries = [(name, name) for name in "abcd"]
    _, cursor = page(entries, None, 2)
    later = [(name, name) for name in "xbcde"]
    assert page(later, cursor, 10)[0] == ["c", "d", "e"]


@pytest.mark.parametrize("cursor", ["", "!", "b25l", "YQ==YQ", "\u00e9"])
def test_a_cursor_that_is_none_is_refused(cursor: str) -> None:
    with pytest.raises(MCPError, match="Begin again"):
        page([("a", 1), ("b", 2)], cursor, 1)


def test_prompts_resources_and_hints_name_tools_that_there_are() -> None:
    there = set(ORDER) - set(LATER)
    assert {kind.tool for kind in KINDS} <= there
    assert {CANCEL, ORCHESTRATE, RESULTS, STATUS} <= there
    assert set(ORDER) >= DESTRUCTIVE | REPEATABLE
    for prompt in PROMPTS:
        named = re.findall(r"\b(?:swarm|agents?|task|performance|memory)_[a-z_]+", prompt.text)
        assert named and set(named) <= there, prompt.name


def test_a_prompt_is_filled_in_word_for_word_and_leaves_out_what_is_not_given() -> None:
    asked = "Why {workspace}?\nQuestion: {question} %s"
    found = Prompts().get("explain", {"question": asked})
    assert found is not None
    text = found["messages"][0]["content"]["text"]
    assert text.endswith(f"Question: {asked}") and "\nWorkspace:" not in text
    filled = Prompts().get("audit", {"workspace": "/srv/a"})
    assert filled is not None
    assert filled["messages"][0]["content"]["text"].endswith("\nWorkspace: /srv/a")


def test_a_prompt_says_which_argument_is_wrong() -> None:
    prompts = Prompts()
    with pytest.raises(MCPError, match="'question' is missing"):
        prompts.get("explain", {})
    with pytest.raises(MCPError, match="'depth' is no argument"):
        prompts.get("audit", {"depth": "1"})
    assert prompts.get("nothing", {}) is None
    assert prompts.complete("spawn_team", "topology", "me") == ["mesh"]
    assert prompts.complete("nothing", "topology", "") is None
