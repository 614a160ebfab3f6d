"""The table of third-party packages: its pins are whole and written up, its rows what was found."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from scripts import releases, third_party

DOCS = Path(__file__).parents[2] / "docs" / "third-party.md"


def test_every_pin_has_a_version_and_a_hash_and_is_told_of_in_the_docs() -> None:
    pins = releases.pins(third_party.LOCK.read_text())
    assert len(pins) >= 10
    told = DOCS.read_text()
    for pin in pins:
        found = re.fullmatch(r"([a-z0-9-]+)==([\w.]+) --hash=sha256:[0-9a-f]{64}", pin)
        assert found is not None, pin
        assert f"{found[1]} {found[2]}" in told


def test_the_histories_are_pinned_and_told_of_in_the_docs() -> None:
    pinned = releases.by_package(third_party.HISTORY.read_text())
    for name, (last, count) in third_party.HISTORIES.items():
        versions = [releases.version_of(pin) for pin in pinned[name]]
        assert versions.index(last) + 1 >= count > 1
        assert f"{name} {last}" in DOCS.read_text()


def summary(out: Path, **parts: Any) -> dict[str, Any]:
    run: dict[str, Any] = {
        "outcome": "could_not_run", "passed": 3, "failed": 0, "errors": 1, "skipped": 0,
        "xfailed": 0, "coverage": None, "branch_coverage": None, "flaky_total": 0,
    }  # fmt: skip
    return {
        "out": str(out), "gates": {"tests": None, "syntax": True, "findings": False},
        "findings": {"high": 1, "low": 0}, "seconds": 1.6, "suppressed_total": 4, "tests": run,
        "architecture": {"cycles_total": 0, "layers": None}, "vote": None,
        "research": {"undeclared": [{"name": "numpy"}, {"name": "PIL"}], "unused": []},
        "change": {"made": False, "outcome": "nothing_to_do"},
    } | parts  # fmt: skip


def write_events(folder: Path) -> None:
    lines = (
        ("00:00:01.000Z", "swarm_created", None),
        ("00:00:02.000Z", "step_finished", "look at the project"),
        ("00:00:03.500Z", "step_finished", "scan ruff"),
        ("00:00:09.000Z", "step_finished", "scan bandit"),
    )
    text = (json.dumps({"at": f"2026-01-01T{at}", "type": t, "name": n}) for at, t, n in lines)
    (folder / "events.jsonl").write_text("\n".join(text))


def test_a_row_says_null_and_unknown_where_nothing_is_known(tmp_path: Path) -> None:
    write_events(tmp_path)
    workspace = tmp_path / "workspace"
    (workspace / ".git").mkdir(parents=True)
    (workspace / ".git" / "config").touch()
    (workspace / "a.py").touch()
    assert third_party.row("thing 1.0", workspace, summary(tmp_path), 3 << 20) == (
        "| thing 1.0 | 1 | could not run: 3 passed, 1 errors | unknown, unknown | 0 "
        "| null, passed, **failed** | 1 high | 4 | 0, unknown | numpy, PIL / none "
        "| nothing to do | none | 2.5, 2 | 3 |"
    )
    (tmp_path / "events.jsonl").write_text("")
    nothing = dict.fromkeys(("tests", "architecture", "research", "change"))
    assert third_party.row("thing 1.0", workspace, summary(tmp_path, **nothing), 0) == (
        "| thing 1.0 | 1 | unknown | unknown, unknown | unknown | null, passed, **failed** "
        "| 1 high | 4 | unknown | unknown | unknown | none | unknown, 2 | 0 |"
    )


def test_a_row_tells_of_the_patch_and_of_each_ballot(tmp_path: Path) -> None:
    write_events(tmp_path)
    change = {
        "made": True, "commits": [{"rule": "E713"}, {"rule": "F401"}], "files_total": 1,
        "insertions": 2, "deletions": 3,
    }  # fmt: skip
    ballots = [{"evidence": "tests", "choice": "approve"}, {"evidence": "findings", "choice": "x"}]
    vote = {"decision": "approved", "ballots": ballots}
    told = third_party.row("a 1", tmp_path, summary(tmp_path, change=change, vote=vote), 0)
    assert "| E713, F401; 1 file, +2 -3 | approved (tests: approve, findings: x) |" in told


def test_the_memory_of_a_process_counts_those_below_it() -> None:
    code = "import sys; x = bytearray(50 << 20); print('ready', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None and child.stdout.readline() == b"ready\n"
        below = third_party.memory_below(child.pid)
        assert below > 50 << 20
        assert third_party.memory_below(os.getpid()) > below
