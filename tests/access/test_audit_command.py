"""`visionflow audit`: what is on record, an edit, a tail that was cut off; server dead or alive."""

import asyncio
import json
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from tests.cli.command_line import visionflow
from visionflow.compose.serve.opening import OpenServer, open_server
from visionflow.domain.limits import Limits
from visionflow.domain.swarms import SwarmSpec
from visionflow.settings.server import ServerSettings

PATIENCE_S = 60.0


def serving(home: Path, use: Callable[[OpenServer], Awaitable[None]]) -> None:
    """Open a server's core, use it, close it."""

    async def run() -> None:
        workspace = home.parent / "workspace"
        workspace.mkdir(exist_ok=True)
        opened = await open_server(ServerSettings(home=str(home), workspaces=(str(workspace),)))
        try:
            await asyncio.wait_for(use(opened), PATIENCE_S)
        finally:
            await asyncio.wait_for(opened.close(kill=True), PATIENCE_S)

    asyncio.run(run())


async def some_history(opened: OpenServer) -> None:
    """A swarm, a call that was refused, a login that failed."""
    fleet = opened.server.fleet
    await opened.server.swarms.create(SwarmSpec(id="swarm_1", limits=Limits()), "local:alice")
    await fleet.record_call(
        by="token:reader", role="viewer", face="rest", tool="agent_spawn", code="forbidden",
        message="it is for operator, admin",
    )  # fmt: skip
    await fleet.record_call(
        by="local:alice", role="admin", face="tcp", tool="swarm_init", subject="swarm_1"
    )
    await fleet.record_access(
        by="uid:65534@127.0.0.1", face="tcp", code="login_failed", message="no \x1b[31m token"
    )


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a server that is dead by now."""
    home = tmp_path_factory.mktemp("audited") / "home"
    serving(home, some_history)
    return home


@pytest.fixture
def copy(history: Path, tmp_path: Path) -> Path:
    """The same to spoil."""
    return shutil.copytree(history, tmp_path / "home")


def audit(home: Path, *words: str) -> tuple[int, Any]:
    """The exit code, and what is printed with --json."""
    ran = visionflow("audit", *words, "--home", home, "--json")
    assert ran.stderr == ""
    return ran.returncode, json.loads(ran.stdout)


def test_what_happened_is_listed_with_who_did_it(history: Path) -> None:
    code, told = audit(history, "list")
    assert code == 0
    by = {(each["by"], each["tool"], each["code"]) for each in told["entries"]}
    assert by >= {
        ("token:reader", "agent_spawn", "forbidden"),
        ("local:alice", "swarm_init", None),
        ("uid:65534@127.0.0.1", None, "login_failed"),
    }
    assert audit(history, "list", "--by", "token:reader")[1]["entries"][0]["face"] == "rest"
    assert audit(history, "list", "--since", "1h")[1] == told
    assert audit(history, "list", "--since", "2100-01-01T00:00:00Z")[1]["entries"] == []
    last = audit(history, "list", "--limit", "1")[1]
    assert (last["entries"], last["left_off"]) == (told["entries"][-1:], len(told["entries"]) - 1)


def test_the_list_for_people_is_harmless_and_has_no_colours_in_a_pipe(history: Path) -> None:
    ran = visionflow("audit", "list", "--home", history)
    assert ran.returncode == 0
    assert "agent_spawn forbidden" in ran.stdout
    assert "login_failed" in ran.stdout
    assert "\x1b" not in ran.stdout
    coloured = visionflow("audit", "list", "--home", history, env={"FORCE_COLOR": "1"})
    assert "\x1b[33m" in coloured.stdout
    assert "\x1b[31m token" not in coloured.stdout


def test_an_unchanged_log_holds_and_its_head_is_told(history: Path) -> None:
    code, told = audit(history, "verify")
    assert (code, told["ok"]) == (0, True)
    assert len(told["head"]) == 64
    again = audit(history, "verify", "--head", told["head"])[1]
    assert (again["ok"], again["found"]["behind"]) == (True, 0)
    shown = visionflow("audit", "verify", "--home", history, "--head", told["head"])
    assert told["head"] in shown.stdout
    assert "every chain holds" in shown.stdout


@pytest.mark.acceptance("auth")
def test_one_byte_that_was_changed_is_found(copy: Path) -> None:
    log = copy / "server" / "log.db"
    content = log.read_bytes()
    assert content.count(b"token:reader") == 1
    log.write_bytes(content.replace(b"token:reader", b"token:readex"))
    code, told = audit(copy, "verify")
    assert (code, told["ok"], told["code"]) == (1, False, "log_corrupt")
    assert "fleet" in told["message"]
    shown = visionflow("audit", "verify", "--home", copy)
    assert shown.returncode == 1
    assert "fleet" in shown.stderr


@pytest.mark.acceptance("auth")
def test_a_tail_that_was_cut_off_shows_against_a_head_that_was_noted(copy: Path) -> None:
    noted = audit(copy, "verify")[1]["head"]
    store = apsw.Connection(str(copy / "server" / "log.db"))
    store.execute(
        "DELETE FROM records WHERE stream = 'fleet' AND seq = "
        "(SELECT max(seq) FROM records WHERE stream = 'fleet')"
    )
    store.close()
    assert audit(copy, "verify")[0] == 0
    code, told = audit(copy, "verify", "--head", noted)
    assert (code, told["ok"], told["found"]) == (1, False, None)
    shown = visionflow("audit", "verify", "--home", copy, "--head", noted)
    assert shown.returncode == 1
    assert "is not in the log" in shown.stdout


@pytest.mark.acceptance("auth")
def test_a_stream_of_a_swarm_that_was_thrown_away_is_missed(copy: Path) -> None:
    """The fleet's stream notes where the others ended."""
    store = apsw.Connection(str(copy / "server" / "log.db"))
    store.execute("DELETE FROM records WHERE stream = 'swarm_1'")
    store.close()
    code, told = audit(copy, "verify")
    assert (code, told["ok"]) == (1, False)
    assert "swarm_1" in told["message"]


@pytest.mark.parametrize("replaced", [False, True])
def test_an_audit_that_was_thrown_away_is_missed(copy: Path, replaced: bool) -> None:
    """No swarm is there that the fleet's stream does not know, and that one begins before all."""
    store = apsw.Connection(str(copy / "server" / "log.db"))
    store.execute("DELETE FROM records WHERE stream = 'fleet'")
    store.close()
    if replaced:

        async def nothing(opened: OpenServer) -> None:
            assert opened.server.swarms.all() == []

        serving(copy, nothing)
    code, told = audit(copy, "verify")
    assert (code, told["ok"], told["code"]) == (1, False, "log_corrupt")
    assert "'swarm_1' is there" in told["message"]
    if not replaced:
        listed = visionflow("audit", "list", "--home", copy)
        assert listed.returncode != 0 and "does not know it" in listed.stderr


def test_it_works_while_the_server_runs_and_an_old_head_stays_known(history: Path) -> None:
    noted = audit(history, "verify")[1]["head"]

    async def use(opened: OpenServer) -> None:
        await opened.server.fleet.record_access(by="x", face="tcp", code="login", message="")
        code, told = await asyncio.to_thread(audit, history, "verify", "--head", noted)
        assert (code, told["ok"]) == (0, True)
        assert told["found"]["behind"] >= 1
        entries = (await asyncio.to_thread(audit, history, "list"))[1]["entries"]
        assert entries[-1]["by"] == "x"

    serving(history, use)


def test_words_that_are_off_are_told(history: Path, tmp_path: Path) -> None:
    for words, code in (
        (("audit", "verify", "--head", "abc", "--home", history), 2),
        (("audit", "list", "--since", "soon", "--home", history), 2),
        (("audit", "list", "--limit", "-1", "--home", history), 2),
        (("audit", "list", "--home", tmp_path / "none"), 69),
    ):
        ran = visionflow(*words)
        assert (ran.returncode, ran.stdout) == (code, ""), words
        assert ran.stderr.startswith("visionflow: ")
