"""The bundle: all that a maintainer needs, and none of the secrets that were planted."""

import json
import stat
import subprocess
import tarfile
from pathlib import Path

import msgspec
import pytest

from tests.doctor.examining import BIN, environment, place
from tests.doctor.test_doctor_keeping import written_log
from visionflow.compose.doctor import Examined
from visionflow.compose.doctor.bundling import LOG_BYTES, bundle
from visionflow.compose.job.exits import OutputError
from visionflow.domain import events as e
from visionflow.domain.tasks import Payload, TaskSpec

SECRETS = {
    "environment": "correct-horse-battery-staple",
    "line": "ghp_0123456789abcdefghijklmnopqrstuvwxyzAB",
    "address": "s3cr3t-in-an-address",
    "input": "a-secret-in-the-input-of-a-task",
    "reason": "AKIAIOSFODNN7EXAMPLE",
}


def unpacked(path: Path) -> dict[str, str]:
    with tarfile.open(path) as archive:
        return {
            member.name: file.read().decode()
            for member in archive.getmembers()
            if (file := archive.extractfile(member)) is not None
        }


@pytest.mark.acceptance("doctor")
def test_no_secret_that_was_planted_is_in_the_bundle(tmp_path: Path) -> None:
    where = place(tmp_path, ACME_API_KEY=SECRETS["environment"], MCP_LOG_LEVEL="debug")
    server = where.home / "server"
    server.mkdir(mode=0o700)
    (server / "visionflow.log").write_text(
        f"2026-01-01 00:00:00 ERROR - E1 it said {SECRETS['environment']} aloud\n"
        f"2026-01-01 00:00:00 ERROR - E1 token={SECRETS['line']}\n"
        f"2026-01-01 00:00:00 INFO - E2 dialled https://me:{SECRETS['address']}@example.org/x\n"
        "2026-01-01 00:00:00 INFO - E3 a line without any\n"
    )
    spec = TaskSpec(id="t", input=Payload(inline=msgspec.msgpack.encode(SECRETS["input"])))
    written_log(
        server / "log.db",
        e.TaskSubmitted(spec=spec),
        e.TaskFailed(task="t", reason=f"refused: api_key={SECRETS['reason']}"),
    )
    done = bundle(where, Examined(checks=()), tmp_path / "out.tar.gz")
    files = unpacked(Path(done.path))
    whole = "\n".join(files.values())
    for name, secret in SECRETS.items():
        assert secret not in whole, name
    assert "a line without any" in whole
    assert stat.S_IMODE(Path(done.path).stat().st_mode) == 0o600
    manifest = json.loads(files["visionflow-doctor/manifest.json"])
    assert manifest["lines masked"] >= 4
    told = [
        json.loads(line) for line in files["visionflow-doctor/server/events.jsonl"].splitlines()
    ]
    assert told[-1]["counted"] == {"swarm_created": 1, "task_submitted": 1, "task_failed": 1}
    assert {f"visionflow-doctor/{name}" for name in manifest["files"]} <= files.keys()
    settings = json.loads(files["visionflow-doctor/settings.json"])
    assert settings["log_level"] == {"value": "debug", "origin": "environment MCP_LOG_LEVEL"}


@pytest.mark.acceptance("doctor")
def test_what_is_cut_off_is_cut_between_words_so_that_no_half_of_a_secret_stays(
    tmp_path: Path,
) -> None:
    where = place(tmp_path)
    server = where.home / "server"
    server.mkdir(mode=0o700)
    line = "2026-01-01 00:00:00 INFO - E1 a line\n"
    cut = "x" * 100 + " password=hunter2-hunter2\n"
    rest = (LOG_BYTES - len("nter2-hunter2\n")) // len(line)
    left = LOG_BYTES - len("nter2-hunter2\n") - rest * len(line)
    (server / "visionflow.log").write_text(cut + "y" * (left - 1) + "\n" + rest * line)
    half = "ghp_0123456789abcdefghijklmnopqrstuvwxyzAB"
    written_log(
        server / "log.db",
        e.TaskSubmitted(spec=TaskSpec(id="t", type="audit")),
        e.TaskFailed(task="t", reason=f"{'it is long ' * 26} {half}"),
        e.TaskFailed(task="t", reason="--token hunter2hunter2 Cookie: a=hunter2hunter2"),
    )
    files = unpacked(Path(bundle(where, Examined(checks=()), tmp_path / "out.tar.gz").path))
    whole = "\n".join(files.values())
    assert "hunter2" not in whole and half[:8] not in whole
    assert files["visionflow-doctor/server/visionflow.log"].startswith("y")
    events = [
        json.loads(each) for each in files["visionflow-doctor/server/events.jsonl"].splitlines()
    ]
    (submitted,) = [each for each in events if each.get("t") == "task_submitted"]
    assert submitted["spec"] == {"id": "t", "type": "audit"}


def test_where_it_cannot_be_written_nothing_is_left(tmp_path: Path) -> None:
    where = place(tmp_path)
    (tmp_path / "is-a-folder").mkdir()
    with pytest.raises(OutputError, match="cannot be written"):
        bundle(where, Examined(checks=()), tmp_path / "is-a-folder")
    assert list(tmp_path.glob(".*partial")) == []


@pytest.mark.acceptance("doctor")
def test_the_command_writes_it_and_says_where(tmp_path: Path) -> None:
    done = subprocess.run(
        [str(BIN / "visionflow"), "doctor", "--only", "python", "--bundle", "b.tar.gz", "--json"],
        env=environment(tmp_path), cwd=tmp_path, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["bundle"] == str(tmp_path / "b.tar.gz")
    assert "Look through it before you send it" in done.stderr
    files = unpacked(tmp_path / "b.tar.gz")
    checks = json.loads(files["visionflow-doctor/doctor.json"])["checks"]
    assert [each["check"] for each in checks] == ["python"]


def test_ids_stay_so_that_a_task_can_be_followed_and_random_words_beside_them_do_not(
    tmp_path: Path,
) -> None:
    where = place(tmp_path)
    server = where.home / "server"
    server.mkdir(mode=0o700)
    task, part = "task_1795926735347_5e6e71c1b", "task_5e6e71c1b16c3ea3ed5e86c1"
    key = "5e6e71c1b16c3ea3ed5e86c1"
    (server / "visionflow.log").write_text(
        f"2026-01-01 00:00:00 INFO - task_submitted {part} sub of {task} with {key}\n"
        "2026-01-01 00:00:00 INFO - hint Make one with `visionflow token create --name laptop`\n"
        f"2026-01-01 00:00:00 INFO - told 'secret' of {part} is '{task}' and 'hunter2x'\n"
    )
    written_log(
        server / "log.db",
        e.TaskSubmitted(spec=TaskSpec(id=part, parent=task)),
        e.TaskFailed(task=part, reason=f"{part} gave no token to {task} but {key}"),
    )
    files = unpacked(Path(bundle(where, Examined(checks=()), tmp_path / "out.tar.gz").path))
    log = files["visionflow-doctor/server/visionflow.log"].splitlines()
    assert log[0].endswith(f"{part} sub of {task} with ****")
    assert log[1].endswith("`visionflow token create --name laptop`")
    assert part in log[2] and "hunter2x" not in log[2]
    lines = files["visionflow-doctor/server/events.jsonl"].splitlines()
    (failed,) = [each for each in map(json.loads, lines) if each.get("t") == "task_failed"]
    assert failed["task"] == part
    assert failed["reason"] == f"{part} gave no token to {task} but ****"


def test_paths_and_our_own_words_stay_readable(tmp_path: Path) -> None:
    where = place(
        tmp_path, PWD=str(tmp_path), OLDPWD=str(tmp_path), ACME_API_KEY=SECRETS["environment"]
    )
    server = where.home / "server"
    server.mkdir(mode=0o700)
    (server / "visionflow.log").write_text(f"ERROR - E1 no such file {tmp_path}/there\n")
    done = bundle(where, Examined(checks=()), tmp_path / "out.tar.gz")
    files = unpacked(Path(done.path))
    assert f"{tmp_path}/there" in files["visionflow-doctor/server/visionflow.log"]
    told = json.loads(files["visionflow-doctor/environment.json"])
    assert told == {"VISIONFLOW_HOME": str(where.home)}
    settings = json.loads(files["visionflow-doctor/settings.json"])
    assert settings["allow_unauthenticated"] == {"value": False, "origin": "default"}
