"""Killed between doing and recording: each outside effect is there once, or in doubt and named."""

import json
import signal
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.kills.killed_effects import KINDS, prepare

pytestmark = pytest.mark.acceptance("effects")
PROGRAM = Path(__file__).with_name("killed_effects.py")
LIFE_S = 150


class Shop:
    """A server that does nothing twice under one key, and counts what it is asked."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.lock = threading.Lock()
        shop = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                with shop.lock:
                    shop.asked[self.headers["Idempotency-Key"]] += 1
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(201)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def shop() -> Iterator[Shop]:
    made = Shop()
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


def live(folder: Path, url: str, *kinds: str) -> dict[str, Any] | None:
    """One life of the program: what it printed, `None` when it was killed."""
    ran = subprocess.run(
        [sys.executable, str(PROGRAM), str(folder), url, *kinds],
        capture_output=True,
        timeout=LIFE_S,
        check=False,
    )
    if ran.returncode == -signal.SIGKILL:
        return None
    assert ran.returncode == 0, ran.stderr.decode()[-4_000:]
    return json.loads(ran.stdout)


@pytest.mark.parametrize("victim", ["worker", "orchestrator"])
def test_a_kill_right_after_an_effect_leaves_it_done_once_or_in_doubt_by_name(
    tmp_path: Path, shop: Shop, victim: str
) -> None:
    folder = tmp_path / "world"
    prepare(folder, victim)
    found, lives = live(folder, shop.url), 1
    while found is None:
        found, lives = live(folder, shop.url), lives + 1
        assert lives <= len(KINDS) + 1
    assert lives == (1 if victim == "worker" else len(KINDS) + 1)
    assert all((folder / f"struck-{kind}").exists() for kind in KINDS)

    # The world: everything happened exactly once.
    bank = sqlite3.connect(folder / "bank.db")
    assert bank.execute("SELECT spent, (SELECT count(*) FROM paid) FROM account").fetchall() == [
        (5, 1)
    ]
    bank.close()
    assert list(shop.asked.values()) == [2], "asked again, under the same key"
    assert (folder / "out").read_text() == "x"
    assert sorted(path.name for path in folder.glob(".*.part")) == []
    commit = (folder / "commits").read_text().split()[1]
    assert (folder / "repository/refs/heads/main").read_text().strip() == commit
    assert not (folder / "hook-ran").exists(), "no hook of the repository runs"
    for kind in ("probeable", "in_doubt"):
        assert (folder / f"{kind}.txt").read_text() == f"{kind}: it was sent\n"

    # What is said of it: each has its result, but for the one that nobody can know of.
    tasks, effects = found["tasks"], found["effects"]
    values = {kind: task.get("value") for kind, task in tasks.items()}
    sha256 = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    assert values == {
        "transactional": 5, "idempotent": 201, "file": sha256, "ref": commit, "probeable": 7,
        "in_doubt": None,
    }  # fmt: skip
    key, kind, status, request = effects.pop("in_doubt")
    assert (kind, status, request) == ("in_doubt", "in_doubt", "send a letter")
    assert (tasks["in_doubt"]["status"], tasks["in_doubt"]["reason"]) == (
        "blocked",
        f"effect {key} in doubt",
    )
    assert {status for _, _, status, _ in effects.values()} == {"settled"}
    assert {task["attempt"] for task in tasks.values()} == {2}
