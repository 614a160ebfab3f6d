"""A server's process, a client on one line to it, and things that happen there, in two worlds."""

import json
import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, get_args

import psutil

import visionflow.settings
from tests.coding.sample import command_of
from tests.faces.every_face import place, request
from tests.serve.server_process import Served, serving
from tests.truth.checking import At, Between, Checker
from tests.truth.logged_world import World
from tests.truth.of_agents import born
from tests.truth.origins import iso
from tests.web.webbed import ask
from visionflow.domain.events import AnyEvent
from visionflow.domain.tasks import TERMINAL

AGENTS = Path(__file__).with_name("truth_agents.py")
TEMPLATES = {
    "teller": f"{AGENTS}:Teller",
    "failer": f"{AGENTS}:Failer",
    "holder": f"{AGENTS}:Holder",
    "lonely": f"{AGENTS}:Teller",
    "deaf": f"{AGENTS}:Deaf",
    "broken": f"{AGENTS}:Broken",
    "bulk": f"{AGENTS}:Bulk",
    "sender": f"{AGENTS}:Sender",
    "answerer": f"{AGENTS}:Answerer",
    "voter": f"{AGENTS}:Voter",
}
LIMIT_S = 60.0


class Params(NamedTuple):
    """What differs from one world to the other."""

    topology: str
    strategy: str
    name: str
    goal: str
    agents_max: int
    server_max: int
    priority: str
    count: int
    colour: str
    share: float
    note: str
    value: Any
    namespace: str
    ttl: str
    reason: str


WORLDS = [
    Params("mesh", "adaptive", "first", "tidy up", 9, 60, "high", 2, "blue", 0.25, "a quarter",
           {"db": "sqlite"}, "alpha", "1h", "not needed"),
    Params("ring", "balanced", "second", "find out", 12, 70, "low", 3, "red", 0.5, "half",
           [1, 2.5, None], "beta", "2h", "too late"),
]  # fmt: skip


class Client:
    """A client on one line, whose every answer is checked."""

    def __init__(self, served: Served, facts: dict[str, Any], checker: Checker) -> None:
        self._socket = socket.create_connection(place(served.told["tcp"]), LIMIT_S)
        self._replies = self._socket.makefile("rb")
        self._number = 0
        self.facts = facts
        self.checker = checker
        self.home = Path(served.told["home"])

    def close(self) -> None:
        """Hang up."""
        self._replies.close()
        self._socket.close()

    def request(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """A request and its reply."""
        self._number += 1
        asked = {"jsonrpc": "2.0", "id": self._number, "method": method, "params": params}
        self._socket.sendall(json.dumps(asked).encode() + b"\n")
        return json.loads(self._replies.readline())

    def post(self, tool: str, given: dict[str, Any]) -> dict[str, Any]:
        """A call by `POST /`."""
        where, headers = place(self.facts["tcp"]), {"Content-Type": "application/json"}
        return ask(*where, "POST", "/", request(1, tool, given, None), headers).json

    def ask(self, tool: str, /, **given: Any) -> dict[str, Any]:
        """A tool's answer; each of its fields is held against its source."""
        before = time.time_ns() // 1_000_000
        if tool == "task_results":  # A line of the guide's clients has room for 65,536 bytes.
            reply = self.post(tool, given)
        else:
            reply = self.request("tools/call", {"name": tool, "arguments": given})
        after = time.time_ns() // 1_000_000 + 1
        assert "error" not in reply, f"{tool} {given!r:.300}: {reply['error']}"
        told: dict[str, Any] = reply["result"]["structuredContent"]
        at = At(World(self.home), tool, given, told, before, after, self.facts)
        self.checker.check(at)
        return told

    def until(self, true: Callable[[World], bool]) -> World:
        """Wait until the log says that it is so."""
        until = time.monotonic() + LIMIT_S
        while not true(world := World(self.home)):
            assert time.monotonic() < until, "it did not come to be"
            time.sleep(0.05)
        return world

    def rest(self) -> None:
        """Wait until no agent is on its way."""
        still = {"ready", "processing", "failed", "terminated"}
        self.until(
            lambda world: all(
                agent.status.now in still
                for swarm in world.live.values()
                for agent in swarm.agents.values()
            )
        )

    def reaches(self, task: str, *statuses: str) -> None:
        """Wait until a task is so."""
        self.until(lambda world: world.task(task)[1].status.now in statuses)


@contextmanager
def others(served: Served, count: int) -> Iterator[None]:
    """So many more connections."""
    opened = [socket.create_connection(place(served.told["tcp"]), LIMIT_S) for _ in range(count)]
    for line in opened:
        line.sendall(b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}\n')
        assert line.recv(100)
    yield
    for line in opened:
        line.close()


@contextmanager
def world_of(folder: Path, number: int, checker: Checker) -> Iterator[Client]:
    """A server with a repository to work on, and a client of it."""
    given = WORLDS[number]
    workspace = folder / "workspace"
    (workspace / given.name).mkdir(parents=True)
    (workspace / "calc.py").write_text('def add(a, b):\n    """Adds."""\n    return a + b\n')
    git = ["git", "-c", "user.email=a@example.org", "-c", "user.name=a"]
    for line in (["init", "-q", "."], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *line], cwd=workspace, check=True, timeout=60)
    templates = folder / "own.yaml"
    lines = "".join(f"  {name}: {{class: {where}}}\n" for name, where in TEMPLATES.items())
    templates.write_text(f"agent_templates:\n{lines}")
    flags = ["--agents", str(templates), "--max-agents", str(given.server_max)]
    flags += ["--agent-timeout", str(100 + given.server_max), "--log-level", "debug"]
    # One that says what it used, and one that does not.
    agent = command_of(
        ("report:90:30:4000,writes:app/limits.py=MOST = 3", "writes:limits.py=MOST = 4")[number]
    )
    flags += ["--coding-agent", agent]
    with serving(folder, *flags) as served, others(served, number):
        client = Client(served, facts_of(served, given, flags, folder), checker)
        try:
            yield client
        finally:
            (folder / "go").touch()
            client.close()


# What is known of the server without asking it ---------------------------------------------------


def facts_of(served: Served, given: Params, flags: list[str], folder: Path) -> dict[str, Any]:
    """See `At.facts`."""
    process = psutil.Process(served.pid)
    ports = {place(served.told[name])[1] for name in ("tcp", "web")}

    def connections() -> int:
        return sum(
            1
            for each in process.net_connections("tcp")
            if each.status == psutil.CONN_ESTABLISHED and each.laddr.port in ports
        )

    def ready() -> bool:
        with urllib.request.urlopen(f"http://{served.told['web']}/ready", timeout=30) as found:
            return json.loads(found.read())["ready"]

    def listed(method: str) -> Any:
        with socket.create_connection(place(served.told["tcp"]), LIMIT_S) as line:
            line.sendall(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method}).encode() + b"\n")
            with line.makefile("rb") as replies:
                return json.loads(replies.readline())["result"]

    pools: list[str] = []

    def pool(told: str) -> str:
        """One line is one client."""
        pools.append(told)
        return pools[0] if told.startswith("tcp:") else "tcp:"

    config = shown_config(served, flags, folder)
    runs = Path(served.told["home"], "server", "runs")
    return {
        "pid": served.pid,
        "told": served.told,
        "home": served.told["home"],
        "tcp": served.told["tcp"],
        "workspace": str(folder / "workspace"),
        "max_agents": given.server_max,
        "connections_max": config["connections_max"]["value"],
        "config": config,
        "limits": limits(config),
        "connections": connections,
        "ready": ready,
        "pool": pool,
        "began_ms": round(process.create_time() * 1_000) - 1_000,
        "up_ms": time.time_ns() // 1_000_000,
        "version": version("visionflow"),
        "protocols": import_module("mcp_types.version").KNOWN_PROTOCOL_VERSIONS,
        "tools": [each["name"] for each in listed("tools/list")["tools"]],
        "not_built": lambda name: not_built(served, name),
        "shipped": str(Path(visionflow.settings.__file__).parent / "templates.yaml"),
        "templates": TEMPLATES,
        "task_types": task_types,
        "event_types": [each.__struct_config__.tag for each in get_args(AnyEvent)],
        "held": {},
        "run": lambda task: run_of(runs, task),
        "run_id": lambda at: (run_of(runs, at.reply["taskId"]) or {}).get("run"),
        "playbook": playbook,
        "why": why,
        "unmet": lambda at: at.given.get("requiredCapabilities", ["nothing"]),
        "estimate": estimate,
        "adopted": adopted,
        "ever": lambda swarm, kind: sum(isinstance(v[3], kind) for v in swarm.events),
        "plan_progress": plan_progress,
        "more": more,
    }  # fmt: skip


def shown_config(served: Served, flags: list[str], folder: Path) -> Any:
    """What `visionflow config` says of the same flags, in a process of its own."""
    import sys

    given = ["--port", "0", "--web-port", "0", "--home", str(folder / "home")]
    given += ["--workspace", str(folder / "workspace"), *flags]
    done = subprocess.run(
        [sys.executable, "-m", "visionflow.cli", "config", "--json", *given],
        capture_output=True, check=True, timeout=60, text=True, env=dict(os.environ),
    )  # fmt: skip
    del served
    return json.loads(done.stdout)["settings"]


def limits(config: Any) -> dict[str, Any]:
    """By the settings and the domain's constants."""
    from visionflow.domain import limits as bounds

    return {
        "agents": config["max_agents"]["value"],
        "swarms": bounds.SWARMS_MAX,
        "connections": config["connections_max"]["value"],
        "attemptSeconds": config["agent_timeout"]["value"],
        "callsPerSecond": config["calls_per_second"]["value"],
        "callsAtOnce": config["calls_at_once"]["value"],
        "frameBytes": config["frame_bytes_max"]["value"],
        "depth": config["depth_max"]["value"],
        "memoryKeys": bounds.MEMORY_KEYS_MAX,
        "memoryValueBytes": bounds.MEMORY_VALUE_BYTES_MAX,
    }


def not_built(served: Served, name: str) -> str:
    """What the refusal of such a tool says to wait for."""
    with socket.create_connection(place(served.told["tcp"]), LIMIT_S) as line:
        params = {"name": name, "arguments": {}}
        asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        line.sendall(json.dumps(asked).encode() + b"\n")
        with line.makefile("rb") as replies:
            error = json.loads(replies.readline())["error"]
    return error["data"]["hint"] if error["data"]["code"] == "not_built" else "a refusal"


def task_types(agent_type: str) -> Any:
    """What the role's own module says."""
    return import_module(f"visionflow.agents.roles.{agent_type}").TASK_TYPES


def run_of(runs: Path, task: str) -> dict[str, Any] | None:
    """What a run wrote into its folder."""
    for folder in runs.glob("run_*"):
        order = json.loads((folder / "run.json").read_text())
        if task in json.dumps(order) or task in (folder / "state" / "order.json").read_text():
            summary = folder / "summary.json"
            return {
                "run": folder.name,
                "folder": str(folder),
                "files": [each.name for each in folder.iterdir() if each.is_file()],
                "summary": json.loads(summary.read_text()) if summary.exists() else None,
                "order": (folder / "state" / "order.json").read_text(),
            }
    return None


def adopted(at: At) -> bool:
    """Whether the swarm was promised for this very call."""
    return at.world.reserved_ms[at.reply["swarmId"]] >= at.before_ms


def playbook(at: At) -> Any:
    """Of a goal in words: the name of the plan's kind, which the run's folder has too."""
    run = at.facts["run"](at.reply["taskId"])
    told = at.reply["playbook"]
    if run is None:
        return None
    return told if told in run["order"] else f"in {run['order']}"


def why(at: At) -> Any:
    """A sentence of ours about words of the goal, or about what was asked for."""
    told, goal = at.reply["why"], at.given["task"]
    if not isinstance(goal, str):
        return None
    if (count := at.given.get("candidates")) is not None:
        return f"{count} candidate{' was' if count == 1 else 's were'} asked for."
    return (
        told
        if told and any(w.casefold() in told.casefold() for w in goal.split())
        else f"of {goal!r}"
    )


def estimate(at: At) -> Any:
    """From none to all of what like tasks took one after the other; null without any. A part may
    have ended before the answer to the call that ordered it was made."""
    swarm, root = at.swarm, at.world.task(at.reply["taskId"])[1]
    parts = [swarm.tasks[name] for _, tasks in root.phases for name in tasks] or [root]
    total = 0.0
    for part in parts:
        took = [
            each.duration_us / 1e6
            for each in swarm.tasks.values()
            if each.spec.type == part.spec.type
            and each.duration_us is not None
            and each.ended_ms <= at.after_ms
        ]
        total += max(took, default=0.0)
    if at.place[-1] == "estimatedCompletion":
        if at.reply[at.place[-1]] is None:
            return None
        return (
            "null"
            if at.reply["status"] in TERMINAL or not total
            else Between(iso(at.before_ms), iso(at.after_ms + round(total * 1e3)))
        )
    told = at.own["estimatedDuration"]
    return None if told is None else Between(0.0, total) if total else "null"


def plan_progress(at: At, task: Any, name: str) -> Any:
    """How much of a plan's tasks is over."""
    if name == "at":
        return None
    parts = [at.swarm.tasks[each] for _, tasks in task.phases for each in tasks]
    over = sum(1 for each in parts if each.ended_ms is not None)
    if name == "fraction":
        return Between(over / len(parts), (over + 1) / len(parts))
    return at.own["note"] if str(len(task.phases)) in at.own["note"] else "how many phases"


def more(at: At) -> bool:
    """Whether there are events after the last one of the page."""
    last = at.reply["events"][-1]
    kinds = at.given.get("types")
    after = [v for v in at.swarm.events if v[:2] > (last["seq"], last["index"])]
    return any(kinds is None or type(v[3]).__struct_config__.tag in kinds for v in after)


__all__ = ["WORLDS", "Client", "Params", "born", "world_of"]
