"""`visionflow agents`: what is installed, whether it has credentials, what it still needs."""

import json
import os
from pathlib import Path

import pytest

from visionflow.agents.command.detect import detect
from visionflow.agents.command.profiles import CODEX, credentials_of
from visionflow.cli.agents import agents_app

SECRET = "sk-very-secret-value"


def install(folder: Path, name: str, body: str) -> None:
    folder.mkdir(exist_ok=True)
    place = folder / name
    place.write_text(f"#!/bin/sh\n{body}\n")
    place.chmod(0o755)


@pytest.fixture
def machine(tmp_path: Path) -> dict[str, str]:
    """An environment with an empty home and nothing of the real one in PATH."""
    (tmp_path / "home").mkdir()
    (tmp_path / "bin").mkdir()
    os.symlink("/bin/sh", tmp_path / "bin" / "sh")
    os.symlink("/bin/sleep", tmp_path / "bin" / "sleep")
    return {"HOME": str(tmp_path / "home"), "PATH": str(tmp_path / "bin")}


def test_what_is_installed_is_told_with_its_version_and_what_it_needs(
    tmp_path: Path, machine: dict[str, str]
) -> None:
    install(tmp_path / "bin", "claude", 'echo "2.1.332 (Claude Code)"')
    install(tmp_path / "bin", "codex", 'echo "codex-cli 0.171.0"; echo "$HOME" > "$0.home"')
    env = {**machine, "ANTHROPIC_API_KEY": SECRET, "OPENAI_API_KEY": SECRET}
    found = detect(tmp_path, tmp_path / "home", env)
    claude, codex, gemini, aider = found.profiles
    assert (claude.version, claude.ready, claude.needs) == ("2.1.332", True, ())
    assert claude.credentials == ("ANTHROPIC_API_KEY",)
    assert codex.version == "0.171.0" and not codex.ready
    assert "codex login" in codex.needs[0] and "CODEX_API_KEY" in codex.needs[1]
    assert gemini.path is None and "npm install -g @google/gemini-cli" in gemini.needs[0]
    assert not aider.ready and aider.credentials == ("OPENAI_API_KEY", "ANTHROPIC_API_KEY")
    assert SECRET not in repr(found)
    told = (tmp_path / "bin" / "codex.home").read_text().strip()
    assert told != machine["HOME"] and not Path(told).exists()


def test_a_program_that_gives_no_version_is_not_ready_and_says_why(
    tmp_path: Path, machine: dict[str, str]
) -> None:
    install(tmp_path / "bin", "claude", "sleep 600")
    install(tmp_path / "bin", "codex", "echo out of order >&2; exit 3")
    (tmp_path / "bin" / "gemini").write_text("no program")
    (tmp_path / "bin" / "gemini").chmod(0o755)
    found = detect(tmp_path, None, {**machine, "ANTHROPIC_API_KEY": SECRET}, version_s=0.5)
    claude, codex, gemini, _ = found.profiles
    assert not claude.ready and "gave no answer in 0.5 s" in claude.needs[0]
    assert "ended with 3: out of order" in codex.needs[0]
    assert "cannot be run: Exec format error" in gemini.needs[0]


def test_credentials_are_files_of_the_home_or_of_the_folder_that_a_variable_names(
    tmp_path: Path,
) -> None:
    for folder in (".codex", "elsewhere"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "auth.json").write_text(SECRET)
    (tmp_path / "elsewhere" / "history.jsonl").write_text("private")
    assert credentials_of(CODEX, tmp_path, {}) == (
        (".codex/auth.json", tmp_path / ".codex/auth.json"),
    )
    moved = credentials_of(CODEX, tmp_path, {"CODEX_HOME": str(tmp_path / "elsewhere")})
    assert moved == ((".codex/auth.json", tmp_path / "elsewhere/auth.json"),)


def run(monkeypatch: pytest.MonkeyPatch, env: dict[str, str], *words: str) -> int:
    for name in (*os.environ, "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    return agents_app()(list(words), result_action="return_value")


def test_the_command_ends_with_0_only_where_an_agent_is_ready(
    tmp_path: Path,
    machine: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    role = tmp_path / ".claude" / "agents" / "reviewer.md"
    role.parent.mkdir(parents=True)
    role.write_text('---\nname: reviewer\ndescription: "Looks \\e[31mtwice"\n---\nYou review.\n')
    assert run(monkeypatch, machine, "detect") == 1
    told = capsys.readouterr().out
    assert "claude  Claude Code  not installed" in told and "\x1b" not in told
    assert "@reviewer" in told and "twice" in told
    install(tmp_path / "bin", "codex", 'echo "codex-cli 0.171.0"')
    assert run(monkeypatch, {**machine, "CODEX_API_KEY": SECRET}, "detect", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ready"] is True and SECRET not in json.dumps(found)
    assert [each["profile"] for each in found["profiles"] if each["ready"]] == ["codex"]
    assert found["roles"][0]["name"] == "reviewer"


def test_colour_is_only_there_where_it_is_wanted(
    tmp_path: Path,
    machine: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    run(monkeypatch, {**machine, "FORCE_COLOR": "1"}, "detect")
    assert "\x1b[2mnot installed" in capsys.readouterr().out


def test_list_shows_what_the_name_of_each_profile_stands_for(
    machine: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(monkeypatch, machine, "list") == 0
    assert "codex exec {goal}" in capsys.readouterr().out
    assert run(monkeypatch, machine, "list", "--json") == 0
    rows = json.loads(capsys.readouterr().out)["profiles"]
    assert [row["profile"] for row in rows] == ["claude", "codex", "gemini", "aider", "script"]
    assert ".claude/.credentials.json" in rows[0]["files"]
