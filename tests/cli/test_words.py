"""Words: help with examples, near misses, exit code 2, completion; nothing loaded for nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.command_line import visionflow

COMMANDS = (
    "run",
    "apply",
    "runs",
    "show",
    "demo",
    "simulate",
    "chaos",
    "completion",
    "serve",
    "config",
)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_examples(command: str) -> None:
    ran = visionflow(command, "--help")
    assert ran.returncode == 0
    assert ran.stderr == ""
    assert f"Usage: visionflow {command}" in ran.stdout
    assert f"  visionflow {command}" in ran.stdout.partition("Examples:")[2]


def test_the_help_of_all_names_every_command() -> None:
    for words in ((), ("--help",)):
        ran = visionflow(*words)
        assert ran.returncode == 0
        assert [name for name in COMMANDS if f" {name} " not in ran.stdout] == []


def test_the_stdio_server_offers_no_flags_of_ports_and_its_help_fits_a_terminal() -> None:
    told = visionflow("mcp", "--help", env={"COLUMNS": "80"}).stdout
    assert "--workspace" in told and "--home" in told
    assert [flag for flag in ("--host", "--port", "--web-port") if flag in told] == []
    words = told.partition("\n\n")[2].partition("\n\n╭")[0].splitlines()
    assert min(len(line) for line in words[2:-1]) > 50, words


def test_the_version_is_told() -> None:
    ran = visionflow("--version")
    assert (ran.returncode, ran.stdout.count(".")) == (0, 2)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("rum",), '"run"'),
        (("run", "goal", "--workspce", "."), "--workspace"),
        (("run", "two", "words"), "'words' was not expected"),
        (("run",), "needs a goal"),
        (("run", "goal", "--resume", "run_1"), "--resume"),
        (("run", "--workspace"), "--workspace"),
        (("show",), "RUN"),
        (("simulate", "--seeds", "many"), "many"),
        (("simulate", "--seeds", "0"), "from 1 on"),
        (("simulate", "--votes", "--agents", "3"), "--agents says nothing to --votes"),
        (("simulate", "--votes", "--mesh"), "--mesh says nothing to --votes"),
        (("simulate", "--mesh", "--seeds", "2"), "--seeds says nothing to --mesh"),
        (("chaos", "--duration", "soon"), "'soon'"),
        (("chaos", "--tasks", "0"), "from 1 to"),
        (("completion", "tcsh"), "bash"),
        (("serve", "--port", "7", "--web-port", "7"), "--web-port"),
        (("mcp", "--port", "7"), "--port"),
        (("token", "create", "a"), "--role has to be given; it is one of viewer, operator"),
    ],
)
def test_words_that_are_off_are_answered_with_what_is_meant(
    words: tuple[str, ...], told: str, tmp_path: Path
) -> None:
    ran = visionflow(*words, cwd=tmp_path)
    assert ran.returncode == 2
    assert ran.stdout == ""
    assert told in ran.stderr
    assert "Traceback" not in ran.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_workspace_that_is_not_there_is_told(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    ran = visionflow("run", "Test it", "--workspace", missing, "--json", cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (66, "")
    assert str(missing) in ran.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_traceback_comes_only_when_asked_for(tmp_path: Path) -> None:
    words = ("show", "run_1", "--out", tmp_path)
    assert "Traceback" not in visionflow(*words).stderr
    assert "Traceback" in visionflow(*words, env={"VISIONFLOW_DEBUG": "1"}).stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_name_commands_and_options(shell: str) -> None:
    script = visionflow("completion", shell).stdout
    assert "simulate" in script
    assert "resume" in script


def test_completion_works_in_bash(tmp_path: Path) -> None:
    script = tmp_path / "visionflow.bash"
    script.write_text(visionflow("completion", "bash").stdout, encoding="utf-8")
    words = (
        f"source {script}; COMP_WORDS=(visionflow ru); COMP_CWORD=1; COMP_LINE='visionflow ru'; "
        "COMP_POINT=13; _visionflow visionflow ru visionflow; echo ${COMPREPLY[@]}"
    )
    ran = subprocess.run(["bash", "-c", words], capture_output=True, text=True, timeout=60)
    assert ran.stdout.split() == ["run", "runs"], ran.stderr


def test_a_few_seeds_are_simulated_and_counted() -> None:
    ran = visionflow("simulate", "--seeds", "2", "--agents", "3", "--tasks", "20", "--json")
    told = json.loads(ran.stdout)
    assert (ran.returncode, told["failed"], told["seeds"]) == (0, [], 2)
    assert told["transitions"]["task queued -> assigned"] > 0


def test_a_strangers_folder_lends_no_modules(tmp_path: Path) -> None:
    (tmp_path / "cyclopts.py").write_text("raise SystemExit('taken over')", encoding="utf-8")
    ran = subprocess.run(
        [sys.executable, "-m", "visionflow.cli", "--version"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ran.returncode, ran.stderr) == (0, "")


def test_the_front_loads_nothing_heavy() -> None:
    heavy = ("rich", "bandit", "pytest", "coverage", "psutil", "yaml")
    code = (
        "import sys, visionflow.cli.commands, visionflow.cli.running;"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert ran.stdout.strip() == "[]", ran.stderr


@pytest.mark.parametrize("option", ["--out", "--workspace", "--agents"])
def test_a_path_that_is_empty_is_not_taken_for_the_current_folder(
    option: str, tmp_path: Path
) -> None:
    for words in ((option, ""), (f"{option}=",)):
        ran = visionflow("run", "Test it", *words, cwd=tmp_path)
        assert (ran.returncode, list(tmp_path.iterdir())) == (2, [])
        assert f"{option} is empty" in ran.stderr


def test_runs_that_cannot_be_looked_at_are_an_error_and_not_none(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ran = visionflow("runs", "--out", str(tmp_path / "file"))
    assert ran.returncode == 66
    assert "cannot be told" in ran.stderr


def test_a_run_whose_standard_error_is_closed_runs(tmp_path: Path) -> None:
    (tmp_path / "ws").mkdir()
    script = '"$0" -P -m visionflow.cli run "Test it" --workspace ws --out out --json 2>&-'
    ran = subprocess.run(
        ["sh", "-c", script, sys.executable],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    assert (ran.returncode, json.loads(ran.stdout)["status"]) == (0, "completed")
