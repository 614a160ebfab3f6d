"""`AgentOrchestrator`: the public entry, wired to the embedded runtime."""

import atexit
import logging
import os
import shutil
import sys
import tempfile
import threading
import weakref
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, TypeVar, cast, overload

import msgspec

from visionflow.agents import loading
from visionflow.compose.embedded import Embedded
from visionflow.compose.store import Store
from visionflow.domain.commands import CreateSwarm
from visionflow.domain.errors import Refused, UnknownId, UsageError
from visionflow.domain.events import AgentFailed, AnyEvent
from visionflow.domain.limits import Limits
from visionflow.domain.swarms import Strategy, SwarmSpec, Topology
from visionflow.interfaces.async_fleet import AsyncFleet, in_thread
from visionflow.interfaces.client.blocking import BlockingRemoteFleet
from visionflow.interfaces.client.calls import MCPClient
from visionflow.interfaces.client.remote import RemoteAgent, RemoteFleet, RemoteSwarm
from visionflow.interfaces.mending import Mending, RemoteMending, Seen
from visionflow.interfaces.orchestrator import AgentHandle, Fleet
from visionflow.runtime.intake import sound
from visionflow.settings.agents import AgentSettings, load_agents

_log = logging.getLogger("visionflow")
Word = TypeVar("Word", bound=StrEnum)
Sync = TypeVar("Sync")
Async = TypeVar("Async")

LOG_LEVEL = "info"
"""From which on the lives of agents and tasks are told in a folder's `visionflow.log`."""


class Swarm(msgspec.Struct, frozen=True):
    """A swarm that was initialised."""

    id: str
    topology: str
    agents_max: int


class AgentOrchestrator(Generic[Sync, Async]):
    """A fleet of agents: embedded in this program, or with `mcp_host` that of a server.

    `with AgentOrchestrator() as fleet:` gives a `Fleet` for plain threads, `async with` an
    `AsyncFleet` for a loop; of a server a `BlockingRemoteFleet` or a `RemoteFleet`. With a
    `folder` everything is kept there, and the same folder takes up again where an earlier program
    stopped, its agents included, with the goal, the limits and the topology that it was created
    with; without one it goes when the program ends. `initialize_swarm`, `spawn_agent` and
    `spawn_agents` open it by themselves; then `aclose` it.
    """

    @overload
    def __init__(
        self: "AgentOrchestrator[Fleet, AsyncFleet]",
        folder: str | os.PathLike[str] | None = None,
        *,
        limits: Limits | None = None,
        topology: str = "hierarchical",
        strategy: str = "centralized",
        goal: str = "",
        agents: str | os.PathLike[str] | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: "AgentOrchestrator[BlockingRemoteFleet, RemoteFleet]",
        *,
        mcp_host: str,
        mcp_port: int = 9500,
        token: str | None = None,
    ) -> None: ...
    def __init__(
        self,
        folder: str | os.PathLike[str] | None = None,
        *,
        limits: Limits | None = None,
        topology: str = "hierarchical",
        strategy: str = "centralized",
        goal: str = "",
        agents: str | os.PathLike[str] | None = None,
        mcp_host: str | None = None,
        mcp_port: int = 9500,
        token: str | None = None,
    ) -> None:
        """`agents`: an agents.yaml; its templates stand beside the built-in ones, and where it says
        `autoscale` the numbers of agents follow the load. `mcp_host`,
        `mcp_port`: the server to use; then folder, limits, goal and agents are its own business.
        `token`: see `MCPClient`.

        Raises:
            ConfigError: that file has a fault; the message names file, line and what is allowed.
            UsageError: there is no such topology or strategy, the folder's name is empty, or a
                limit is no number above 0.
        """
        self._remote: RemoteFleet | None = None
        self._blocking: BlockingRemoteFleet | None = None
        if mcp_host is not None:
            if any(each is not None for each in (folder, limits, agents)) or goal:
                raise UsageError(
                    "folder, limits, goal and agents are of an embedded orchestrator.",
                    hint="Leave them out with mcp_host: the server has its own.",
                )
            self._remote = RemoteFleet(MCPClient(mcp_host, mcp_port, token=token))
        self._agents = None if agents is None else load_agents(Path(agents))
        self._temporary: weakref.finalize[[Path, int], AgentOrchestrator[Sync, Async]] | None = None
        self._spec = SwarmSpec(
            id="swarm",
            goal=goal,
            topology=_word(Topology, topology, "topology"),
            strategy=_word(Strategy, strategy, "strategy"),
            limits=_checked(limits or Limits()),
        )
        sound(CreateSwarm(now_ms=0, spec=self._spec))
        if folder == "":
            raise UsageError(
                "The folder's name is empty.", hint="Leave it out, or write '.' for this folder."
            )
        if folder is None and self._remote is None:
            folder = tempfile.mkdtemp(prefix="visionflow-")
            # Also when nobody closes this; but not when a forked copy of this process ends.
            self._temporary = weakref.finalize(self, _remove, Path(folder), os.getpid())
        self._folder = Path(folder or ".").resolve()
        self._embedded: Embedded | None = None
        self._fleet: Fleet | None = None
        self._opening = threading.Lock()
        self._closed = False

    def open(self) -> Fleet:
        """Start, and return once the store is recovered.

        Raises:
            StoreInUse: another process owns this folder.
            LogCorrupt: the log was changed by somebody else.
            UsageError: it was closed, or this is a worker that imports the program anew.
        """
        if self._remote is not None:
            raise UsageError(
                "This orchestrator uses a server.", hint="Enter it with `with` or `async with`."
            )
        if loading.importing:
            raise UsageError(
                f"A worker imports {loading.importing[-1]} to find an agent there, and so runs "
                "what it does at its top level once more.",
                hint='Put what starts the orchestrator under `if __name__ == "__main__":`.',
            )
        with self._opening:
            if self._closed:
                raise UsageError(
                    "This orchestrator was closed.", hint="Make a new one to go on with its folder."
                )
            if self._fleet is None:
                paths = _import_paths()
                embedded = Embedded(
                    Store(self._folder),
                    self._spec,
                    import_paths=paths,
                    log_level=LOG_LEVEL,
                    templates=self._agents,
                )
                embedded.open()
                embedded.post(lambda: embedded.node.control.on_commit.append(_warn))
                self._embedded = embedded
                # Nobody may come to close it; and while it is open, nothing of it may be cleared.
                atexit.register(self.close)
                self._fleet = Fleet(embedded, self._agents)
            return self._fleet

    @property
    def remote(self) -> RemoteFleet | None:
        """The server's fleet; `None` where it is embedded."""
        return self._remote

    @property
    def templates(self) -> AgentSettings | None:
        """The templates of its own file; `None`: the built-in ones."""
        return self._agents

    @property
    def is_kept(self) -> bool:
        """Whether it has a folder that stays when it is closed."""
        return self._remote is None and self._temporary is None

    def close(self) -> None:
        """End all workers. What is not finished stays in the folder.

        What runs has 8 s to end by itself; then it is killed, and is tried again another time.
        """
        atexit.unregister(self.close)
        with self._opening:
            self._closed = True
            if self._embedded is not None:
                self._embedded.close()
            if self._temporary is not None:
                self._temporary()

    # As the guide writes it -------------------------------------------------------------------

    async def initialize_swarm(
        self, topology: str = "hierarchical", max_agents: int | None = None
    ) -> Swarm | RemoteSwarm:
        """Set topology and limit of this orchestrator's swarm, and start it.

        Raises:
            UsageError: there is no such topology, or the limit is below 1.
            Refused: `swarm_exists`: it was started already.
        """
        if self._remote is not None:
            return await self._remote.initialize_swarm(topology, max_agents)
        if self._fleet is not None:
            raise Refused("This orchestrator has its swarm already.", code="swarm_exists")
        limits = self._spec.limits
        if max_agents is not None:
            if max_agents < 1:
                raise UsageError(f"A swarm has at least 1 agent; max_agents is {max_agents}.")
            limits = msgspec.structs.replace(limits, agents_max=max_agents)
        chosen = _word(Topology, topology, "topology")
        self._spec = msgspec.structs.replace(self._spec, topology=chosen, limits=limits)
        await self._open_lazily()
        return Swarm(self._spec.id, str(chosen), limits.agents_max)

    async def spawn_agent(
        self,
        agent_type: str,
        config: Mapping[str, Any] | None = None,
        swarm_id: str | None = None,
    ) -> AgentHandle | RemoteAgent:
        """Add one agent of a template. `swarm_id`, where given, must be this swarm's.

        Raises:
            UnknownId: it is another's. Also what `Fleet.spawn_template` raises.
        """
        if self._remote is not None:
            return await self._remote.spawn_agent(agent_type, config, swarm_id=swarm_id)
        if swarm_id not in (None, self._spec.id):
            raise UnknownId(f"There is no swarm {swarm_id!r} here; it is {self._spec.id!r}.")
        return await (await self._open_lazily()).spawn_agent(agent_type, config)

    async def spawn_agents(
        self, agents: Iterable[Mapping[str, Any]]
    ) -> list[AgentHandle] | list[RemoteAgent]:
        """Add agents by maps with `type`, `count` and `config`. See `AsyncFleet.spawn_agents`."""
        if self._remote is not None:
            return await self._remote.spawn_agents(agents)
        return await (await self._open_lazily()).spawn_agents(agents)

    async def mending(self) -> Mending:
        """What can be seen and done of its agents; it is opened if need be."""
        if self._remote is not None:
            return RemoteMending(self._remote.client, self._remote.swarm)
        return (await self._open_lazily()).sync.mending

    async def get_agent_errors(self, agent_id: str) -> list[dict[str, Any]]:
        """The last 100 attempts of an agent that failed, the latest first (of a server's agent,
        those among the last 100 of its swarm): `type` (such as `timeout`), `message`, `task`, and
        `at` as text in ISO 8601. Those ended to undo a deadlock, or with their process or agent on
        purpose, are no failures of it."""
        return await (await self.mending()).errors(agent_id)

    async def update_agent_config(self, agent_id: str, config: Mapping[str, Any]) -> None:
        """Change settings of an agent, from its next task on; the others stay."""
        await (await self.mending()).update_config(agent_id, config)

    async def scale_agent_resources(self, agent_id: str, resources: Mapping[str, Any]) -> None:
        """Give an agent another memory ceiling, such as `{"memory": "8Gi"}`: once it is idle it
        moves to a process that is held to it."""
        await (await self.mending()).scale_resources(agent_id, resources)

    async def restart_agent(self, agent_id: str, drain: bool = False) -> Seen:
        """Build an agent anew under its id, also one that failed, and wait until it is ready; how
        it is then. `drain`: it finishes what it holds first."""
        return await (await self.mending()).restart(agent_id, drain)

    async def fleet(self) -> AsyncFleet | RemoteFleet:
        """Its agents and tasks, for a loop; it is opened if need be."""
        return self._remote or await self._open_lazily()

    async def _open_lazily(self) -> AsyncFleet:
        return AsyncFleet(await in_thread(self.open))

    async def aclose(self) -> None:
        """`close`, without blocking the loop."""
        if self._remote is not None:
            await self._remote.client.close()
            return
        await in_thread(self.close)

    def __enter__(self) -> Sync:
        if self._remote is not None:
            self._blocking = BlockingRemoteFleet(self._remote)
            return cast(Sync, self._blocking)
        return cast(Sync, self.open())

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._blocking is not None:
            self._blocking.close()
            self._blocking = None
            return
        self.close()

    async def __aenter__(self) -> Async:
        if self._remote is not None:
            await self._remote.client.connect()
            return cast(Async, self._remote)
        return cast(Async, AsyncFleet(await in_thread(self.open)))

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()


def _warn(_seq: int, _at_ms: int, events: list[AnyEvent]) -> None:
    """An agent that is not there is easily missed: its tasks just wait."""
    for event in events:
        if isinstance(event, AgentFailed):
            _log.error("Agent %s failed and takes no tasks: %s", event.agent, event.reason)


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


def _word(words: type[Word], word: str, what: str) -> Word:
    try:
        return words(word)
    except ValueError:
        raise UsageError(
            f"There is no {what} {word!r}.", hint=f"There is {', '.join(words)}."
        ) from None


def _checked(limits: Limits) -> Limits:
    for field in msgspec.structs.fields(limits):
        value = getattr(limits, field.name)
        if type(value) is not int or value < 1:
            raise UsageError(f"limits.{field.name} is {value!r}; it is a whole number above 0.")
    return limits


def _import_paths() -> tuple[str, ...]:
    """Where this program finds its modules, so that its workers find them too."""
    return tuple(str(Path(entry or ".").resolve()) for entry in sys.path)
