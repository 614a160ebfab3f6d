"""Trying a mutant: a copy of the package, one replacement, and the named check run against it.

The checks run in a process of their own with the copy first on its path, so the sources stay as
they are and several trials can run at once.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from enum import StrEnum
from importlib.util import cache_from_source
from pathlib import Path
from typing import NamedTuple

from visionflow.testing.mutants.mutant import Mutant

PACKAGE = Path(__file__).resolve().parents[2]
CHECK_SECONDS_MAX = 60.0
PASSED, FAILED = 0, 1
"""What pytest's exit status says; any other is neither."""


class Verdict(StrEnum):
    """What became of a mutant."""

    CAUGHT = "caught"
    SURVIVED = "survived"
    """Its check passed: it would not notice this fault."""
    BROKEN = "broken"
    """The trial says nothing: the text is not there once, or the check could not be run."""


class Trial(NamedTuple):
    """A verdict and what was said."""

    mutant: Mutant
    verdict: Verdict
    said: str


def try_mutant(mutant: Mutant, repository: Path) -> Trial:
    """Plant one fault and run its check."""
    source = PACKAGE / mutant.file
    text = source.read_text(encoding="utf-8") if source.is_file() else ""
    count = text.count(mutant.before)
    if count != 1:
        return Trial(
            mutant, Verdict.BROKEN, f"{mutant.file} holds the text {count} times, not once"
        )
    with package_copy() as path:
        target = path / PACKAGE.name / mutant.file
        target.write_text(text.replace(mutant.before, mutant.after), encoding="utf-8")
        # Compiled files come along for speed; this one is of the text without the fault.
        Path(cache_from_source(str(target))).unlink(missing_ok=True)
        try:
            ran = run_checks((mutant.check,), path, repository)
        except subprocess.TimeoutExpired:
            return Trial(mutant, Verdict.CAUGHT, f"no end within {CHECK_SECONDS_MAX:.0f} s")
    verdicts = {PASSED: Verdict.SURVIVED, FAILED: Verdict.CAUGHT}
    return Trial(mutant, verdicts.get(ran.returncode, Verdict.BROKEN), ran.stdout + ran.stderr)


def try_unchanged(checks: Iterable[str], repository: Path) -> str | None:
    """Run the checks against a copy without a fault; what was said if any of them fails."""
    with package_copy() as path:
        ran = run_checks(tuple(dict.fromkeys(checks)), path, repository)
    return None if ran.returncode == PASSED else ran.stdout + ran.stderr


@contextmanager
def package_copy() -> Generator[Path]:
    """A folder to put first on the path, with a copy of the package in it."""
    with tempfile.TemporaryDirectory(prefix="visionflow-mutant-") as folder:
        shutil.copytree(PACKAGE, Path(folder) / PACKAGE.name, ignore=_half_written)
        yield Path(folder)


def _half_written(_folder: str, names: list[str]) -> list[str]:
    """Files that others are just writing and may be gone by the time they would be copied."""
    return [name for name in names if "." in name and not name.endswith((".py", ".pyc", ".yaml"))]


def run_checks(
    checks: tuple[str, ...], path: Path, repository: Path
) -> subprocess.CompletedProcess[str]:
    """Run these tests against the package in `path`."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *checks]
    environment = {
        **os.environ,
        "PYTHONPATH": str(path),
        # The same examples each time: a verdict must not depend on luck.
        "CI": "1",
        # Plugins that happen to be installed cost half a second a trial.
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    for name in ("PYTEST_ADDOPTS", "VISIONFLOW_CLAIMS"):
        environment.pop(name, None)
    return subprocess.run(
        command,
        cwd=repository,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        # One check has its time; all of them together, on a machine that is busy, a share each.
        timeout=CHECK_SECONDS_MAX + 5.0 * (len(checks) - 1),
    )
