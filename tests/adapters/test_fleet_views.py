"""Views of the fleet: what a search finds, whatever a user types, and what leaves with a key."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visionflow.adapters.sqlite.fleet_views import SqliteFleetViews
from visionflow.adapters.sqlite.views import SqliteViews
from visionflow.domain.errors import LogUnavailable
from visionflow.ports.fleet_views import FleetChange, Gone, Kept, KeptRow
from visionflow.ports.views import Change

TEXTS = {
    "auth_token": "A session token that expires",
    "auth_flow": "OAuth needs a token; see RFC 6749",
    "weather": "Überall Regen; naïve forecast",
    "code": "def main(): return x['y'] ** 2",
}


def kept(key: str, text: str = "", namespace: str = "n", expires_ms: int | None = None) -> Kept:
    row = KeptRow(
        namespace=namespace,
        key=key,
        inline=b"\xc0",
        blob=None,
        size_bytes=1,
        stored_ms=5,
        expires_ms=expires_ms,
        by="somebody",
    )
    return Kept(row, text)


@pytest.fixture
def views(tmp_path: Path) -> Iterator[SqliteFleetViews]:
    found = SqliteFleetViews(tmp_path / "fleet.db")
    found.apply(1, [kept(key, text) for key, text in TEXTS.items()])
    yield found
    found.close()


def keys(views: SqliteFleetViews, query: str, namespace: str | None = None) -> list[str]:
    return [row.key for row in views.search(namespace, query, ("", ""), 100, 0)]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["auth_flow", "auth_token", "code", "weather"]),
        ("token", ["auth_flow", "auth_token"]),
        ("TOK", ["auth_flow", "auth_token"]),
        ("auth rfc", ["auth_flow"]),
        ("session rfc", []),
        ('"session token"', ["auth_token"]),
        ('"token session"', []),
        ("uberall", ["weather"]),
        ("naive", ["weather"]),
        ("auth_token", ["auth_token"]),
        ("ession", []),
        ("x['y']", ["code"]),
        ("67", ["auth_flow"]),
        ("token NOT session", []),
        ("token OR weather", []),
    ],
)
def test_each_word_must_begin_a_word_of_the_key_or_the_text(
    query: str, found: list[str], views: SqliteFleetViews
) -> None:
    assert keys(views, query) == found


@given(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.text("\"'*^:-(){}+\\ aN")
)
def test_no_search_is_an_error_whatever_it_holds(query: str) -> None:
    assert keys(SHARED, query) is not None


SHARED = SqliteFleetViews(Path(":memory:"))
SHARED.apply(1, [kept(key, text) for key, text in TEXTS.items()])


def test_what_is_stored_again_is_found_by_its_new_words_only(views: SqliteFleetViews) -> None:
    views.apply(2, [kept("weather", "sunshine")])
    assert keys(views, "regen") == [] and keys(views, "sunshine") == ["weather"]
    assert len(keys(views, "")) == len(TEXTS)


def test_what_is_gone_is_found_no_more_and_may_be_gone_twice(views: SqliteFleetViews) -> None:
    gone: list[FleetChange] = [Gone("n", "weather"), Gone("n", "weather"), Gone("n", "never")]
    views.apply(2, gone)
    assert views.memory("n", "weather") is None
    assert keys(views, "regen") == [] and "weather" not in keys(views, "")
    views.apply(3, [kept("weather", "regen")])
    assert keys(views, "regen") == ["weather"]


def test_a_namespace_keeps_its_keys_apart_and_pages_go_on_across_them(
    views: SqliteFleetViews,
) -> None:
    views.apply(2, [kept("code", "token", "m"), kept("zebra", "", "m", expires_ms=10)])
    assert keys(views, "token", "m") == ["code"] and keys(views, "", "none") == []
    seen: list[tuple[str, str]] = []
    after = ("", "")
    while page := views.search(None, "", after, 2, 10):
        after = (page[-1].namespace, page[-1].key)
        seen.extend((row.namespace, row.key) for row in page)
    assert seen == [("m", "code"), *(("n", key) for key in sorted(TEXTS))]


def test_changes_and_position_are_made_together_or_not_at_all(views: SqliteFleetViews) -> None:
    broken = kept("x", namespace=None)  # pyright: ignore[reportArgumentType]
    with pytest.raises(Exception, match="NOT NULL"):
        views.apply(2, [kept("new"), broken])
    assert views.position() == 1 and views.memory("n", "new") is None
    views.clear()
    assert views.position() == 0 and keys(views, "") == []


@pytest.mark.parametrize("kind", [SqliteFleetViews, SqliteViews])
def test_views_on_a_full_disk_say_so_and_go_on_once_there_is_room(
    tmp_path: Path, kind: type[Any]
) -> None:
    views: Any = kind(tmp_path / "views.db")
    changes: dict[type[Any], list[Any]] = {
        SqliteFleetViews: [kept("big", "word " * 20_000)],
        SqliteViews: [Change("tasks", ("t",), {"description": "x" * 200_000, "status": "queued"})],
    }
    pages = views._connection.pragma("page_count")
    views._connection.pragma("max_page_count", pages)
    with pytest.raises(LogUnavailable, match="the disk is full") as told:
        views.apply(1, changes[kind])
    assert "Nothing that was acknowledged is lost" in str(told.value)
    assert views.position() == 0
    views._connection.pragma("max_page_count", pages + 1_000)
    views.apply(1, changes[kind])
    assert views.position() == 1
    views.close()
