"""The machine of the fleet's stream: which swarms there are, shared memory, the audit.

It decides and folds as the swarm's does, and by the same rules: no clock, no ids, no I/O. Of
memory it knows which keys there are, how large they are and when they expire; the values are in
the log and the views. Of the audit it knows nothing: those events are for the log alone.
"""

from hashlib import sha256

import msgspec

from visionflow.domain import fleet as f
from visionflow.domain.errors import LimitReached, Refused, UnknownSwarm
from visionflow.domain.limits import (
    ANSWER_AGE_MS_MAX,
    ANSWERS_MAX,
    INLINE_BYTES_MAX,
    MEMORY_EXPIRED_MAX,
    MEMORY_KEYS_MAX,
    MEMORY_TEXT_CHARS_MAX,
    MEMORY_TOTAL_BYTES_MAX,
    MEMORY_VALUE_BYTES_MAX,
    SWARMS_ENDED_MAX,
    SWARMS_MAX,
    WORD_CHARS_MAX,
)
from visionflow.domain.swarms import SwarmSpec
from visionflow.engine.state import Answer, Denial
from visionflow.engine.timing import Alarm

Events = list[f.FleetEvent]
TTL_MS_MAX = 2**53
STALE_ALARMS_MAX = 1_000
SEPARATOR = "\x00"
"""Between namespace and key in the name of an alarm; neither may hold it."""


class KeptState(msgspec.Struct, gc=False):
    """A key of shared memory."""

    size_bytes: int
    expires_ms: int | None


class Ending(msgspec.Struct, frozen=True, gc=False):
    """When, why and by whom a swarm was ended."""

    at_ms: int
    reason: str
    by: str


class FleetState:
    """What a fold of the fleet's stream amounts to."""

    def __init__(self) -> None:
        self.now_ms = 0
        self.swarms: dict[str, SwarmSpec] = {}
        """Those that are promised and not over, oldest first."""
        self.ended: dict[str, str] = {}
        """Swarms that are over, with the reason, oldest first."""
        self.over: dict[str, SwarmSpec] = {}
        """What those were. It follows from the log and decides nothing: no part of the hash."""
        self.endings: dict[str, Ending] = {}
        """How those ended, oldest first; as `over` it decides nothing."""
        self.memory: dict[tuple[str, str], KeptState] = {}
        self.memory_bytes = 0
        """Sizes of all values together."""
        self.answers: dict[str, Answer] = {}
        self.expiries = Alarm()

    def digest(self) -> str:
        """A hash of every fact. Two folds of one log have the same."""
        facts = (
            self.now_ms,
            list(self.swarms.items()),
            list(self.ended.items()),
            list(self.memory.items()),
            self.memory_bytes,
            list(self.answers.items()),
        )
        return sha256(msgspec.msgpack.encode(facts)).hexdigest()


# Decide --------------------------------------------------------------------------------------


def handle(state: FleetState, command: f.FleetCommand) -> tuple[Events, Answer]:
    """Events to fold, in order, and the answer to give once they are durable."""
    if command.command is not None:
        known = state.answers.get(command.command)
        if known is not None:
            return [], known
    try:
        return _decide(state, command)
    except Refused as refusal:
        event = f.FleetRefused(code=refusal.reason, message=str(refusal), asked=command.command)
        told = str(refusal)
        return [event], Denial(command.now_ms, None, refusal.reason, told, refusal.hint)


def _decide(state: FleetState, command: f.FleetCommand) -> tuple[Events, Answer]:
    now_ms = command.now_ms
    match command:
        case f.ReserveSwarm():
            return _reserve(state, command), Answer(now_ms, command.spec.id)
        case f.EndSwarm():
            return _end(state, command), Answer(now_ms, command.swarm)
        case f.StoreMemory():
            return _store(state, command), Answer(now_ms, command.key)
        case f.RecordCall():
            return [_called(command)], Answer(now_ms, command.subject)
        case f.RecordAccess():
            return [_accessed(command)], Answer(now_ms)
        case f.AnchorStreams():
            return [f.StreamsAnchored(heads=command.heads)], Answer(now_ms)
        case f.TickFleet():
            return _expire(state, now_ms), Answer(now_ms)


def _reserve(state: FleetState, command: f.ReserveSwarm) -> Events:
    name = command.spec.id
    if name in state.swarms or name in state.ended:
        over = " and is over" if name in state.ended else ""
        raise Refused(f"There is a swarm {name} already{over}.", code="duplicate_id")
    if name == f.STREAM or not 0 < len(name) <= WORD_CHARS_MAX:
        raise Refused(
            f"{name[:WORD_CHARS_MAX]!r} cannot be a swarm's id: it has 1 to {WORD_CHARS_MAX} "
            f"characters and is not {f.STREAM!r}.",
            code="usage",
        )
    if len(state.swarms) >= SWARMS_MAX:
        raise LimitReached(
            f"{len(state.swarms)} swarms are open; {SWARMS_MAX} are the most.",
            hint="End some with swarm_destroy.",
        )
    return [f.SwarmReserved(spec=command.spec, by=command.by, command=command.command)]


def _end(state: FleetState, command: f.EndSwarm) -> Events:
    name = command.swarm
    if name in state.ended:
        raise Refused(f"Swarm {name} is over already: {state.ended[name]}.", code="already_ended")
    if name not in state.swarms:
        raise UnknownSwarm(f"There is no swarm {name!r}.")
    return [f.SwarmEnded(swarm=name, reason=command.reason, by=command.by, command=command.command)]


def _store(state: FleetState, command: f.StoreMemory) -> Events:
    namespace, key, size = command.namespace, command.key, command.size_bytes
    _well_named(namespace, "namespace")
    _well_named(key, "key")
    if len(command.value.inline or b"") > INLINE_BYTES_MAX:
        raise Refused("A value of this size must travel by blob.", code="payload_too_large")
    if size > MEMORY_VALUE_BYTES_MAX or len(command.text) > MEMORY_TEXT_CHARS_MAX:
        raise Refused(
            f"The value of {key!r} has {size} bytes; {MEMORY_VALUE_BYTES_MAX} are the most.",
            code="payload_too_large",
            hint="Store it in parts, or keep it in a file and store where that is.",
        )
    if command.ttl_ms is not None and not 0 < command.ttl_ms <= TTL_MS_MAX:
        raise Refused(
            f"A value is kept for 1 to {TTL_MS_MAX} ms, not {command.ttl_ms}.", code="usage"
        )
    old = state.memory.get((namespace, key))
    if old is None and len(state.memory) >= MEMORY_KEYS_MAX:
        raise LimitReached(
            f"Memory has {len(state.memory)} keys; {MEMORY_KEYS_MAX} are the most.",
            hint="Store with a ttl what need not stay.",
        )
    total = state.memory_bytes + size - (0 if old is None else old.size_bytes)
    if total > MEMORY_TOTAL_BYTES_MAX:
        raise LimitReached(
            f"Memory would hold {total} bytes; {MEMORY_TOTAL_BYTES_MAX} are the most.",
            hint="Store with a ttl what need not stay.",
        )
    return [
        f.MemoryStored(
            namespace=namespace,
            key=key,
            value=command.value,
            size_bytes=size,
            text=command.text,
            stored_ms=command.now_ms,
            expires_ms=None if command.ttl_ms is None else command.now_ms + command.ttl_ms,
            by=command.by,
            command=command.command,
            role=command.role,
            face=command.face,
        )
    ]


def _well_named(name: str, what: str) -> None:
    if not 0 < len(name) <= WORD_CHARS_MAX or SEPARATOR in name:
        raise Refused(
            f"A {what} of memory has 1 to {WORD_CHARS_MAX} characters and no NUL; "
            f"{name[:40]!r} is none.",
            code="usage",
        )


def _called(command: f.RecordCall) -> f.CallRecorded:
    return f.CallRecorded(
        by=command.by,
        role=command.role,
        face=command.face,
        tool=command.tool,
        code=command.code,
        message=command.message,
        subject=command.subject,
        swarm=command.swarm,
        call=command.call,
        count=command.count,
    )


def _accessed(command: f.RecordAccess) -> f.AccessRecorded:
    return f.AccessRecorded(
        by=command.by,
        face=command.face,
        code=command.code,
        message=command.message,
        count=command.count,
    )


def _expire(state: FleetState, now_ms: int) -> Events:
    keys: list[tuple[str, str]] = []
    for at_ms, name in state.expiries.due(now_ms):
        namespace, _, key = name.partition(SEPARATOR)
        kept = state.memory.get((namespace, key))
        if kept is not None and kept.expires_ms == at_ms:
            keys.append((namespace, key))
            if len(keys) == MEMORY_EXPIRED_MAX:
                break
    return [f.MemoryExpired(keys=tuple(keys))] if keys else []


def is_due(state: FleetState, now_ms: int) -> bool:
    """Whether a tick would do anything."""
    next_ms = state.expiries.next_ms()
    return next_ms is not None and next_ms <= now_ms


def nothing_follows(state: FleetState) -> f.FleetEvent | None:
    """Nothing happens in the fleet that nobody asked for."""
    return None


# Evolve --------------------------------------------------------------------------------------


def open_record(state: FleetState, at_ms: int) -> None:
    """The events that follow happened at this time."""
    state.now_ms = at_ms


def evolve(state: FleetState, event: f.FleetEvent) -> None:
    """Fold one event. The time of its record must have been set by `open_record`."""
    match event:
        case f.SwarmReserved():
            state.swarms[event.spec.id] = event.spec
            _answer(state, event.command, Answer(state.now_ms, event.spec.id))
        case f.SwarmEnded():
            was = state.swarms.pop(event.swarm, None)
            state.ended[event.swarm] = event.reason
            state.endings[event.swarm] = Ending(state.now_ms, event.reason, event.by)
            if was is not None:
                state.over[event.swarm] = was
            if len(state.ended) > SWARMS_ENDED_MAX:
                oldest = next(iter(state.ended))
                del state.ended[oldest]
                state.over.pop(oldest, None)
                state.endings.pop(oldest, None)
            _answer(state, event.command, Answer(state.now_ms, event.swarm))
        case f.MemoryStored():
            _forget(state, (event.namespace, event.key))
            state.memory[event.namespace, event.key] = KeptState(event.size_bytes, event.expires_ms)
            state.memory_bytes += event.size_bytes
            if event.expires_ms is not None:
                state.expiries.set(event.expires_ms, event.namespace + SEPARATOR + event.key)
            _trim(state)
            _answer(state, event.command, Answer(event.stored_ms, event.key))
        case f.MemoryExpired():
            for namespace, key in event.keys:
                _forget(state, (namespace, key))
            _trim(state)
        case f.FleetRefused():
            answer = Answer(state.now_ms, None, event.code, event.message)
            _answer(state, event.command, answer)
        case f.CallRecorded() | f.AccessRecorded() | f.StreamsAnchored():
            pass


def _forget(state: FleetState, name: tuple[str, str]) -> None:
    old = state.memory.pop(name, None)
    if old is not None:
        state.memory_bytes -= old.size_bytes


def _trim(state: FleetState) -> None:
    def counts(at_ms: int, name: str) -> bool:
        namespace, _, key = name.partition(SEPARATOR)
        kept = state.memory.get((namespace, key))
        return kept is not None and kept.expires_ms == at_ms

    state.expiries.trim(counts)
    # A key that is written again and again leaves an alarm behind each time.
    if len(state.expiries) > 2 * len(state.memory) + STALE_ALARMS_MAX:
        state.expiries = Alarm()
        for (namespace, key), kept in state.memory.items():
            if kept.expires_ms is not None:
                state.expiries.set(kept.expires_ms, namespace + SEPARATOR + key)


def _answer(state: FleetState, command: str | None, first: Answer) -> None:
    """Keep the first answer to a command that carries an id, and let one that is too old go."""
    if command is None:
        return
    answers = state.answers
    answers[command] = first
    oldest = next(iter(answers))
    if len(answers) > ANSWERS_MAX or state.now_ms - answers[oldest].at_ms > ANSWER_AGE_MS_MAX:
        del answers[oldest]


def fold(state: FleetState, record: f.FleetRecord) -> None:
    """Fold a whole record."""
    open_record(state, record.at_ms)
    for event in record.events:
        evolve(state, event)


def audit(state: FleetState) -> list[str]:
    """Every invariant that does not hold, one sentence each; recomputed from the facts."""
    faults: list[str] = []
    held = sum(kept.size_bytes for kept in state.memory.values())
    if held != state.memory_bytes:
        faults.append(f"values have {held} bytes, the state counts {state.memory_bytes}")
    pending = set(state.expiries.due(TTL_MS_MAX * 2))
    for (namespace, key), kept in state.memory.items():
        alarm = (kept.expires_ms, namespace + SEPARATOR + key)
        if kept.expires_ms is not None and alarm not in pending:
            faults.append(f"{namespace}/{key} expires and nothing will ever say so")
    both = [name for name in state.swarms if name in state.ended]
    faults.extend(f"swarm {name} is open and over" for name in both)
    if len(state.memory) > MEMORY_KEYS_MAX or held > MEMORY_TOTAL_BYTES_MAX:
        faults.append(f"memory holds {len(state.memory)} keys and {held} bytes, over its limits")
    return faults
