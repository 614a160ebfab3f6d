"""A coding agent's own home, what is hidden of it, and what its program may read."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visionflow.agents.command.hiding import MARK, Hiding, values_in
from visionflow.agents.command.home import drop_copies, drop_home, make_home
from visionflow.agents.command.reach import reads_of

pytestmark = pytest.mark.acceptance("confine")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    folder = tmp_path / "user"
    (folder / ".tool").mkdir(parents=True)
    (folder / ".tool" / "auth.json").write_text('{"token": "t0k3n-of-the-user"}')
    (folder / ".other").write_text("nobody's business")
    return folder


def test_only_what_is_named_is_copied_and_for_its_owner_alone(tmp_path: Path, own: Path) -> None:
    home = tmp_path / "home"
    files = [(".tool/auth.json", own / ".tool/auth.json"), (".tool/none", own / ".tool/none")]
    copies = make_home(home, files)
    assert [each.name for each in copies] == [".tool/auth.json"]
    assert sorted(str(each.relative_to(home)) for each in home.rglob("*")) == [
        ".tool", ".tool/auth.json",
    ]  # fmt: skip
    place = home / ".tool" / "auth.json"
    assert not place.is_symlink()
    assert place.stat().st_ino != (own / ".tool" / "auth.json").stat().st_ino
    assert {oct(each.stat().st_mode & 0o777) for each in (home, home / ".tool")} == {"0o700"}
    assert place.stat().st_mode & 0o777 == 0o600


def test_a_link_that_an_agent_left_is_replaced_and_not_followed(tmp_path: Path, own: Path) -> None:
    home, target = tmp_path / "home", tmp_path / "target"
    home.mkdir()
    target.mkdir()
    (home / ".tool").symlink_to(target)
    make_home(home, [(".tool/auth.json", own / ".tool/auth.json")])
    assert list(target.iterdir()) == []
    assert not (home / ".tool").is_symlink()
    (home / ".tool" / "auth.json").unlink()
    (home / ".tool" / "auth.json").symlink_to(target / "written")
    make_home(home, [(".tool/auth.json", own / ".tool/auth.json")])
    assert list(target.iterdir()) == []


def test_a_name_that_leads_out_of_the_home_is_not_copied(tmp_path: Path, own: Path) -> None:
    home = tmp_path / "home"
    assert make_home(home, [("../auth.json", own / ".tool/auth.json")]) == ()
    assert not (tmp_path / "auth.json").exists()


def test_what_the_tool_renewed_stays_and_the_rest_goes(tmp_path: Path, own: Path) -> None:
    home = tmp_path / "home"
    files = [(".tool/auth.json", own / ".tool/auth.json"), (".other", own / ".other")]
    copies = make_home(home, files)
    (home / ".tool" / "auth.json").write_text('{"token": "renewed-by-the-tool"}')
    (home / ".tool" / "session").write_text("s-1")
    drop_copies(home, copies)
    assert not (home / ".other").exists()
    assert "renewed" in (home / ".tool" / "auth.json").read_text()
    make_home(home, files)
    assert "renewed" in (home / ".tool" / "auth.json").read_text()
    assert (home / ".tool" / "session").exists()
    drop_home(home)
    assert not home.exists()


SECRET = "abcd-ABCD-0123-wxyz"


@given(
    st.lists(st.sampled_from([SECRET, "abcd", "abcd-ABCD-0123-wxy", "\n", "x"]), max_size=8),
    st.lists(st.integers(0, 150), max_size=10),
)
def test_a_value_is_hidden_however_the_stream_is_cut(parts: list[str], cuts: list[int]) -> None:
    whole = "".join(parts)
    hiding = Hiding([SECRET, "short"])
    raw, told, at = whole.encode(), b"", 0
    for cut in sorted(cuts):
        told += hiding.feed("stdout", raw[at:cut])
        at = max(at, cut)
    told += hiding.feed("stdout", raw[at:]) + hiding.rest("stdout")
    assert SECRET.encode() not in told
    expected = whole.replace(SECRET, MARK)
    # An end that might have been the beginning of a value is not told either.
    assert told.decode() == expected or told.decode().removesuffix(MARK) == expected[
        : len(told.decode().removesuffix(MARK))
    ]  # fmt: skip


def test_text_that_begins_no_value_is_told_at_once() -> None:
    hiding = Hiding([SECRET])
    assert hiding.feed("stderr", b"API Error: 401\n") == b"API Error: 401\n"
    assert hiding.feed("stderr", b"x abcd-AB") == b"x "
    assert hiding.feed("stderr", b"CDE\n") == b"abcd-ABCDE\n"


def test_credentials_are_found_in_the_files_of_tools() -> None:
    jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.abcDEF123"
    found = values_in(
        f'{{"tokens": {{"access_token": "{jwt}"}}, "model": "claude-opus-4-5-20251101",'
        ' "OPENAI_API_KEY": "plainpassword", "last_refresh": "2026-01-01T00:00:00Z"}'
    )
    assert found == {jwt, "plainpassword"}
    toml = 'model = "gpt-5.1-codex-max"\napi_key = "hello-world"\n[x]\nurl = "https://a.b/c"\n'
    assert values_in(toml) == {"hello-world"}
    assert values_in("export OPENROUTER_API_KEY=sk-or-v1-0123456789abcdef0123\n") == {
        "sk-or-v1-0123456789abcdef0123"
    }


def test_a_program_of_node_reads_its_outermost_modules_and_its_interpreter(tmp_path: Path) -> None:
    modules = tmp_path / "lib" / "node_modules"
    cli = modules / "@maker" / "tool" / "node_modules" / "inner" / "cli.js"
    cli.parent.mkdir(parents=True)
    cli.write_text("#!/usr/bin/env -S node --no-warnings\n")
    cli.chmod(0o755)
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "tool").symlink_to("../lib/node_modules/@maker/tool/node_modules/inner/cli.js")
    node = tmp_path / "opt" / "bin" / "node"
    node.parent.mkdir(parents=True)
    node.write_text("#!/bin/sh\n")
    node.chmod(0o755)
    path = f"{programs}:{node.parent}"
    found = reads_of(("tool", "-p"), path)
    assert {str(programs / "tool"), str(modules), str(node), str(cli)} <= set(found)
    assert str(tmp_path) not in found
    assert str(programs) not in found


def test_a_python_tool_reads_its_environment_and_what_that_was_made_from() -> None:
    found = reads_of((sys.executable, "-c"), os.defpath)
    assert sys.prefix in found
    assert any(os.path.realpath(sys.base_prefix) == os.path.realpath(each) for each in found)


def test_a_home_is_never_given_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "tool").write_text("#!/bin/sh\n")
    (tmp_path / "tool").chmod(0o755)
    found = reads_of((str(tmp_path / "tool"), str(tmp_path), "/"), os.defpath, given=("/home",))
    assert str(tmp_path / "tool") in found
    assert not {str(tmp_path), "/", "/home"} & set(found)
