"""One living process owns a log, and the others learn which."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from visionflow.adapters.lock import acquire, owner
from visionflow.adapters.os_processes import identity
from visionflow.domain.errors import LogUnavailable, StoreInUse

OWN = """
import sys, time
from visionflow.adapters.lock import acquire
lock = acquire(sys.argv[1])
print("mine", flush=True)
time.sleep(600)
"""


def test_a_second_process_is_told_who_owns_it_and_follows_when_that_one_is_killed(
    tmp_path: Path,
) -> None:
    path = tmp_path / "new" / "owner.lock"
    with subprocess.Popen(
        [sys.executable, "-c", OWN, str(path)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "mine\n"
        assert owner(path) == identity(holder.pid)
        with pytest.raises(StoreInUse, match=rf"process {holder.pid}\b"):
            acquire(path)
        os.kill(holder.pid, signal.SIGKILL)
    assert owner(path) is None
    assert str(holder.pid) in path.read_text()
    with acquire(path):
        assert owner(path) == identity(os.getpid())
        assert str(holder.pid) not in path.read_text().split(",")[0]
    assert owner(path) is None


def test_within_one_process_it_is_taken_once(tmp_path: Path) -> None:
    path = tmp_path / "owner.lock"
    lock = acquire(path)
    with pytest.raises(StoreInUse, match=str(os.getpid())):
        acquire(path)
    lock.release()
    lock.release()
    acquire(path).release()


def test_children_do_not_inherit_it(tmp_path: Path) -> None:
    path = tmp_path / "owner.lock"
    lock = acquire(path)
    command = [sys.executable, "-c", "print(flush=True); import time; time.sleep(600)"]
    with subprocess.Popen(command, close_fds=False, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        lock.release()
        acquire(path).release()
        child.kill()


@pytest.mark.parametrize(
    "left", [b"", b"\0\0\0", b'[1,"0-1"]', b"[]", b"garbage", b'[999999999,"x"]']
)
def test_whatever_a_dead_owner_left_is_replaced(left: bytes, tmp_path: Path) -> None:
    path = tmp_path / "owner.lock"
    path.write_bytes(left)
    assert owner(path) is None
    with acquire(path):
        assert owner(path) == identity(os.getpid())


def test_an_owner_that_cannot_be_named_is_still_an_owner(tmp_path: Path) -> None:
    path = tmp_path / "owner.lock"
    with acquire(path):
        path.write_bytes(b"")
        with pytest.raises(StoreInUse, match="another process"):
            acquire(path)


def test_a_folder_in_its_place_is_an_error_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(LogUnavailable, match=tmp_path.name):
        acquire(tmp_path)
    assert owner(tmp_path / "missing") is None
