"""Checks of what VisionFlow keeps: its home, settings, stores, runs, and what was left behind."""

import os
import shlex
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from visionflow.adapters.lock import owner
from visionflow.adapters.os_processes import Identity, family, is_alive, marked
from visionflow.adapters.sqlite.log import SqliteLog
from visionflow.compose.doctor.machine import size
from visionflow.compose.doctor.values import Check, Finding, Level, Place, Seen, Skipped
from visionflow.compose.job.folder import RunFolder, RunInfo
from visionflow.compose.job.listing import list_runs
from visionflow.compose.store import ServerStore, Store
from visionflow.domain.errors import VisionFlowError
from visionflow.engine.state import SwarmState
from visionflow.interfaces.access.tokens import Tokens, wall_ms
from visionflow.runtime.recovery import replay
from visionflow.settings.agents import load_agents
from visionflow.settings.origins import Resolved, check_ports, resolve

LAST_RECORDS = 10_000
"""Of each stream so many are read without --deep."""
LOG_BYTES_MAX = 256 * 1024**2
"""A larger log is folded with --deep only."""
SCRATCH_AGE_S = 24 * 3600.0
"""Scratch older than the longest thing that makes it."""
NAMED_MAX = 5
SERVER_MARK = "VISIONFLOW_SERVER_HOME"
"""In the environment of all that a server starts: its home."""


def keeping_checks() -> tuple[Check, ...]:
    """All of them, in the order in which they are told."""
    return (
        Check("home", "VISIONFLOW_HOME", home),
        Check("settings", "Settings", settings),
        Check("agents-file", "agents.yaml", agents_file),
        Check("tokens", "Tokens", tokens),
        Check("store", "The server's log", store),
        Check("runs", "Runs", runs),
        Check("leftovers", "Processes of runs that are over", leftovers),
        Check("scratch", "Scratch that was left", scratch),
    )


def home(place: Place) -> Seen:
    """Whether it can be written, and by whom else."""
    path = place.home
    if not path.exists():
        return Seen(f"{path} is not there yet")
    quoted = shlex.quote(str(path))
    findings: list[Finding] = []
    if not path.is_dir() or not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        what = "is no folder" if not path.is_dir() else "cannot be written by you"
        found = Finding(
            level=Level.ERROR,
            what=f"{path} {what}.",
            why="Nothing can be kept: trust, tokens, the server's log.",
            mend=f"sudo chown -R {os.getuid()} {quoted}" if path.is_dir() else None,
        )
        return Seen(str(path), (found,))
    mode = path.stat().st_mode
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        findings.append(
            Finding(
                level=Level.ERROR,
                what=f"Others may write {path}.",
                why="Whoever can write there decides whom a server trusts, and can run code as "
                "you.",
                mend=f"chmod go-w {quoted}",
            )
        )
    inner = path / "server"
    if inner.is_dir() and inner.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        findings.append(
            Finding(
                level=Level.WARNING,
                what=f"Others may look into {inner}.",
                why="The log there holds the inputs and results of tasks.",
                mend=f"chmod go-rwx {shlex.quote(str(inner))}",
            )
        )
    return Seen(str(path), tuple(findings))


def settings(place: Place) -> Seen:
    """Whether a server could be started with them."""
    try:
        found = _resolved(place)
        check_ports(found)
    except VisionFlowError as error:
        return Seen("a fault", (_fault(error, "`visionflow serve` ends with 78."),))
    given = sum(origin != "default" for origin in found.origins.values())
    read = found.file if found.read else "no file"
    return Seen(f"{read}, {given} of {len(found.origins)} set")


def agents_file(place: Place) -> Seen | Skipped:
    """The file that the settings name, else `config/agents.yaml` of the workspace."""
    try:
        named = _resolved(place).settings.agents_file
    except VisionFlowError:
        return Skipped("the settings have a fault")
    path = Path(named) if named else place.workspace / "config" / "agents.yaml"
    if not named and not path.is_file():
        return Skipped("there is none")
    try:
        found = load_agents(path)
    except VisionFlowError as error:
        return Seen("a fault", (_fault(error, "Nothing that uses the file starts."),))
    return Seen(f"{path}: {len(found.templates)} templates")


def tokens(place: Place) -> Seen | Skipped:
    """Whether the file of them can be used, and which are over."""
    known = Tokens(place.home)
    if not known.path.exists():
        return Skipped("there is none")
    try:
        found = known.all()
    except VisionFlowError as error:
        mode = known.path.stat().st_mode
        own = f"chmod 600 {shlex.quote(str(known.path))}" if mode & 0o077 else None
        return Seen("a fault", (_fault(error, "No token is accepted.", own),))
    now_ms = wall_ms()
    over = [each for each in found if each.expired(now_ms)]
    told = f"{len(found) - len(over)} that work, {len(over)} expired"
    findings = tuple(
        Finding(
            level=Level.INFO,
            what=f"The token {each.name!r} has expired.",
            why="Whoever uses it is refused.",
            mend=f"visionflow token revoke {each.id}",
        )
        for each in over[:NAMED_MAX]
    )
    return Seen(told, findings)


def store(place: Place) -> Seen | Skipped:
    """Whether the log can be read, and its chain holds."""
    from visionflow.runtime.audit import verify

    files = ServerStore.of(str(place.home))
    if not files.log.is_file():
        return Skipped("no server has run here")
    told = size(_bytes_of(files.log))
    try:
        log = SqliteLog.open(files.log, read_only=True)
        try:
            if place.deep:
                read = verify(log, served=True).records
            else:
                read = sum(_read_end(log, stream) for stream in log.streams())
        finally:
            log.close()
    except VisionFlowError as error:
        why = "The server does not start on it; nothing is repaired by guessing."
        return Seen("a fault", (_fault(error, why, "visionflow audit verify"),))
    whole = "every chain holds" if place.deep else "the ends of all chains hold"
    return Seen(f"{told}, {read} records read, {whole}")


def _bytes_of(log: Path) -> int:
    """With what is not yet in the file itself."""
    parts = (log, log.with_name(f"{log.name}-wal"))
    return sum(part.stat().st_size for part in parts if part.exists())


def _read_end(log: SqliteLog, stream: str) -> int:
    head = log.head(stream).seq
    return sum(1 for _ in log.read(stream, max(0, head - LAST_RECORDS)))


def runs(place: Place) -> Seen | Skipped:
    """Runs that were interrupted."""
    try:
        found = list_runs(place.out)
    except VisionFlowError as error:
        return Seen("a fault", (_fault(error, "No run is listed."),))
    if not found:
        return Skipped(f"there are none in {place.out}")
    stopped = [each for each in found if each.status == "interrupted"]
    out = shlex.quote(str(place.out))
    findings = [
        Finding(
            level=Level.INFO,
            what=f"{each.run} was interrupted: {each.goal[:60]}.",
            why="Nothing of it is lost; it goes on where it was.",
            mend=f"visionflow run --resume {shlex.quote(each.run)} --out {out}",
        )
        for each in stopped[:NAMED_MAX]
    ]
    running = sum(each.status == "running" for each in found)
    return Seen(
        f"{len(found)} in {place.out}, {running} running, {len(stopped)} interrupted",
        tuple(findings),
    )


class Leftover(NamedTuple):
    """A process that outlived who started it."""

    who: Identity
    worker: str
    of: str
    awaits: bool
    """It may still be within its grace, and the next server would take it over."""


def leftovers(place: Place) -> Seen:
    """Workers in the logs of stores that nobody owns any more, and that still run; and what was
    started by a server of this home that is gone, or by its workers."""
    found: list[Leftover] = []
    unread: list[str] = []
    for name, files in _stores(place):
        if owner(files.lock) is not None or not files.log.is_file():
            continue
        if isinstance(files, ServerStore) and owner(files.front_lock) is not None:
            continue  # Its front starts the next server, which takes them over.
        if files.log.stat().st_size > LOG_BYTES_MAX and not place.deep:
            unread.append(name)
            continue
        try:
            awaits = isinstance(files, ServerStore) and _is_awaited(place, files)
            found += [Leftover(who, worker, name, awaits) for worker, who in _alive(files.log)]
        except VisionFlowError:
            unread.append(name)
    findings = [
        Finding(
            level=Level.WARNING,
            what=f"Worker {each.worker} of {each.of} still runs as process {each.who.pid}, and "
            "nobody owns its store.",
            why="A worker of a server that died ends by itself when its grace is over, or is taken "
            "over by the next one; any other holds memory and does nothing that counts.",
            mend="visionflow serve" if each.awaits else f"kill -9 {each.who.pid}",
        )
        for each in found
    ]
    strays = _strays(place, {each.who for each in found})
    findings += [
        Finding(
            level=Level.WARNING,
            what=f"Process {who.pid} was started by a worker of a server of this home, and no "
            "server runs.",
            why="It outlived its worker. The next `visionflow serve` ends it at its start.",
            mend=f"kill -9 {who.pid}",
        )
        for who in sorted(strays)
    ]
    left = f"; not read: {', '.join(unread[:NAMED_MAX])}" if unread else ""
    return Seen(f"{len(findings) or 'none'}{left}", tuple(findings))


def _is_awaited(place: Place, files: ServerStore) -> bool:
    """Whether a server of this home ended so lately that its workers wait for the next one."""
    try:
        grace_ms = resolve({"home": str(place.home)}, place.environment).settings.orphan_grace_ms
    except VisionFlowError:
        return False
    parts = (files.log, files.log.with_name(f"{files.log.name}-wal"), files.lock)
    last = max(part.stat().st_mtime for part in parts if part.exists())
    return time.time() - last < grace_ms / 1_000


def _strays(place: Place, workers: set[Identity]) -> set[Identity]:
    """Processes of a server of this home that belong to no living one and to none of these."""
    files = ServerStore.of(str(place.home))
    if owner(files.lock) is not None or owner(files.front_lock) is not None:
        return set()
    found = marked(SERVER_MARK, str(place.home)) - workers
    for who in workers if found else ():
        found -= family(who)
    return found


def _stores(place: Place) -> Iterator[tuple[str, Store]]:
    yield "the server", ServerStore.of(str(place.home))
    try:
        found: list[RunInfo] = list_runs(place.out)
    except VisionFlowError:
        return
    for each in found:
        yield each.run, Store(RunFolder(each.out).state)


def _alive(path: Path) -> list[tuple[str, Identity]]:
    log = SqliteLog.open(path, read_only=True)
    try:
        states: list[SwarmState] = [
            replay(log, stream)[0] for stream in log.streams() if stream != "fleet"
        ]
    finally:
        log.close()
    return [
        (worker.id, who)
        for state in states
        for worker in state.workers.values()
        if worker.pid is not None and worker.started is not None
        if is_alive(who := Identity(worker.pid, worker.started))
    ]


def scratch(place: Place) -> Seen:
    """Folders that a killed process left where scratch goes."""
    now = time.time()
    old: list[Path] = []
    made = (*place.temp.glob("visionflow-*"), *place.temp.glob("vf-chaos-*"))
    for path in sorted(made):
        try:
            seen = path.lstat()
        except OSError:
            continue  # It went while we looked.
        ours = stat.S_ISDIR(seen.st_mode) and seen.st_uid == os.geteuid()
        if ours and now - seen.st_mtime > SCRATCH_AGE_S:
            # Of a chaos that goes on for days there is a server in it.
            if owner(ServerStore.of(str(path / "home")).front_lock) is None:
                old.append(path)
    if not old:
        return Seen("none that is old")
    words = " ".join(shlex.quote(str(path)) for path in old)
    found = Finding(
        level=Level.INFO,
        what=f"{len(old)} folder{'' if len(old) == 1 else 's'} of over a day in {place.temp}.",
        why="They were left by processes that were killed; nothing uses them.",
        mend=f"rm -r -- {words}",
    )
    return Seen(f"{len(old)} old", (found,))


def _resolved(place: Place) -> Resolved:
    return resolve({"home": str(place.home)}, place.environment)


def _fault(error: VisionFlowError, why: str, mend: str | None = None) -> Finding:
    hint = f" {error.hint}" if error.hint and mend is None else ""
    return Finding(level=Level.ERROR, what=error.message, why=why + hint, mend=mend)
