"""No invented figure: every field of every reply of every tool has a source, and follows it."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.truth.affecting import affecting
from tests.truth.checking import Checker, fields
from tests.truth.mailing import mailing
from tests.truth.of_mesh import MESH
from tests.truth.overseeing import overseeing
from tests.truth.scenario import WORLDS, Client, Params, world_of
from tests.truth.shaping import shaping
from tests.truth.sharing import sharing
from tests.truth.sources import SOURCES
from tests.truth.voting import voting
from visionflow.interfaces.tools.all import catalogue

REGISTRY = catalogue()


def happen(client: Client, given: Params, folder: Path) -> None:
    """Things of every kind, and every tool."""
    ask = client.ask
    ask("server_info")
    swarm: str = ask(
        "swarm_init", topology=given.topology, strategy=given.strategy, name=given.name,
        goal=given.goal, maxAgents=given.agents_max,
    )["swarmId"]  # fmt: skip
    overseen = {
        "strategy": "one_for_all" if given.topology == "mesh" else "rest_for_one",
        "restarts": given.agents_max,
        "period": given.server_max,
    }
    where = str(folder / "workspace" / given.name)
    ask("swarm_init", workspace=where, supervision=overseen, autoscale=True)
    spawning(client, given, swarm)
    tasks = working(client, given, folder, swarm)
    looking(client, given, swarm, tasks)
    changing(client, given, folder, swarm, tasks)
    breaking(client, given, folder)
    overseeing(client, given, swarm)
    sharing(client, given, folder)
    shaping(client, given, folder)
    voting(client, given, folder)
    leading(client, given)
    mailing(client, given)
    affecting(client, given)
    remembering(client, given)
    playbooks(client, given)
    coding(client, given)
    ending(client, given, folder, swarm)


def spawning(client: Client, given: Params, swarm: str) -> None:
    """Agents alone and together, with and without a ceiling, and too many."""
    ask = client.ask
    wishes: list[dict[str, Any]] = [{"cpuLimit": "1.5"}, {"gpuAccess": True}]
    for number in range(2):
        config = {"colour": given.colour, "n": number}
        ask("agent_spawn", agentType="teller", swarmId=swarm, name=f"{given.name}-{number}",
            config=config, wait=number == 0, resources=wishes[number])  # fmt: skip
    ask("agent_spawn", agentType="holder", swarmId=swarm, name="held", wait=True,
        config={"max_concurrent_tasks": 2},
        resources={"memoryLimit": f"{256 * given.count}Mi"})  # fmt: skip
    wanted: list[dict[str, Any]] = [
        {"type": "failer", "name": f"f-{given.name}"}, {"type": "holder", "count": given.count},
    ]  # fmt: skip
    ask("agents_spawn_parallel", swarmId=swarm, agents=wanted, wait=True)
    adopted = f"adopted-{given.name}"
    ask("agents_spawn_parallel", agents=[{"type": "teller", "resources": wishes[given.count - 2]}],
        swarmId=adopted)  # fmt: skip
    ask("agent_spawn", agentType="teller", swarmId=f"alone-{given.name}", wait=True)
    ask("agent_scale", agentType="researcher", count=1, swarmId=f"scaled-{given.name}",
        config={("model", "temperature")[given.count - 2]: 1})  # fmt: skip
    ask("agent_scale", agentType="teller", count=given.count + 1, swarmId=swarm)
    ask("agent_scale", agentType="teller", count=30, swarmId=swarm)
    client.rest()
    too_many: list[dict[str, Any]] = [
        {"type": "teller", "name": "late"}, {"type": "holder", "count": 2, "name": given.name},
    ]  # fmt: skip
    ask("agents_spawn_parallel", swarmId=swarm, agents=too_many)
    ask("agent_scale", agentType="teller", count=given.count, swarmId=swarm)
    client.rest()
    for more in ({"swarmId": "all"}, {"swarmId": swarm, "limit": 1},
                 {"swarmId": swarm, "status": "terminated"}, {"agentType": "holder"}):  # fmt: skip
        ask("agent_list", **more)
    ask("agent_update", agentId=f"{given.name}-0", swarmId=swarm, config={"colour": "green"},
        resources=wishes[given.count - 2])  # fmt: skip
    ask("agent_update", agentId="held", resources={"memoryLimit": f"{300 * given.count}Mi"})
    client.rest()
    ask("swarm_status", swarmId=swarm)


def leading(client: Client, given: Params) -> None:
    """A hierarchy with a team that has done something, and failed, and has something to do."""
    ask, swarm, team = client.ask, f"led-{given.name}", f"tellers-{given.name}"
    seats = (
        ("holder", {"rank": "manager"}),
        ("teller", {"rank": "lead", "team": team, "capabilities": ["telling"]}),
        ("teller", {"rank": "worker", "team": team}),
        ("failer", {"rank": "worker", "team": team}),
    )
    for kind, seat in seats:
        ask("agent_spawn", agentType=kind, swarmId=swarm, wait=True, config={"hierarchy": seat})
    ask("swarm_status", swarmId=swarm)
    for number in range(given.count):
        ask("task_orchestrate", **task(swarm, "teller", {"text": given.note, "n": number}),
            wait=True)  # fmt: skip
    # Five failures in a row would open the circuit of who fails.
    for fails in (9, 9, 9, 9, 0, 9, 9, 9, 9):
        ask("task_orchestrate", **task(swarm, "failer", {"fails": fails}), wait=True, **ONCE)
    waits = ask("task_orchestrate", **task(swarm, "failer", {"waits_ms": 1_000_000}))
    client.reaches(waits["taskId"], "pending")
    ask("swarm_status", swarmId=swarm)
    ask("swarm_destroy", swarmId=swarm)


def task(swarm: str, kind: str, given: Any, **more: Any) -> dict[str, Any]:
    return {"task": {"description": f"for {kind}", "agentType": kind, "input": given, **more},
            "swarmId": swarm, "formTeam": False}  # fmt: skip


ONCE = {"execution": {"retryPolicy": "none", "failureThreshold": 1.0}}


def working(client: Client, given: Params, folder: Path, swarm: str) -> dict[str, str]:
    """Tasks that complete, fail, are given up, run, wait, and are blocked; their ids."""
    ask, made = client.ask, dict[str, str]()

    def order(name: str, words: dict[str, Any], **more: Any) -> None:
        made[name] = ask("task_orchestrate", **words, **more)["taskId"]

    for number in range(given.count):
        said = {"n": number, "text": given.note}
        more = {
            "type": f"t-{given.name}",
            "requiredCapabilities": ["telling", "speech"][: number + 1],
        }
        order("said", task(swarm, "teller", said, priority=given.priority, **more), wait=True)
    order("given up", task(swarm, "failer", {"fails": 9}, type=f"u-{given.name}"))
    client.reaches(made["given up"], "pending")
    ask("task_status", taskId=made["given up"])
    client.reaches(made["given up"], "dead_letter")
    order("again", task(swarm, "failer", {"fails": 1}, timeout=50, deadline=500), wait=True)
    for _ in range(given.count):
        order("failed", task(swarm, "failer", {"fails": 9}), wait=True, **ONCE)
    for number in range(given.count - 1):
        away = f"turned away {number}"
        order(away, task(swarm, "failer", {"waits_ms": 1_000_000 * given.count}))
        client.reaches(made[away], "pending")
    order("long", task(swarm, "teller", {"text": given.note, "times": 300_000}), wait=True)
    files = {"go": str(folder / "go"), "share": given.share, "note": given.note}
    order("running", task(swarm, "holder", files, agentId="held"))
    for number in range(given.count):
        order(f"queued {number}", task(swarm, "lonely", number, priority=10 * number))
    parts = [{"description": "a", "agentType": "teller", "input": 1},
             {"description": "f", "agentType": "failer", "input": {"fails": 5}},
             {"description": "b", "agentType": "lonely", "input": given.note},
             {"description": "c", "agentType": "teller"}]  # fmt: skip
    plan = {"description": f"plan of {given.name}", "subtasks": parts, "strategy": "sequential"}
    order("plan", {"task": plan, "swarmId": swarm, "formTeam": False, **ONCE})
    order("blocked", {"task": f"Build the {given.note} service", "swarmId": swarm})
    client.reaches(made["running"], "running")
    client.until(lambda world: world.task(made["plan"])[1].status.now == "orchestrating")
    second = client.until(lambda world: True).task(made["plan"])[1].phases[0][1][1]
    client.reaches(second, "failed", "dead_letter")
    return made


def looking(client: Client, given: Params, swarm: str, tasks: dict[str, str]) -> None:
    """Every read, of everything that is there."""
    ask = client.ask
    for name in tasks.values():
        ask("task_status", taskId=name)
    parts = client.until(lambda world: True).task(tasks["plan"])[1].phases
    for part in (each for _, phase in parts for each in phase):
        ask("task_status", taskId=part)
        ask("task_results", taskId=part)
    for name in ("said", "again", "failed", "long", "running", "plan", "blocked"):
        ask("task_results", taskId=tasks[name])
    ask("task_results", taskId=tasks["long"], cursor="0")
    ask("task_results", taskId=tasks["long"], cursor=str(40_000 * given.count))
    for more in ({}, {"limit": given.count}, {"status": ["queued", "running"]}):
        ask("task_list", swarmId=swarm, **more)
    ask("swarm_status", swarmId=swarm)
    ask("swarm_status", swarmId=f"adopted-{given.name}")
    ask("agent_list", swarmId=swarm)
    for agent in (f"{given.name}-0", f"{given.name}-1", "held", f"f-{given.name}"):
        ask("agent_status", agentId=agent)
        ask("agent_logs", agentId=agent)
    for form in ("json", "detailed", "summary"):
        ask("performance_report", swarmId=swarm, format=form)
    ask("performance_report", swarmId=f"adopted-{given.name}")
    page: dict[str, str] = {}
    while page is not None:  # Page by page: how many bytes fit into one line is timing's to say.
        told = ask("events", swarmId=swarm, limit=40, **page)["nextCursor"]
        page = {"cursor": told} if told else None
    ask("events", swarmId=f"adopted-{given.name}", limit=1)
    ask("events", swarmId=swarm, limit=given.count, types=["task_completed", "agent_ready"])
    ask("swarm_list")
    ask("swarm_list", limit=1)
    ask("server_info")


def changing(
    client: Client, given: Params, folder: Path, swarm: str, tasks: dict[str, str]
) -> None:
    """Tasks cancelled, queued again, cleared and brought back."""
    ask = client.ask
    lone = tasks["queued 0"]
    ask("task_cancel", taskId=lone, reason=given.reason)
    ask("task_retry", taskId=lone)
    ask("task_retry", taskId=tasks["failed"])
    client.reaches(tasks["failed"], "failed", "dead_letter")
    ask("task_queue_clear", swarmId=swarm, filter="status:queued", dryRun=True)
    ask("task_queue_clear", swarmId=swarm, filter="status:blocked", dryRun=True)
    cleared = ask("task_queue_clear", swarmId=swarm, filter="status:queued")
    ask("task_queue_clear", swarmId=swarm, undo=cleared["clearId"])
    files = {"go": str(folder / "go"), "share": given.share, "note": given.note}
    for _ in range(given.count - 1):
        other = ask("task_orchestrate", **task(swarm, "holder", files, agentId="held"))["taskId"]
        client.reaches(other, "running")
        ask("task_cancel", taskId=other, reason=given.reason)
        client.reaches(other, "cancelled")
        ask("task_status", taskId=other)
    # It takes nothing new before it has finished what it holds.
    ask("agent_update", agentId="held", config={"colour": given.colour})
    client.rest()
    ask("swarm_status", swarmId=swarm)
    ask("performance_report", swarmId=swarm)


def breaking(client: Client, given: Params, folder: Path) -> None:
    """An agent that cannot be built, one that will not be stopped, and one whose worker is killed
    from outside."""
    ask, swarm = client.ask, f"broken-{given.name}"
    config = {"colour": given.colour}
    ask("agents_spawn_parallel", swarmId=swarm, agents=[{"type": "broken", "config": config}],
        wait=True)  # fmt: skip
    (broken,) = client.until(lambda world: True).swarms[swarm].agents
    ask("agent_status", agentId=broken)
    ask("agent_list", swarmId=swarm)
    ask("agent_spawn", agentType="deaf", swarmId=swarm, name="deaf", wait=True,
        resources={"memoryLimit": "256Mi"})  # fmt: skip
    files = {"go": str(folder / "heard")}
    deaf = ask("task_orchestrate", **task(swarm, "deaf", files), **ONCE)["taskId"]
    client.reaches(deaf, "running")
    os.kill(ask("agent_status", agentId="deaf")["pid"], signal.SIGKILL)
    client.until(lambda world: len(world.task(deaf)[1].attempts) == 2)
    client.reaches(deaf, "running")
    ask("performance_report", swarmId=swarm)
    ask("task_status", taskId=deaf)
    ask("task_cancel", taskId=deaf, reason=given.reason)
    ask("task_status", taskId=deaf)
    (folder / "heard").touch()
    client.reaches(deaf, "cancelled", "completed")
    ask("task_status", taskId=deaf)


def remembering(client: Client, given: Params) -> None:
    """Values small and large, with and without an end."""
    ask = client.ask
    ask("memory_store", key="plain", value=given.value)
    ask("memory_store", key=given.name, value=given.value, namespace=given.namespace, ttl=given.ttl)
    ask("memory_store", key="large", value="w" * 70_000 + given.name, namespace=given.namespace)
    ask("memory_retrieve", key="plain")
    ask("memory_retrieve", key=given.name, namespace=given.namespace)
    ask("memory_retrieve", key=f"no {given.name}")
    ask("memory_search", query="")
    ask("memory_search", query="", limit=1)
    ask("memory_search", query="", namespace=given.namespace, limit=2)
    ask("memory_search", query="plain")


def playbooks(client: Client, given: Params) -> None:
    """A goal in words, with its report; and one with a vote, which is taken back."""
    ask = client.ask
    goal = f"Explain where add is, {given.note}"
    made = ask("task_orchestrate", task=goal, swarmId=f"goal-{given.name}", wait=True)
    ask("task_results", taskId=made["taskId"])
    ask("task_status", taskId=made["taskId"])
    ask("task_orchestrate", task=goal, swarmId=f"goal-{given.name}")
    words = "Audit this repository: security, quality, tests"
    lacking = ["flying", given.name]
    audit = ask("task_orchestrate", task=words, swarmId=f"audit-{given.name}",
                requiredCapabilities=lacking)  # fmt: skip
    ask("task_cancel", taskId=audit["taskId"], reason=given.reason)


def coding(client: Client, given: Params) -> None:
    """A goal for coding agents, in a swarm that has limits."""
    ask, count = client.ask, given.count
    made = ask(
        "swarm_init",
        limits={
            "maxTokens": 10_000 * count, "maxCost": 1.5 * count, "timeLimit": f"{count}h",
            "agentTimeout": 100 * count, "agentMemory": (1 << 29) * count,
        },
    )  # fmt: skip
    swarm = made["swarmId"]
    ask("swarm_status", swarmId=swarm)
    goal = f"Limit the calls, {given.note}"
    found = ask("task_orchestrate", task=goal, swarmId=swarm, candidates=count - 1, wait=True)
    ask("task_status", taskId=found["taskId"])
    ask("task_results", taskId=found["taskId"])
    ask("swarm_status", swarmId=swarm)


def ending(client: Client, given: Params, folder: Path, swarm: str) -> None:
    """Agents and swarms that end, idle and at work."""
    ask = client.ask
    files = {"go": str(folder / "go"), "share": given.share, "note": given.note}
    holders = ask("agent_list", swarmId=swarm, agentType="holder")["agents"]
    for each in (each["id"] for each in holders if each["name"] != "held"):
        busy = ask("task_orchestrate", **task(swarm, "holder", files, agentId=each))["taskId"]
        client.reaches(busy, "running")
    world = client.until(lambda world: True)
    _, held = world.agent("held")
    client.facts["held"] = {
        name: len(agent.open)
        for each in world.swarms.values()
        for name, agent in each.agents.items()
    }
    ask("agent_terminate", agentId=f"{given.name}-1")
    ask("agent_terminate", agentId=held.spec.id, drain=True)
    ask("agent_status", agentId=held.spec.id)
    client.until(lambda world: world.agent(f"{given.name}-1")[1].ended_ms is not None)
    ask("agent_status", agentId=f"{given.name}-1")
    ask("agent_health", agentId=f"{given.name}-1")
    ask("agent_scale", agentType="holder", count=given.count - 1, swarmId=swarm)
    ask("agent_scale", agentType="failer", count=0, swarmId=swarm)
    client.rest()
    ask("swarm_scale", swarmId=swarm, targetSize=given.count + 2)
    client.rest()
    ask("swarm_scale", swarmId=swarm, targetSize=1)
    ask("swarm_destroy", swarmId=f"adopted-{given.name}", reason=given.reason)
    ask("swarm_destroy", swarmId=swarm)
    ask("swarm_status", swarmId=f"adopted-{given.name}")
    ask("swarm_status", swarmId=swarm)
    ask("swarm_list")
    ask("server_info")


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Checker:
    checker = Checker(SOURCES)
    for number, given in enumerate(WORLDS):
        folder = tmp_path_factory.mktemp(f"world{number}")
        with world_of(folder, number, checker) as client:
            happen(client, given, folder)
    return checker


@pytest.mark.acceptance("truth")
def test_every_field_that_a_schema_publishes_has_a_source_and_no_source_is_for_nothing() -> None:
    assert SOURCES.keys() == REGISTRY.tools.keys()
    for name, tool in REGISTRY.tools.items():
        published = set(fields(tool.output_schema))
        whole = {each for each in SOURCES[name] if each not in published}
        assert published <= SOURCES[name].keys(), f"{name}: {published - SOURCES[name].keys()}"
        # What may be null as a whole has a source of its own for that.
        assert all(any(p.startswith((f"{w}.", f"{w}[]")) for p in published) for w in whole), (
            f"{name}: {whole}"
        )


@pytest.mark.acceptance("truth")
def test_every_field_of_every_reply_is_what_its_source_says(checked: Checker) -> None:
    assert not checked.faults, "\n".join(checked.faults)
    assert {tool for tool, _ in checked.values} == REGISTRY.tools.keys()


NOT_BUILT = "nothing measures or hands it out yet"
BRIEF = "it takes long to come about or is soon over: tests of its own see it"
STEADY: dict[tuple[str, str], str] = {
    ("swarm_init", "status"): "a swarm that was just made is active",
    ("swarm_status", "taskQueue.assigned"): "a task is assigned for a moment only",
    ("swarm_destroy", "status"): "what was destroyed has ended",
    ("swarm_status", "suspected[]"): BRIEF,
    ("swarm_monitor", "status"): "a swarm that is closed is over",
    ("swarm_monitor", "connectivity.suspected[]"): BRIEF,
    ("swarm_reset", "status"): "a swarm that was reset takes work again",
    ("swarm_reset", "circuitsClosed"): "agents' own circuits go with them; these call nobody",
    ("swarm_reset", "tasksLeft"): "all of it is waited for",
    ("swarm_reset", "agentsLeft"): "all of it is waited for",
    ("swarm_reset", "processesLeft"): "all of it is waited for",
    ("agent_spawn", "resources.cpu"): NOT_BUILT,
    ("agent_spawn", "resources.gpuDevice"): NOT_BUILT,
    ("agent_spawn", "connectionPool.healthCheck"): "a server that answers is ready",
    ("agent_spawn", "initialisationMetrics.modelLoadTime"): "there is no model",
    ("agent_status", "resources.cpu"): NOT_BUILT,
    ("agent_status", "resources.gpuDevice"): NOT_BUILT,
    ("effect_resolve", "status"): "what was resolved is resolved",
    ("topology_optimize", "topologies[].barredUntil"): BRIEF,
    ("coordination_sync", "equal"): "what differs is brought about by tests of its own",
    ("coordination_sync", "resent[].agentId"): "the same",
    ("coordination_sync", "resent[].difference"): "the same",
    ("coordination_sync", "resent[].action"): "the same",
    ("coordination_sync", "silent[]"): BRIEF,
    ("task_results", "leftOut[]"): "the only field that may be large",
    ("task_results", "report.status"): "a run with another end is told by its own tests",
    ("task_retry", "cancelling"): "what is queued again is not being cancelled",
    ("task_queue_clear", "more"): "a thousand tasks are not made here",
    ("task_queue_clear", "notRestored[].reason"): "the one reason that this scenario brings about",
    ("performance_report", "agents[].cpu_usage"): NOT_BUILT,
    ("performance_report", "agents[].memory_usage"): NOT_BUILT,
    ("server_info", "later.*"): "what is to come waits for one thing",
    ("server_info", "name"): "its name",
    ("server_info", "version"): "both are of this version",
    ("server_info", "ready"): "a server that answers is ready",
}
"""What had one value, or none, in both worlds; and why. Everything else followed its world."""
TIMED: dict[tuple[str, str], str] = {
    ("swarm_status", "stalledTasks[]"): "whether a task that waits is held for stuck by then",
    ("agent_health", "agents[].stalledTasks[]"): "the same",
    ("load_balance", "tasks[].outcome"): "what has come of a task when the answer is written",
    **{
        (tool, name): "peers tell of themselves, and auctions are soon over"
        for tool in ("swarm_status", "swarm_monitor")
        for name in MESH
        if name != "mesh"
    },
    ("coordination_sync", "members[].gossip"): "peers tell of themselves every other second",
    ("coordination_sync", "peersAgree"): "the same",
}
"""What has one value or more as a machine is quick or slow; each value is compared all the same."""


@pytest.mark.acceptance("truth")
def test_every_field_follows_its_world_and_says_nothing_else_the_rest_of_the_time(
    checked: Checker,
) -> None:
    stuck = {
        (tool, field): checked.values.get((tool, field), [])
        for tool, table in SOURCES.items()
        for field in table
        if field in set(fields(REGISTRY.tools[tool].output_schema))
        if len(checked.values.get((tool, field), [])) < 2
    }
    idle = {key: values for key, values in stuck.items() if key not in STEADY | TIMED}
    assert not idle, "\n".join(f"{key}: {values}" for key, values in idle.items())
    assert not STEADY.keys() - stuck.keys(), "they do follow: take them out"
