"""Gives a role a task without a process around it; another attempt can begin with its steps."""

import asyncio
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from unconfined import UnconfinedSandbox

from visionflow.adapters.memory import MemoryBlobs
from visionflow.agents import BaseAgent, Task
from visionflow.agents.base import AgentContext, GateRunner, current_attempt
from visionflow.compose.local_asking import LocalAsking
from visionflow.ports.sandbox import Sandbox
from visionflow.worker.values import encode


class Killed(BaseException):
    """The process ended in the middle of a step."""


class Attempt:
    """Steps as the worker does them: by name, ordinal and arguments. `kill_at`: end right after
    the n-th step did its work and before it was recorded."""

    def __init__(self, done: dict[str, bytes] | None = None, kill_at: int | None = None) -> None:
        self.done = dict(done or {})
        self.ran: list[str] = []
        self.notes: list[tuple[float | None, str]] = []
        self._kill_at = kill_at
        self.asking = LocalAsking()
        self._ordinals: dict[str, int] = {}

    async def step(
        self, name: str, call: Callable[..., Any], args: tuple[Any, ...], workspace: Path | None
    ) -> Any:
        self._ordinals[name] = self._ordinals.get(name, 0) + 1
        key = f"{name}#{self._ordinals[name]}:{encode(args, name)!r}"
        if key not in self.done:
            self.ran.append(name)
            value = await call(*args) if inspect.iscoroutinefunction(call) else call(*args)
            if self._kill_at == len(self.ran):
                raise Killed
            self.done[key] = encode(value, name)
        return msgspec.msgpack.decode(self.done[key])

    def without(self, name: str) -> dict[str, bytes]:
        """The finished steps but those of this name."""
        return {key: value for key, value in self.done.items() if not key.startswith(f"{name}#")}

    def progress(self, fraction: float | None, note: str) -> None:
        self.notes.append((fraction, note))


def do(
    agent: type[BaseAgent],
    folder: Path,
    task: Task,
    *,
    sandbox: Sandbox | None = None,
    attempt: Attempt | None = None,
    config: dict[str, Any] | None = None,
    gate: GateRunner | None = None,
) -> Any:
    """The task's result, as it comes back from the log."""
    chosen = sandbox or UnconfinedSandbox()
    context = AgentContext(
        folder=folder, blobs=MemoryBlobs(), open_sandbox=lambda: chosen, write_log=lambda *_: None,
        gate=gate,
    )  # fmt: skip
    made = agent("a1", "a1", agent.type, config or {}, context)

    async def run() -> Any:
        current_attempt.set(attempt or Attempt())  # pyright: ignore[reportArgumentType]
        result = await made.process_task(task)
        return msgspec.msgpack.decode(encode(result, "the result"))

    return asyncio.run(run())
