"""The verdict on a run of chaos: what the log, the blobs and the agents' own notes say.

Nothing of the system under test is asked. `Verdict` of the simulator judges each task by its
script, `LogCheck` has judged each event; here stands what only a real run has: the chain of the
records, blobs in files, what processes wrote down, and what clients were told.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from visionflow.adapters.files import FileBlobs
from visionflow.adapters.sqlite.log import SqliteLog
from visionflow.domain.errors import BlobMissing, VisionFlowError
from visionflow.testing.chaos.agents import Said, what_ran
from visionflow.testing.chaos.plan import Work
from visionflow.testing.chaos.server import Place
from visionflow.testing.chaos.watching import Watcher
from visionflow.testing.checkers import ENDED, LogCheck, TaskLine
from visionflow.testing.simulator.verdict import Verdict
from visionflow.testing.workload import Workload

SHOWN_MAX = 50


class StoredBlobs(Mapping[str, bytes]):
    """What is stored, by name; what is not, or was changed, is no key."""

    def __init__(self, place: Place) -> None:
        self._blobs = FileBlobs(place.blobs)

    def __getitem__(self, name: str) -> bytes:
        try:
            return self._blobs.get(name)
        except BlobMissing as error:
            raise KeyError(name) from error

    def __iter__(self) -> Iterator[str]:
        raise NotImplementedError("Nobody needs to know all of them.")

    def __len__(self) -> int:
        raise NotImplementedError("Nobody needs to know how many there are.")


def violations(
    place: Place, watcher: Watcher, tasks: dict[str, Work], told: dict[str, dict[str, Any]]
) -> Iterator[str]:
    """Whatever is not as it should be, one sentence each. `tasks`: what was acknowledged; `told`:
    by task, what those heard that waited for it."""
    check = watcher.check
    yield from (f"log: {fault}" for fault in (*check.faults, *watcher.faults))
    yield from _chain(place, watcher)
    for name in tasks:
        if name not in check.tasks:
            yield f"task {name} was acknowledged and is not in the log"
    for name in check.tasks:
        if name not in tasks:
            yield f"task {name} is in the log and nobody was told of it"
    yield from _outcomes(place, check, tasks)
    content = place.trace.read_bytes() if place.trace.exists() else b""
    yield from _ran(what_ran(content), check)
    for name, heard in told.items():
        line = check.tasks.get(name)
        if line is not None and heard.get("status") not in line.ends:
            yield f"task {name} is {line.status}; who waited was told {heard.get('status')!r}"


def _chain(place: Place, watcher: Watcher) -> Iterator[str]:
    """Every stream from its first record, and the records that were seen are still those."""
    log = SqliteLog.open(place.log, read_only=True)
    try:
        for stream in log.streams():
            last = None
            for entry in log.read(stream):
                last = entry
                if entry.seq == watcher.head.seq and stream == watcher.stream:
                    if entry.hash != watcher.head.hash:
                        yield f"record {entry.seq} is not the one that was seen before"
            if stream == watcher.stream and (last is None or last.seq < watcher.head.seq):
                yield f"the log ends before record {watcher.head.seq}, which was seen"
    except VisionFlowError as error:
        yield f"the log is damaged: {error}"
    finally:
        log.close()


def _outcomes(place: Place, check: LogCheck, tasks: dict[str, Work]) -> Iterator[str]:
    scripts = {name: work.script for name, work in tasks.items()}
    known = {name: line for name, line in check.tasks.items() if name in scripts}
    workload = Workload([], scripts, {}, {}, 0, 0)
    verdict = Verdict(known, workload, frozenset(), StoredBlobs(place), blames=False)
    yield from verdict.faults()


def _ran(said: list[Said], check: LogCheck) -> Iterator[str]:
    """What agents wrote down against the log."""
    began: dict[tuple[str, int], int] = {}
    done: dict[tuple[str, int, str], int] = {}
    for each in said:
        line = check.tasks.get(each.task)
        if line is None or each.attempt not in line.assigned_at:
            yield f"attempt {each.attempt} of {each.task} ran and is not in the log"
        elif each.what == "begin":
            pid = began.setdefault((each.task, each.attempt), each.pid)
            if pid != each.pid:
                yield f"attempt {each.attempt} of {each.task} ran in processes {pid} and {each.pid}"
        else:
            yield from _step(each, line, done)
    for name, line in check.tasks.items():
        if line.status == "completed" and (name, line.completed_attempt) not in began:
            yield f"attempt {line.completed_attempt} of {name} completes and never ran"


def _step(each: Said, line: TaskLine, done: dict[tuple[str, int, str], int]) -> Iterator[str]:
    key = (each.task, each.attempt, each.what)
    done[key] = done.get(key, 0) + 1
    if done[key] > 1:
        yield f"step {each.what} of {each.task} ran twice in attempt {each.attempt}"
    for name, (place, _) in line.steps.items():
        if name.startswith(f"{each.what}:") and place < line.assigned_at[each.attempt]:
            yield (
                f"step {each.what} of {each.task} ran in attempt {each.attempt} and had finished "
                "before"
            )


def lost(check: LogCheck, tasks: dict[str, Work]) -> int:
    """Acknowledged tasks that have not come to an end."""
    lines = (check.tasks.get(name) for name in tasks)
    return sum(line is None or line.status not in ENDED for line in lines)


def twice(check: LogCheck) -> int:
    """Tasks that completed more than once."""
    return sum(line.completions > 1 for line in check.tasks.values())


def shown(found: list[str]) -> list[str]:
    """Not more than a person reads."""
    more = len(found) - SHOWN_MAX
    return found if more <= 0 else [*found[:SHOWN_MAX], f"and {more} more"]
