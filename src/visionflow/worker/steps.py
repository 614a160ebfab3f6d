"""Steps of one attempt: what an earlier attempt finished is not run again.

A key reads `name#ordinal:hash`, where the hash covers the task, the inputs and the code. Equal
key: the recorded value is the step's value. Same name and ordinal under another key: the code
or the inputs changed, so it runs anew and says so. Recorded trees are restored late: only the
last one of a workspace counts, and only when something is really going to run in it.
"""

import asyncio
import hashlib
import inspect
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import CodeType
from typing import Any, Protocol

from visionflow.agents.base import WorkspaceTrees
from visionflow.domain.errors import StaleAttempt, UsageError
from visionflow.domain.messages import RecordedStep, StepDone
from visionflow.domain.tasks import NOTHING, Payload
from visionflow.ports.blobs import Blobs
from visionflow.worker import values

NAME_CHARS_MAX = 200


class StepHost(Protocol):
    """What steps need of the process around them."""

    @property
    def blobs(self) -> Blobs:
        """Where large values go."""
        ...

    def offload(self, call: Callable[[], Any]) -> Awaitable[Any]:
        """Run something that blocks."""
        ...

    async def record(self, done: StepDone) -> bool:
        """Tell the orchestrator and wait until the step is in the log; `False` when stale."""
        ...


def code_version(call: Callable[..., Any]) -> str:
    """A hash of what a function does, as far as its own code tells; the name of a built-in.

    The same in every process of one Python version. Where it stands in its file, and what it
    takes from around it, do not matter.
    """
    inner: Any = call
    while True:
        wrapped = getattr(inner, "__wrapped__", None) or getattr(inner, "func", None)
        wrapped = wrapped or getattr(inner, "__func__", None)
        if wrapped is None:
            break
        inner = wrapped
    code = getattr(inner, "__code__", None)
    if code is None and not inspect.isbuiltin(inner) and not isinstance(inner, type):
        code = getattr(type(inner).__call__, "__code__", None)
    if isinstance(code, CodeType):
        defaults = (getattr(inner, "__defaults__", None), getattr(inner, "__kwdefaults__", None))
        return _hash([*_code_parts(code), _constant(defaults)])
    module = getattr(inner, "__module__", "")
    return f"{module}.{getattr(inner, '__qualname__', type(inner).__qualname__)}"


def _code_parts(code: CodeType) -> list[str]:
    parts = [code.co_code.hex(), *code.co_names, *code.co_varnames, *code.co_freevars]
    return parts + [_constant(constant) for constant in code.co_consts]


def _constant(constant: object) -> str:
    if isinstance(constant, CodeType):
        return _hash(_code_parts(constant))
    if isinstance(constant, frozenset | set):
        return "{" + ",".join(sorted(_constant(part) for part in constant)) + "}"  # type: ignore[reportUnknownVariableType]
    if isinstance(constant, tuple):
        return "(" + ",".join(_constant(part) for part in constant) + ")"  # type: ignore[reportUnknownVariableType]
    if constant is None or isinstance(constant, str | bytes | int | float | complex):
        return f"{type(constant).__name__} {constant!r}"
    return type(constant).__qualname__


def _hash(parts: list[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def _bound_inputs(call: Callable[..., Any]) -> tuple[Any, ...]:
    """What a partial carries counts as input."""
    args = getattr(call, "args", None)
    keywords = getattr(call, "keywords", None)
    if isinstance(args, tuple) and isinstance(keywords, dict):
        return (args, keywords)  # type: ignore[return-value]
    return ()


class Steps:
    """The steps of one attempt, in the order in which its code comes to them."""

    def __init__(
        self,
        host: StepHost,
        task: str,
        attempt: int,
        recorded: tuple[RecordedStep, ...],
        trees: WorkspaceTrees | None,
        say: Callable[[str], None],
    ) -> None:
        """`say` gets the lines that tell of a step that runs anew."""
        self._host = host
        self._task = task
        self._attempt = attempt
        self._trees = trees
        self._say = say
        self._recorded = {step.key: step for step in recorded}
        self._keys = {step.key.rpartition(":")[0]: step.key for step in recorded}
        self._ordinals: dict[str, int] = {}
        self._last_keys: dict[Path, str] = {}
        self._unrestored: dict[Path, str] = {}
        self._restoring = asyncio.Lock()

    def key(
        self,
        name: str,
        call: Callable[..., Any],
        args: tuple[Any, ...],
        workspace: Path | None = None,
    ) -> str:
        """The key of the next step of this name.

        What a step does to a workspace also depends on the step before it there, so that one's
        key counts as an input: a recorded tree is only used when all before it are.

        Raises:
            NotPersistable: its inputs cannot be stored.
            UsageError: the name is empty or too long.
        """
        if not name or len(name) > NAME_CHARS_MAX:
            raise UsageError(f"A step's name has 1 to {NAME_CHARS_MAX} characters: {name!r:.50}.")
        inputs = values.encode_sorted((args, _bound_inputs(call)), f"The input of step {name!r}")
        ordinal = self._ordinals.get(name, 0) + 1
        self._ordinals[name] = ordinal
        digest = hashlib.sha256(inputs).hexdigest()
        before = "" if workspace is None else self._last_keys.get(workspace, "")
        hashed = _hash([self._task, name, digest, code_version(call), before])
        key = f"{name}#{ordinal}:{hashed}"
        if workspace is not None:
            self._last_keys[workspace] = key
        return key

    async def step(
        self, name: str, call: Callable[..., Any], args: tuple[Any, ...], workspace: Path | None
    ) -> Any:
        """See `BaseAgent.step`."""
        key = self.key(name, call, args, workspace)
        if workspace is not None and self._trees is None:
            raise UsageError(
                f"Step {name!r} names a workspace, and this worker cannot record workspaces.",
                hint="Leave `workspace` out, or run the agent where git is installed.",
            )
        known = self._recorded.get(key)
        if known is not None:
            return await self._replay(known, workspace)
        self._tell_if_changed(key)
        await self._restore()
        value = await self._run(call, args)
        return await self._record(key, name, value, workspace)

    async def _replay(self, known: RecordedStep, workspace: Path | None) -> Any:
        if workspace is not None and known.tree is not None:
            self._unrestored[workspace] = known.tree
        if known.value.blob is None:
            return values.load(known.value, self._host.blobs)
        return await self._host.offload(lambda: values.load(known.value, self._host.blobs))

    def _tell_if_changed(self, key: str) -> None:
        place = key.rpartition(":")[0]
        if place in self._keys:
            name, _, ordinal = place.rpartition("#")
            self._say(
                f"Step {name!r} (number {ordinal}) of task {self._task} was finished before with "
                "other inputs or other code; it runs anew."
            )

    async def _restore(self) -> None:
        async with self._restoring:
            while self._unrestored and self._trees is not None:
                workspace, tree = next(iter(self._unrestored.items()))
                await self._trees.restore(workspace, tree)
                if self._unrestored.get(workspace) == tree:
                    del self._unrestored[workspace]

    async def _run(self, call: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        if inspect.iscoroutinefunction(call) or _awaits(call):
            return await call(*args)
        value = await self._host.offload(lambda: call(*args))
        return await value if inspect.isawaitable(value) else value

    async def _record(self, key: str, name: str, value: Any, workspace: Path | None) -> Any:
        payload, again = NOTHING, None
        if value is not None:
            body = values.encode(value, f"The value of step {name!r}")
            payload = await self._store(body)
            again = values.load(Payload(inline=body), self._host.blobs)
        tree = None
        if workspace is not None and self._trees is not None:
            tree = await self._trees.tree_of(workspace)
        done = StepDone(self._task, self._attempt, key, name, payload, tree)
        if not await self._host.record(done):
            raise StaleAttempt(
                f"Step {name!r} was refused: attempt {self._attempt} of task {self._task} is no "
                "longer the current one."
            )
        return again

    async def _store(self, body: bytes) -> Payload:
        if values.is_small(body):
            return Payload(inline=body)
        return await self._host.offload(lambda: values.store(body, self._host.blobs))


def _awaits(call: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(getattr(call, "func", None))
