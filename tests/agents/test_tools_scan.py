"""Ruff and bandit over trees that nobody here wrote."""

from pathlib import Path

import msgspec
import pytest
from tool_projects import reviewed, write
from unconfined import RefusingSandbox, UnconfinedSandbox

from visionflow.agents.findings import Finding, ToolRun, with_fingerprints
from visionflow.agents.report.gates import base_gates
from visionflow.agents.tools import bandit, portions, ruff
from visionflow.domain.errors import ConfinementUnavailable
from visionflow.ports.sandbox import Command, Completed

_RISKY = "import subprocess\n\n\ndef run(word):\n    subprocess.call(word, shell=True)\n"
_ODD = "od\n| `d` [x](y) \x1b[31m&.py"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "repo").mkdir()
    return tmp_path / "repo"


def test_both_tools_find_what_is_there_and_map_it(root: Path, tmp_path: Path) -> None:
    write(root, {"a.py": _RISKY, "b.py": "import os\n"})
    first, second = reviewed(root, tmp_path)
    unused = [f for f in first.findings if f.rule == "F401"]
    assert [(f.path, f.line, f.severity) for f in unused] == [("b.py", 1, "low")]
    shell = next(f for f in second.findings if f.rule == "B602")
    assert (shell.path, shell.line, shell.severity, shell.cwe) == ("a.py", 5, "high", 78)
    assert (first.ended, second.ended, first.files_read, second.files_read) == (
        "completed", "completed", 2, 2,
    )  # fmt: skip
    assert first.version
    assert second.version
    assert base_gates(None, (first, second)) == {"tests": None, "syntax": True, "findings": False}


def test_the_projects_own_settings_do_not_quiet_the_review(root: Path, tmp_path: Path) -> None:
    write(root, {
        "a.py": _RISKY + "import os\n", ".bandit": "[bandit]\nskips = B602\nexclude = a.py\n",
        "pyproject.toml": '[tool.ruff.lint]\nignore = ["F"]\n[tool.bandit]\nskips=["B602"]\n',
        "ruff.toml": 'exclude = ["*.py"]\n', ".gitignore": "*.py\n",
    })  # fmt: skip
    first, second = reviewed(root, tmp_path)
    assert "F401" in {f.rule for f in first.findings}
    assert "B602" in {f.rule for f in second.findings}


def test_modules_of_the_repository_do_not_replace_bandits(root: Path, tmp_path: Path) -> None:
    hostile = "raise SystemExit('taken over')\n"
    write(root, {"a.py": _RISKY, "ast.py": hostile, "json.py": hostile, "bandit.py": hostile})
    run = reviewed(root, tmp_path)[1]
    assert (run.ended, run.files_read) == ("completed", 4)


def test_files_a_tool_cannot_read_are_named(root: Path, tmp_path: Path) -> None:
    write(root, {
        "latin.py": b"# -*- coding: latin-1 -*-\nx = '\xe9'\n", "broken.py": "def f(:\n",
        "good.py": "x = 1\n",
    })  # fmt: skip
    (root / "link.py").symlink_to("good.py")
    first, second = reviewed(root, tmp_path)
    assert {path for path, _ in first.not_read} == {"latin.py", "link.py"}
    assert {path for path, _ in second.not_read} == {"broken.py", "link.py"}
    assert {f.path for f in first.findings if f.rule == "invalid-syntax"} == {"broken.py"}
    assert base_gates(None, (first, second))["syntax"] is False


def test_broken_files_among_the_tests_are_data_not_a_failed_gate(
    root: Path, tmp_path: Path
) -> None:
    write(root, {"tests/data/broken.py": "def f(:\n", "a.py": "x = 1\n"})
    runs = reviewed(root, tmp_path)
    assert base_gates(None, runs) == {"tests": None, "syntax": True, "findings": True}


def test_asserts_count_outside_tests_only(root: Path, tmp_path: Path) -> None:
    write(root, {"a.py": "assert a\n", "tests/test_a.py": "assert b\n"})
    run = reviewed(root, tmp_path)[1]
    assert [f.path for f in run.findings if f.rule == "B101"] == ["a.py"]


def test_hostile_names_reach_no_command_line_option(root: Path, tmp_path: Path) -> None:
    write(root, {_ODD: "import os\n", "--fix.py": "import os\n", "@args.py": "import os\n"})
    first, second = reviewed(root, tmp_path)
    assert {f.path for f in first.findings if f.rule == "F401"} == {_ODD, "--fix.py", "@args.py"}
    assert second.files_read == 3
    assert (root / "--fix.py").read_text() == "import os\n"


def test_the_same_tree_gives_the_same_bytes_whatever_the_portions(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(root, {f"m{n}.py": _RISKY + "import os\n" for n in range(12)})
    whole = reviewed(root, tmp_path / "1")
    monkeypatch.setattr(portions, "PORTION_FILES", 5)
    sandbox = UnconfinedSandbox()
    parts = reviewed(root, tmp_path / "2", sandbox)
    assert len(sandbox.commands) == 6
    assert msgspec.msgpack.encode(whole) == msgspec.msgpack.encode(parts)
    assert msgspec.msgpack.decode(
        msgspec.msgpack.encode(whole), type=tuple[ToolRun, ToolRun]
    ) == whole  # fmt: skip


class _DiesOn(UnconfinedSandbox):
    """Ends any command that is given a certain file, as a parser's crash would."""

    async def run(self, command: Command, on_output: object = None) -> Completed:
        if "./bad.py" in command.argv:
            self.commands.append(command)
            return Completed(None, "memory", "", "", 1, None, self.confinement)
        return await super().run(command)


def test_a_file_that_kills_the_tool_costs_only_itself(root: Path, tmp_path: Path) -> None:
    write(root, {f"m{n}.py": "import os\n" for n in range(7)} | {"bad.py": "x = 1\n"})
    for run in reviewed(root, tmp_path, _DiesOn()):
        assert run.ended == "completed"
        assert run.files_read == 7
        assert run.not_read == (
            ("bad.py", f"{run.tool} was ended by memory while reading it"),
        )  # fmt: skip


def test_without_confinement_the_tools_are_not_run(root: Path, tmp_path: Path) -> None:
    write(root, {"a.py": _RISKY})
    for run in reviewed(root, tmp_path, RefusingSandbox()):
        assert (run.ended, run.findings, run.files_read) == ("not_run", (), 0)
        assert "confine" in (run.reason or "")
    assert ConfinementUnavailable.code == "confinement_unavailable"


def test_a_folder_without_python_gives_no_gate(root: Path, tmp_path: Path) -> None:
    runs = reviewed(root, tmp_path)
    assert [run.ended for run in runs] == ["completed", "completed"]
    assert base_gates(None, runs) == {"tests": None, "syntax": None, "findings": None}


def test_tools_may_read_the_worktree_and_write_only_their_own_folder(
    root: Path, tmp_path: Path
) -> None:
    write(root, {"a.py": _RISKY})
    sandbox = UnconfinedSandbox()
    reviewed(root, tmp_path, sandbox)
    for command in sandbox.commands:
        assert not command.network
        assert command.memory_bytes
        assert str(root) in command.read
        assert all(str(root) not in folder for folder in command.write)


def test_output_that_is_not_the_tools_is_refused() -> None:
    for parse in (ruff.parse, bandit.parse):
        for content in (b"", b"[1]", b"{}", b"\xff"):
            with pytest.raises(ValueError, match=r"."):
                parse(content, "/w")


def test_a_fingerprint_outlives_a_moved_line() -> None:
    here = Finding("t", "R", "low", "m", "a.py", 3)
    there = msgspec.structs.replace(here, line=30)
    first = with_fingerprints([here], {("a.py", 3): "  x = 1"})
    second = with_fingerprints([there], {("a.py", 30): "x = 1"})
    assert first[0].fingerprint == second[0].fingerprint
    both = with_fingerprints([here, there], {("a.py", 3): "x = 1", ("a.py", 30): "x = 1"})
    assert len({finding.fingerprint for finding in both}) == 2


def test_portions_fit_a_command_line() -> None:
    files = [f"{'d' * 200}/{n}.py" for n in range(10_000)]
    parts = portions.portions(files)
    assert [file for part in parts for file in part] == files
    assert max(sum(len(file) + 3 for file in part) for part in parts) <= portions.PORTION_BYTES
    assert max(map(len, parts)) <= portions.PORTION_FILES
