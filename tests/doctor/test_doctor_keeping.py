"""Faults of what is kept: each planted, found, and mended by the command that is named."""

import asyncio
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from tests.doctor.examining import carry_out, findings, place, told
from visionflow.adapters.lock import acquire
from visionflow.adapters.os_processes import identity
from visionflow.adapters.sqlite.log import SqliteLog
from visionflow.compose.doctor import Level
from visionflow.compose.doctor.keeping import SCRATCH_AGE_S
from visionflow.compose.job.folder import RunRecord
from visionflow.domain import events as e
from visionflow.domain.access import Role
from visionflow.domain.agents import AgentSpec
from visionflow.domain.events import AnyEvent, encode_record
from visionflow.domain.swarms import SwarmSpec
from visionflow.interfaces.access.tokens import Tokens


def written_log(path: Path, *events: AnyEvent) -> None:
    """A log of one swarm that holds these."""

    async def write() -> None:
        log = SqliteLog.open(path)
        first = e.SwarmCreated(spec=SwarmSpec(id="swarm_1"))
        await log.append("swarm_1", 0, encode_record(1, [first, *events]))
        log.close()

    asyncio.run(write())


@pytest.mark.acceptance("doctor")
def test_a_home_that_others_may_write_is_found_and_closed(tmp_path: Path) -> None:
    where = place(tmp_path)
    where.home.chmod(0o777)
    (found,) = findings(where, "home")
    assert found.level is Level.ERROR
    carry_out(found, where)
    assert findings(where, "home") == []


@pytest.mark.acceptance("doctor")
def test_a_log_that_others_may_read_is_found_and_closed(tmp_path: Path) -> None:
    where = place(tmp_path)
    (where.home / "server").mkdir(mode=0o755)
    (found,) = findings(where, "home")
    assert found.level is Level.WARNING
    carry_out(found, where)
    assert findings(where, "home") == []


def test_a_home_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    where = place(tmp_path)
    where.home.rmdir()
    where.home.write_text("")
    (found,) = findings(where, "home")
    assert "is no folder" in found.what


def test_a_setting_that_is_none_is_told_with_its_place(tmp_path: Path) -> None:
    (found,) = findings(place(tmp_path, MAX_AGENTS="many"), "settings")
    assert "MAX_AGENTS" in found.what
    where = place(tmp_path)
    (where.home / "server.yaml").write_text("port: 9500\nmax_agnets: 3\n")
    (found,) = findings(where, "settings")
    assert "server.yaml:2" in found.what
    assert "max_agents" in f"{found.what} {found.why}"


def test_a_typo_in_agents_yaml_is_told_with_its_line(tmp_path: Path) -> None:
    where = place(tmp_path)
    assert told(where, "agents-file") == (False, "there is none")
    (where.workspace / "config").mkdir()
    file = where.workspace / "config" / "agents.yaml"
    file.write_text("agent_templates:\n  coder:\n    clas: a.B\n")
    (found,) = findings(where, "agents-file")
    assert "agents.yaml:3" in found.what
    file.write_text("agent_templates:\n  coder:\n    default_config: {linting: true}\n")
    assert findings(where, "agents-file") == []


@pytest.mark.acceptance("doctor")
def test_a_file_of_tokens_that_others_may_read_is_closed(tmp_path: Path) -> None:
    where = place(tmp_path)
    known = Tokens(where.home)
    known.create("laptop", Role.VIEWER)
    known.path.chmod(0o666)
    (found,) = findings(where, "tokens")
    assert found.level is Level.ERROR
    carry_out(found, where)
    assert findings(where, "tokens") == []


@pytest.mark.acceptance("doctor")
def test_an_expired_token_is_told_and_revoked_by_the_command(tmp_path: Path) -> None:
    where = place(tmp_path)
    long_ago = Tokens(where.home, lambda: 1_700_000_000_000)
    long_ago.create("old", Role.VIEWER, 1_000)
    (found,) = findings(where, "tokens")
    assert found.level is Level.INFO
    carry_out(found, where)
    assert findings(where, "tokens") == []


@pytest.mark.parametrize("deep", [False, True])
def test_a_log_with_a_changed_record_is_an_error(tmp_path: Path, deep: bool) -> None:
    where = msgspec.structs.replace(place(tmp_path), deep=deep)
    path = where.home / "server" / "log.db"
    (where.home / "server").mkdir(mode=0o700)
    assert told(where, "store") == (False, "no server has run here")
    written_log(path, e.LimitsChanged(agents_max=5))
    if not deep:  # Deep also wants the fleet's stream, which this log lacks.
        assert findings(where, "store") == []
    content = path.read_bytes()
    path.write_bytes(content.replace(b"limits_changed", b"limits_chxnged"))
    (found,) = findings(where, "store")
    assert found.level is Level.ERROR
    assert found.mend == "visionflow audit verify"


@pytest.mark.acceptance("doctor")
def test_a_worker_that_nobody_owns_is_found_and_ended_by_the_command(tmp_path: Path) -> None:
    where = place(tmp_path)
    (where.home / "server").mkdir(mode=0o700)
    words = [sys.executable, "-c", "import time; time.sleep(600)"]
    process = subprocess.Popen(words)
    try:
        who = identity(process.pid)
        assert who is not None
        spec = AgentSpec(id="a", type="coder", name="a", class_path="m:C")
        written_log(
            where.home / "server" / "log.db",
            e.AgentSpawned(spec=spec, worker="w1"),
            e.WorkerStarted(worker="w1", incarnation=1, pid=who.pid, started=who.started),
        )
        (found,) = findings(where, "leftovers")
        assert found.mend == "visionflow serve", "it may wait for the next server"
        with acquire(where.home / "server" / "front.lock"):
            assert findings(where, "leftovers") == [], "the next server is just coming"
        for path in (where.home / "server").glob("log.db*"):
            os.utime(path, (time.time() - 3_600, time.time() - 3_600))
        (found,) = findings(where, "leftovers")
        assert "w1" in found.what and str(process.pid) in found.what
        carry_out(found, where)
        process.wait(60)
    finally:
        process.kill()
        process.wait(60)
    assert findings(where, "leftovers") == []


@pytest.mark.acceptance("doctor")
def test_old_scratch_is_found_and_removed_by_the_command(tmp_path: Path) -> None:
    where = place(tmp_path)
    old, young = where.temp / "visionflow-command-a b", where.temp / "visionflow-command-new"
    chaos, living = where.temp / "vf-chaos-1", where.temp / "vf-chaos-2"
    for folder in (old, young, chaos, living):
        folder.mkdir()
        (folder / "file").write_text("x")
    with acquire(living / "home" / "server" / "front.lock"):
        then = time.time() - SCRATCH_AGE_S - 60
        for folder in (old, chaos, living):
            os.utime(folder, (then, then))
        (found,) = findings(where, "scratch")
        carry_out(found, where)
        assert not old.exists() and not chaos.exists()
        assert young.exists() and living.exists()
    shutil.rmtree(living)
    assert findings(where, "scratch") == []


def test_an_interrupted_run_is_told_with_the_command_that_resumes_it(tmp_path: Path) -> None:
    where = place(tmp_path)
    assert told(where, "runs")[0] is False
    folder = where.out / "run_1"
    (folder / "state").mkdir(parents=True)
    record = RunRecord("run_1", "Audit", str(where.workspace), "2026-01-01T00:00:00Z", "running")
    (folder / "run.json").write_bytes(msgspec.json.encode(record))
    (found,) = findings(where, "runs")
    assert found.level is Level.INFO
    assert found.mend == f"visionflow run --resume run_1 --out {where.out}"


@pytest.mark.acceptance("doctor")
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows environments")
def test_what_a_worker_that_is_gone_left_behind_is_found_when_no_server_runs(
    tmp_path: Path,
) -> None:
    where = place(tmp_path)
    (where.home / "server").mkdir(mode=0o700)
    process = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(600)"],
        env={**where.environment, "VISIONFLOW_SERVER_HOME": str(where.home)},
        start_new_session=True,
    )
    try:
        with acquire(where.home / "server" / "front.lock"):
            assert findings(where, "leftovers") == []
        (found,) = findings(where, "leftovers")
        assert found.mend == f"kill -9 {process.pid}"
        carry_out(found, where)
        process.wait(60)
    finally:
        process.kill()
        process.wait(60)
    assert findings(where, "leftovers") == []
