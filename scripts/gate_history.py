"""Gates each release of packages against the one before, and prints the rows of docs/gate.md.

Run as `python -m scripts.gate_history`. The releases of requirements/history.lock are downloaded
with pip, by hash, and committed one after the other into a git repository; no package index gives
real history. pip builds each one's metadata to learn its name, which executes its build script
outside of VisionFlow's confinement, as any installation does. Ends with 1 when a gate ended with
anything but 0 or 1, or printed no answer.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from scripts.releases import begin, by_package, commit, download, version_of

LOCK = Path(__file__).parent.parent / "requirements" / "history.lock"
GATE_S_MAX = 900
HEAD = "| change | files | lines | new findings | tests | changed lines that ran | exit | seconds |"


class Gated(NamedTuple):
    """One gate: what it said, how it ended, how long it took."""

    change: str
    answer: dict[str, Any] | None
    code: int
    complaint: str
    seconds: float

    @property
    def sound(self) -> bool:
        """Whether it ended as a gate ends, with an answer."""
        return self.code in (0, 1) and self.answer is not None


def gate(repository: Path, home: Path, change: str, words: list[str]) -> Gated:
    """The gate as a user starts it, on what the last commit brought."""
    env = {**os.environ, "VISIONFLOW_HOME": str(home)}
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "visionflow.cli", "gate", "--base", "HEAD~1", "--format", "json",
         "--workspace", str(repository), *words],
        env=env, capture_output=True, text=True, timeout=GATE_S_MAX, check=False,
    )  # fmt: skip
    seconds = time.monotonic() - began
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        answer = None
    return Gated(change, answer, done.returncode, done.stderr.strip(), seconds)


def row(gated: Gated) -> str:
    """One row of the table."""
    answer = gated.answer
    if answer is None:
        return f"| {gated.change} | no answer: {gated.complaint[-200:]} |||||| {gated.code} |"
    counts: dict[str, int] = {}
    for each in answer["findings"]["new"]:
        counts[each["severity"]] = counts.get(each["severity"], 0) + 1
    severities = ("critical", "high", "medium", "low")
    found = ", ".join(f"{counts[name]} {name}" for name in severities if name in counts)
    tests, covered = answer["tests"], answer["coverage"]
    told = answer["tests_reason"]
    if tests is not None:
        told = f"{tests['run']} run"
        for what in ("broken", "flaky", "known"):
            told += f", {len(tests[what])} {what}" if tests[what] else ""
    percent = covered["percent"] if covered else None
    ran = "unknown" if percent is None else f"{percent:.0f} %"
    lines = sum(each["lines"] for each in answer["files"])
    cells = (
        gated.change, len(answer["files"]), lines, found or "none", told, ran, gated.code,
        f"{gated.seconds:.1f}",
    )  # fmt: skip
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def history(name: str, releases: list[str], work: Path, words: list[str]) -> Iterator[Gated]:
    """Every change from one release to the next, gated in turn."""
    repository = work / name
    begin(repository)
    before = ""
    for pin in releases:
        release = version_of(pin)
        commit(repository, download(pin, work / "downloads" / f"{name}-{release}"), release)
        if before:
            yield gate(repository, work / "home", f"{name} {before} to {release}", words)
        before = release


def main(arguments: list[str]) -> int:
    """Gate them all. Returns 1 when one did not end as a gate ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("packages", nargs="*", help="only these; all when none is named")
    parser.add_argument("--tests", default="affected", choices=("affected", "all", "none"))
    given = parser.parse_args(arguments)
    words = ["--tests", given.tests]
    print(f"{HEAD}\n|{'---|' * 8}", flush=True)
    gated: list[Gated] = []
    with tempfile.TemporaryDirectory() as folder:
        for name, releases in by_package(LOCK.read_text(encoding="utf-8")).items():
            if name in (given.packages or [name]):
                for each in history(name, releases, Path(folder), words):
                    print(row(each), flush=True)
                    gated.append(each)
    failed = [each for each in gated if not each.sound]
    times = sorted(each.seconds for each in gated)
    if times:
        print(
            f"\n{len(times)} gates, {len(failed)} without an answer; seconds: "
            f"{times[0]:.1f} least, {times[len(times) // 2]:.1f} median, {times[-1]:.1f} most."
        )
    for each in failed:
        print(f"{each.change}: ended with {each.code}: {each.complaint}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
