"""Outside effects in the folder of a run or of an embedded orchestrator: to be listed always, and
to be resolved while nobody works on it.

The log is read as it is. A resolution is decided as the owner would decide it, and appended; what
follows from it (tasks that go on) follows when somebody takes the folder up again.
"""

import asyncio
import os
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import msgspec

from visionflow.adapters.files import FileBlobs
from visionflow.adapters.lock import acquire
from visionflow.adapters.sqlite.log import SqliteLog
from visionflow.compose.job import RunFolder
from visionflow.compose.store import Store
from visionflow.domain.errors import StoreInUse, UnknownId, UsageError, refusal
from visionflow.domain.events import decode_record, encode_record
from visionflow.domain.fleet import STREAM
from visionflow.domain.tasks import Payload
from visionflow.engine.decide import handle
from visionflow.engine.state import Denial
from visionflow.interfaces.outside import resolving
from visionflow.ports.views import EffectRow
from visionflow.runtime.intake import sound, unpack
from visionflow.runtime.recovery import replay
from visionflow.runtime.views import changes


class Kept(msgspec.Struct, frozen=True):
    """A folder with a log, and who else may be working on it."""

    store: Store
    locks: tuple[Path, ...]
    go_on: str
    """How it is taken up again."""


def of_run(folder: RunFolder) -> Kept:
    """Where the effects of a run are.

    Raises:
        UnknownId: there is no run.
        UsageError: its tasks are those of a server's swarm.
    """
    served = folder.read_order().served
    if served is not None:
        raise UsageError(
            f"The run {folder.run} is in the swarm {served.swarm} of a server, and so are its "
            "effects.",
            hint="Leave out --run, and give --server where it is not your own.",
        )
    locks = (folder.state / "front.lock", folder.state / "owner.lock")
    go_on = f"visionflow run --resume {folder.run} --out {folder.path.parent}"
    return Kept(Store(folder.state), locks, go_on)


def of_folder(folder: Path) -> Kept:
    """Where the effects of an embedded orchestrator are.

    Raises:
        UsageError: there is no log of one.
    """
    store = Store(Path(os.path.abspath(folder)))
    if not store.log.is_file():
        raise UsageError(
            f"There is no log in {store.folder}.", hint="Name an orchestrator's folder."
        )
    return Kept(store, (store.lock,), "open the orchestrator on it again")


def rows_of(kept: Kept) -> list[EffectRow]:
    """All effects, in the order in which they were reserved first.

    Raises:
        LogUnavailable, LogCorrupt: the log cannot be read.
    """
    with closing(SqliteLog.open(kept.store.log, read_only=True)) as log:
        return [row for stream in _streams(log) for row in _rows(log, stream)]


def _streams(log: SqliteLog) -> list[str]:
    return [stream for stream in log.streams() if stream != STREAM]


def _rows(log: SqliteLog, stream: str) -> Iterator[EffectRow]:
    found: dict[str, dict[str, Any]] = {}
    for entry in log.read(stream):
        for change in changes(decode_record(entry.body)):
            if change.table != "effects":
                continue
            key, columns = str(change.key[0]), change.columns
            row = found.setdefault(key, {"key": key, **columns})
            row.update({**columns, "reserved_ms": row["reserved_ms"]})
    return (msgspec.convert(row, EffectRow) for row in found.values())


def result_of(kept: Kept, row: EffectRow) -> Any:
    """What an effect returned; `None` also where nothing is known of that.

    Raises:
        BlobMissing: it is kept in a blob that is not there.
    """
    payload = Payload(inline=row.result, blob=row.result_blob)
    return unpack(payload, FileBlobs(kept.store.blobs))


def resolve(kept: Kept, key: str, resolution: str, note: str, result: Any, by: str) -> EffectRow:
    """Say what became of an effect in doubt; returns what is known of it then.

    Raises:
        UnknownId: there is no such effect.
        StoreInUse: somebody works on the folder.
        Refused: it is not in doubt.
    """
    with ExitStack() as held:
        for lock in kept.locks:
            try:
                held.enter_context(acquire(lock))
            except StoreInUse as error:
                raise StoreInUse(
                    f"{kept.store.folder} is being worked on, so nothing is changed there.",
                    hint=f"Interrupt that first; resolve; then {kept.go_on}.",
                ) from error
        asyncio.run(_append(kept, key, resolution, note, result, by))
    return next(row for row in rows_of(kept) if row.key == key)


async def _append(kept: Kept, key: str, resolution: str, note: str, result: Any, by: str) -> None:
    make = resolving(key, resolution, note, result, by, FileBlobs(kept.store.blobs))
    with closing(SqliteLog.open(kept.store.log, create=False)) as log:
        for stream in _streams(log):
            state, head = replay(log, stream)
            if key not in state.outside.effects:
                continue
            now_ms = max(_now_ms(), state.now_ms)
            events, answer = handle(state, sound(make(now_ms, None)))
            if answer.code is not None:
                hint = answer.hint if isinstance(answer, Denial) else None
                raise refusal(answer.code, answer.message or answer.code, hint)
            await log.append(stream, head.seq, encode_record(now_ms, events))
            return
    raise UnknownId(
        f"No effect in {kept.store.folder} has the key {key!r:.200}, or it is forgotten.",
        code="unknown_effect",
        hint="`visionflow effects list` has them.",
    )


def _now_ms() -> int:
    import time

    return time.time_ns() // 1_000_000
