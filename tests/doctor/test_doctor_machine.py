"""Faults of the machine: each planted, found, and mended by the command that is named."""

import os
import resource
import shutil
import subprocess
import time
from collections import namedtuple
from pathlib import Path

import apsw
import psutil
import pytest

from tests.doctor.examining import carry_out, findings, git, place, told
from visionflow.compose.doctor import Level, machine
from visionflow.ports.sandbox import Confinement


@pytest.fixture
def own_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Git's settings of a user who has none."""
    (tmp_path / "user").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for name in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "XDG_CONFIG_HOME", "GIT_CONFIG_GLOBAL"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.acceptance("doctor")
@pytest.mark.usefixtures("own_git")
def test_without_an_identity_the_command_gives_git_one(tmp_path: Path) -> None:
    where = place(tmp_path)
    (found,) = findings(where, "git-identity")
    assert "user.name" in found.what and "user.email" in found.what
    carry_out(found, where)
    assert findings(where, "git-identity") == []


@pytest.mark.usefixtures("own_git")
def test_an_identity_of_the_workspace_alone_is_one(tmp_path: Path) -> None:
    where = place(tmp_path)
    git(where.workspace, "init", "-q", ".")
    git(where.workspace, "config", "user.name", "a")
    (found,) = findings(where, "git-identity")
    assert "user.name" not in found.what
    git(where.workspace, "config", "user.email", "a@example.org")
    assert findings(where, "git-identity") == []


@pytest.mark.acceptance("doctor")
@pytest.mark.usefixtures("own_git")
def test_a_repository_of_another_user_is_found_and_made_a_safe_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = place(tmp_path)
    git(where.workspace, "init", "-q", ".")
    assert findings(where, "git-ownership") == []
    monkeypatch.setattr(machine, "_own_uids", lambda: {os.geteuid() + 1})
    (found,) = findings(where, "git-ownership")
    assert "dubious ownership" in found.why
    carry_out(found, where)
    assert findings(where, "git-ownership") == []


def test_a_folder_without_git_has_no_owner_to_ask_for(tmp_path: Path) -> None:
    made, why = told(place(tmp_path), "git-ownership")
    assert not made
    assert "no git repository" in why


def test_without_git_the_command_installs_it_and_what_needs_git_is_not_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = place(tmp_path)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "apt-get").write_text("#!/bin/sh\n")
    (tmp_path / "bin" / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (found,) = findings(where, "git")
    assert found.level is Level.ERROR
    assert found.mend is not None and found.mend.endswith("apt-get install -y git")
    assert told(where, "git-identity") == (False, "there is no git")


def test_an_old_git_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_git_version", lambda: "git version 2.30.2")
    (found,) = findings(place(tmp_path), "git")
    assert found.level is Level.WARNING
    assert "2.38" in found.why
    monkeypatch.setattr(machine, "_git_version", lambda: "git version 2.38.0")
    assert findings(place(tmp_path), "git") == []


def test_a_sqlite_that_can_corrupt_a_log_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert findings(place(tmp_path), "python") == []
    monkeypatch.setattr(apsw, "sqlite_lib_version", lambda: "3.51.2")
    (found,) = findings(place(tmp_path), "python")
    assert found.level is Level.ERROR
    assert found.mend is not None and "apsw" in found.mend


def test_where_nothing_confines_that_is_told_with_the_reasons(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Bare:
        confinement = Confinement(None, None, None, None, ("No namespaces.", "No Landlock."))

    monkeypatch.setattr("visionflow.adapters.confine.OsSandbox", Bare)
    (found,) = findings(place(tmp_path), "confinement")
    assert "No namespaces. No Landlock." in found.what
    assert "--trust" in found.why


Room = namedtuple("Room", "f_bavail f_frsize f_files f_favail")


@pytest.mark.parametrize(
    ("room", "level", "words"),
    [
        (Room(10 * 1024, 4096, 1_000_000, 900_000), Level.ERROR, "40 MiB are free"),
        (Room(128 * 1024, 4096, 1_000_000, 900_000), Level.WARNING, "512 MiB are free"),
        (Room(1024**2, 4096, 1_000_000, 9_000), Level.WARNING, "9000 of 1000000 inodes"),
    ],
)
def test_a_disk_that_is_nearly_full_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: Room, level: Level, words: str
) -> None:
    where = place(tmp_path)
    monkeypatch.setattr(os, "statvfs", lambda _: room)
    found = findings(where, "disk")
    assert {each.level for each in found} == {level}
    assert all(words in each.what for each in found)
    assert len(found) == 3  # home, workspace, and where scratch goes


def test_a_disk_with_room_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = place(tmp_path)
    monkeypatch.setattr(os, "statvfs", lambda _: Room(1024**2, 4096, 1_000_000, 900_000))
    assert findings(where, "disk") == []


def test_little_memory_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = namedtuple("free", "available")
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free(100 * 1024**2))
    (found,) = findings(place(tmp_path), "memory")
    assert "100 MiB" in found.what
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free(4 * 1024**3))
    assert findings(place(tmp_path), "memory") == []


@pytest.mark.acceptance("doctor")
def test_a_low_limit_on_open_files_is_mended_by_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = place(tmp_path)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with monkeypatch.context() as low:
        low.setattr(resource, "getrlimit", lambda _: (256, hard))
        (found,) = findings(where, "open-files")
    assert found.mend is not None
    told_by_shell = subprocess.run(
        ["bash", "-c", f"ulimit -S -n 256; {found.mend} && ulimit -n"],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert int(told_by_shell.stdout) >= machine.FILES_MIN


def test_a_clock_that_went_back_behind_its_own_log_is_found(tmp_path: Path) -> None:
    where = place(tmp_path)
    log = where.home / "server" / "log.db"
    log.parent.mkdir()
    log.write_bytes(b"")
    assert findings(where, "clock") == []
    os.utime(log, (time.time() + 3600, time.time() + 3600))
    (found,) = findings(where, "clock")
    assert str(log) in found.what
    has_tool = shutil.which("timedatectl") is not None
    assert (found.mend is not None) == has_tool
