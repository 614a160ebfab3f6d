"""Releases of packages: what a lock pins, each downloaded by hash, and git histories made of them.

pip builds each package's metadata to learn its name, which executes its build script outside of
VisionFlow's confinement, as any installation does. No package index gives a real history.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

DOWNLOAD_S_MAX = 600


def pins(lock: str) -> list[str]:
    """The requirements in a lock, each with its hash."""
    return [line for line in lock.splitlines() if line and not line.startswith("#")]


def by_package(lock: str) -> dict[str, list[str]]:
    """Pins by package, in the order of the lock: that of the releases."""
    found: dict[str, list[str]] = {}
    for pin in pins(lock):
        found.setdefault(pin.partition("==")[0], []).append(pin)
    return found


def version_of(pin: str) -> str:
    """The version that a pin names."""
    return pin.split(" ", 1)[0].partition("==")[2]


def download(pin: str, into: Path) -> Path:
    """The unpacked source distribution of one pin; pip refuses another hash."""
    into.mkdir(parents=True)
    lock = into / "one.lock"
    lock.write_text(pin + "\n")
    subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet",
         "--no-deps", "--no-binary", pin.partition("==")[0], "--require-hashes", "-r", str(lock),
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


def git(repository: Path, *words: str) -> None:
    """Git with nothing of this machine's settings, and no time of its own."""
    env = {
        "PATH": os.environ["PATH"], "HOME": os.devnull, "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_DATE": "1700000000 +0000", "GIT_COMMITTER_DATE": "1700000000 +0000",
    }  # fmt: skip
    name = ("-c", "user.name=releases", "-c", "user.email=releases@example.org")
    subprocess.run(["git", *name, *words], cwd=repository, env=env, check=True, timeout=120)


def begin(repository: Path) -> None:
    """An empty repository."""
    repository.mkdir(parents=True)
    git(repository, "init", "-q", "-b", "main", ".")


def commit(repository: Path, package: Path, release: str) -> None:
    """Make the working tree that of the release, and commit it."""
    for each in sorted(repository.iterdir()):
        if each.name == ".git":
            continue
        shutil.rmtree(each) if each.is_dir() and not each.is_symlink() else each.unlink()
    shutil.copytree(package, repository, symlinks=True, dirs_exist_ok=True)
    git(repository, "add", "-A", "-f")
    git(repository, "commit", "-q", "--allow-empty", "-m", release)
