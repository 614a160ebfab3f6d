"""Intake: stamps what comes in with the time, fresh ids and entropy, and hands it on.

Nothing behind it reads a clock or makes an id. Values that cannot be written down are refused
here, before anything has begun.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from visionflow.domain import commands as c
from visionflow.domain.agents import AgentSpec, ResourceLimits
from visionflow.domain.errors import NotPersistable, UsageError
from visionflow.domain.ids import make_id
from visionflow.domain.limits import INLINE_BYTES_MAX
from visionflow.domain.supervision import USUAL_UPKEEP, Upkeep
from visionflow.domain.tasks import DEFAULT_RETRY, NOTHING, Payload, TaskSpec
from visionflow.ports.blobs import Blobs
from visionflow.ports.host import Host

T = TypeVar("T", bound=msgspec.Struct)
PRIORITY_MAX = 2**62
"""Of a number that is written without being looked at."""
_encoder = msgspec.msgpack.Encoder()
_decoders: dict[type[msgspec.Struct], msgspec.msgpack.Decoder[Any]] = {}


def pack(value: object, what: str, blobs: Blobs) -> Payload:
    """A value as a payload, by blob when it is large.

    Raises:
        NotPersistable: it holds something that MessagePack cannot carry.
    """
    if value is None:
        return NOTHING
    try:
        content = _encoder.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise NotPersistable(
            f"{what} cannot be written to the log: {error}.",
            hint="Use plain values: text, numbers, bytes, lists, dicts, dataclasses.",
        ) from error
    if len(content) > INLINE_BYTES_MAX:
        return Payload(blob=blobs.put(content))
    return Payload(inline=content)


def unpack(payload: Payload, blobs: Blobs) -> Any:
    """The value in a payload; `None` for nothing.

    Raises:
        BlobMissing: it is kept in a blob that is not there.
    """
    if payload.blob is not None:
        return msgspec.msgpack.decode(blobs.get(payload.blob))
    if payload.inline is None:
        return None
    return msgspec.msgpack.decode(payload.inline)


TOO_LONG = "A whole number in it has more than 64 bits, which no log can keep"


def sound(value: T) -> T:
    """The value as the log will give it back: nothing else may come to stand in an event.

    Structs do not look at what they are made of, and a log with a number in the place of a text
    could never be read again.

    Raises:
        UsageError: the log cannot hold it; the message names the field.
    """
    if type(value) is TaskSpec and _is_plain(value):
        return value
    kind = type(value)
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.msgpack.Decoder(kind)
    try:
        return decoder.decode(_encoder.encode(value))
    except UnicodeEncodeError as error:
        raise UsageError(
            f"{error.object[:50]!r} cannot be written to the log: UTF-8 cannot carry it.",
            hint="Give such a value as bytes in `input`.",
        ) from error
    except (msgspec.DecodeError, TypeError, ValueError, OverflowError, RecursionError) as error:
        told = TOO_LONG if isinstance(error, OverflowError) else str(error)
        what, _, where = told.partition(" - at `$")
        place = f"{where.strip('.`')}: " if where else ""
        raise UsageError(f"{place}{what}.", hint="Nothing was submitted.") from error


def _is_plain(spec: TaskSpec) -> bool:
    """Whether it is certainly sound: most tasks are, and this costs less than trying."""
    for text in (spec.id, spec.type, spec.description, *spec.capabilities, *spec.depends_on):
        if type(text) is not str or not text.isascii():
            return False
    return (
        type(spec.priority) is int
        and abs(spec.priority) <= PRIORITY_MAX
        and spec.timeout_ms is None
        and spec.deadline_ms is None
        and spec.retry is DEFAULT_RETRY
        and type(spec.capabilities) is tuple
        and type(spec.depends_on) is tuple
        and (spec.agent is None or type(spec.agent) is str)
        and spec.parent is None
    )


class Intake:
    """Makes commands. One per control plane."""

    def __init__(self, host: Host, blobs: Blobs) -> None:
        self._host = host
        self.blobs = blobs

    def new_id(self, kind: str, now_ms: int | None = None) -> str:
        """A fresh id, of the time to stamp with where that is known. From any thread."""
        host = self._host
        return make_id(kind, host.now_ms() if now_ms is None else now_ms, host.entropy())

    def now_ms(self) -> int:
        """The time to stamp with."""
        return self._host.now_ms()

    def stamp(self, make: Callable[[int], c.AnyCommand]) -> c.AnyCommand:
        """A command made with the present time."""
        return make(self._host.now_ms())

    def agent(
        self,
        agent_type: str,
        class_path: str,
        *,
        name: str | None = None,
        capabilities: tuple[str, ...] = (),
        config: dict[str, object] | None = None,
        tasks_max: int = 1,
        memory_bytes: int | None = None,
        upkeep: Upkeep = USUAL_UPKEEP,
        command: str | None = None,
    ) -> c.SpawnAgent:
        """A command that adds an agent.

        Raises:
            NotPersistable: its configuration cannot be written down.
        """
        identity = self.new_id("agent")
        return c.SpawnAgent(
            now_ms=self._host.now_ms(),
            command=command,
            spec=AgentSpec(
                id=identity,
                type=agent_type,
                name=name or identity,
                class_path=class_path,
                capabilities=capabilities,
                config=pack(config or None, f"the configuration of {agent_type}", self.blobs),
                tasks_max=tasks_max,
                limits=ResourceLimits(memory_bytes=memory_bytes),
                recovery=upkeep.recovery,
                recycling=upkeep.recycling,
            ),
        )
