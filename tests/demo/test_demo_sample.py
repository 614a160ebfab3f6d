"""The sample project: two variants of one set of files, written the same each time."""

import subprocess
import sys
from pathlib import Path

import pytest

from visionflow.compose.demo.following import followed, line_map
from visionflow.compose.demo.manifest import SAMPLE, Manifest, placed, read_planted
from visionflow.compose.demo.sample import HOSTILE_NAME, expand, made_up_key, materialise, variant


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest]:
    folder = tmp_path_factory.mktemp("sample") / "project"
    return folder, materialise(folder)


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *words], check=True, capture_output=True, text=True, timeout=30
    )
    return done.stdout


def outcome_of(folder: Path) -> tuple[set[str], str]:
    """The tests that fail, and the last line that pytest prints."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
         "-p", "no:hypothesispytest", "--color=no"],
        cwd=folder, capture_output=True, text=True, timeout=60, check=False,
        env={"PYTHONPATH": str(folder / "src"), "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    lines = done.stdout.splitlines()
    failed = {line.split()[1] for line in lines if line.startswith("FAILED ")}
    return failed, lines[-1]


def test_each_variant_takes_its_own_lines_and_loses_the_marks() -> None:
    text = "a\n#[planted\nbad  #@one\n#[clean\ngood\n#[end\nboth  #@two\n"
    faulty, clean = expand(text, True), expand(text, False)
    assert (faulty.text, faulty.marks, faulty.planted_lines) == (
        "a\nbad\nboth\n", {"one": 2, "two": 3}, (2,),
    )  # fmt: skip
    assert (clean.text, clean.marks, clean.planted_lines) == ("a\ngood\nboth\n", {"two": 3}, ())


def test_writing_it_twice_gives_the_same_commit(
    tmp_path: Path, written: tuple[Path, Manifest]
) -> None:
    again = materialise(tmp_path / "again")
    assert again == written[1]
    assert git(tmp_path / "again", "rev-parse", "HEAD").strip() == again.commit


def test_its_history_has_several_authors_and_leaves_nothing_to_commit(
    written: tuple[Path, Manifest],
) -> None:
    folder, _ = written
    assert git(folder, "status", "--porcelain") == ""
    assert len(set(git(folder, "log", "--format=%an").split("\n"))) > 3
    touched = git(folder, "log", "--format=", "--name-only", "--", "src").split()
    assert max(touched, key=touched.count) == "src/ferryline/pricing.py"


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError):
        materialise(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_every_fault_has_its_place_and_every_mark_its_fault(
    written: tuple[Path, Manifest],
) -> None:
    folder, manifest = written
    for fault in manifest.faults:
        if fault.path is not None and fault.line is not None:
            lines = (folder / fault.path).read_text(encoding="utf-8").splitlines()
            assert lines[fault.line - 1].strip(), fault
    with pytest.raises(ValueError, match="does not describe: nobody"):
        placed(read_planted(), {"nobody": ("a.py", 1)}, True)
    with pytest.raises(ValueError, match="has no mark"):
        placed(read_planted(), {}, True)


def test_the_clean_twin_has_no_fault_and_its_tests_pass(tmp_path: Path) -> None:
    manifest = materialise(tmp_path / "clean", faulty=False)
    assert all(fault.planted.both for fault in manifest.faults)
    assert not manifest.planted_lines
    failed, told = outcome_of(tmp_path / "clean")
    assert not failed and " passed" in told, told


def test_the_tests_that_are_planted_to_fail_are_the_ones_that_fail(
    written: tuple[Path, Manifest],
) -> None:
    folder, manifest = written
    planted = {
        name
        for fault in manifest.faults
        for name in fault.planted.names
        if fault.planted.kind in ("flaky", "failing")
    }
    failed, _ = outcome_of(folder)
    assert failed == planted


def test_no_key_stands_in_the_package_and_each_does_in_the_sample(
    written: tuple[Path, Manifest],
) -> None:
    folder, manifest = written
    stored = "".join(path.read_text("utf-8") for path in SAMPLE.parent.rglob("*") if path.is_file()
                     and path.suffix != ".pyc")  # fmt: skip
    texts = "".join(variant().files.values())
    assert len(manifest.secrets) == 2
    for secret in manifest.secrets:
        assert secret not in stored
        assert secret in texts
    assert made_up_key("harbour") in (folder / "deploy" / "harbour.env").read_text()
    assert "BEGIN RSA" + " PRIVATE KEY" not in stored


def test_the_hostile_name_is_a_file_that_git_knows(written: tuple[Path, Manifest]) -> None:
    folder, _ = written
    assert (folder / HOSTILE_NAME).is_file()
    assert HOSTILE_NAME in git(folder, "ls-files", "-z").split("\0")


def test_a_fault_is_followed_through_lines_that_come_and_go() -> None:
    before = "import os\nimport json\n\na = eval(b)\nc = 1\n"
    after = "import json\n\nx = 0\na = eval(b)\nc = 2\n"
    assert line_map(before, after) == {2: 1, 3: 2, 4: 4, 5: 5}


def test_a_fault_whose_line_is_gone_has_no_line(written: tuple[Path, Manifest]) -> None:
    _, manifest = written
    texts = variant().files
    path = "src/ferryline/notices.py"
    changed = texts[path].replace("import json\n", "")
    assert changed != texts[path]
    moved = {f.planted.id: f for f in followed(manifest, texts, {**texts, path: changed}).faults}
    was = {fault.planted.id: fault for fault in manifest.faults}
    assert moved["unused-import"].line is None
    assert moved["f-string"].line == (was["f-string"].line or 0) - 1
    assert moved["eval"] == was["eval"]
