"""A connection of another process is shut down, and only the one that was meant."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from visionflow.testing.chaos.wires import borrowed, can_cut, cut

DIALS = """
import socket, sys
ends = []
for path in sys.argv[1:]:
    end = socket.socket(socket.AF_UNIX)
    end.connect(path)
    ends.append(end)
print("dialled", flush=True)
print(ends[0].recv(1), flush=True)
print(ends[1].recv(1), flush=True)
"""
LIMIT_S = 60.0


@pytest.mark.skipif(not can_cut(), reason="this system does not lend descriptors")
def test_only_connections_to_the_socket_that_is_named_are_cut(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one, socket.socket(socket.AF_UNIX) as other:
        for listening, name in ((one, "one"), (other, "other")):
            listening.settimeout(LIMIT_S)
            listening.bind(str(tmp_path / name))
            listening.listen()
        dials = subprocess.Popen(
            [sys.executable, "-c", DIALS, str(tmp_path / "one"), str(tmp_path / "other")],
            stdout=subprocess.PIPE,
            text=True,
        )
        with dials:
            output = dials.stdout
            assert output is not None
            here, _ = one.accept()
            there, _ = other.accept()
            assert output.readline() == "dialled\n"
            assert cut(dials.pid, tmp_path / "one") == 1
            assert output.readline() == "b''\n"
            here.settimeout(LIMIT_S)
            assert here.recv(1) == b""
            there.sendall(b"x")
            assert output.readline() == "b'x'\n"
            here.close()
            there.close()
        assert dials.returncode == 0


def test_a_process_without_such_a_connection_is_left_alone(tmp_path: Path) -> None:
    assert cut(os.getpid(), tmp_path / "nowhere") == 0


def test_a_descriptor_that_is_no_socket_is_not_lent_as_one(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    with path.open() as file, pytest.raises(OSError):
        borrowed(os.getpid(), file.fileno())
