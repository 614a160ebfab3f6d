"""`visionflow serve`: a front that keeps the server's process going until it is told to stop."""

import os
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from cyclopts import Parameter

from visionflow.cli.ending import INTERRUPTED, TERMINATED
from visionflow.domain.errors import StoreInUse

if TYPE_CHECKING:
    from visionflow.cli.front import Ending
    from visionflow.cli.telling import Tell
    from visionflow.settings.origins import Resolved

SERVE_EXAMPLES = """\
Examples:
  visionflow serve
  visionflow serve --workspace ~/src/one --workspace ~/src/two --max-agents 40
  visionflow serve --port 0 --web-port 0 --json | jq -r .tcp
  visionflow serve --log-format json 2> server.jsonl
  MAX_AGENTS=50 AGENT_TIMEOUT=600 visionflow serve --home /var/lib/visionflow
"""
MARK = "VISIONFLOW_SERVER_HOME"
"""In the environment of everything that a server starts, so that what is left of it is found."""
STOP_S_MAX = 10.0
PREDECESSOR_S_MAX = 10.0
"""A server whose front was killed ends at once; a machine may be slow."""
LEFTOVER_GRACE_S = 2.0
POLL_S = 0.02
MEANT = frozenset({0, 2, 69, 73, 75, 77, 78})
"""What a server ends with by itself, having said why; with any other code something ended it."""


@Parameter(name="*", negative=(), show_default=False)
@dataclass(frozen=True)
class Ports:
    """Flags of a server about where it listens."""

    host: str | None = None
    """The address to listen on; beyond loopback a token is needed. [127.0.0.1]"""
    port: int | None = None
    """The port for clients: MCP, JSON-RPC lines and POST /; 0 takes a free one. [9500]"""
    web_port: int | None = None
    """The port for REST and health. [3000]"""

    def given(self) -> dict[str, object]:
        """What was given, by the settings' keys."""
        words = {"host": self.host, "port": self.port, "web_port": self.web_port}
        return {key: value for key, value in words.items() if value is not None}


@Parameter(name="*", negative=(), show_default=False)
@dataclass(frozen=True)
class Words:
    """Flags of a server. What is not given holds by the environment, a file, or a default."""

    workspace: tuple[Path, ...] = ()
    """A folder that tasks may work on; may be given several times. [the current one]"""
    agents: Path | None = None
    """An agents.yaml whose templates stand beside the built-in ones."""
    max_agents: int | None = None
    """Agents of all swarms together. [20]"""
    agent_timeout: str | None = None
    """Seconds, or a time such as 5m, that an attempt may take unless it says otherwise. [300]"""
    autoscale: bool = False
    """Let the numbers of agents follow the load, in swarms that do not say otherwise."""
    coding_agent: tuple[str, ...] = ()
    """A coding agent that clients may use: a profile such as claude, or a command line with {goal};
    may be given several times. [none]"""
    keep_workers: bool = False
    """When told to end, leave workers and what they do to the server that is started next, for as
    long as they wait for it (VISIONFLOW_ORPHAN_GRACE, 60 seconds): for upgrades."""
    trust: bool = False
    """Run the code of workspaces also where nothing here can confine it."""
    log_level: Literal["debug", "info", "warning", "error"] | None = None
    """Lines below it are left out. [info]"""
    log_format: Literal["text", "json"] | None = None
    """How log lines are written, on standard error and in HOME/server/visionflow.log. [text]"""
    config: Path | None = None
    """A file of settings. [HOME/server.yaml, where it is there]"""
    home: Path | None = None
    """Where state lives. [VISIONFLOW_HOME, or the platform's folder]"""

    def given(self) -> dict[str, object]:
        """What was given, by the settings' keys."""
        words: dict[str, Any] = {
            "workspaces": tuple(map(str, self.workspace)) or None,
            "agents": None if self.agents is None else str(self.agents),
            "max_agents": self.max_agents,
            "agent_timeout": self.agent_timeout,
            "autoscale": self.autoscale or None,
            "coding_agents": self.coding_agent or None,
            "keep_workers": self.keep_workers or None,
            "trust": self.trust or None,
            "log_level": self.log_level,
            "log_format": self.log_format,
            "home": None if self.home is None else str(self.home),
        }
        return {key: value for key, value in words.items() if value is not None}


NO_PORTS = Ports()
NO_WORDS = Words()


def serve(
    *,
    ports: Ports = NO_PORTS,
    words: Words = NO_WORDS,
    json: Annotated[
        bool,
        Parameter(
            negative=(),
            show_default=False,
            help="Print the addresses as one line of JSON once it is up.",
        ),
    ] = False,
) -> int:
    """Serve fleets of agents to MCP clients, over one port, until stopped.

    Swarms, tasks and memory are kept in HOME/server, and it goes on from there.
    Ctrl-C ends it in order within ten seconds, a second one at once. A server that
    was killed is started again, three times a minute at most; its workers go on
    meanwhile, and wait a minute for it. `visionflow config` shows all settings and
    where each of them comes from.
    """
    from visionflow.adapters.lock import acquire
    from visionflow.cli import descendants
    from visionflow.cli.front import Front, starter
    from visionflow.cli.telling import teller
    from visionflow.compose.store import ServerStore
    from visionflow.settings.origins import check_keeping, check_ports, resolve

    started_by = starter()
    resolved = resolve({**ports.given(), **words.given()}, os.environ, words.config)
    check_ports(resolved)
    check_keeping(resolved)
    settings = resolved.settings
    store = ServerStore.of(settings.home)
    try:
        lock = acquire(store.front_lock)
    except StoreInUse as error:
        raise _in_use(store.folder, store.front_lock) from error
    tell = teller(settings.log_format, "front")
    with lock:
        _await_predecessor(store.lock)
        # A worker may outlive its server: the next one adopts it, or ends it.
        spares = descendants.workers if settings.orphan_grace_ms else None
        descendants.end_marked(MARK, settings.home, LEFTOVER_GRACE_S, spares)
        front = Front(
            [sys.executable, "-P", "-m", "visionflow.cli.server"],
            _environment(resolved, json),
            stop_s_max=STOP_S_MAX,
            stdout=1 if json else 2,
            what="server",
            tell=tell,
            spares=spares,
            leaves=settings.keep_workers,
            meant=MEANT,
            starter=started_by,
        )

        def end_the_rest() -> None:
            if not descendants.adopts() and not front.leaves:
                descendants.end_recorded(store.log)
            # What an adopted worker started is below no process of ours when that has ended.
            kept = spares if front.leaves else None
            descendants.end_marked(MARK, settings.home, 0, kept)

        ending = front.run(end_the_rest)
    return _finish(ending, store.folder, tell)


def _environment(resolved: "Resolved", as_json: bool) -> dict[str, str]:
    from visionflow.cli.server import ORDER, Order

    settings = resolved.settings
    paths: tuple[str, ...] = ()
    if settings.agents_file is not None:
        paths = tuple(os.path.abspath(entry or ".") for entry in sys.path)
    order = Order(settings, as_json, import_paths=paths, origins=resolved.origins)
    told = msgspec.json.encode(order).decode()
    return {**os.environ, "VISIONFLOW_HOME": settings.home, MARK: settings.home, ORDER: told}


def _in_use(store: Path, lock: Path) -> StoreInUse:
    from visionflow.adapters.lock import owner

    who = owner(lock)
    named = "another process" if who is None else f"process {who.pid}"
    stop = "" if who is None else f", stop it with `kill {who.pid}`,"
    return StoreInUse(
        f"The store {store} is served by {named}.",
        hint=f"Use that server{stop} or give this one another --home.",
    )


def _await_predecessor(lock: Path) -> None:
    """A server whose front was killed sees that and ends; until then the store is its own."""
    from visionflow.adapters.lock import owner

    deadline = time.monotonic() + PREDECESSOR_S_MAX
    while time.monotonic() < deadline:
        who = owner(lock)
        if who is None or not _is_served(who.pid):
            return
        time.sleep(POLL_S)


def _is_served(pid: int) -> bool:
    """Whether a front started this process; it is gone, or it would hold the lock that we have."""
    with suppress(OSError):
        return f"{MARK}=".encode() in Path("/proc", str(pid), "environ").read_bytes()
    return False


def _finish(ending: "Ending", store: Path, tell: "Tell") -> int:
    from visionflow.cli.front import FAIL_STOP, how_it_ended

    if ending.left:
        pids = ", ".join(map(str, ending.left))
        tell(f"visionflow: killed processes that the kernel does not let go yet: {pids}.")
    if ending.asked is not None:
        if ending.code == 0:
            return 0
        return INTERRUPTED if ending.asked == signal.SIGINT else TERMINATED
    if ending.gave_up:
        tell(
            f"visionflow: the server {how_it_ended(ending.code)}, too often in a minute to start "
            f"it once more. Nothing acknowledged is lost; {store / 'visionflow.log'} may say why."
        )
        return FAIL_STOP
    return ending.code if ending.code > 0 else FAIL_STOP
