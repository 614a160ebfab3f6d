"""`scripts/tests`: a test that time alone let fail has a second try; any other fails."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "tests"


def staged(folder: Path, source: str) -> subprocess.CompletedProcess[str]:
    folder.joinpath("test_given.py").write_text(source)
    return subprocess.run(
        ["bash", SCRIPT, sys.executable, "-q", "-n", "2", "test_given.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_what_fails_once_is_named_and_passes(tmp_path: Path) -> None:
    source = (
        "from pathlib import Path\n"
        "def test_first():\n    pass\n"
        "def test_timed():\n"
        "    been = Path('been')\n"
        "    before = been.exists()\n"
        "    been.touch()\n"
        "    assert before\n"
    )
    ended = staged(tmp_path, source)
    assert ended.returncode == 0, ended.stdout
    assert "FAILED ONCE:\n  test_given.py::test_timed\n" in ended.stdout


def test_what_fails_again_fails_the_stage(tmp_path: Path) -> None:
    ended = staged(tmp_path, "def test_wrong():\n    assert 1 == 2\n")
    assert ended.returncode == 1
    assert ended.stdout.count("1 failed") == 2


def test_six_failures_are_no_matter_of_time(tmp_path: Path) -> None:
    ended = staged(tmp_path, "".join(f"def test_{n}():\n    assert 0\n" for n in range(6)))
    assert ended.returncode == 1
    assert ended.stdout.count("6 failed") == 1


def test_a_file_that_cannot_be_read_fails_the_stage(tmp_path: Path) -> None:
    assert staged(tmp_path, "import missing_entirely\n").returncode not in (0, 5)
