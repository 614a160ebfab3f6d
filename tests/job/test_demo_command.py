"""`visionflow demo`, once and whole: what it says is what is there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from tests.cli.command_line import visionflow
from visionflow.compose.applying import facts_in
from visionflow.compose.demo.evaluating import leaks
from visionflow.compose.demo.sample import materialise, texts_of, variant
from visionflow.compose.demo.showing import pages_of
from visionflow.compose.job import RunFolder

WAIT_S = 300
Shown = tuple[Path, "subprocess.CompletedProcess[str]"]
SUM = re.compile(
    r"planted (\d+), found (\d+), fixed and verified gone (\d+), left for a person (\d+)"
)


@pytest.fixture(scope="module")
def shown(
    tmp_path_factory: pytest.TempPathFactory,
) -> Shown:
    folder = tmp_path_factory.mktemp("demo") / "kept"
    words = [sys.executable, "-P", "-m", "visionflow.cli", "demo", "--keep", str(folder)]
    ran = subprocess.run(
        words, capture_output=True, text=True, timeout=WAIT_S, stdin=subprocess.DEVNULL
    )
    return folder, ran


def run_in(folder: Path) -> RunFolder:
    (path,) = (each for each in (folder / "runs").iterdir() if each.is_dir())
    return RunFolder(path)


@pytest.mark.acceptance("main-job")
def test_everything_planted_is_found_and_what_can_be_mended_is_gone(
    shown: Shown,
) -> None:
    _, ran = shown
    assert ran.returncode == 0, ran.stdout + ran.stderr
    told = SUM.search(ran.stdout)
    assert told is not None, ran.stdout
    planted, found, gone, left = map(int, told.groups())
    fixable = sum(line.startswith("  gone  ") for line in ran.stdout.splitlines())
    assert planted == found > 50
    assert gone == fixable >= 6
    assert gone + left == found
    assert "Failed: tests, findings, secrets." in ran.stdout
    assert "as expected" in ran.stdout


def test_no_output_shows_a_secret_or_steers_a_terminal(shown: Shown, tmp_path: Path) -> None:
    folder, ran = shown
    manifest = materialise(tmp_path / "sample")
    pages = dict(pages_of(run_in(folder).path))
    assert {"report.md", "report.html", "findings.sarif", "summary.json"} <= set(pages)
    renderer = MarkdownIt("commonmark", {"html": True}).enable("table")
    pages["rendered.html"] = renderer.render(pages["report.md"])
    pages["terminal"] = ran.stdout + ran.stderr
    assert leaks(pages, manifest) == ()


def test_the_project_is_patched_where_it_says_and_nowhere_else(
    shown: Shown,
) -> None:
    folder, _ = shown
    before = texts_of(variant())
    project = folder / "ferryline"
    changed = {n for n, text in before.items() if (project / n).read_text("utf-8") != text}
    change = facts_in(run_in(folder)).change
    assert change is not None
    assert changed == set(change.files)
    assert sorted(each.name for each in folder.iterdir()) == ["ferryline", "runs"]


def test_a_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    ran = visionflow("demo", "--keep", tmp_path, "--json")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "is not empty" in ran.stderr
    assert [each.name for each in tmp_path.iterdir()] == ["mine.txt"]
