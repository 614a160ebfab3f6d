"""`visionflow token`: made once, listed without secrets, revoked by name or id."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command_line import visionflow
from visionflow.domain.access import Role
from visionflow.interfaces.access.tokens import Tokens


def told(home: Path, *words: str) -> Any:
    """What a command prints with --json."""
    ran = visionflow("token", *words, "--home", home, "--json")
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_a_token_is_printed_once_and_opens_what_it_says(tmp_path: Path) -> None:
    ran = visionflow("token", "create", "laptop", "--role", "operator", "--home", tmp_path)
    text = ran.stdout.strip()
    assert ran.returncode == 0
    assert "not shown again" in ran.stderr
    assert text not in ran.stderr
    token = Tokens(tmp_path).check(text)
    assert (token.name, token.role, token.expires_ms) == ("laptop", Role.OPERATOR, None)
    file = tmp_path / "tokens.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert text not in visionflow("token", "list", "--home", tmp_path).stdout


def test_a_token_may_expire(tmp_path: Path) -> None:
    made = told(tmp_path, "create", "ci", "--role", "viewer", "--expires", "30d")
    token = Tokens(tmp_path).check(made["token"])
    assert token.expires_ms is not None
    assert token.expires_ms - token.created_ms == 30 * 86_400_000
    assert made["expires"] is not None


def test_tokens_are_listed_and_revoked_by_name_or_id(tmp_path: Path) -> None:
    first = told(tmp_path, "create", "a", "--role", "admin")
    second = told(tmp_path, "create", "b", "--role", "agent")
    names = [each["name"] for each in told(tmp_path, "list")["tokens"]]
    assert names == ["a", "b"]
    assert told(tmp_path, "revoke", "a")["id"] == first["id"]
    assert told(tmp_path, "revoke", second["id"])["name"] == "b"
    assert told(tmp_path, "list")["tokens"] == []
    assert "No tokens" in visionflow("token", "list", "--home", tmp_path).stdout


def test_the_home_is_the_environments_when_none_is_named(tmp_path: Path) -> None:
    env = {"VISIONFLOW_HOME": str(tmp_path / "home")}
    ran = visionflow("token", "create", "a", "--role", "viewer", env=env)
    assert ran.returncode == 0
    assert Tokens(tmp_path / "home").check(ran.stdout.strip()).name == "a"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("create", "a"), 2),
        (("create", "a b", "--role", "viewer"), 2),
        (("create", "-x", "--role", "viewer"), 2),
        (("create", "a", "--role", "boss"), 2),
        (("create", "a", "--role", "viewer", "--expires", "soon"), 2),
        (("create", "a", "--role", "viewer", "--expires", "0s"), 2),
        (("revoke", "nobody"), 69),
    ],
)
def test_words_that_are_off_make_nothing(tmp_path: Path, words: tuple[str, ...], code: int) -> None:
    ran = visionflow("token", *words, "--home", tmp_path)
    assert (ran.returncode, ran.stdout) == (code, "")
    assert ran.stderr.startswith("visionflow: ")
    assert Tokens(tmp_path).all() == []
