"""Predicates run confined, in fresh copies, with the words that users write."""

import asyncio
from pathlib import Path

import pytest
from contest import SANDBOX, Arena
from unconfined import RefusingSandbox

from visionflow.agents.candidates.predicates import Trial, accepted_at
from visionflow.agents.candidates.values import Accepted, Counted
from visionflow.ports.sandbox import Sandbox

CODING = pytest.mark.acceptance("coding-agents")


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Arena:
    arena = Arena(tmp_path_factory.mktemp("predicates"))
    arena.attempt("good", "good")
    return arena


def tried(
    arena: Arena, commands: tuple[str, ...], *, commit: str | None = None, wall_ms: int = 240_000,
    sandbox: Sandbox = SANDBOX,
) -> tuple[Accepted, ...]:  # fmt: skip
    trial = Trial(str(arena.source), str(arena.tmp / "trial"), wall_ms=wall_ms)
    tip = commit or arena.git("rev-parse", "refs/visionflow/kept/good")
    found = asyncio.run(accepted_at(sandbox, arena.opened.path, tip, commands, trial))
    assert not (arena.tmp / "trial").exists()
    return found


@CODING
def test_the_words_that_users_write_for_pytest_work(arena: Arena) -> None:
    words = (
        "pytest -q accepted/test_limits.py",
        "python -m pytest -q accepted/test_limits.py",
        "python3 -m pytest -q -k three",
        "sh -c 'pytest -q accepted && echo fine'",
    )
    found = tried(arena, words)
    assert [(each.command, each.passed, each.reason) for each in found] == [
        (word, True, None) for word in words
    ]
    assert "1 passed" in found[0].tail and found[3].tail.endswith("fine")


@CODING
def test_each_sees_the_commit_and_nothing_that_another_left(arena: Arena) -> None:
    found = tried(
        arena,
        ("sh -c 'ls -a && echo new > left && echo 1 > shop/limits.py'", "ls left", "ls .git",
         "python -c 'from shop.limits import limited'"),
    )  # fmt: skip
    assert [each.passed for each in found] == [True, False, False, True]
    assert found[1].reason == "it ended with 2"


@CODING
def test_one_that_does_not_pass_says_how_it_ended(arena: Arena) -> None:
    found = tried(
        arena,
        ("pytest -q -k nothing_of_this_name", "false", "sh -c 'kill -9 $$'", "no-such-program x",
         "sh -c no-such-program", "echo 'open", "''", "   "),
    )  # fmt: skip
    assert [(each.passed, each.exit_code) for each in found[:3]] == [
        (False, 5), (False, 1), (False, None),
    ]  # fmt: skip
    assert found[0].reason == "it ended with 5: pytest found no test to run"
    assert found[2].reason == "it was ended: signal:SIGKILL"
    assert (found[3].passed, found[4].passed) == (None, False)
    assert "no-such-program" in (found[3].reason or "")
    assert found[4].reason == "it ended with 127: a program that it needs cannot be started"
    assert [each.passed for each in found[5:]] == [None, None, None]
    assert found[5].reason == "it is no command line: No closing quotation"


@CODING
def test_one_that_does_not_end_is_ended_and_does_not_pass(arena: Arena) -> None:
    (found,) = tried(arena, ("sleep 600",), wall_ms=300)
    assert (found.passed, found.reason) == (False, "it took longer than 0.3 s and was ended")


@CODING
def test_it_has_no_network_and_writes_nowhere_else(arena: Arena, tmp_path: Path) -> None:
    if not SANDBOX.confinement.active:
        assert [each.passed for each in tried(arena, ("true",))] == [None]
        return
    dials = "import socket; socket.create_connection(('192.0.2.1', 80), timeout=5)"
    found = tried(
        arena, (f'python -c "{dials}"', f"touch {tmp_path / 'outside'}", "sh -c 'touch $HOME/x'")
    )
    assert [each.passed for each in found] == [False, False, True]
    assert not (tmp_path / "outside").exists()


@CODING
def test_where_nothing_confines_it_is_not_run(arena: Arena) -> None:
    (found,) = tried(arena, ("true",), sandbox=RefusingSandbox())
    assert (found.passed, found.reason) == (None, "Nothing here can confine foreign code.")


@CODING
def test_settings_of_folders_above_the_copy_are_not_read(arena: Arena) -> None:
    above = arena.tmp / "pyproject.toml"
    above.write_text("[tool.pytest.ini_options]\naddopts = '--no-such-option'\n")
    try:
        bare = arena.tmp / "bare"
        bare.mkdir(exist_ok=True)
        arena.attempt("bare", "deletes:pyproject.toml")
        tip = arena.git("rev-parse", "refs/visionflow/kept/bare")
        (found,) = tried(arena, ("pytest -q tests",), commit=tip)
    finally:
        above.unlink()
    assert (found.passed, found.reason) == (True, None)


@CODING
def test_what_pytest_counted_is_read_from_each_of_its_calls(arena: Arena) -> None:
    found = tried(
        arena,
        ("pytest -q accepted/test_limits.py", "sh -c 'pytest -q; python -m pytest -q accepted'",
         "pytest -q -p no:junitxml tests", "pytest --co -q tests", "true"),
    )  # fmt: skip
    assert [each.passed for each in found] == [True] * 5
    assert [each.counted for each in found] == [
        Counted(1, 0, 1), Counted(2, 0, 2), None, Counted(), None,
    ]  # fmt: skip


@CODING
def test_it_is_read_wherever_the_copy_lies(tmp_path: Path) -> None:
    odd = tmp_path / "an 'odd' \"place\" $HOME"
    odd.mkdir()
    arena = Arena(odd)
    (found,) = tried(arena, ("pytest -q tests",), commit=arena.base)
    assert (found.passed, found.counted) == (True, Counted(1, 0, 1))
