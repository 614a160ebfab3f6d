"""The ready-made effects: each does its thing once, and can be looked for or repeated."""

import asyncio
import hashlib
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from visionflow.agents.effects import (
    NOT_DONE,
    UNKNOWN,
    Done,
    HttpCall,
    NotDone,
    UpdateRef,
    WriteFile,
    file_hash,
    git_ref,
    header_key,
)
from visionflow.domain.errors import UsageError, VisionFlowError

pytestmark = pytest.mark.acceptance("effects")


# Files -----------------------------------------------------------------------------------------


def test_a_file_is_written_whole_and_found_by_its_hash(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    write = WriteFile(path, "grüße")
    digest = hashlib.sha256("grüße".encode()).hexdigest()
    assert write.probe("k") is NOT_DONE
    (tmp_path / f".{hashlib.sha256(b'k').hexdigest()[:16]}.part").write_bytes(b"half of it")
    assert write.carry_out("k") == digest
    assert path.read_text() == "grüße"
    assert write.probe("k") == Done(digest)
    assert [each.name for each in tmp_path.iterdir()] == ["out.txt"], "nothing half is left"
    path.write_text("somebody else's")
    assert write.probe("k") is NOT_DONE
    assert "7 bytes" in write.about and str(path) in write.about
    assert write.identity() != WriteFile(path, "hello").identity()


def test_a_file_that_cannot_be_read_is_no_answer(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        file_hash(tmp_path, "0" * 64)("k")
    with pytest.raises(UsageError):
        file_hash(tmp_path / "x", "abc")


# Git -------------------------------------------------------------------------------------------


class Repository:
    """Three commits in a row, one beside them, and main at the first."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        self.git("init", "-q", ".")
        tree = self.git("mktree")
        self.first = self.commit(tree, "one")
        self.second = self.commit(tree, "two", self.first)
        self.third = self.commit(tree, "three", self.second)
        self.beside = self.commit(tree, "beside", self.first)
        self.move(self.first)

    def git(self, *words: str) -> str:
        who = ("-c", "user.name=n", "-c", "user.email=e@e")
        ran = subprocess.run(["git", *who, *words], cwd=self.path, check=True, capture_output=True)
        return ran.stdout.decode().strip()

    def commit(self, tree: str, text: str, *parents: str) -> str:
        known = [word for parent in parents for word in ("-p", parent)]
        return self.git("commit-tree", tree, "-m", text, *known)

    def move(self, commit: str) -> None:
        self.git("update-ref", "refs/heads/main", commit)

    @property
    def main(self) -> str:
        return self.git("rev-parse", "refs/heads/main")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repository")


def test_a_ref_is_moved_once_from_where_it_was(repository: Repository) -> None:
    move = UpdateRef(repository.path, "refs/heads/main", repository.second, repository.first)
    assert asyncio.run(move.probe("k")) is NOT_DONE
    assert asyncio.run(move.carry_out("k")) == repository.second
    assert asyncio.run(move.probe("k")) == Done(repository.second)
    assert asyncio.run(move.carry_out("k")) == repository.second, "it is there already"
    repository.move(repository.third)
    assert asyncio.run(move.probe("k")) == Done(repository.second), "others built on it"
    with pytest.raises(NotDone, match="not at"):
        asyncio.run(move.carry_out("k"))
    assert repository.main == repository.third, "it takes nothing back"
    repository.move(repository.beside)
    assert asyncio.run(move.probe("k")) is UNKNOWN


def test_a_new_ref_is_made_only_where_there_is_none(repository: Repository) -> None:
    make = UpdateRef(repository.path, "refs/heads/release", repository.first)
    assert asyncio.run(make.probe("k")) is NOT_DONE
    asyncio.run(make.carry_out("k"))
    other = UpdateRef(repository.path, "refs/heads/release", repository.second)
    with pytest.raises(NotDone):
        asyncio.run(other.carry_out("k"))
    probe = git_ref(repository.path, "refs/heads/release", repository.beside)
    assert asyncio.run(_looked(probe)) is UNKNOWN
    with pytest.raises(UsageError):
        UpdateRef(repository.path, "main", repository.first)


async def _looked(probe: Any) -> Any:
    return await probe("k")


def test_no_hook_of_the_repository_runs(repository: Repository, tmp_path: Path) -> None:
    hook = repository.path / ".git" / "hooks" / "reference-transaction"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    hook.chmod(0o755)
    move = UpdateRef(repository.path, "refs/heads/main", repository.second, repository.first)
    asyncio.run(move.carry_out("k"))
    assert not (tmp_path / "ran").exists()


# HTTP ------------------------------------------------------------------------------------------


class Shop:
    """Answers as it is told to, and keeps what it heard."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.heard: list[tuple[str, str, str | None, bytes]] = []
        shop = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"] or 0))
                key = self.headers["Idempotency-Key"]
                shop.heard.append((self.command, self.path, key, body))
                status = shop.answers.pop(0)
                if not status:
                    self.connection.close()
                    return
                self.send_response(status)
                self.send_header("Content-Type", "text/plain")
                self.send_header("Content-Length", "4")
                self.end_headers()
                self.wfile.write(b"done")

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    made = Shop()
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


def test_a_call_carries_its_key_and_gives_the_answer(shop: Shop) -> None:
    call = HttpCall("post", f"{shop.url}/orders?q=1", "body", headers={"X-A": "b"})
    shop.answers = [201]
    found = call.carry_out("task_1/order#1:abc")
    assert found == {"status": 201, "content_type": "text/plain", "body": b"done"}
    assert shop.heard[-1] == ("POST", "/orders?q=1", "task_1/order#1:abc", b"body")
    assert call.about == f"POST {shop.url}/orders", "what may be secret is not told"


@pytest.mark.parametrize(
    ("status", "kind"), [(400, NotDone), (404, NotDone), (429, NotDone), (409, None), (503, None)]
)
def test_a_refusal_is_certain_and_a_fault_is_not(
    shop: Shop, status: int, kind: type[NotDone] | None
) -> None:
    shop.answers = [status]
    with pytest.raises(VisionFlowError, match=str(status)) as raised:
        HttpCall("POST", f"{shop.url}/orders").carry_out("k")
    assert isinstance(raised.value, NotDone) == (kind is NotDone)


def test_one_that_breaks_off_is_not_known_and_one_that_nobody_took_did_not_happen(
    shop: Shop,
) -> None:
    shop.answers = [0]
    with pytest.raises(VisionFlowError, match="broke off") as raised:
        HttpCall("POST", f"{shop.url}/orders").carry_out("k")
    assert not isinstance(raised.value, NotDone)
    with pytest.raises(NotDone, match="nobody answers"):
        HttpCall("POST", "http://127.0.0.1:1/orders").carry_out("k")
    with pytest.raises(UsageError):
        HttpCall("POST", "ftp://127.0.0.1/orders")


def test_a_key_that_no_header_can_carry_goes_by_its_hash() -> None:
    assert header_key("task_1/order#1:abc") == "task_1/order#1:abc"
    for key in ("two words", "grüße", 'a"b', "x" * 256, "a\nb"):
        assert header_key(key) == hashlib.sha256(key.encode()).hexdigest()
