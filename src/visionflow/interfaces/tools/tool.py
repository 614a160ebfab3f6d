"""A tool: its name, arguments, result, who may call it, and what it does. And the registry.

Faces (lines over TCP, HTTP, MCP, REST, the command line) know tools only by this. A tool's `run`
is a plain function when it answers from memory at once, or a coroutine function.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Generic, Literal, Protocol, TypeVar

import msgspec

from visionflow.domain.access import Caller, Role
from visionflow.domain.errors import Forbidden, NotBuilt, UnknownTool, UsageError
from visionflow.interfaces.tools.arguments import (
    KEY,
    Arguments,
    Result,
    input_schema,
    listed_output_schema,
    output_schema,
    parse,
)

Group = Literal["swarm", "agents", "tasks", "coordination", "memory", "observation", "test"]
Progress = Callable[[float | None, str], None]
"""Called with how far a call is, 0 to 1 or unknown, and a note."""
KEY_CHARS_MAX = 200
A = TypeVar("A", bound=Arguments)
R = TypeVar("R", bound=Result)


class Settling(Protocol):
    """Whose state may be ahead of the disk."""

    @property
    def is_settled(self) -> bool:
        """Whether all that the state holds is durable."""
        ...

    async def settled(self) -> None:
        """Wait until all that the state holds now is durable."""
        ...


class Call:
    """One call of a tool, as the tool sees it."""

    def __init__(
        self,
        caller: Caller,
        *,
        key: str | None = None,
        on_progress: Progress | None = None,
        took_effect: Callable[[], None] | None = None,
    ) -> None:
        self.caller = caller
        self.key = key
        """The client's word for this call: the same word again is the same call."""
        self.digest = ""
        """Of what is asked for, where there is a key: the same word with another is refused."""
        self.kept = False
        """Something was done, and stays so whatever becomes of the rest of the call."""
        self.on_progress = on_progress
        """`None` when nobody wants to hear of it."""
        self.cancelled = asyncio.Event()
        """Set when the client takes its call back, or is gone: the waiting should end then, and if
        it was taken back, what the call began and waits for too."""
        self.taken_back = True
        """Whether that is what `cancelled` means; a face whose client is merely gone says so."""
        self.provisional = False
        """The answer is not the last word: the same call, asked again, goes on waiting."""
        self._took_effect = took_effect
        self._durable: list[Callable[[], Awaitable[None]]] = []

    def took_effect(self) -> None:
        """What is left is waiting: the client's later requests may be looked at. Requests of one
        connection take effect in the order sent, so none starts before this or the answer."""
        if self._took_effect is not None:
            self._took_effect()

    def after(self, durable: Callable[[], Awaitable[None]]) -> None:
        """The answer may leave only when this has passed: it saw what is not on the disk yet."""
        self._durable.append(durable)

    def saw(self, place: Settling) -> None:
        """The answer tells of the state of a swarm or of the fleet as it is now."""
        if not place.is_settled:
            self._durable.append(place.settled)

    @property
    def settling(self) -> "list[Callable[[], Awaitable[None]]]":
        """What the answer has to wait for."""
        return self._durable


class Tool(msgspec.Struct, Generic[A, R], frozen=True, kw_only=True):
    """A tool. `example` is a true set of arguments; docs and help show it, and tests call it."""

    name: str
    group: Group
    summary: str
    """One line."""
    arguments: type[A]
    result: type[R]
    roles: frozenset[Role]
    run: Callable[[Call, A], R | Awaitable[R]]
    example: dict[str, Any]
    positional: tuple[str, ...] = ()
    """Arguments (by their wire names) that a command line takes without a name, in order."""
    reads: bool = False
    """It changes nothing, so a retry needs no key."""
    long: bool = False
    """It may take long; then it tells progress and offers itself as an MCP task."""

    @property
    def input_schema(self) -> dict[str, Any]:
        """The JSON schema of its arguments."""
        return input_schema(self.arguments, not self.reads)

    @property
    def output_schema(self) -> dict[str, Any]:
        """The JSON schema of its result."""
        return output_schema(self.result)

    @property
    def listed_output_schema(self) -> dict[str, Any]:
        """The same, shorter, for lists of tools."""
        return listed_output_schema(self.result)


AnyTool = Tool[Any, Any]


class Prepared(msgspec.Struct, frozen=True):
    """A call that was understood and is allowed."""

    tool: AnyTool
    arguments: Arguments
    key: str | None


class Registry:
    """Tools by name, in order."""

    def __init__(
        self, tools: Iterator[AnyTool] | list[AnyTool], later: Mapping[str, str] | None = None
    ) -> None:
        """`later`: names that the guide has and that do not exist yet, with what they wait for."""
        self.tools: dict[str, AnyTool] = {}
        for tool in tools:
            if tool.name in self.tools:
                raise UsageError(f"There are two tools {tool.name}.")
            self.tools[tool.name] = tool
        self.later = dict(later or {})

    def get(self, name: str) -> AnyTool:
        """The tool of this name.

        Raises:
            NotBuilt: it does not exist yet.
            UnknownTool: there is none.
        """
        found = self.tools.get(name)
        if found is not None:
            return found
        if name in self.later:
            raise NotBuilt(f"{name} does not exist yet.", hint=self.later[name])
        near = get_close_matches(name[:100], self.tools, 1)
        meant = f" Did you mean {near[0]}?" if near else ""
        raise UnknownTool(f"There is no tool {name!r}.{meant}", hint="tools/list has them all.")

    def prepare(
        self,
        name: str,
        given: Mapping[str, object],
        caller: Caller,
        *,
        key: str | None = None,
        texts: bool = False,
    ) -> Prepared:
        """Check who calls, and read the arguments. `key`: one that came beside them.

        Raises:
            UnknownTool, NotBuilt: see `get`.
            Forbidden: the caller's role may not call it.
            UsageError: see `parse`.
        """
        tool = self.get(name)
        if caller.role not in tool.roles:
            roles = [role for role in Role if role in tool.roles]
            may, least = ", ".join(roles), roles[0] if roles else Role.ADMIN
            raise Forbidden(
                f"{caller.name} has the role {caller.role}, and {name} is for {may}.",
                hint=f"Use a token of such a role: visionflow token create NAME --role {least}.",
            )
        if KEY in given and not tool.reads:
            given = dict(given)
            key = _key(given.pop(KEY))
        elif key is not None:
            key = None if tool.reads else _key(key)
        return Prepared(tool, parse(tool.arguments, given, texts=texts), key)

    def run(self, prepared: Prepared, call: Call) -> Result | Awaitable[Result]:
        """Do it: a result at once, or one to await. Then await what is in `call.settling`."""
        return prepared.tool.run(call, prepared.arguments)

    async def finish(self, prepared: Prepared, call: Call) -> Result:
        """Do it and wait for the result, and until it may be told."""
        found = self.run(prepared, call)
        result = await found if inspect.isawaitable(found) else found
        for durable in call.settling:
            await durable()
        return result


def _key(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= KEY_CHARS_MAX:
        raise UsageError(f"{KEY} is a text of 1 to {KEY_CHARS_MAX} characters.")
    if not value.isprintable():
        raise UsageError(
            f"{KEY} holds what is no character to read.",
            hint="Use letters and digits, as in a UUID.",
        )
    return value
