"""What a run of chaos left behind, read once more, and changed so that the verdict must see it."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import msgspec

from visionflow.adapters.chain import chained
from visionflow.adapters.files import FileBlobs
from visionflow.adapters.sqlite.log import SqliteLog
from visionflow.domain.fleet import STREAM
from visionflow.ports.log import GENESIS
from visionflow.testing.chaos import Order, make_plan
from visionflow.testing.chaos.judging import violations
from visionflow.testing.chaos.plan import Work
from visionflow.testing.chaos.server import Place
from visionflow.testing.chaos.watching import Watcher

Fact = dict[str, Any]


class KeptRun:
    """The folder of a run, and what its clients knew."""

    def __init__(self, folder: Path, order: Order) -> None:
        self.place = Place(folder)
        log = SqliteLog.open(self.place.log, read_only=True)
        try:
            (self.swarm,) = (name for name in log.streams() if name != STREAM)
            self.records = [msgspec.msgpack.decode(entry.body) for entry in log.read(self.swarm)]
        finally:
            log.close()
        works = make_plan(order).works
        self.tasks: dict[str, Work] = {}
        for event in self.facts():
            if event["t"] == "task_submitted":
                spec = event["spec"]
                self.tasks[spec["id"]] = works[int(spec["description"].split()[-1])]
        self.told: dict[str, Fact] = {}

    def facts(self) -> Iterator[Fact]:
        """Every event, as a plain map."""
        for _, events in self.records:
            yield from events

    def watched(self) -> Watcher:
        """Somebody who has read the log to its end."""
        watcher = Watcher(self.place.log, self.swarm, FileBlobs(self.place.blobs).has)
        watcher.catch_up()
        return watcher

    def judged(self, watcher: Watcher) -> Iterator[str]:
        """What the verdict finds in the folder, given what this one saw."""
        return violations(self.place, watcher, self.tasks, self.told)

    def violations(self) -> list[str]:
        """What the verdict finds now."""
        watcher = Watcher(self.place.log, self.swarm, FileBlobs(self.place.blobs).has)
        try:
            watcher.catch_up()
        except Exception as error:
            return [f"the log is damaged: {error}"]
        return list(self.judged(watcher))


def rewritten(kept: KeptRun, change: Callable[[Fact], list[Fact]]) -> None:
    """Write its log anew, with other events, and hashes that fit them."""
    records = [
        (at_ms, [made for event in events for made in change(event)])
        for at_ms, events in kept.records
    ]
    with closing(apsw.Connection(str(kept.place.log))) as log, log:
        log.execute("DELETE FROM records WHERE stream = ?", (kept.swarm,))
        before = GENESIS
        for seq, record in enumerate((each for each in records if each[1]), 1):
            body = msgspec.msgpack.encode(record)
            before = chained(before, seq, body)
            log.execute(
                "INSERT INTO records (stream, seq, body, hash) VALUES (?, ?, ?, ?)",
                (kept.swarm, seq, body, before),
            )
