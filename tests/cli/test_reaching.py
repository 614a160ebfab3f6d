"""Which server a command means, also while that is being started."""

import os
import socket
import threading
import time
from pathlib import Path

import pytest

from visionflow.adapters.lock import acquire
from visionflow.cli import reaching
from visionflow.domain.errors import ServerUnreachable


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The server's folder of a home of its own."""
    monkeypatch.setenv("VISIONFLOW_HOME", str(tmp_path))
    folder = tmp_path / "server"
    folder.mkdir()
    return folder


def test_a_server_that_its_front_starts_is_waited_for_and_no_other_is_asked(place: Path) -> None:
    def listen() -> None:
        time.sleep(0.3)
        listening.bind(str(place / "mcp.sock"))
        listening.listen()

    with acquire(place / "front.lock"), socket.socket(socket.AF_UNIX) as listening:
        starting = threading.Thread(target=listen)
        starting.start()
        client = reaching.client_of(None)
        starting.join()
    assert client.address == str(place / "mcp.sock")


def test_one_that_does_not_come_up_is_named_with_its_front(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reaching, "STARTING_S_MAX", 0.2)
    with acquire(place / "front.lock"), pytest.raises(ServerUnreachable) as refused:
        reaching.client_of(None)
    assert f"is being started by process {os.getpid()}" in refused.value.message


def test_where_no_front_lives_the_port_is_asked(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MCP_TCP_PORT", raising=False)
    assert reaching.client_of(None).address.endswith(":9500")
