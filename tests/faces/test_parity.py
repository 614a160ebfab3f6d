"""Every tool through every face of one server: the same answers, the same refusals, done once."""

import asyncio
import subprocess
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from typing import Any, NamedTuple

import pytest

from tests.coding.sample import command_of
from tests.faces.every_face import Face, Mcp, Program, Python, Said, differences, every_face
from tests.serve.server_process import Served, serving
from visionflow.domain.access import Role
from visionflow.interfaces.access.tokens import Tokens
from visionflow.interfaces.tools.all import LATER, catalogue

LIMIT_S = 900.0
REGISTRY = catalogue()
Given = Mapping[str, Any]
Known = dict[str, Any]
"""By a step's name, what it gave."""

VOLATILE: dict[str, dict[str, str]] = {
    "server_info": {
        "uptimeSeconds": "a clock",
        "usage.connections": "a program's connection is there while it asks",
    },
    "swarm_status": {"taskQueue.oldestWaitSeconds": "a clock"},
    "swarm_monitor": {
        "at": "a clock",
        "latency": "of the last minute, which goes on",
        "throughput": "of the last minute, which goes on",
    },
    "agent_health": {
        "agents.*.lastHeartbeatAge": "a clock",
        "agents.*.memoryBytes": "as the last heartbeat said",
        "agents.*.currentTaskSeconds": "a clock",
    },
    "performance_report": {
        "timeframe.until": "a clock",
        "timeframe.seconds": "a clock",
        "tasks.perMinute": "by the length of the timeframe",
        "agents.*.utilization": "by the length of an agent's life so far",
        "text": "tells the length of the timeframe",
    },
}
"""What may differ from one face to the next, since each is asked at another moment; and why."""


class Step(NamedTuple):
    """A call, the same over each face. A write goes with one key over all of them."""

    tool: str
    given: Given | Callable[[Known], Given]
    code: str | None = None
    """The refusal that it meets."""
    name: str = ""
    """Under which later steps find what it gave."""
    settle: bool = False
    """Wait first until no agent is on its way and no task is under way."""
    after: str = ""
    """Wait first until an event of this type is in the log of swarm-1: one that time brings."""


def example(tool: str, code: str | None = None, name: str = "", settle: bool = False) -> Step:
    """A tool's own example."""
    return Step(tool, REGISTRY.tools[tool].example, code, name or tool, settle)


def waits(known: Known) -> Given:
    """A task that does not end by itself while this test runs."""
    files = {"trace": f"{known['home']}/trace", "go": f"{known['home']}/go"}
    task = {"description": "waits", "agentType": "waiter", "input": files}
    return {"task": task, "swarmId": "swarm-1"}


def doubtful(known: Known) -> Given:
    """A task with an effect that is in doubt."""
    sent = {"folder": known["home"], "text": "really?", "key": "letter"}
    task = {"description": "writes", "agentType": "clerk", "input": sent}
    return {"task": task, "swarmId": "swarm-1"}


def coded(known: Known) -> Given:
    """A goal for the server's coding agents."""
    return {
        "task": "Limit the calls", "swarmId": known["limited"]["swarmId"], "candidates": 1,
        "accept": ["test -e limits.py"], "limits": {"agentTimeout": "5m", "maxCost": 1},
        "wait": True,
    }  # fmt: skip


STEPS = [
    example("server_info"),
    example("swarm_init"),
    Step("swarm_status", lambda known: {"swarmId": known["swarm_init"]["swarmId"]}),
    example("task_orchestrate"),
    example("task_status", "unknown_task"),
    Step("task_status", lambda known: {"taskId": known["task_orchestrate"]["taskId"]}),
    example("task_results", "unknown_task"),
    Step("task_results", lambda known: {"taskId": known["task_orchestrate"]["taskId"]}),
    example("agents_spawn_parallel"),
    example("agent_scale", settle=True),
    example("swarm_scale"),
    example("agent_spawn", settle=True),
    Step("agent_spawn", {"agentType": "waiter", "swarmId": "swarm-1", "wait": True}),
    Step("agent_spawn", {"agentType": "echo", "swarmId": "swarm-1", "wait": True}),
    example("swarm_status", settle=True),
    example("agent_list"),
    Step("agent_list", {"swarmId": "all"}),
    example("agent_status"),
    example("agent_logs"),
    example("agent_update"),
    Step("agent_status", {"agentId": "tester-1"}),
    example("agent_health"),
    Step("agent_health", {"agentId": "nobody"}, "unknown_agent"),
    example("daa_consensus", settle=True),
    example("agent_restart"),
    Step("agent_restart", {"agentId": "nobody"}, "unknown_agent"),
    example("debug_enable"),
    Step("agent_health", {"swarmId": "swarm-1"}, settle=True),
    Step(
        "task_orchestrate",
        {"task": {"description": "say", "agentType": "echo", "input": {"n": [1, None, "ü"]}},
         "swarmId": "swarm-1", "wait": True},
        name="said",
    ),
    Step("task_results", lambda known: {"taskId": known["said"]["taskId"], "wait": True}),
    # Its tasks would end at any time, and the log go on between one face's look and another's.
    Step(
        "task_results",
        lambda known: {"taskId": known["task_orchestrate"]["taskId"], "wait": True},
        name="explained",
    ),
    Step("agent_spawn", {"agentType": "clerk", "swarmId": "swarm-1", "wait": True}),
    Step("task_orchestrate", doubtful, name="doubtful"),
    example("effects", settle=True),
    example("effect_resolve", "unknown_effect"),
    Step("effect_resolve", {"key": "letter", "resolution": "abandoned", "note": "not any more"}),
    Step("effects", {"swarmId": "swarm-1", "key": "letter"}),
    Step("task_orchestrate", waits, name="first"),
    Step("task_orchestrate", waits, name="second"),
    example("task_cancel", "unknown_task"),
    Step("task_cancel", lambda known: {"taskId": known["second"]["taskId"]}, name="cancelled"),
    example("task_retry", "unknown_task"),
    Step("task_retry", lambda known: {"taskId": known["second"]["taskId"]}, name="again"),
    Step("task_retry", lambda known: {"taskId": known["said"]["taskId"]}, "not_failed"),
    example("task_queue_clear"),
    Step(
        "task_orchestrate",
        {"task": {"description": "x", "agentType": "where"}, "swarmId": "swarm-1",
         "formTeam": False},
    ),
    Step("task_queue_clear", {"filter": "status:queued"}, name="cleared"),
    Step("task_queue_clear", lambda known: {"undo": known["cleared"]["clearId"]}),
    example("load_balance"),
    example("daa_communication"),
    Step("daa_communication", {"to": "nobody", "message": {}}, "unknown_agent"),
    example("agent_message"),
    Step("agent_message", {"agentId": "nobody", "message": 1}, "unknown_agent"),
    example("agent_inbox"),
    Step("agent_inbox", {"agentId": "tester-1", "acknowledge": [1], "limit": 1}),
    example("coordination_sync"),
    example("topology_optimize"),
    example("task_list"),
    Step("task_list", {"swarmId": "swarm-1", "status": []}),
    example("memory_store"),
    example("memory_retrieve"),
    Step("memory_retrieve", {"key": "nothing"}),
    example("memory_search"),
    # Of the task that waits; it would come between one face's look and another's.
    Step("events", REGISTRY.tools["events"].example, after="attempt_stalled"),
    Step("events", {"swarmId": "swarm-1", "since": 1, "limit": 20}),
    example("performance_report"),
    Step("performance_report", {"swarmId": "swarm-1", "format": "detailed", "timeframe": "1h"}),
    Step("performance_report", {"swarmId": "swarm-1", "format": "summary"}),
    example("swarm_monitor"),
    Step("swarm_monitor", {"swarmId": "swarm-1", "metrics": "latency,connectivity"}),
    Step("swarm_monitor", {"metrics": ["speed"]}, "usage"),
    example("swarm_reconnect"),
    example("agent_terminate"),
    Step("agent_terminate", {"agentId": "nobody"}, "unknown_agent"),
    example("swarm_list"),
    Step("swarm_status", {"swarmId": "nowhere"}, "unknown_swarm"),
    example("swarm_reset"),
    example("swarm_destroy"),
    Step("swarm_destroy", {"swarmId": "swarm-1"}, "already_ended"),
    Step(
        "swarm_init",
        {"name": "limited", "limits": {"maxTokens": 1000, "timeLimit": "1h"}}, name="limited",
    ),
    Step("task_orchestrate", coded, name="coded"),
    Step("task_results", lambda known: {"taskId": known["coded"]["taskId"]}),
    Step("task_status", lambda known: {"taskId": known["coded"]["taskId"]}),
    Step("swarm_status", lambda known: {"swarmId": known["limited"]["swarmId"]}, settle=True),
    Step("agent_spawn", {"agentType": "coder", "config": {"command": "id"}}, "not_allowed"),
    Step("swarm_list", {}),
]  # fmt: skip


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("parity")
    workspace = folder / "workspace"
    workspace.mkdir()
    (workspace / "calc.py").write_text('def add(a, b):\n    """Adds."""\n    return a + b\n')
    (workspace / "README.md").write_text("# Calc\n\nThe calculator adds numbers.\n")
    git = ["git", "-c", "user.email=a@example.org", "-c", "user.name=a"]
    for words in (["init", "-q", "."], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *words], cwd=workspace, check=True, timeout=60)
    agent = command_of("report:90:30:4000,writes:limits.py=MOST = 3")
    with serving(folder, "--coding-agent", agent) as found:
        yield found


def without(value: Any, path: str) -> None:
    """Take a field out, in each item of a list where the path has a star."""
    first, _, rest = path.partition(".")
    if value is None:
        return
    if first == "*":
        for each in value:
            without(each, rest)
    elif rest:
        without(value[first], rest)
    else:
        assert first in value, f"{path} is not there: take it out of VOLATILE"
        del value[first]


def steady(tool: str, result: Any) -> Any:
    found = deepcopy(result)
    for path in VOLATILE.get(tool, {}):
        without(found, path)
    return found


async def settled(face: Face) -> None:
    """Until agents are up, so that all faces see the same."""
    for _ in range(600):
        agents = (await face.call("agent_list", {"swarmId": "all"}, None)).result
        assert agents is not None
        if all(each["status"] == "ready" for each in agents["agents"]):
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"agents did not get ready: {agents}")


async def happened(face: Face, type: str) -> None:
    """Until an event of this type is in the log."""
    for _ in range(600):
        told = (await face.call("events", {"swarmId": "swarm-1", "types": [type]}, None)).result
        assert told is not None
        if told["events"]:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"no {type} came")


async def through(
    faces: list[Face], number: int, step: Step, given: Given, faults: list[str]
) -> Said:
    """One step, over the first face alone and then over all others at once."""
    first, *others = faces
    if step.given is not REGISTRY.tools[step.tool].example:
        # Programs are slow to start: of them one in turn, and both for the examples.
        others = [each for each in others if not isinstance(each, Program)]
        others.append([each for each in faces if isinstance(each, Program)][number % 2])
    key = None if REGISTRY.tools[step.tool].reads else f"step-{number}"
    said = await first.call(step.tool, given, key)
    where = f"step {number}, {step.tool}"
    if said.code != step.code:
        faults.append(f"{where}: {said}")
    told = await asyncio.gather(*(each.call(step.tool, given, key) for each in others))
    for face, other in zip(others, told, strict=True):
        if said.result is None or other.result is None:
            same = (other.result is said.result) and other.code in (said.code, None)
            if not same or said.message.split(". ")[0] not in other.message:
                faults.append(f"{where}, {face.name}: {said} and {other}")
            continue
        wanted, got = (steady(step.tool, each.result) for each in (said, other))
        faults += [f"{where}, {face.name}: {each}" for each in differences(wanted, got)]
    return said


FORMS = {
    "usage": ("-32602", "422", "isError", "UsageError", "2"),
    "unknown_swarm": ("-32002", "404", "isError", "UnknownSwarm", "69"),
    "unknown_agent": ("-32001", "404", "isError", "UnknownAgent", "69"),
    "unknown_task": ("-32000", "404", "isError", "UnknownTask", "69"),
    "limit_reached": ("-32003", "409", "isError", "LimitReached", "69"),
    "not_allowed": ("-32001", "409", "isError", "Refused", "69"),
    "forbidden": ("-32000", "403", "isError", "Forbidden", "77"),
    "unknown_tool": ("-32601", "404", "-32601", "UnknownTool", "2"),
    "not_built": ("-32601", "501", "-32601", "NotBuilt", "69"),
}
"""How each kind of face tells a refusal: the guide's dialect, REST, MCP, Python, a command line."""
REFUSALS: list[tuple[str, Given, str]] = [
    ("swarm_status", {"nonsense": 1}, "usage"),
    ("swarm_list", {"limit": 0}, "usage"),
    ("swarm_status", {"swarmId": "nowhere"}, "unknown_swarm"),
    ("agent_status", {"agentId": "nobody"}, "unknown_agent"),
    ("task_results", {"taskId": "task_1_a"}, "unknown_task"),
    ("swarm_init", {"maxAgents": 10_000}, "limit_reached"),
    ("agent_spawn", {"agentType": "coder", "config": {"profile": "codex"}}, "not_allowed"),
    ("task_statu", {}, "unknown_tool"),
    (next(iter(LATER)), {}, "not_built"),
]
FORBIDDEN: list[tuple[str, Given, str]] = [
    (tool.name, tool.example, "forbidden") for tool in REGISTRY.tools.values() if not tool.reads
]


def form_of(face: Face) -> int:
    """Which of `FORMS` is this face's."""
    if isinstance(face, Program):
        return 4
    return 3 if isinstance(face, Python) else 2 if isinstance(face, Mcp) else face.name == "REST"


async def refusals(faces: list[Face], calls: list[tuple[str, Given, str]]) -> list[str]:
    """What is not told as it should be."""
    faults: list[str] = []
    for number, (tool, given, code) in enumerate(calls):
        programs = [face for face in faces if isinstance(face, Program)]
        asked = [face for face in faces if face not in programs]
        if number % 3 == 0 or tool in LATER:
            asked.append(programs[number % 2])
        told = await asyncio.gather(*(face.call(tool, given, None) for face in asked))
        message = told[0].message.split(". ")[0]
        for face, said in zip(asked, told, strict=True):
            form = FORMS[code][form_of(face)]
            word = (None if isinstance(face, Program) else code, form)
            if (said.code, said.form) != word or message not in said.message:
                faults.append(f"{tool} over {face.name}: {said}")
    return faults


@pytest.mark.acceptance("wire-shape", "cli", "python-api")
def test_every_refusal_has_one_word_and_each_faces_own_form(served: Served) -> None:
    async def run() -> list[str]:
        async with every_face(served, REGISTRY) as faces:
            return await refusals(faces, REFUSALS)

    assert asyncio.run(asyncio.wait_for(run(), LIMIT_S)) == []


@pytest.mark.acceptance("auth", "wire-shape")
def test_a_viewer_may_change_nothing_through_any_face(served: Served) -> None:
    _, token = Tokens(served.told["home"]).create("looker", Role.VIEWER)

    async def run() -> list[str]:
        async with every_face(served, REGISTRY, token) as faces:
            assert len(faces) == 10, "all but stdio, where an assistant is its own user"
            faults = await refusals(faces, FORBIDDEN)
            for face in faces:
                told = await face.call("swarm_list", {}, None)
                if told.result is None:
                    faults.append(f"a read over {face.name}: {told}")
            return faults

    assert asyncio.run(asyncio.wait_for(run(), LIMIT_S)) == []


@pytest.mark.acceptance("wire-shape", "cli", "python-api")
def test_every_tool_gives_the_same_through_every_face_and_a_write_is_done_once(
    served: Served,
) -> None:
    tried = {step.tool for step in STEPS if step.code is None}
    assert tried >= REGISTRY.tools.keys(), f"not exercised: {REGISTRY.tools.keys() - tried}"
    examples = {step.tool for step in STEPS if step.given is REGISTRY.tools[step.tool].example}
    assert examples == REGISTRY.tools.keys()

    async def run() -> None:
        known: Known = {"home": served.told["home"]}
        faults: list[str] = []
        async with every_face(served, REGISTRY) as faces:
            assert len(faces) == 11
            for number, step in enumerate(STEPS):
                if step.settle:
                    await settled(faces[0])
                if step.after:
                    await happened(faces[0], step.after)
                given = step.given(known) if callable(step.given) else step.given
                said = await through(faces, number, step, given, faults)
                if said.result is not None:
                    known[step.name or f"{step.tool} {number}"] = said.result
        assert not faults, "\n".join(faults)

    asyncio.run(asyncio.wait_for(run(), LIMIT_S))
