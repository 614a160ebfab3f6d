"""A `visionflow serve` of its own, and the processes that call it, each on a core."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from bench.processes import ROOT, NotThere, cpu_s, end
from bench.wire_client import Burst, Outcome, Target

START_S = 30.0
AGENTS = ROOT / "bench" / "agents.py"
AGENT, MEMBERS = "doubler", 3


class Core:
    """Cores as they are shared out: the server's, and the client's where there is another."""

    def __init__(self) -> None:
        cores = sorted(os.sched_getaffinity(0))
        self.server = cores[0]
        self.client = cores[-1]
        apart = "" if self.server != self.client else ", which is the same one"
        self.told = f"server and workers on core {self.server}, client on {self.client}{apart}"


@contextmanager
def kept_on(core: int) -> Generator[None]:
    """What is started in here stays on this core, and so do its children."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Client:
    """A process that calls."""

    def __init__(self, target: Target, core: int) -> None:
        argv = [sys.executable, "-m", "bench.wire_client", json.dumps(msgspec.to_builtins(target))]
        with kept_on(core):
            self._child = subprocess.Popen(
                argv,
                cwd=ROOT,
                env=dict(os.environ) | {"PYTHONPATH": str(ROOT)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        self.next_id = 1
        self._line()

    def burst(self, burst: Burst) -> Outcome:
        """Have it call; ids go on from where they were.

        Raises:
            NotThere: it failed, and why.
        """
        self.send(burst)
        return self.outcome()

    def send(self, burst: Burst) -> None:
        """Begin a burst."""
        burst = msgspec.structs.replace(burst, first=self.next_id)
        if self._child.stdin is not None:
            self._child.stdin.write(msgspec.json.encode(burst) + b"\n")
            self._child.stdin.flush()

    def outcome(self) -> Outcome:
        """What came of the burst that was begun."""
        outcome = msgspec.json.decode(self._line(), type=Outcome)
        self.next_id = outcome.next_id
        return outcome

    def _line(self) -> bytes:
        line = b"" if self._child.stdout is None else self._child.stdout.readline()
        if not line:
            told = b"" if self._child.stderr is None else self._child.stderr.read()
            raise NotThere(f"the client failed: {told.decode(errors='replace')[-1_500:].strip()}")
        return line

    def close(self) -> None:
        """End it."""
        if self._child.stdin is not None:
            self._child.stdin.close()
        end(self._child)
        for pipe in (self._child.stdout, self._child.stderr):
            if pipe is not None:
                pipe.close()


class Serving:
    """`visionflow serve` with a home in a folder, on free ports."""

    def __init__(self, folder: Path, core: int, agents_max: int = 100) -> None:
        home, space = folder / "home", folder / "space"
        space.mkdir(parents=True)
        argv = [sys.executable, "-m", "visionflow.cli", "serve", "--port", "0", "--web-port", "0"]
        argv += ["--json", "--max-agents", str(agents_max), "--log-level", "warning"]
        argv += ["--home", str(home), "--workspace", str(space)]
        agents = folder / "agents.yaml"
        agents.write_text(f"agent_templates:\n  doubler: {{class: {AGENTS}:Doubler}}\n")
        argv += ["--agents", str(agents), "--trust"]
        self.home = home
        with kept_on(core), open(folder / "serve.log", "wb") as log:
            self._front = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=log)
        line = b"" if self._front.stdout is None else self._front.stdout.readline()
        if not line:
            raise NotThere(f"visionflow serve did not start: {(folder / 'serve.log').read_text()}")
        told: dict[str, Any] = msgspec.json.decode(line)
        self.pid = int(told["pid"])
        self.port = int(str(told["tcp"]).rpartition(":")[2])

    @property
    def cpu_s(self) -> float:
        """CPU that the server's process has used, its log's thread included."""
        return cpu_s(self.pid)

    @property
    def rss_bytes(self) -> int:
        """Its resident memory."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf(
            "SC_PAGE_SIZE"
        )

    def close(self) -> None:
        """End it, and what it started."""
        end(self._front, 15.0)
        if self._front.stdout is not None:
            self._front.stdout.close()


@contextmanager
def serving(core: int, agents_max: int = 100) -> Generator[Serving]:
    """A server for a while."""
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as name:
        server = Serving(Path(name), core, agents_max)
        try:
            yield server
        finally:
            server.close()


@contextmanager
def calling(target: Target, core: int) -> Generator[Client]:
    """A client for a while."""
    client = Client(target, core)
    try:
        yield client
    finally:
        client.close()


@contextmanager
def peopled(core: Core) -> Generator[Serving]:
    """A server with a swarm of three agents that are ready."""
    with serving(core.server) as server:
        with calling(Target("lines", server.port), core.client) as setting_up:
            init = call("swarm_init", {"topology": "hierarchical"})
            spawn = call("agent_spawn", {"type": AGENT, "wait": True})
            for request in (init, *[spawn] * MEMBERS):
                setting_up.burst(Burst((request,), calls=1))
        yield server


def measured(client: Client, burst: Burst, pid: int | None) -> "Cost":
    """One burst, and what it cost the server."""
    before = 0.0 if pid is None else cpu_s(pid)
    outcome = client.burst(burst)
    used = (outcome.server_cpu_s or 0.0) + (0.0 if pid is None else cpu_s(pid) - before)
    return Cost(
        outcome.calls / outcome.seconds,
        1e6 * used / outcome.calls,
        1e6 * outcome.client_cpu_s / outcome.calls,
        outcome.p50_ms,
        outcome.p99_ms,
        outcome.reply_bytes,
    )


class Cost(msgspec.Struct, frozen=True):
    """What calls under one load cost."""

    rate: float
    """Calls a second."""
    server_us: float
    """CPU of the server a call, all of its threads."""
    client_us: float
    p50_ms: float
    p99_ms: float
    reply_bytes: int


def told(name: str, costs: Sequence[Cost]) -> str:
    """A note on what calls cost: of the medians of the rounds."""
    server, client = median(c.server_us for c in costs), median(c.client_us for c in costs)
    p50, p99 = median(c.p50_ms for c in costs), median(c.p99_ms for c in costs)
    return (
        f"{name}: CPU a call {server:.0f} us (server), {client:.0f} us (client); "
        f"p50 {p50:.2f} ms, p99 {p99:.2f} ms; {costs[-1].reply_bytes:,} bytes a reply"
    )


def call(tool: str, arguments: Mapping[str, object] | None = None) -> str:
    """A request that calls a tool; `#` in arguments is a running number."""
    params = {"name": tool, "arguments": dict(arguments or {})}
    text = json.dumps({"jsonrpc": "2.0", "method": "tools/call", "params": params})
    # The id is first: that `#` counts on without end.
    return '{"id": #, ' + text[1:]
