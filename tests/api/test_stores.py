"""Folders: what is wrong with one is said by name, and nothing is left open or lying about."""

import os
import tempfile
from pathlib import Path

import apsw
import msgspec
import pytest

from tests.api.agents import Doubler, Gated, wait_for_line
from visionflow import AgentOrchestrator, Limits, Task
from visionflow.adapters.sqlite.log import SqliteLog
from visionflow.domain.errors import BlobMissing, LogCorrupt, UsageError

WAIT_S = 60.0


def used(folder: Path) -> str:
    """A folder in which a task with a large result completed; its id."""
    with AgentOrchestrator(folder) as fleet:
        fleet.spawn(Doubler)
        handle = fleet.submit(Task(input="x" * 50_000))
        assert len(handle.result(WAIT_S)) == 100_000
        return handle.id


@pytest.fixture
def sockets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the sockets of this test are, and nothing else."""
    folder = tmp_path / "s"
    folder.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_a_log_of_a_newer_version_is_refused_by_name_and_leaves_no_socket(
    tmp_path: Path, sockets: Path
) -> None:
    import asyncio

    used(tmp_path / "store")

    async def append() -> None:
        log = SqliteLog.open(tmp_path / "store" / "log.db")
        body = msgspec.msgpack.encode((1, [{"t": "from_the_future"}]))
        await log.append("swarm", log.head("swarm").seq, body)
        log.close()

    asyncio.run(append())
    with pytest.raises(LogCorrupt, match="newer version"):
        AgentOrchestrator(tmp_path / "store").open()
    assert list(sockets.iterdir()) == []


@pytest.mark.parametrize(
    "change",
    [
        "update records set body = cast(substr(body, 1, 20) || X'00' as blob) where seq = 3",
        "delete from records where seq = 3",
    ],
)
def test_a_changed_log_is_refused_and_the_record_named(
    tmp_path: Path, sockets: Path, change: str
) -> None:
    used(tmp_path / "store")
    with apsw.Connection(str(tmp_path / "store" / "log.db")) as connection:
        connection.execute(change)
    connection.close()
    with pytest.raises(LogCorrupt, match="record 3"):
        AgentOrchestrator(tmp_path / "store").open()
    assert list(sockets.iterdir()) == []


def test_lists_are_made_anew_when_their_file_is_damaged_or_gone(tmp_path: Path) -> None:
    task = used(tmp_path)
    for damaged in (True, False):
        if damaged:
            (tmp_path / "views.db").write_text("damaged")
        else:
            (tmp_path / "views.db").unlink()
        with AgentOrchestrator(tmp_path) as fleet:
            assert fleet.queries.task(task).status == "completed"


def test_a_result_whose_blob_is_gone_says_so(tmp_path: Path) -> None:
    task = used(tmp_path)
    for path in (tmp_path / "blobs").glob("*/*"):
        if path.is_file():
            path.unlink()
    with AgentOrchestrator(tmp_path) as fleet, pytest.raises(BlobMissing):
        fleet.handle(task).result(WAIT_S)


def test_a_store_keeps_its_heartbeat_whoever_opens_it(tmp_path: Path) -> None:
    beat_ms = 100
    with AgentOrchestrator(tmp_path / "store", limits=Limits(heartbeat_ms=beat_ms)) as fleet:
        fleet.spawn(Gated)
    with AgentOrchestrator(tmp_path / "store") as fleet:
        handle = fleet.submit(Task(input=str(tmp_path)))
        pid = wait_for_line(tmp_path / "pids", 1)
        for _ in range(20):
            assert not handle.wait(beat_ms / 1000)
        os.kill(pid, 0)
        (tmp_path / "open").touch()
        assert handle.result(WAIT_S) == 1


@pytest.mark.parametrize("name", ["a b", "ü日本", "l" * 200, "quo'te\"$x"])
def test_any_name_will_do_for_a_folder(tmp_path: Path, name: str) -> None:
    task = used(tmp_path / name / name)
    with AgentOrchestrator(str(tmp_path / name / name)) as fleet:
        assert fleet.queries.task(task).status == "completed"


def test_an_empty_name_is_none() -> None:
    with pytest.raises(UsageError, match="empty"):
        AgentOrchestrator("")
