"""The contracts on imports catch what they are for, tried on a skeleton with planted imports.

That the sources themselves keep them is checked by `lint-imports`, beside these tests.
"""

import subprocess
import sys
from pathlib import Path

import house_rules as rules
import pytest

PACKAGES = (
    "cli testing interfaces runtime worker adapters agents engine ports domain engine/topology"
).split()
LINT = "import sys; from importlinter.cli import lint_imports_command as lint; sys.exit(lint())"
DOWNWARD = {
    "cli/a.py": "from visionflow import compose\nfrom visionflow.testing import b",
    "compose.py": "from visionflow.adapters import a\nfrom visionflow.runtime import a as b",
    "testing/b.py": "from visionflow.worker import a",
    "adapters/a.py": "import time\nfrom visionflow.ports import a",
    "runtime/a.py": "from visionflow.engine import a\nfrom visionflow.agents import a as b",
    "engine/a.py": "import heapq\nfrom visionflow.domain import a",
}


def lint(root: Path, files: dict[str, str]) -> tuple[int, str]:
    """Write a skeleton package with `files` over it and return what the contracts say."""
    package = root / "visionflow"
    for name in PACKAGES:
        folder = package / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "__init__.py").touch()
        (folder / "a.py").touch()
    (package / "__init__.py").touch()
    for name, text in files.items():
        (package / name).write_text(text, encoding="utf-8")
    ran = subprocess.run(
        [sys.executable, "-c", LINT, "--no-cache", "--config", str(rules.ROOT / "pyproject.toml")],
        cwd=root,
        env={"PYTHONPATH": str(root), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=120,
    )
    return ran.returncode, ran.stdout + ran.stderr


def test_imports_that_go_down_pass(tmp_path: Path) -> None:
    code, said = lint(tmp_path, DOWNWARD)
    assert code == 0, said


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("domain/a.py", "from visionflow.engine import a"),
        ("runtime/a.py", "from visionflow.worker import a"),
        ("agents/a.py", "from visionflow.adapters import a"),
        ("runtime/a.py", "from visionflow.adapters import a"),
        ("worker/a.py", "def f() -> None:\n    from visionflow.adapters import a"),
        ("engine/a.py", "from visionflow.ports import a"),
        ("engine/a.py", "import time"),
        ("domain/a.py", "def f() -> None:\n    from os import path"),
        ("engine/topology/a.py", "import datetime"),
        (
            "domain/a.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import asyncio",
        ),
        ("helpers.py", "x = 1"),
    ],
)
def test_an_import_that_does_not_is_refused(tmp_path: Path, name: str, text: str) -> None:
    code, said = lint(tmp_path, {name: text})
    assert code == 1
    assert "1 broken" in said or "2 broken" in said


def test_a_cycle_is_refused(tmp_path: Path) -> None:
    cycle = {
        "domain/b.py": "from visionflow.domain import a",
        "domain/a.py": "def f() -> None:\n    from visionflow.domain import b",
    }
    code, said = lint(tmp_path, cycle)
    assert code == 1
    assert "1 broken" in said
