"""`visionflow gate` as a process: its words, its codes, and every example of docs/gate.md."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from gates import SHOP
from repositories import commit, git, put

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs" / "gate.md"
BIN = Path(sys.executable).parent
LOCAL = re.compile(r"^ {4}(visionflow gate\b.*)$", re.MULTILINE)
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone with a branch that is a commit and a change ahead of origin/main."""
    upstream = tmp_path / "upstream"
    upstream.mkdir()
    git(upstream, "init", "-q", ".")
    commit(upstream, SHOP)
    git(tmp_path, "clone", "-q", str(upstream), "clone")
    folder = tmp_path / "clone"
    commit(folder, {"notes.md": "# Notes\n"})
    return folder


def command(folder: Path, home: Path, line: str) -> subprocess.CompletedProcess[str]:
    """A line of a shell, in the folder."""
    env = {
        "PATH": f"{BIN}:/usr/bin:/bin", "HOME": str(home), "VISIONFLOW_HOME": str(home),
        "GITHUB_BASE_REF": "main",
        "CI_MERGE_REQUEST_DIFF_BASE_SHA": git(folder, "rev-parse", "origin/main"),
    }  # fmt: skip
    return subprocess.run(
        ["sh", "-c", line], cwd=folder, env=env, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip


def test_every_example_of_the_docs_runs(clone: Path, home: Path) -> None:
    text = DOCS.read_text(encoding="utf-8")
    lines = LOCAL.findall(text)
    for kind, block in BLOCK.findall(text):
        if kind == "yaml":
            steps = str(yaml.safe_load(block))
            lines += re.findall(r"visionflow gate [^']*", steps)
    assert len(lines) >= 9
    for line in dict.fromkeys(lines):
        done = command(clone, home, line)
        assert (done.returncode, done.stderr) == (0, ""), f"{line}: {done.stdout}{done.stderr}"
        assert done.stdout, line


def test_the_hook_of_the_docs_refuses_a_commit_that_brings_something_new(
    clone: Path, home: Path
) -> None:
    (hook,) = [block for kind, block in BLOCK.findall(DOCS.read_text()) if kind == "sh"]
    put(clone, {".git/hooks/pre-commit": hook})
    (clone / ".git/hooks/pre-commit").chmod(0o755)
    name = "git -c user.name=A -c user.email=a@example.org commit -qam"
    put(clone, {"loose.py": "N = eval('1')\n"})  # No test reaches it.
    git(clone, "add", "loose.py")
    refused = command(clone, home, f"{name} bad")
    assert refused.returncode == 1
    assert "B307" in refused.stdout + refused.stderr
    put(clone, {"loose.py": "N = 1\n"})
    taken = command(clone, home, f"{name} good")
    assert taken.returncode == 0, taken.stdout + taken.stderr


def test_the_hooks_for_pre_commit_start_a_command_that_there_is() -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert f"id: {hook['id']}" in DOCS.read_text()
    words = hook["entry"].split()
    assert words[:2] == ["visionflow", "gate"]
    assert hook["pass_filenames"] is False


def test_the_json_has_the_keys_that_the_docs_tell(clone: Path, home: Path) -> None:
    put(clone, {"shop/core.py": "import os\n" + SHOP["shop/core.py"]})
    done = command(clone, home, "visionflow gate --format json")
    assert done.returncode == 1
    told = json.loads(done.stdout)
    text = DOCS.read_text(encoding="utf-8")
    for key in (*told, *told["findings"], *told["tests"], *told["coverage"], *told["base"]):
        assert f"`{key}`" in text, key
    assert str(clone) not in done.stdout


@pytest.mark.parametrize(
    ("line", "code", "told"),
    [
        ("visionflow gate --base nothing", 66, "cannot be found"),
        ("visionflow gate --workspace /nonexistent", 66, "cannot be used as a workspace"),
        ("visionflow gate --format xml", 2, "--format"),
        ("visionflow gate --min-coverage 101", 2, "percentage"),
        ("visionflow gate --timeout 0", 2, "seconds"),
        ("visionflow gate --baseline none.json", 78, "is not there"),
        ("VISIONFLOW_HOME=/proc/none visionflow gate", 73, "VISIONFLOW_HOME"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_one_message_and_its_code(
    clone: Path, home: Path, line: str, code: int, told: str
) -> None:
    done = command(clone, home, line)
    assert (done.returncode, done.stdout) == (code, "")
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert os.linesep * 2 not in done.stderr
