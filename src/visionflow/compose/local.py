"""An agent object to use directly, in one's own program: no orchestrator, no worker, no log.

It has what a worker would give it: a folder, blobs, this machine's sandbox, and an attempt, so
that its methods and `process_task` work when called. What is missing is all that a fleet is for:
nothing is durable, tried again, or limited in time or memory by anybody but the agent itself.
"""

import asyncio
import inspect
import secrets
import tempfile
import threading
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, suppress
from contextvars import Token
from pathlib import Path
from typing import Any, TypeVar, overload

import msgspec

from visionflow.adapters.memory import MemoryBlobs
from visionflow.agents.base import AgentContext, Attempt, BaseAgent, current_attempt
from visionflow.agents.loading import as_agent_class
from visionflow.agents.outside import Order
from visionflow.compose.local_asking import LocalAsking
from visionflow.interfaces.templates import class_of
from visionflow.ports.sandbox import Sandbox
from visionflow.settings.agents import load_agents
from visionflow.worker.values import encode

A = TypeVar("A", bound=BaseAgent)
Told = Callable[[float | None, str], None]
"""Called with how far the agent is, 0 to 1 or unknown, and a note."""

Logged = Callable[[str, str], None]
"""Called with level and text of each line that the agent writes to its log."""


class LocalAttempt:
    """The attempt of an agent without a worker: each step runs, and its value is what MessagePack
    gives back, as it would be in a fleet."""

    def __init__(self, on_progress: Told | None = None) -> None:
        self.cancelled = threading.Event()
        self.asking = LocalAsking()
        self._on_progress = on_progress

    async def step(
        self, name: str, call: Callable[..., Any], args: tuple[Any, ...], workspace: Path | None
    ) -> Any:
        """See `BaseAgent.step`. The files of `workspace` are not recorded: nobody goes on later."""
        encode(args, f"the arguments of step {name!r}")
        if inspect.iscoroutinefunction(call):
            value = await call(*args)
        else:
            value = await asyncio.to_thread(call, *args)
        return _given_back(name, value)

    def step_in_thread(
        self, name: str, call: Callable[..., Any], args: tuple[Any, ...], workspace: Path | None
    ) -> Any:
        """See `BaseAgent.step_sync`. Runs in the caller's thread."""
        encode(args, f"the arguments of step {name!r}")
        if inspect.iscoroutinefunction(call):
            return _given_back(name, asyncio.run(call(*args)))
        return _given_back(name, call(*args))

    async def effect(self, order: Order) -> Any:
        """See `BaseAgent.effect`. It is carried out, and in no ledger: nobody asks later."""
        encode(order.identity, f"the arguments of effect {order.name!r}")
        args = (_key(order), *order.args) if order.keyed else order.args
        if inspect.iscoroutinefunction(order.call):
            value = await order.call(*args)
        else:
            value = await asyncio.to_thread(order.call, *args)
        return msgspec.msgpack.decode(encode(value, f"the value of effect {order.name!r}"))

    def effect_in_thread(self, order: Order) -> Any:
        """See `BaseAgent.effect_sync`. Runs in the caller's thread."""
        return asyncio.run(self.effect(order))

    def progress(self, fraction: float | None, note: str) -> None:
        """See `BaseAgent.progress`."""
        if self._on_progress is not None:
            self._on_progress(fraction, note)


def _key(order: Order) -> str:
    """Without a task to go by, each call is one of its own."""
    return order.key or f"local/{order.name}:{secrets.token_hex(8)}"


def _given_back(name: str, value: object) -> Any:
    return msgspec.msgpack.decode(encode(value, f"the value of step {name!r}"))


@overload
def local_agent(
    role: type[A],
    config: Mapping[str, Any] | None = None,
    *,
    folder: Path | None = None,
    on_progress: Told | None = None,
    on_log: Logged | None = None,
    open_sandbox: Callable[[], Sandbox] | None = None,
) -> AbstractAsyncContextManager[A]: ...
@overload
def local_agent(
    role: str,
    config: Mapping[str, Any] | None = None,
    *,
    folder: Path | None = None,
    on_progress: Told | None = None,
    on_log: Logged | None = None,
    open_sandbox: Callable[[], Sandbox] | None = None,
) -> AbstractAsyncContextManager[BaseAgent]: ...
def local_agent(
    role: type[BaseAgent] | str,
    config: Mapping[str, Any] | None = None,
    *,
    folder: Path | None = None,
    on_progress: Told | None = None,
    on_log: Logged | None = None,
    open_sandbox: Callable[[], Sandbox] | None = None,
) -> AbstractAsyncContextManager[BaseAgent]:
    """An agent of a class, or of the built-in template of this name, started and ready to use.

    `config` goes over the template's settings; a class by itself has none. `folder` is the
    agent's own and stays; without one it has a temporary folder that goes with it. `on_log` takes
    level and text; `open_sandbox` makes what holds foreign commands, which is this machine's
    strongest means when left out. Enter it in the task that uses the agent.

    Raises:
        UsageError: there is no such template.
        ConfigError: the class is no agent.
    """
    if isinstance(role, str):
        template = load_agents(None).template(role)
        settings = {**template.config, **(config or {})}
        made, kind = class_of(template), role
    else:
        made, settings = as_agent_class(role, role.__name__), dict(config or {})
        kind = made.type
    attempt = LocalAttempt(on_progress)
    return _running(
        made, kind, settings, folder, attempt, on_log or _unheard, open_sandbox or _sandbox
    )


@asynccontextmanager
async def _running(
    made: type[BaseAgent],
    kind: str,
    config: dict[str, Any],
    folder: Path | None,
    attempt: LocalAttempt,
    write_log: Logged,
    open_sandbox: Callable[[], Sandbox],
) -> AsyncGenerator[BaseAgent, None]:
    with ExitStack() as held:
        if folder is None:
            folder = Path(
                held.enter_context(
                    tempfile.TemporaryDirectory(prefix="visionflow-", ignore_cleanup_errors=True)
                )
            )
        context = AgentContext(
            folder=folder.absolute(),
            blobs=MemoryBlobs(),
            open_sandbox=open_sandbox,
            write_log=write_log,
        )
        agent = made(kind, kind, kind, config, context)
        held.callback(_leave, current_attempt.set(attempt))
        await agent.start()
        try:
            yield agent
        finally:
            await agent.stop()


def _sandbox() -> Sandbox:
    from visionflow.adapters.confine import OsSandbox

    return OsSandbox()


def _unheard(level: str, text: str) -> None:
    del level, text


def _leave(attempt: Token[Attempt]) -> None:
    # Who leaves in another task than that of the entry has a context without it.
    with suppress(ValueError):
        current_attempt.reset(attempt)
