"""A run of the real program, watched from outside: its log read-only, its processes in /proc.

Nothing in here asks the program what it did. Phases are told from the log's events alone.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from visionflow.adapters.os_processes import Identity, is_alive, stat
from visionflow.adapters.sqlite.log import SqliteLog
from visionflow.domain import events as e
from visionflow.domain.errors import LogUnavailable
from visionflow.domain.events import AnyEvent, decode_record

GOAL = "Audit this repository: security, quality, tests"
COMMAND = (sys.executable, "-P", "-m", "visionflow.cli", "run")
ORCHESTRATOR = "visionflow.cli.orchestrator"
POLL_S = 0.002
SCAN_S = 0.05
"""Reading all of /proc takes a while; the log is looked at more often."""
WAIT_S_MAX = 150.0
STEP_S = 0.004
SHORT = ("concluding", "closing", "ending")
"""Phases that the orchestrator is through in an instant."""
REVIEWS = {"review-security", "review-performance", "review-maintainability"}
EXAMINE = {*REVIEWS, "run_tests", "research", "architecture"}
VOTES = {"vote-security", "vote-performance", "vote-maintainability"}
PLAN = "plan"


class Seen(NamedTuple):
    """A process of the run, as it was when it was first seen."""

    who: Identity
    words: str
    parent: int
    """0: unknown."""


def phase_of(events: Sequence[AnyEvent]) -> str:
    """How far a run is whose log holds these events, by the last thing that was done."""
    steps = {v.task for v in events if isinstance(v, e.StepFinished)}
    scanned = any(isinstance(v, e.StepFinished) and v.name.startswith("scan ") for v in events)
    done = {v.task for v in events if isinstance(v, e.TaskCompleted)}
    closed = any(isinstance(v, e.SwarmClosed) for v in events)
    passed = (
        ("nothing", True),
        ("created", any(isinstance(v, e.SwarmCreated) for v in events)),
        ("workers starting", any(isinstance(v, e.WorkerStarted) for v in events)),
        ("agents starting", any(isinstance(v, e.WorkerJoined) for v in events)),
        ("preparing", any(isinstance(v, e.TaskStarted) for v in events)),
        ("examining", "survey" in done),
        ("scanning", scanned),
        ("reviews done", done >= REVIEWS),
        ("improving", done >= EXAMINE),
        ("fixing", "fix" in steps),
        ("voting", "fix" in done),
        ("votes coming in", bool(done & VOTES)),
        ("concluding", done >= VOTES),
        ("closing", PLAN in done),
        ("ending", closed),
        ("finished", closed and not _workers(events)),
    )
    return [name for name, reached in passed if reached][-1]


def _workers(events: Sequence[AnyEvent]) -> set[str]:
    alive: set[str] = set()
    for event in events:
        if isinstance(event, e.WorkerStarted):
            alive.add(event.worker)
        elif isinstance(event, e.WorkerStopped | e.WorkerLost):
            alive.discard(event.worker)
    return alive


def phases_of_kills(events: Sequence[AnyEvent]) -> list[str]:
    """What the log shows of kills: at each taking up again, and at each worker killed by others.

    A worker that died with its orchestrator belongs to that kill, and workers of which no attempt
    or agent did anything in between died together.
    """
    found: list[str] = []
    fallen: set[tuple[str, int]] = set()
    alive: set[tuple[str, int]] = set()
    together = False
    for index, event in enumerate(events):
        if isinstance(event, e.WorkerStarted):
            alive.add((event.worker, event.incarnation))
        elif isinstance(event, e.Recovered):
            found.append(phase_of(events[:index]))
            fallen |= alive
        elif isinstance(event, e.WorkerLost) and event.kind == "killed":
            if (event.worker, event.incarnation) not in fallen and not together:
                found.append(phase_of(events[:index]))
            together = True
        elif isinstance(event, e.StepFinished | e.TaskStarted | e.TaskCompleted):
            together = False
    return found


class WatchedRun:
    """One run and all its lives. Everything waits at most `WAIT_S_MAX`."""

    def __init__(self, workspace: Path, out: Path) -> None:
        self.workspace = workspace
        self.out = out
        self.events: list[AnyEvent] = []
        self.seen: dict[Identity, Seen] = {}
        self.alive_at_recovery: list[Seen] = []
        self._log: SqliteLog | None = None
        self._seq = 0
        self._front: subprocess.Popen[str] | None = None
        self._orchestrator: Identity | None = None
        self._scanned_at = 0.0

    def __enter__(self) -> "WatchedRun":
        return self

    def __exit__(self, *exception: object) -> None:
        """Leave nothing alive, however the test went."""
        if self._front is not None:
            self._front.kill()
            with self._front:
                pass
        for seen in list(self.seen.values()):
            if is_alive(seen.who):
                with suppress(ProcessLookupError):
                    os.kill(seen.who.pid, signal.SIGKILL)
        if self._log is not None:
            self._log.close()

    # Lives ----------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin the run, or go on with it when there is one already."""
        folder = self.folder
        what = [GOAL, "--workspace", str(self.workspace)]
        words = what if folder is None else ["--resume", folder.name]
        self._front = subprocess.Popen(
            [*COMMAND, *words, "--out", str(self.out), "--json"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def result(self) -> tuple[int, dict[str, Any]]:
        """Wait for the foreground to return: its code and the one object that it printed."""
        front = self._front
        assert front is not None
        self.until(lambda: front.poll() is not None)
        out, err = front.communicate(timeout=WAIT_S_MAX)
        assert out.count("\n") == 1, (out, err)
        return front.returncode, json.loads(out)

    @property
    def folder(self) -> Path | None:
        """The run's own folder, once it is there."""
        found = [path.parent for path in self.out.glob("*/run.json")]
        return found[0] if found else None

    # Watching -------------------------------------------------------------------------------

    @property
    def phase(self) -> str:
        """How far it is by now."""
        return phase_of(self.events)

    def reach(self, phase: str, meanwhile: Callable[[], None]) -> None:
        """Wait until the run is in this phase, doing something at each look."""

        def reached() -> bool:
            meanwhile()
            return self.phase == phase

        self.until(reached)

    def hold_at(self, phase: str) -> None:
        """Wait until the run is in this phase, and freeze the orchestrator there."""
        if phase in SHORT:
            self.until(lambda: self.phase in ("votes coming in", *SHORT))
            self.until(lambda: self._step() or self.phase == phase)
        self.until(lambda: self.phase == phase)
        self._signal_orchestrator(signal.SIGSTOP)
        self.look()
        assert self.phase == phase, f"{phase} was over too soon"

    def _step(self) -> None:
        """Let it go on for a moment, and look while it is frozen: on a busy machine a short phase
        begins and ends between two looks."""
        self._signal_orchestrator(signal.SIGCONT)
        time.sleep(STEP_S)
        self._signal_orchestrator(signal.SIGSTOP)

    def recovered(self, times: int) -> None:
        """Wait until it was taken up again so often."""
        self.until(lambda: sum(isinstance(v, e.Recovered) for v in self.events) == times)

    def until_started(self, worker: str, times: int) -> None:
        """Wait for a worker's process of this number."""

        def started() -> bool:
            found = [v for v in self.events if isinstance(v, e.WorkerStarted)]
            return sum(v.worker == worker for v in found) == times

        self.until(started)

    def until(self, reached: Callable[[], bool]) -> None:
        """Watch until something is so."""
        deadline = time.monotonic() + WAIT_S_MAX
        self.look()
        while not reached():
            assert time.monotonic() < deadline, f"not reached; phase {self.phase}"
            time.sleep(POLL_S)
            self.look()

    def pause(self, seconds: float) -> None:
        """Watch for a while."""
        end = time.monotonic() + seconds
        self.until(lambda: time.monotonic() >= end)

    def look(self) -> None:
        """Take in what is new in the log and in /proc."""
        folder = self.folder
        if folder is None:
            return
        earlier = list(self.seen.values())
        for event in self._new_events(folder):
            self.events.append(event)
            if isinstance(event, e.Recovered):
                self._note_survivors(earlier)
        if time.monotonic() - self._scanned_at > SCAN_S:
            self._scan(folder)

    def _scan(self, folder: Path) -> None:
        found = processes_of(folder)
        for seen in found:
            self.seen.setdefault(seen.who, seen)
        self._orchestrator = next(iter(orchestrators(found)), self._orchestrator)
        self._scanned_at = time.monotonic()

    def _new_events(self, folder: Path) -> list[AnyEvent]:
        if self._log is None:
            try:
                self._log = SqliteLog.open(folder / "state" / "log.db", read_only=True)
            except LogUnavailable:
                return []
        found: list[AnyEvent] = []
        for entry in self._log.read(folder.name, self._seq):
            self._seq = entry.seq
            found += decode_record(entry.body).events
        return found

    def _note_survivors(self, earlier: Sequence[Seen]) -> None:
        """Whoever was seen before this recovery and still lives, but for front and orchestrator."""
        recorded = [
            Seen(Identity(event.pid, event.started), event.worker, 0)
            for event in self.events
            if isinstance(event, e.WorkerStarted)
        ]
        owners = {self._front.pid} if self._front is not None else set[int]()
        owners |= {seen.who.pid for seen in self.living() if ORCHESTRATOR in seen.words}
        for seen in [*recorded, *earlier]:
            if seen.who.pid not in owners and is_alive(seen.who):
                self.alive_at_recovery.append(seen)

    def count(self, word: str) -> int:
        """How many processes were seen whose words hold this."""
        return sum(word in seen.words for seen in self.seen.values())

    def living(self) -> list[Seen]:
        """All processes of the run that live now."""
        return [] if self.folder is None else processes_of(self.folder)

    # Killing --------------------------------------------------------------------------------

    def kill_orchestrator(self) -> None:
        """SIGKILL to the one that lives."""
        self._signal_orchestrator(signal.SIGKILL)

    def let_go(self) -> None:
        """Let an orchestrator that was frozen go on."""
        self._signal_orchestrator(signal.SIGCONT)

    def _signal_orchestrator(self, number: signal.Signals) -> None:
        self.until(lambda: self._orchestrator is not None and is_alive(self._orchestrator))
        assert self._orchestrator is not None
        _send(self._orchestrator, number)

    def worker_of(self, agent: str) -> str:
        """The worker that hosts an agent."""
        spawned = [v for v in self.events if isinstance(v, e.AgentSpawned) and v.spec.id == agent]
        return spawned[-1].worker

    def kill_worker(self, worker: str) -> None:
        """SIGKILL to a worker's present process."""
        _send(self._worker(worker), signal.SIGKILL)

    def freeze_worker(self, worker: str) -> None:
        """Stop its present process, so that it can neither work nor end by itself."""
        _send(self._worker(worker), signal.SIGSTOP)

    def kill_everything(self, *, but: Sequence[str] = ()) -> None:
        """SIGKILL to the front first, then to all others, but for the workers named."""
        front = self._front
        assert front is not None
        spared = {self._worker(worker).pid for worker in but}
        self.look()
        with suppress(ProcessLookupError):
            os.kill(front.pid, signal.SIGKILL)
        for seen in self.living():
            if seen.who.pid not in spared:
                _send(seen.who, signal.SIGKILL)
        front.communicate(timeout=WAIT_S_MAX)

    def _worker(self, worker: str) -> Identity:
        self.look()
        started = [v for v in self.events if isinstance(v, e.WorkerStarted) and v.worker == worker]
        return Identity(started[-1].pid, started[-1].started)


def orchestrators(seen: Sequence[Seen]) -> list[Identity]:
    """Those among them, one at most unless two really live at once.

    A child has its parent's words until it has its own program, so a worker that is just started
    looks like a second one.
    """
    found = {each.who.pid: each for each in seen if ORCHESTRATOR in each.words}
    return [each.who for each in found.values() if each.parent not in found]


def processes_of(folder: Path) -> list[Seen]:
    """Every living process that names the run's folder, or stands below one that does."""
    mark = os.fsencode(folder)
    stats = {}
    named: dict[int, str] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        found = stat(int(name))
        if found is None or not found.alive or found.pid == os.getpid():
            continue
        stats[found.pid] = found
        environment, words = _read(name, "environ"), _read(name, "cmdline")
        if mark in environment or mark in words:
            named[found.pid] = os.fsdecode(words.replace(b"\0", b" "))
    sessions = {stats[pid].session for pid in named} - {os.getsid(0)}
    return [
        Seen(Identity(found.pid, found.started), named.get(found.pid, ""), found.parent)
        for found in stats.values()
        if found.pid in named or found.session in sessions
    ]


def _read(pid: str, name: str) -> bytes:
    try:
        return Path("/proc", pid, name).read_bytes()
    except OSError:
        return b""


def _send(who: Identity, number: signal.Signals) -> None:
    if is_alive(who):
        with suppress(ProcessLookupError):
            os.kill(who.pid, number)
