"""The page on coding agents, run as typed: what it prints is what the page shows."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.coding.pretended import pretend

PAGE = Path(__file__).resolve().parents[2] / "docs" / "coding-agents.md"
RUN = re.compile(r"run_\d{13}_[a-z0-9]+")
SOME = (
    (RUN, "RUN"),
    (re.compile(r"\(\d+\.\d s\)"), "(T s)"),
    (re.compile(r"/[^ ]*?/web\b"), "WEB"),
)
DONE = "exit code of the command: "


def steps() -> list[tuple[str, list[str]]]:
    """Each command of the page with its here-documents, and the lines that follow it."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"(?ms)^```console\n(.*?)^```", PAGE.read_text(encoding="utf-8")):
        inside = False
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
                inside = "<<'END'" in line
            elif inside:
                found[-1] = (f"{found[-1][0]}\n{line}", [])
                inside = line != "END"
            else:
                found[-1][1].append(line)
    return found


def plain(lines: list[str]) -> list[str]:
    for pattern, word in SOME:
        lines = [pattern.sub(word, line) for line in lines]
    return lines


@pytest.mark.acceptance("coding-agents", "workspace", "docs")
def test_the_page_on_coding_agents_runs_as_typed_and_prints_what_it_shows(tmp_path: Path) -> None:
    told = RUN.findall(PAGE.read_text(encoding="utf-8"))
    path = os.pathsep.join(
        (str(pretend(tmp_path / "bin")), str(Path(sys.executable).parent), os.environ["PATH"])
    )
    (tmp_path / "me").mkdir()
    env = {
        "PATH": path, "HOME": str(tmp_path / "me"), "VISIONFLOW_HOME": str(tmp_path / "home"),
        "LANG": "C.UTF-8", "ANTHROPIC_API_KEY": "sk-ant-no-real-key",
        "CODEX_API_KEY": "no-real-key-either",
        "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@localhost",
        "GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@localhost",
    }  # fmt: skip
    folder, run, compared = tmp_path, "", 0
    for command, expected in steps():
        typed = command.replace(told[0], run) if run else command
        done = subprocess.run(
            ["bash", "-c", f"{typed}\necho >&2 '{DONE}'$?; pwd > {tmp_path}/where"],
            cwd=folder, env=env, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        said, code = done.stderr.split(DONE)
        assert code.strip() == "0", (typed, done.stdout, said)
        folder = Path((tmp_path / "where").read_text().strip())
        if not run and (found := RUN.search(done.stdout)):
            run = found[0]
        if expected:
            compared += 1
            assert plain(done.stdout.splitlines()) == plain(expected), typed
    assert run and compared == 4
