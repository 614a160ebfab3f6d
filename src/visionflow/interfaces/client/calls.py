"""`MCPClient`: the tools of a server from a program, for loops and for plain threads."""

import asyncio
import os
import threading
import uuid
from collections.abc import Coroutine, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, cast

from visionflow.domain.errors import UsageError
from visionflow.interfaces.client.connection import Address, OnProgress
from visionflow.interfaces.client.pool import Pool

T = TypeVar("T")
TIMEOUT_S = 60.0
OWN = -1.0
"""In the place of a time limit: the client's own."""
_META_KEY = "visionflow/idempotencyKey"


class MCPClient:
    """The tools of a server at `host:port`, or behind the unix socket `path`.

    `async with MCPClient() as client:` connects and closes; so does `with`, which gives a
    `BlockingMCPClient`. A lost connection is made anew, and the call asked again under the same
    key, so that it is done once.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 9500,
        *,
        path: str | os.PathLike[str] | None = None,
        token: str | None = None,
        pool_size: int | None = None,
        retry_attempts: int | None = None,
        timeout: float | None = TIMEOUT_S,
        name: str = "visionflow-python",
    ) -> None:
        """`pool_size` (`MCP_POOL_SIZE`, 10): connections at most. `retry_attempts`
        (`MCP_RETRY_ATTEMPTS`, 3): how often a call is asked in all. `timeout`: seconds for a call
        that states none; `None`: no limit. `token` (`VISIONFLOW_TOKEN`): where one is needed.

        Raises:
            UsageError: a number is off, or the environment's is none.
        """
        self._address = Address(host, port, None if path is None else Path(path))
        self._token = token or os.environ.get("VISIONFLOW_TOKEN") or None
        self._size = _number("MCP_POOL_SIZE", 10) if pool_size is None else pool_size
        self._attempts = (
            _number("MCP_RETRY_ATTEMPTS", 3) if retry_attempts is None else retry_attempts
        )
        self._timeout_s = timeout
        self._name = name
        self._pool: Pool | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._blocking: BlockingMCPClient | None = None

    async def connect(self, host: str | None = None, port: int | None = None) -> Self:
        """Connect, or see that it is connected.

        Raises:
            ServerUnreachable: no server answers, however often it was tried.
            Unauthenticated: the token is not good.
        """
        if host is not None or port is not None:
            self._address = Address(host or self._address.host, port or self._address.port)
            await self.close()
        await self._open().connect(self._timeout_s)
        return self

    def _open(self) -> Pool:
        loop = asyncio.get_running_loop()
        # Connections end with their loop: a second `asyncio.run` makes new ones.
        if self._pool is None or self._loop is not loop:
            self._loop = loop
            self._pool = Pool(
                self._address,
                size=self._size,
                attempts=self._attempts,
                token=self._token,
                name=self._name,
                version="0.1.0",
            )
        return self._pool

    @property
    def address(self) -> str:
        """Where the server is: HOST:PORT, or the path of its socket."""
        return str(self._address)

    @property
    def connections(self) -> int:
        """Connections that are open."""
        return 0 if self._pool is None else self._pool.connections

    async def call(
        self,
        tool: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        key: str | None = None,
        timeout: float | None = OWN,
        on_progress: OnProgress | None = None,
        attempts: int | None = None,
    ) -> dict[str, Any]:
        """Call a tool; its result's fields. `key`: the same key again is the same call, also from
        another process; one is made where it is left out. `timeout`: seconds, `None` for no limit;
        left out, the client's. When it passes, what was begun may go on. `attempts`: how often it
        is asked in all where connections are lost, instead of the client's `retry_attempts`.

        Raises:
            TimeoutError: no answer in time.
            ServerUnreachable: no server answers, or each connection was lost.
            VisionFlowError: the tool's own refusal, as the error that it stands for.
        """
        params = {
            "name": tool,
            "arguments": dict(arguments or {}),
            "_meta": {_META_KEY: key or uuid.uuid4().hex},
        }
        limit = self._timeout_s if timeout == OWN else timeout
        result = await self._open().request(
            "tools/call", params, timeout_s=limit, on_progress=on_progress, attempts=attempts
        )
        return _fields(result)

    async def list_tools(self) -> list[dict[str, Any]]:
        """Every tool with its schemas."""
        found: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            params = {} if cursor is None else {"cursor": cursor}
            page = await self._open().request("tools/list", params, timeout_s=self._timeout_s)
            found += page["tools"]
            cursor = page.get("nextCursor")
            if cursor is None:
                return found

    async def ping(self) -> None:
        """Whether the server answers; raises what `call` raises."""
        await self._open().request("ping", {}, timeout_s=self._timeout_s)

    async def spawn_agent(
        self, agent_type: str, swarm_id: str | None = None, config: Mapping[str, Any] | None = None
    ) -> str:
        """Add an agent; its id."""
        arguments: dict[str, Any] = {"agentType": agent_type, "config": dict(config or {})}
        if swarm_id is not None:
            arguments["swarmId"] = swarm_id
        return cast(str, (await self.call("agent_spawn", arguments))["agentId"])

    async def orchestrate_task(
        self, swarm_id: str | None, task: Mapping[str, Any] | str, **arguments: Any
    ) -> dict[str, Any]:
        """Hand in a task; the reply of `task_orchestrate`. With `wait=True` it waits without a
        limit in time of its own: bound it with `waitTimeout`."""
        given: dict[str, Any] = {
            "task": dict(task) if isinstance(task, Mapping) else task,
            **arguments,
        }
        if swarm_id is not None:
            given["swarmId"] = swarm_id
        limit = None if arguments.get("wait") else self._timeout_s
        return await self.call("task_orchestrate", given, timeout=limit)

    async def close(self) -> None:
        """End all connections. A later call connects anew."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close()

    async def __aenter__(self) -> Self:
        return await self.connect()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def __enter__(self) -> "BlockingMCPClient":
        blocking = BlockingMCPClient(self)
        try:
            blocking.run(self.connect())
        except BaseException:
            blocking.close()
            raise
        self._blocking = blocking
        return blocking

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._blocking is not None:
            self._blocking.close()
            self._blocking = None


class BlockingMCPClient:
    """`MCPClient` for a program without a loop: the same methods, which block. From any thread."""

    def __init__(self, client: MCPClient) -> None:
        self._client = client
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="visionflow-client", daemon=True
        )
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the client's loop and wait for it."""
        if threading.current_thread() is self._thread or self._loop.is_closed():
            coroutine.close()
            raise UsageError("This client is closed, or it is its own thread that asks.")
        asked = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return asked.result()
        except BaseException:
            asked.cancel()
            raise

    def call(
        self, tool: str, arguments: Mapping[str, Any] | None = None, **options: Any
    ) -> dict[str, Any]:
        """See `MCPClient.call`."""
        return self.run(self._client.call(tool, arguments, **options))

    def list_tools(self) -> list[dict[str, Any]]:
        """See `MCPClient.list_tools`."""
        return self.run(self._client.list_tools())

    def ping(self) -> None:
        """See `MCPClient.ping`."""
        self.run(self._client.ping())

    def spawn_agent(
        self, agent_type: str, swarm_id: str | None = None, config: Mapping[str, Any] | None = None
    ) -> str:
        """See `MCPClient.spawn_agent`."""
        return self.run(self._client.spawn_agent(agent_type, swarm_id, config))

    def orchestrate_task(
        self, swarm_id: str | None, task: Mapping[str, Any] | str, **arguments: Any
    ) -> dict[str, Any]:
        """See `MCPClient.orchestrate_task`."""
        return self.run(self._client.orchestrate_task(swarm_id, task, **arguments))

    def close(self) -> None:
        """End all connections and the loop's thread. Harmless the second time."""
        if self._loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(self._client.close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def _fields(result: Any) -> dict[str, Any]:
    """What a tool said: `structuredContent`, or the flat fields beside `content`."""
    found = cast("dict[str, Any]", result)
    structured = found.get("structuredContent")
    if isinstance(structured, dict):
        return cast("dict[str, Any]", structured)
    return {key: value for key, value in found.items() if key != "content"}


def _number(name: str, default: int) -> int:
    given = os.environ.get(name)
    if given is None or not given.strip():
        return default
    if not given.strip().isdigit() or int(given) < 1:
        raise UsageError(f"{name} is {given!r}.", hint="Set it to a whole number of at least 1.")
    return int(given)
