"""Faults of a server: a real one, with an agent that failed and tasks that fail."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.doctor.examining import BIN, environment, findings, place
from tests.guide.serving import Served, serving
from visionflow.adapters.lock import acquire
from visionflow.compose.doctor.service import Answers, Swarm, agents, effects, named_silent
from visionflow.compose.doctor.values import Level, Seen

AGENTS = """\
agent_templates:
  needy:
    class: {file}:Needy
    default_config: {{file: {needed}}}
"""


def doctor(served: Served, *words: str) -> tuple[int, dict[str, Any]]:
    """Its exit code and what it tells of this server."""
    done = subprocess.run(
        [str(BIN / "visionflow"), "doctor", "--json", *words],
        env=served.env, cwd=served.home, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def found(told: dict[str, Any], check: str) -> list[dict[str, Any]]:
    (made,) = [each for each in told["checks"] if each["check"] == check]
    return made["findings"]


def run(served: Served, command: str) -> dict[str, Any]:
    """A command of the user's on this server."""
    done = subprocess.run(
        ["bash", "-c", command], env=served.env, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return json.loads(done.stdout)


@pytest.mark.acceptance("doctor")
def test_a_failed_agent_is_found_and_restarted_by_the_command(tmp_path: Path) -> None:
    needed = tmp_path / "needed"
    agents = tmp_path / "agents.yaml"
    agents.write_text(
        AGENTS.format(file=Path(__file__).with_name("doctor_agents.py"), needed=needed)
    )
    (tmp_path / "workspace").mkdir()
    only = ("--only", "server", "--only", "agents", "--only", "errors", "--only", "queue")
    with serving(tmp_path / "home", tmp_path / "workspace", "--agents", str(agents)) as served:
        code, told = doctor(served, *only)
        assert (code, told["well"]) == (0, True)
        refused = subprocess.run(
            [str(BIN / "visionflow"), "call", "agent_spawn", "needy", "--wait"],
            env=served.env, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert "what it needs is not there" in refused.stderr + refused.stdout
        code, told = doctor(served, *only)
        (finding,) = found(told, "agents")
        assert (code, finding["level"]) == (1, "error")
        needed.touch()
        run(served, f"{finding['mend']} --wait")
        assert found(doctor(served, *only)[1], "agents") == []

        run(served, "visionflow call task_orchestrate --task='{\"type\": \"need\"}' "
            "--requiredCapabilities=needing --wait || true")  # fmt: skip
        code, told = doctor(served, *only)
        (finding,) = found(told, "errors")
        assert "permanent 1" in finding["what"]
        assert run(served, finding["mend"])["errorMetrics"]["total"] == 1


@pytest.mark.acceptance("doctor")
def test_the_server_of_another_home_is_not_taken_for_ones_own_and_a_refusal_for_no_silence(
    tmp_path: Path,
) -> None:
    (tmp_path / "workspace").mkdir()
    with serving(tmp_path / "home", tmp_path / "workspace") as served:
        other = doctor(served, "--home", str(tmp_path / "other"), "--only", "server")[1]
        (finding,) = found(other, "server")
        assert finding["what"] == f"Something else listens on 127.0.0.1:{served.port}."
        assert other["checks"][0]["told"] == "none of yours runs"
        wrong = {**served.env, "VISIONFLOW_TOKEN": "vf_none_0123456789abcdefghij"}
        done = subprocess.run(
            [str(BIN / "visionflow"), "doctor", "--json", "--only", "server"],
            env=wrong, cwd=tmp_path, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        (refusal,) = found(json.loads(done.stdout), "server")
        assert refusal["what"].startswith("The server answers and refuses this caller")
        assert refusal["mend"] == "unset VISIONFLOW_TOKEN"


def test_what_a_swarm_tells_of_itself_is_found(tmp_path: Path) -> None:
    status = {
        "swarmId": "s", "agents": [], "degraded": "w1 died too often", "suspected": ["w2"],
        "openCircuits": ["agent:a", "provider:acme"], "stalledTasks": ["t"],
    }  # fmt: skip
    doubted = {"effects": [{"key": "k 1", "name": "send", "request": "a letter"}]}
    told = Answers({}, (Swarm(status, {"agents": []}, doubted),))
    where = msgspec.structs.replace(place(tmp_path), server="127.0.0.1:9500")
    seen = agents(where, told)
    assert isinstance(seen, Seen)
    words = [each.what for each in seen.findings]
    assert [each for each in ("degraded", "w2", "agent:a", "provider:acme", "Task t")
            if not any(each in word for word in words)] == []  # fmt: skip
    assert len(words) == 5
    asked = effects(where, told)
    assert isinstance(asked, Seen)
    (finding,) = asked.findings
    assert finding.mend == "visionflow effects show 'k 1' --server 127.0.0.1:9500 --swarm s"


def test_a_port_that_somebody_else_has_is_found(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        where = place(tmp_path, MCP_TCP_PORT=str(taken), VISIONFLOW_WEB_PORT="1")
        (finding,) = findings(where, "server")
    assert str(taken) in finding.what
    assert finding.mend == "visionflow serve --port 0"


def test_a_server_that_was_named_and_is_silent_is_an_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        free = other.getsockname()[1]
    done = subprocess.run(
        [str(BIN / "visionflow"), "doctor", "--server", f"127.0.0.1:{free}", "--only", "server",
         "--only", "agents"],
        env=environment(tmp_path), cwd=tmp_path, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 1
    assert f"127.0.0.1:{free} does not answer" in done.stdout
    assert "no server answers" in done.stdout


def test_one_that_was_named_is_mended_at_its_own_port_and_a_stranger_there_is_told(
    tmp_path: Path,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        there = named_silent(f"127.0.0.1:{port}", "it was closed")
    assert there.mend == "visionflow serve --port 0"
    assert "another program" in there.why
    nobody = named_silent(f"127.0.0.1:{port}", "connection refused")
    assert nobody.mend == f"visionflow serve --port {port}"
    assert named_silent("server.invalid:9500", "no such host").mend is None


def test_a_server_of_ones_own_that_hangs_is_an_error_and_is_named(tmp_path: Path) -> None:
    where = place(tmp_path)
    folder = where.home / "server"
    code = (
        "import sys, time\nfrom visionflow.adapters.lock import acquire\n"
        "lock = acquire(sys.argv[1])\nprint('held', flush=True)\ntime.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(folder / "owner.lock")], stdout=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == b"held\n"
            (hung,) = findings(where, "server")
            process.send_signal(signal.SIGSTOP)
            os.waitpid(process.pid, os.WUNTRACED)
            (stopped,) = findings(where, "server")
        finally:
            process.kill()
    assert (hung.level, hung.mend) == (Level.ERROR, f"kill -9 {process.pid}")
    assert f"process {process.pid}, does not answer" in hung.what
    assert (stopped.level, stopped.mend) == (Level.ERROR, f"kill -CONT {process.pid}")
    assert findings(where, "server") == []
    with acquire(folder / "front.lock"):
        (coming,) = findings(where, "server")
    assert coming.level is Level.WARNING and str(os.getpid()) in coming.what


def test_a_check_that_there_is_not_is_a_wrong_word(tmp_path: Path) -> None:
    done = subprocess.run(
        [str(BIN / "visionflow"), "doctor", "--only", "dsk"],
        env=environment(tmp_path), cwd=tmp_path, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 2
    assert "'dsk'" in done.stderr and "disk" in done.stderr
