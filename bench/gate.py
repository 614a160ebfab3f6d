"""How long a gate takes on a repository of 1,000 files of which one changed, as a whole process."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.figures import Row, Series

FILES = 1_000
PER_FOLDER = 50
GATE_S_MAX = 300
TESTED = 20
"""How many of the modules have a test file."""


def gate(rounds: int, files: int = FILES) -> Row:
    """Cold: nothing is known. Then one file is changed, again and again: all else is known."""
    cold: list[float] = []
    cached: list[float] = []
    tested: list[float] = []
    same: list[float] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        repository = Path(name, "repository")
        write_repository(repository, files)
        changed = repository / module(files // 3)
        for each in range(rounds):
            home = Path(name, f"home-{each}")
            _change(changed, 3 * each)
            cold.append(run_gate(repository, home, "none"))
            _change(changed, 3 * each + 1)
            cached.append(run_gate(repository, home, "none"))
            run_gate(repository, home, "affected")
            _change(changed, 3 * each + 2)
            tested.append(run_gate(repository, home, "affected"))
            same.append(run_gate(repository, home, "none"))
    return Row(
        "gate",
        f"`visionflow gate` after a change of one file of {files:,}, from start to end of process",
        (
            Series("cold: every file is read, copies are made", "s", tuple(cold)),
            Series("one file changed since the last gate", "s", tuple(cached)),
            Series("the same, and the tests that it reaches", "s", tuple(tested)),
            Series("nothing changed since the last gate", "s", tuple(same)),
        ),
        {},
        ("each gate finds one new finding and ends with 1",),
    )


def module(number: int) -> str:
    """The path of a module."""
    return f"app/pkg{number // PER_FOLDER:03}/mod{number:05}.py"


def write_repository(folder: Path, files: int) -> None:
    """Modules that import each other in a row, some tests, one commit."""
    written = {"app/__init__.py": "", "pytest.ini": "[pytest]\naddopts = -p no:hypothesispytest\n"}
    for number in range(files):
        path = module(number)
        written[f"{path.rpartition('/')[0]}/__init__.py"] = ""
        before = f"mod{number - 1:05}" if number % PER_FOLDER else "math"
        where = f"from app.pkg{number // PER_FOLDER:03} " if number % PER_FOLDER else ""
        written[path] = (
            f'"""Module {number}."""\n\n{where}import {before}\n\n\n'
            f"def value_{number}(n: int) -> int:\n"
            f'    """Something of {before}."""\n'
            f"    return n + {number} if n else len({before}.__name__)\n"
        )
        if number % (files // TESTED) == files // 3 % (files // TESTED):
            name = path.removesuffix(".py").replace("/", ".")
            written[f"tests/test_mod{number:05}.py"] = (
                f"from {name} import value_{number}\n\n\n"
                f"def test_it() -> None:\n    assert value_{number}(1) == {number + 1}\n"
            )
    for path, text in written.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
    for words in (("init", "-q", "."), ("add", "."), ("commit", "-qm", "all of it")):
        name = ("-c", "user.name=bench", "-c", "user.email=bench@example.org")
        subprocess.run(["git", *name, *words], cwd=folder, check=True, timeout=60)


def _change(file: Path, number: int) -> None:
    kept = file.read_text(encoding="utf-8").partition("\n\nNEW")[0]
    file.write_text(f'{kept}\n\nNEW = eval("{number}")\n', encoding="utf-8")


def run_gate(repository: Path, home: Path, tests: str) -> float:
    """Seconds of a whole gate that flags what `_change` did."""
    env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "visionflow.cli", "gate", "--workspace", str(repository),
         "--tests", tests, "--format", "github"],
        env={**env, "VISIONFLOW_HOME": str(home)}, capture_output=True, text=True,
        timeout=GATE_S_MAX, check=False,
    )  # fmt: skip
    took = time.perf_counter() - began
    if done.returncode != 1 or "B307" not in done.stdout:
        raise RuntimeError(f"the gate ended with {done.returncode}: {done.stdout}{done.stderr}")
    return took
