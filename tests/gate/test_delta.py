"""What differs: findings by fingerprint, and lines by what git says of two trees."""

import subprocess
from pathlib import Path

import pytest
from repositories import commit, git

from visionflow.agents.findings import Finding, Suppressed, ToolRun
from visionflow.agents.tools.delta import (
    DIFF_OPTIONS,
    FileDiff,
    Hunk,
    Span,
    diff_of,
    findings_delta,
)


def finding(mark: str, line: int = 1, tool: str = "ruff") -> Finding:
    return Finding(tool, "F401", "low", "unused", "a.py", line, fingerprint=mark)


def diff(folder: Path) -> tuple[FileDiff, ...]:
    """Of the last two commits."""
    command = ["git", "diff-tree", *DIFF_OPTIONS, "HEAD~1", "HEAD"]
    said = subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=60)
    return diff_of(said.stdout)


def test_a_finding_is_new_or_gone_by_its_fingerprint_wherever_it_stands() -> None:
    before = [ToolRun("ruff", "1", (finding("a", 1), finding("b", 2)))]
    after = [ToolRun("ruff", "1", (finding("b", 20), finding("c", 3)))]
    found = findings_delta(before, after)
    assert [each.fingerprint for each in found.new] == ["c"]
    assert [each.fingerprint for each in found.gone] == ["a"]


def test_equal_fingerprints_count_and_those_of_different_tools_are_not_equal() -> None:
    before = [ToolRun("ruff", "1", (finding("a"),)), ToolRun("bandit", "1")]
    after = [
        ToolRun("bandit", "1", (finding("a", tool="bandit"),)),
        ToolRun("ruff", "1", (finding("a", 1), finding("a", 9))),
    ]
    found = findings_delta(before, after)
    assert [(each.tool, each.line) for each in found.new] == [("bandit", 1), ("ruff", 9)]
    assert found.gone == ()


def test_a_suppressed_finding_is_none_and_losing_the_suppression_makes_it_new() -> None:
    hidden = ToolRun("ruff", "1", suppressed=(Suppressed(finding("a"), "comment", "noqa"),))
    shown = ToolRun("ruff", "1", (finding("a"),))
    assert findings_delta([], [hidden]).new == ()
    assert findings_delta([hidden], [shown]).new == (finding("a"),)


def test_each_kind_of_change_is_read_from_what_git_writes(tmp_path: Path) -> None:
    bytes_name = 'n\udcff\t"q\\.py'
    git(tmp_path, "init", "-q", ".")
    commit(tmp_path, {
        "two words.py": "a\nb\nc\n", "gone.py": "x\n", "gone_empty.py": "",
        "moved.py": "1\n2\n3\n4\n",
        "same.py": "1\n", "binary": b"\0\1", "mode.py": "", "dash.sql": "-- q\n-- r\n",
    })  # fmt: skip
    (tmp_path / "moved.py").rename(tmp_path / "sub.py")
    (tmp_path / "gone.py").unlink()
    (tmp_path / "gone_empty.py").unlink()
    (tmp_path / "mode.py").chmod(0o755)
    commit(tmp_path, {
        "two words.py": "a\nB\nc\nd\n", "sub.py": "1\n2\n3\n5\n", "binary": b"\0\2",
        "dash.sql": "++ q\n++ r\n", bytes_name: "1\n2", "empty.py": "",
    })  # fmt: skip
    found = {each.new or each.old: each for each in diff(tmp_path)}
    assert sorted(str(name) for name in found) == sorted(
        ("two words.py", "gone.py", "gone_empty.py", "sub.py", "binary", "mode.py", "dash.sql",
         bytes_name, "empty.py")
    )  # fmt: skip
    assert found["two words.py"].added == (Span(2, 1), Span(4, 1))
    assert found["gone.py"] == FileDiff("gone.py", None, (Hunk(Span(1, 1), Span(0, 0)),))
    assert found["gone_empty.py"] == FileDiff("gone_empty.py", None)
    assert found["sub.py"] == FileDiff("moved.py", "sub.py", (Hunk(Span(4, 1), Span(4, 1)),))
    assert found["binary"] == FileDiff("binary", "binary", binary=True)
    assert found["mode.py"] == FileDiff("mode.py", "mode.py")
    assert found["dash.sql"].added == (Span(1, 2),)
    assert found[bytes_name] == FileDiff(None, bytes_name, (Hunk(Span(0, 0), Span(1, 2)),))
    assert found["empty.py"] == FileDiff(None, "empty.py")


def test_a_file_that_becomes_a_link_is_gone_and_new(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", ".")
    commit(tmp_path, {"a.py": "x\n", "b.py": "y\n"})
    (tmp_path / "a.py").unlink()
    (tmp_path / "a.py").symlink_to("b.py")
    commit(tmp_path, {})
    assert diff(tmp_path) == (
        FileDiff("a.py", None, (Hunk(Span(1, 1), Span(0, 0)),)),
        FileDiff(None, "a.py", (Hunk(Span(0, 0), Span(1, 1)),)),
    )


def test_a_submodule_has_no_lines(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", ".")
    commit(tmp_path, {"a.py": "x\n"})
    git(tmp_path, "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},vendored")
    git(tmp_path, "commit", "-qm", "submodule")
    assert diff(tmp_path) == (FileDiff(None, "vendored", module=True),)


def test_a_line_is_added_only_within_what_was_added() -> None:
    change = FileDiff("a.py", "a.py", (Hunk(Span(3, 1), Span(3, 0)), Hunk(Span(9, 0), Span(9, 2))))
    assert [line for line in range(1, 20) if change.is_added(line)] == [9, 10]


@pytest.mark.parametrize("patch", [b"nonsense\n", b"diff --git a a\n@@ -1 +1,2 @@\n-x\n+y\n"])
def test_what_is_no_whole_patch_is_refused(patch: bytes) -> None:
    with pytest.raises(ValueError, match=r"header|cut off"):
        diff_of(patch)
