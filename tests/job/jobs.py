"""Sample repositories for the job's tests, and runs over them."""

import json
import os
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from visionflow.compose.job import JobProgress, Outcome, RunFolder, create_run, execute

GOAL = "Test and review this repository"
QUICK = "[pytest]\naddopts = -p no:hypothesispytest\n"
SAMPLE = {
    "pytest.ini": QUICK,
    "shop/__init__.py": "import os\n\n\ndef price(text):\n    return eval(text)\n",
    "shop/shell.py": (
        "import subprocess\n\n\ndef run(text):\n    return subprocess.call(text, shell=True)\n"
    ),
    "tests/test_shop.py": (
        "from shop import price\n\n\n"
        "def test_good():\n    assert price('1') == 1\n\n\n"
        "def test_bad():\n    assert price('1') == 2\n"
    ),
}
"""A failing test, an unused import (low), a call of eval (medium), a shell (high)."""
GOOD = {
    "pytest.ini": QUICK,
    "tidy.py": "def double(n):\n    return 2 * n\n",
    "test_tidy.py": "from tidy import double\n\n\ndef test_it():\n    assert double(2) == 4\n",
}
Watch = Callable[[JobProgress, threading.Event], None]


def write(root: Path, files: dict[str, str]) -> Path:
    """Write `files` (relative name to text) under `root`."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def git(folder: Path, *words: str) -> None:
    """Run git there, with nothing of this machine's settings."""
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    subprocess.run(["git", *identity, *words], cwd=folder, env=env, check=True, timeout=60)


def carry_out(folder: RunFolder, watch: Watch | None = None) -> Outcome:
    """Execute; `watch` sees each progress and may set the event that stops."""
    stop = threading.Event()

    def show(progress: JobProgress) -> None:
        if watch is not None:
            watch(progress, stop)

    return execute(folder, on_progress=show, stop=stop, kill=threading.Event())


def run_on(workspace: Path, out: Path, **options: Any) -> tuple[RunFolder, Outcome]:
    """A whole run."""
    folder = create_run(GOAL, workspace, out, **options)
    return folder, carry_out(folder)


def events_of(folder: RunFolder) -> list[dict[str, Any]]:
    """The lines of events.jsonl."""
    return [json.loads(line) for line in folder.events.read_text().splitlines()]


def steps_of(folder: RunFolder) -> list[tuple[str, str]]:
    """(task, step) of each finished step, in order."""
    return [
        (each["task"], each["name"])
        for each in events_of(folder)
        if each["type"] == "step_finished"
    ]


def snapshot(folder: Path) -> dict[str, tuple[int, int, bytes | str]]:
    """Mode, time and content of everything there but `.visionflow`."""
    found: dict[str, tuple[int, int, bytes | str]] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if name.parts[0] == ".visionflow":
            continue
        facts = path.lstat()
        content = (
            os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        )
        found[str(name)] = (facts.st_mode, facts.st_mtime_ns, content)
    return found
