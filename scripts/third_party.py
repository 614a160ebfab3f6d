"""Tries the first job on the source distributions of requirements/third-party.lock.

Downloads each with pip, by hash, into a temporary folder, runs the job on it, and prints the rows
of docs/third-party.md that figures can fill; what they mean is written there by hand. pip builds
each package's metadata to learn its name, which executes its build script outside of VisionFlow's
confinement, as any installation does.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

LOCK = Path(__file__).parent.parent / "requirements" / "third-party.lock"
GOAL = "Test and review this repository"
DOWNLOAD_S_MAX = 600
JOB_S_MAX = 1_800
HEAD = (
    "| package | files | tests | coverage | gates: tests, syntax, findings | findings | seconds |"
)


def pins(lock: str) -> list[str]:
    """The requirements in a lock, each with its hash."""
    return [line for line in lock.splitlines() if line and not line.startswith("#")]


def download(pin: str, into: Path) -> Path:
    """The unpacked source distribution of one pin; pip refuses another hash."""
    into.mkdir(parents=True)
    lock = into / "one.lock"
    lock.write_text(pin + "\n")
    subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet",
         "--no-deps", "--no-binary", ":all:", "--require-hashes", "-r", str(lock),
         "--dest", str(into / "sdist")],
        check=True, timeout=DOWNLOAD_S_MAX,
    )  # fmt: skip
    (archive,) = (into / "sdist").iterdir()
    if archive.suffix == ".zip":
        shutil.unpack_archive(archive, into / "package")
    else:
        shutil.unpack_archive(archive, into / "package", filter="data")
    (folder,) = (into / "package").iterdir()
    return folder


def job(workspace: Path, out: Path) -> dict[str, Any]:
    """What `visionflow run --json` prints for a folder."""
    done = subprocess.run(
        [sys.executable, "-m", "visionflow.cli", "run", GOAL, "--workspace", str(workspace),
         "--out", str(out), "--json", "--no-progress"],
        stdout=subprocess.PIPE, text=True, timeout=JOB_S_MAX, check=False,
    )  # fmt: skip
    return json.loads(done.stdout)


def row(pin: str, workspace: Path, summary: dict[str, Any]) -> str:
    """One row of the table, from the summary and the report."""
    report = Path(summary["out"], "report.md").read_text()
    files = sum(path.is_file() for path in workspace.rglob("*"))
    told = [
        found[1] if (found := re.search(pattern, report, re.MULTILINE)) else "unknown"
        for pattern in (r"^(\w[\w ]*: \d+ passed.*), in [\d.]+ s\.$", r"^Coverage: ([\d.]+ %)")
    ]
    words = {True: "passed", False: "failed", None: "null"}
    gates = ", ".join(words[value] for value in summary["gates"].values())
    counts: dict[str, int] = summary["findings"] or {}
    found = ", ".join(f"{number} {severity}" for severity, number in counts.items() if number)
    name = pin.split(" ", 1)[0].replace("==", " ")
    seconds = f"{summary['seconds']:.0f}"
    return f"| {' | '.join([name, str(files), *told, gates, found or 'none', seconds])} |"


def main(arguments: list[str]) -> int:
    """Print the table for all pins, or for those that are named."""
    parser = argparse.ArgumentParser(description="Run the first job on third-party packages.")
    parser.add_argument("names", nargs="*", help="only these packages, such as toml")
    wanted = set(parser.parse_args(arguments).names)
    print(HEAD, "|---" * 7 + "|", sep="\n", flush=True)
    for pin in pins(LOCK.read_text()):
        name = pin.split("==", 1)[0]
        if wanted and name not in wanted:
            continue
        with tempfile.TemporaryDirectory() as folder:
            workspace = download(pin, Path(folder, name))
            print(row(pin, workspace, job(workspace, Path(folder, "runs"))), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
