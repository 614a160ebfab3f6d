"""The cache of results: it knows what it was given, and whatever is wrong with it is a miss."""

import sqlite3
from pathlib import Path

import pytest

from visionflow.agents.tools.cache import FILE, VALUE_BYTES_MAX, ResultCache, key_of


def test_what_was_kept_is_known_to_the_next_one_that_opens_it(tmp_path: Path) -> None:
    folder = str(tmp_path / "deep" / "cache")
    with ResultCache(folder) as first:
        first.put_many({key_of("a"): b"1", key_of("b"): b""})
        assert first.get_many([key_of("a"), key_of("c")]) == {key_of("a"): b"1"}
    with ResultCache(folder) as second:
        many = [key_of(str(n)) for n in range(3_000)]
        second.put_many(dict.fromkeys(many, b"x"))
        assert len(second.get_many([*many, key_of("b")])) == 3_001


def test_without_a_folder_nothing_is_kept() -> None:
    cache = ResultCache(None)
    cache.put_many({"k": b"v"})
    assert cache.get_many(["k"]) == {}
    cache.close()


def test_parts_of_a_key_do_not_run_into_each_other() -> None:
    keys = {key_of("ab", "c"), key_of("a", "bc"), key_of("abc"), key_of("abc", ""), key_of(b"ab")}
    assert len(keys) == 5
    assert key_of("ab", "c") == key_of(b"ab", b"c")
    assert key_of("\udcff") == key_of(b"\xff")


@pytest.mark.parametrize("content", [b"", b"no database at all" * 99, b"SQLite format 3\x00" * 99])
def test_a_file_that_is_no_cache_is_a_miss_and_then_a_cache_again(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / FILE).write_bytes(content)
    with ResultCache(str(tmp_path)) as torn:
        assert torn.get_many(["k"]) == {}
        torn.put_many({"k": b"v"})
    with ResultCache(str(tmp_path)) as whole:
        whole.put_many({"k": b"v"})
        assert whole.get_many(["k"]) == {"k": b"v"}


def test_a_value_that_was_changed_on_the_disk_is_a_miss(tmp_path: Path) -> None:
    with ResultCache(str(tmp_path)) as cache:
        cache.put_many({"k": b"value", "l": b"value"})
    with sqlite3.connect(tmp_path / FILE) as database:
        torn = "UPDATE results SET value = x'00112233445566778899' WHERE key = ?"
        database.execute(torn, (key_of("row", "k"),))
    database.close()
    with ResultCache(str(tmp_path)) as cache:
        assert cache.get_many(["k", "l"]) == {"l": b"value"}


def test_neither_a_value_nor_its_key_can_be_read_in_the_file(tmp_path: Path) -> None:
    key = key_of("facts", "content of a file")
    with ResultCache(str(tmp_path)) as cache:
        cache.put_many({key: b"corr3ct-h0rse-b4ttery" * 100, key_of("other"): b"corr3ct-h0rse"})
        assert cache.get_many([key]) == {key: b"corr3ct-h0rse-b4ttery" * 100}
    written = b"".join(each.read_bytes() for each in sorted(tmp_path.iterdir()))
    assert FILE in {each.name for each in tmp_path.iterdir()}
    assert b"h0rse" not in written
    assert key.encode() not in written


def test_values_that_an_older_release_left_readable_are_gone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / FILE) as database:
        database.execute(
            "CREATE TABLE results"
            " (key TEXT PRIMARY KEY, used INTEGER NOT NULL, value BLOB NOT NULL)"
        )
        database.execute("INSERT INTO results VALUES ('k', 1, 'corr3ct-h0rse-b4ttery')")
    database.close()
    with ResultCache(str(tmp_path)) as cache:
        assert cache.get_many(["k"]) == {}
        cache.put_many({"k": b"v"})
        assert cache.get_many(["k"]) == {"k": b"v"}
    assert b"h0rse" not in b"".join(each.read_bytes() for each in sorted(tmp_path.iterdir()))


def test_a_folder_that_cannot_be_made_is_a_miss(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    cache = ResultCache(str(tmp_path / "file" / "cache"))
    cache.put_many({"k": b"v"})
    assert cache.get_many(["k"]) == {}


def test_it_stays_bounded_and_keeps_what_was_used_last(tmp_path: Path) -> None:
    for turn in range(8):
        with ResultCache(str(tmp_path), bytes_max=400_000) as cache:
            cache.put_many({f"{turn}-{n}": bytes(10_000) for n in range(10)})
    with ResultCache(str(tmp_path), bytes_max=400_000) as cache:
        assert cache.get_many([f"7-{n}" for n in range(10)])
        assert not cache.get_many([f"0-{n}" for n in range(10)])
        cache.put_many({"large": bytes(VALUE_BYTES_MAX + 1)})
        assert not cache.get_many(["large"])
    assert (tmp_path / FILE).stat().st_size < 900_000


def test_two_may_write_at_once(tmp_path: Path) -> None:
    first, second = ResultCache(str(tmp_path)), ResultCache(str(tmp_path))
    for n in range(20):
        first.put_many({f"a{n}": b"1"})
        second.put_many({f"b{n}": b"2"})
    assert len(first.get_many([f"{w}{n}" for w in "ab" for n in range(20)])) == 40
    first.close()
    second.close()
