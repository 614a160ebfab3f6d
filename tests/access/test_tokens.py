"""Tokens: kept as hashes, gone at once when revoked, in a file that nobody else may write."""

import os
import stat
import threading
from pathlib import Path

import pytest

from visionflow.domain.access import Role
from visionflow.domain.errors import ConfigError, Refused, Unauthenticated, UnknownId
from visionflow.interfaces.access.tokens import Tokens

DAY_MS = 86_400_000


class Clock:
    """A time of day that stands until it is moved."""

    def __init__(self) -> None:
        self.ms = 1_700_000_000_000

    def __call__(self) -> int:
        return self.ms


def test_a_token_is_who_it_was_made_for_and_its_secret_is_nowhere(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path)
    made, text = tokens.create("laptop", Role.OPERATOR)
    assert text.startswith(f"vf_{made.id}_")
    assert Tokens(tmp_path).check(text) == made
    content = tokens.path.read_text()
    assert text not in content
    assert text.split("_")[2] not in content
    assert stat.S_IMODE(tokens.path.stat().st_mode) == 0o600


@pytest.mark.parametrize("change", ["secret", "id", "prefix", "longer", "empty", "surrogate"])
def test_any_other_text_is_no_token(tmp_path: Path, change: str) -> None:
    tokens = Tokens(tmp_path)
    made, text = tokens.create("laptop", Role.OPERATOR)
    _, other = tokens.create("other", Role.ADMIN)
    wrong = {
        "secret": f"vf_{made.id}_{other.split('_')[2]}",
        "id": f"vf_aaaaaaaa_{text.split('_')[2]}",
        "prefix": f"xx_{text.partition('_')[2]}",
        "longer": text + "a" * 300,
        "empty": "",
        "surrogate": f"vf_{made.id}_\udc80",
    }[change]
    with pytest.raises(Unauthenticated):
        tokens.check(wrong)


@pytest.mark.acceptance("auth")
def test_a_token_stops_when_its_time_is_over(tmp_path: Path) -> None:
    clock = Clock()
    tokens = Tokens(tmp_path, clock)
    made, text = tokens.create("laptop", Role.VIEWER, DAY_MS)
    clock.ms += DAY_MS - 1
    assert tokens.check(text) == made
    clock.ms += 1
    with pytest.raises(Unauthenticated, match="expired"):
        tokens.check(text)
    with pytest.raises(Unauthenticated, match="expired"):
        tokens.still(made.id)
    assert tokens.valid() == []


def test_another_process_revokes_and_it_stops_at_once(tmp_path: Path) -> None:
    server, command = Tokens(tmp_path), Tokens(tmp_path)
    made, text = command.create("laptop", Role.OPERATOR)
    assert server.check(text) == made
    command.revoke("laptop")
    with pytest.raises(Unauthenticated):
        server.check(text)
    with pytest.raises(Unauthenticated):
        server.still(made.id)


def test_a_token_is_revoked_by_its_id_too_and_an_unknown_one_is_an_error(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path)
    made, _ = tokens.create("laptop", Role.OPERATOR)
    assert tokens.revoke(made.id) == made
    with pytest.raises(UnknownId):
        tokens.revoke(made.id)


def test_a_name_stands_for_one_token_and_an_expired_one_makes_room(tmp_path: Path) -> None:
    clock = Clock()
    tokens = Tokens(tmp_path, clock)
    tokens.create("laptop", Role.OPERATOR, DAY_MS)
    with pytest.raises(Refused, match="already"):
        tokens.create("laptop", Role.ADMIN)
    clock.ms += DAY_MS
    again, _ = tokens.create("laptop", Role.ADMIN)
    assert tokens.all() == [again]


def test_a_file_that_others_could_write_opens_nothing(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path)
    _, text = tokens.create("laptop", Role.OPERATOR)
    tokens.path.chmod(0o666)
    with pytest.raises(Unauthenticated, match="fault"):
        tokens.check(text)
    with pytest.raises(ConfigError, match="somebody else"):
        tokens.all()
    tokens.path.chmod(0o600)
    assert tokens.check(text).name == "laptop"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_another_user_opens_nothing(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path)
    _, text = tokens.create("laptop", Role.OPERATOR)
    os.chown(tokens.path, 65_534, 65_534)
    with pytest.raises(Unauthenticated):
        tokens.check(text)


def test_a_file_that_is_no_list_of_tokens_opens_nothing_and_is_not_replaced(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path)
    _, text = tokens.create("laptop", Role.OPERATOR)
    tokens.path.write_text('{"tokens": [{"name": "x"}]}')
    with pytest.raises(Unauthenticated):
        tokens.check(text)
    with pytest.raises(ConfigError, match="backup"):
        tokens.create("other", Role.ADMIN)
    assert tokens.path.read_text() == '{"tokens": [{"name": "x"}]}'


def test_tokens_made_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    def make(number: int) -> None:
        Tokens(tmp_path).create(f"t{number}", Role.VIEWER)

    threads = [threading.Thread(target=make, args=[number]) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert {token.name for token in Tokens(tmp_path).all()} == {f"t{n}" for n in range(12)}
