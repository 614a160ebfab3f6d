"""Unpacking a stranger's archive puts one folder where we say, and nothing elsewhere."""

import io
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "unpack.py"


def archive(folder: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    target = folder / "sdist.tar.gz"
    with tarfile.open(target, "w:gz") as tar:
        for info, content in members:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return target


def file(name: str) -> tuple[tarfile.TarInfo, bytes]:
    return tarfile.TarInfo(name), b"text"


def link(name: str, to: str) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.SYMTYPE, to
    return info, b""


def unpack(sdist: Path, into: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), str(sdist), str(into)],
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_top_folder_takes_the_name_we_give(tmp_path: Path) -> None:
    ran = unpack(archive(tmp_path, file("p-1.0/a.py")), tmp_path / "deep" / "package")
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "deep" / "package" / "a.py").read_bytes() == b"text"
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["package"]


@pytest.mark.parametrize("member", [file("../planted"), link("p-1.0/l", "../../../planted")])
def test_a_member_that_leads_outside_is_refused(
    tmp_path: Path, member: tuple[tarfile.TarInfo, bytes]
) -> None:
    ran = unpack(archive(tmp_path, file("p-1.0/a.py"), member), tmp_path / "package")
    assert "Outside" in ran.stderr
    assert ran.returncode != 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["sdist.tar.gz"]


def test_an_archive_of_several_folders_is_refused(tmp_path: Path) -> None:
    ran = unpack(archive(tmp_path, file("a/x"), file("b/x")), tmp_path / "package")
    assert "should hold one folder and holds a, b" in ran.stderr
    assert ran.returncode != 0


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    ran = unpack(archive(tmp_path, file("p-1.0/a.py")), tmp_path / "package")
    assert "exists already" in ran.stderr
    assert list((tmp_path / "package").iterdir()) == []
