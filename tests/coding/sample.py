"""The package that coding agents work on in tests: small, with tests, in a git of its own."""

import shlex
import subprocess
import sys
from pathlib import Path

AGENT = Path(__file__).with_name("scripted_agent.py")
ACCEPT = "python -m pytest -q accepted/test_limits.py"
"""Fails until somebody adds `shop.limits.limited` as asked for."""
LEAN = "-p no:hypothesispytest -p no:anyio -p no:xdist"
"""Plugins that are installed beside VisionFlow would cost each of these runs a second."""
FILES = {
    "README.md": "# shop\n",
    ".gitignore": "*.pyc\n__pycache__/\nbuild/\n",
    "shop/__init__.py": "",
    "shop/prices.py": 'def total(price, count):\n    """What so many cost."""\n'
    "    return price * count\n",
    "shop/limits.py": '"""How often somebody may call."""\n',
    "tests/test_prices.py": "from shop.prices import total\n\n\n"
    "def test_three_cost_three_times_as_much():\n    assert total(2, 3) == 6\n",
    "accepted/test_limits.py": "import pytest\n\n\n"
    "def test_the_last_allowed_call_is_not_too_many():\n"
    "    limits = pytest.importorskip('shop.limits')\n"
    "    assert not limits.limited(2, 3)\n    assert limits.limited(3, 3)\n",
    "pyproject.toml": "[tool.pytest.ini_options]\npythonpath = ['.']\ntestpaths = ['tests']\n"
    f"addopts = '{LEAN}'\n",
}


def make_sample(folder: Path) -> Path:
    """The package as a repository with one commit on `main`."""
    for name, text in FILES.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    run_git(folder, "init", "--quiet", "--initial-branch=main")
    run_git(folder, "add", "--all")
    run_git(folder, "commit", "--quiet", "-m", "the shop")
    return folder


def run_git(folder: Path, *words: str) -> str:
    """What git prints there."""
    named = ("-c", "user.name=Sample", "-c", "user.email=sample@localhost")
    done = subprocess.run(
        ["git", *named, *words], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def command_of(actions: str) -> str:
    """A command line of the scripted agent, as `--agent` takes it."""
    return f"{sys.executable} {AGENT} {shlex.quote(actions)} {{goal}}"
