"""`visionflow effects`: lists, shows and resolves, in a program's folder and at a server."""

import asyncio
import json
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command_line import visionflow
from tests.engine.effects_world import ask, park, tell
from tests.engine.world import World
from tests.serve.effect_agents import Clerk
from tests.serve.server_process import serving
from visionflow import AgentOrchestrator, Task
from visionflow.adapters.sqlite.log import SqliteLog
from visionflow.compose.job import create_run
from visionflow.domain.events import decode_record
from visionflow.domain.outside import EffectOutcome
from visionflow.interfaces.orchestrator import Fleet

pytestmark = pytest.mark.acceptance("effects")
AGENTS = Path(__file__).parents[1] / "serve" / "effect_agents.py"
WAIT_S = 60.0


def until(fleet: Fleet, task: str, *statuses: str) -> None:
    """Wait until a task stands so."""
    end = time.monotonic() + WAIT_S
    while (row := fleet.queries.task(task)).status not in statuses:
        assert time.monotonic() < end, f"{task} is {row.status}: {row.reason}"
        time.sleep(0.02)


def told(*words: str) -> dict[str, Any]:
    """What it prints as JSON."""
    ran = visionflow("effects", *words, "--json")
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_a_doubt_in_a_folder_is_resolved_while_nobody_works_on_it(tmp_path: Path) -> None:
    store = tmp_path / "store"
    place = ("--folder", str(store))
    with AgentOrchestrator(store) as fleet:
        fleet.spawn(Clerk)
        for name, text in (("task_a", "sure"), ("task_b", "really?")):
            given = {"folder": str(tmp_path), "text": text, "key": name}
            fleet.submit(Task(id=name, input=given)).wait_accepted()
            until(fleet, name, "completed", "blocked")
        assert [row.key for row in fleet.effects("in_doubt")] == ["task_b"]
        ran = visionflow("effects", "resolve", "task_b", "--not-done", "--note", "n", *place)
        assert ran.returncode == 75 and "is being worked on" in ran.stderr

    rows = told("list", *place)["effects"]
    assert [(row["key"], row["status"]) for row in rows] == [
        ("task_a", "settled"),
        ("task_b", "in_doubt"),
    ]
    assert told("list", "--status", "settled", "--task", "task_b", *place)["effects"] == []
    assert told("show", "task_a", *place)["result"] == {"receipt": "sure"}
    text = visionflow("effects", "list", *place).stdout
    assert "task_b  in_doubt" in text and "send really?" in text and "went dead" in text
    assert visionflow("effects", "show", "nothing", *place).returncode == 69

    for wrong in ((), ("--done", "--not-done"), ("--not-done", "--result", "1"),
                  ("--done", "--result", "{")):  # fmt: skip
        ran = visionflow("effects", "resolve", "task_b", "--note", "n", *wrong, *place)
        assert ran.returncode == 2, ran.stderr
    assert visionflow("effects", "resolve", "task_b", "--done", *place).returncode == 2, "a note"
    words = ("--done", "--result", '{"receipt": "found"}', "--note", "it is in the post")
    row = told("resolve", "task_b", *words, *place)
    assert (row["status"], row["resolution"], row["note"]) == (
        "resolved",
        "done",
        "it is in the post",
    )
    assert row["by"].startswith("local:") and row["result"] == {"receipt": "found"}
    assert visionflow("effects", "resolve", "task_b", *words, *place).returncode == 69

    with AgentOrchestrator(store) as fleet:
        assert fleet.handle("task_b").result(timeout=WAIT_S) == {"receipt": "found"}
    assert (tmp_path / "sent").read_text() == "sure\nreally?\n", "nothing was sent again"


def test_a_program_resolves_its_own_and_the_task_goes_on(tmp_path: Path) -> None:
    with AgentOrchestrator() as fleet:
        fleet.spawn(Clerk)
        given = {"folder": str(tmp_path), "text": "really?", "key": "k"}
        handle = fleet.submit(Task(id="task_a", input=given))
        handle.wait_accepted()
        until(fleet, "task_a", "blocked")
        fleet.resolve_effect("k", "done", "I asked", result={"receipt": 1})
        assert handle.result(timeout=WAIT_S) == {"receipt": 1}
        (row,) = fleet.effects(task="task_a")
        assert (row.status, row.by, row.note) == ("resolved", "python", "I asked")


def test_a_doubt_at_a_server_is_listed_and_resolved(tmp_path: Path) -> None:
    (tmp_path / "clerks.yaml").write_text(f"agent_templates:\n  clerk: {{class: {AGENTS}:Clerk}}\n")
    with serving(tmp_path, "--agents", str(tmp_path / "clerks.yaml")) as served:
        server = ("--server", served.told["tcp"])
        swarm = called("swarm_init", {"maxAgents": 3}, served.told["tcp"])["swarmId"]
        called("agent_spawn", {"type": "clerk", "swarmId": swarm, "wait": True}, served.told["tcp"])
        given = {"folder": str(tmp_path), "text": "really?", "key": "k"}
        task = {"description": "write", "agentType": "clerk", "input": given}
        asked = {"task": task, "swarmId": swarm}
        name = called("task_orchestrate", asked, served.told["tcp"])["taskId"]
        end = time.monotonic() + WAIT_S
        while not (found := told("list", "--status", "in_doubt", *server)["effects"]):
            assert time.monotonic() < end
        assert [(row["key"], row["task"], row["class"]) for row in found] == [
            ("k", name, "in_doubt")
        ]
        ran = visionflow("effects", "resolve", "k", "--abandon", "--note", "not any more", *server)
        assert ran.returncode == 0, ran.stderr
        assert "resolved as abandoned" in ran.stdout and name in ran.stderr
        status = called("task_status", {"taskId": name}, served.told["tcp"])
        assert status["status"] == "failed" and "not any more" in status["reason"]
        assert told("show", "k", "--swarm", swarm, *server)["by"].startswith("local:")
        ran = visionflow("effects", "list", "--run", "r", *server)
        assert ran.returncode == 2 and "three places" in ran.stderr


def called(tool: str, given: dict[str, Any], server: str) -> dict[str, Any]:
    """A tool's answer."""
    words = [f"--{name}={json.dumps(value) if not isinstance(value, str) else value}"
             for name, value in given.items()]  # fmt: skip
    ran = visionflow("call", tool, *words, f"--server={server}", "--json")
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_a_doubt_of_an_interrupted_run_is_resolved_in_its_folder(tmp_path: Path) -> None:
    folder = create_run("Review this repository", tmp_path, tmp_path / "runs")
    world = World()
    world.team(1)
    task = world.submit()
    ask(world, task, key="letter", request="send a letter")
    tell(world, "letter", EffectOutcome.UNKNOWN)
    park(world, task, "letter")

    async def write() -> None:
        with closing(SqliteLog.open(folder.state / "log.db")) as log:
            for place, body in enumerate(world.log):
                await log.append(folder.run, place, body)

    asyncio.run(write())
    place = ("--run", folder.run, "--out", str(tmp_path / "runs"))
    (row,) = told("list", *place)["effects"]
    assert (row["key"], row["status"], row["task"]) == ("letter", "in_doubt", task)
    ran = visionflow("effects", "resolve", "letter", "--not-done", "--note", "n", *place)
    assert ran.returncode == 0, ran.stderr
    assert f"visionflow run --resume {folder.run}" in ran.stderr
    with closing(SqliteLog.open(folder.state / "log.db", read_only=True)) as log:
        last = decode_record(list(log.read(folder.run))[-1].body)
    assert [type(event).__name__ for event in last.events] == ["EffectResolved", "TaskQueued"]
