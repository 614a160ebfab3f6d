"""What may be a secret does not stand in a line that is shown; the rest of the line does."""

import pytest

from visionflow.agents.tools.hiding import LINE_MAX, hide, short_hash, shown_line


@pytest.mark.parametrize(
    ("line", "secret"),
    [
        ('password = "hunter2"', "hunter2"),
        ("password = 'it''s'", "it''s"),
        ("db_password: Tr0ub4dor", "Tr0ub4dor"),
        ("API_KEY=abc-def", "abc-def"),
        ("x = 'AKIAQ3ZK7YHTW2LM5RPX'", "AKIAQ3ZK7YHTW2LM5RPX"),
        ("dial('https://me:pw12@host/x')", "pw12"),
        ("h = {'Authorization': 'Bearer abc'}", "Bearer abc"),
        ('call("a", password="x y z")', "x y z"),
        ("k = '''-----BEGIN RSA PRIVATE KEY-----MIIE", "MIIE"),
        ('token = "never closed', "never closed"),
        ("digest = d41d8cd98f00b204e9800998ecf8427e", "d41d8cd98f00b204e9800998ecf8427e"),
    ],
)
def test_what_may_be_a_secret_is_masked(line: str, secret: str) -> None:
    assert secret not in hide(line)
    assert "****" in hide(line)


@pytest.mark.parametrize(
    "line",
    [
        "def price(text, seen=[]):",
        "async def repository_of(job: dict[str, Any]) -> PrivateRepository:",
        "self.author = author_of('Ada')",
        "from visionflow.agents.tools.hiding import hide, short_hash, shown_line",
        "    return self.tokens.first_of_many_more_words(things)",
        "",
    ],
)
def test_what_is_none_stays_readable(line: str) -> None:
    assert hide(line) == line


def test_a_shown_line_is_one_short_clean_line() -> None:
    shown = shown_line("\x1b[31m" + "word " * 1_000 + "\u202e\n")
    assert len(shown) <= LINE_MAX
    assert "\x1b" not in shown and "\u202e" not in shown


def test_a_hash_tells_two_secrets_apart_and_tells_neither() -> None:
    assert short_hash("a") == short_hash("a") != short_hash("b")
    assert len(short_hash("hunter2")) == 8
