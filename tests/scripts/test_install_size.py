"""The measure of an install counts packages and bytes, and fails over the bounds."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "install_size.py"


def install(site: Path, name: str, size: int) -> None:
    """Lay out an installed package of one file of `size` bytes, sparse on disk."""
    info = site / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "RECORD").write_text(f"{name}.bin,,\nnot-there,,\n")
    with (site / f"{name}.bin").open("wb") as file:
        file.truncate(size)


def measure(site: Path) -> tuple[int, str]:
    ran = subprocess.run(
        [sys.executable, str(SCRIPT), str(site)], capture_output=True, text=True, timeout=60
    )
    return ran.returncode, ran.stdout


def test_packages_and_bytes_are_counted_without_the_installer(tmp_path: Path) -> None:
    install(tmp_path, "one", 2_000_000)
    install(tmp_path, "two", 500_000)
    install(tmp_path, "pip", 9_000_000)
    code, said = measure(tmp_path)
    assert code == 0
    assert "base install: 2 packages (fewer than 62), 2.5 MB (under 160)" in said


def test_an_install_that_is_too_large_fails(tmp_path: Path) -> None:
    install(tmp_path, "one", 160_000_000)
    assert measure(tmp_path)[0] == 1


def test_an_install_of_too_many_packages_fails(tmp_path: Path) -> None:
    for number in range(62):
        install(tmp_path, f"p{number}", 1)
    assert measure(tmp_path)[0] == 1


def test_an_empty_folder_fails(tmp_path: Path) -> None:
    assert measure(tmp_path)[0] == 1
