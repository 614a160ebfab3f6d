"""Audits packages of other people, and prints the table of docs/third-party.md.

The source distributions of requirements/third-party.lock are downloaded with pip, by hash, into a
temporary folder; of the packages in HISTORIES a git repository is made of releases that
requirements/history.lock pins. Each is audited as a user would do it, one after the other. What the
figures mean is written in the page by hand.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from scripts.releases import begin, by_package, commit, download, pins, version_of

REQUIREMENTS = Path(__file__).parent.parent / "requirements"
LOCK = REQUIREMENTS / "third-party.lock"
HISTORY = REQUIREMENTS / "history.lock"
HISTORIES = {"boltons": ("21.0.0", 8), "more-itertools": ("11.0.0", 10)}
"""Of each package the release to look at, and how many up to it make its history."""
GOAL = "Audit this repository: security, quality, tests"
JOB_S_MAX = 900
_LOOK_S = 0.2
_PAGE = os.sysconf("SC_PAGE_SIZE")
HEAD = (
    "package", "files", "tests", "coverage: lines, branches", "flaky",
    "gates: tests, syntax, findings, secrets, patch", "findings", "suppressed", "cycles, layers",
    "undeclared / unused", "patch", "vote", "first finding, all; s", "memory, MB",
)  # fmt: skip
_WORDS = {True: "passed", False: "**failed**", None: "null"}


def repository_of(name: str, into: Path) -> Path:
    """A git repository of the releases of a package in HISTORIES, the last of them checked out."""
    last, count = HISTORIES[name]
    listed = by_package(HISTORY.read_text(encoding="utf-8"))[name]
    end = [version_of(pin) for pin in listed].index(last) + 1
    begin(into / name)
    for pin in listed[max(0, end - count) : end]:
        release = version_of(pin)
        commit(into / name, download(pin, into / "downloads" / f"{name}-{release}"), release)
    return into / name


def audit(workspace: Path, out: Path, home: Path) -> tuple[dict[str, Any], int]:
    """What `visionflow run --json` prints for a folder, and the most memory in bytes that its
    processes held together, shared pages counted in each."""
    printed = out / "printed.json"
    out.mkdir(parents=True)
    with printed.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "visionflow.cli", "run", GOAL, "--workspace", str(workspace),
             "--out", str(out), "--json", "--no-progress"],
            stdout=file, env={**os.environ, "VISIONFLOW_HOME": str(home)},
        )  # fmt: skip
        ends, most = time.monotonic() + JOB_S_MAX, 0
        while process.poll() is None:
            if time.monotonic() > ends:
                process.kill()
                raise TimeoutError(f"{workspace.name} took longer than {JOB_S_MAX} s")
            most = max(most, memory_below(process.pid))
            time.sleep(_LOOK_S)
    return json.loads(printed.read_text(encoding="utf-8")), most


def memory_below(root: int) -> int:
    """Bytes of resident memory of a process and all below it."""
    children: dict[int, list[int]] = {}
    resident: dict[int, int] = {}
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            told = Path(entry.path, "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        fields = told.rpartition(")")[2].split()
        children.setdefault(int(fields[1]), []).append(int(entry.name))
        resident[int(entry.name)] = int(fields[21]) * _PAGE
    waiting, total = [root], 0
    while waiting:
        each = waiting.pop()
        total += resident.get(each, 0)
        waiting += children.get(each, [])
    return total


def seconds_to_first(events: Iterable[str]) -> float | None:
    """From a run's first event until a review's first tool was done, of the lines of
    events.jsonl."""
    start: datetime | None = None
    for line in events:
        event = json.loads(line)
        at = datetime.fromisoformat(event["at"])
        start = start or at
        if event["type"] == "step_finished" and str(event.get("name")).startswith("scan "):
            return (at - start).total_seconds()
    return None


def row(name: str, workspace: Path, summary: dict[str, Any], memory: int) -> str:
    """One row of the table."""
    files = sum(
        path.is_file() and ".git" not in path.relative_to(workspace).parts
        for path in workspace.rglob("*")
    )
    run, found, research = summary["tests"], summary["architecture"], summary["research"]
    events = Path(summary["out"], "events.jsonl").read_text(encoding="utf-8").splitlines()
    first = seconds_to_first(events)
    counts: dict[str, int] = summary["findings"] or {}
    told = ", ".join(f"{number} {severity}" for severity, number in counts.items() if number)
    cells = (
        name, files, _tests(run), _coverage(run), run["flaky_total"] if run else "unknown",
        ", ".join(_WORDS[value] for value in summary["gates"].values()), told or "none",
        summary["suppressed_total"], _structure(found), _dependencies(research),
        _patch(summary["change"]), _vote(summary["vote"]),
        f"{'unknown' if first is None else f'{first:.1f}'}, {summary['seconds']:.0f}",
        memory >> 20,
    )  # fmt: skip
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def _tests(run: dict[str, Any] | None) -> str:
    if run is None:
        return "unknown"
    told = [f"{run['passed']:,} passed"]
    told += [
        f"{run[what]:,} {what}" for what in ("failed", "errors", "skipped", "xfailed") if run[what]
    ]
    ending = run["outcome"].replace("_", " ")
    return f"{ending}: {', '.join(told)}"


def _coverage(run: dict[str, Any] | None) -> str:
    figures = (None, None) if run is None else (run["coverage"], run["branch_coverage"])
    return ", ".join("unknown" if each is None else f"{each:.2f} %" for each in figures)


def _structure(found: dict[str, Any] | None) -> str:
    if found is None:
        return "unknown"
    layers = "unknown" if found["layers"] is None else found["layers"]
    return f"{found['cycles_total']}, {layers}"


def _dependencies(found: dict[str, Any] | None) -> str:
    if found is None:
        return "unknown"
    listed = (", ".join(each["name"] for each in found[key]) for key in ("undeclared", "unused"))
    return " / ".join(names or "none" for names in listed)


def _patch(change: dict[str, Any] | None) -> str:
    if change is None:
        return "unknown"
    if not change["made"]:
        return str(change["outcome"]).replace("_", " ")
    rules = ", ".join(each["rule"] for each in change["commits"])
    files = f"{change['files_total']} file{'s' if change['files_total'] != 1 else ''}"
    return f"{rules}; {files}, +{change['insertions']} -{change['deletions']}"


def _vote(vote: dict[str, Any] | None) -> str:
    if vote is None:
        return "none"
    ballots = ", ".join(f"{each['evidence']}: {each['choice']}" for each in vote["ballots"])
    return f"{vote['decision'] or 'open'} ({ballots})"


def main(arguments: list[str]) -> int:
    """Print the table for all packages, or for those that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="only these packages, such as toml")
    wanted = set(parser.parse_args(arguments).names)
    print(f"| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}", flush=True)
    pinned = {pin.partition("==")[0]: pin for pin in pins(LOCK.read_text(encoding="utf-8"))}
    for name in (*pinned, *HISTORIES):
        if wanted and name not in wanted:
            continue
        with tempfile.TemporaryDirectory() as folder:
            base = Path(folder)
            if name in pinned:
                workspace = download(pinned[name], base / name)
                version = version_of(pinned[name])
            else:
                workspace = repository_of(name, base / "repositories")
                version = HISTORIES[name][0]
            summary, memory = audit(workspace, base / "runs", base / "home")
            print(row(f"{name} {version}", workspace, summary, memory), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
