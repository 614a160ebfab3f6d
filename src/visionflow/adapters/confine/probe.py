"""Finds out what holds on this machine, by trying: nothing is believed for being installed.

For each candidate, strongest first, a small program is run under it that attempts what must not
work. What it was able to do, and whether its daemon is still there afterwards, decides what is
reported. The first candidate under which everything is refused wins; else the one that refuses
most.
"""

import asyncio
import functools
import os
import secrets
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from visionflow.ports.sandbox import Command, Confinement

from . import groups
from .inside import groups as group_kinds
from .means import Means
from .ordering import order_for
from .running import Bounds, Running

_WALL_MS = 10_000
_MEMORY_BYTES = 1 << 30
_GONE_SECONDS_MAX = 2.0
_BAIT_FOLDER_BYTES_MAX = 75
_ONE_AT_A_TIME = threading.Lock()


class Established(msgspec.Struct, frozen=True):
    """The means in use, the control groups that work, and what they were seen to hold."""

    means: Means
    groups: tuple[tuple[str, Path], ...]
    confinement: Confinement


class Attempted(msgspec.Struct, frozen=True):
    """What a program under the candidate was able to do."""

    read: bool
    write: bool
    tcp: bool
    file_socket: bool
    abstract_socket: bool
    own_folder: bool


def established(candidates: tuple[Means, ...]) -> Established:
    """The best of the candidates; found out once per process. Blocks for some 0.2 s then."""
    with _ONE_AT_A_TIME:
        return _established(candidates)


@functools.cache
def _established(candidates: tuple[Means, ...]) -> Established:
    parents = groups.parents()
    reasons: list[str] = []
    best: Established | None = None
    for means in candidates:
        found = _tried_with_groups(means, parents, reasons)
        if found is None:
            continue
        if best is None or _held(found) > _held(best):
            best = found
        if best.confinement.active:
            break
    if best is None:
        nothing = Confinement(None, None, None, None, tuple(reasons))
        return Established(Means(), (), nothing)
    every = (*best.confinement.reasons, *reasons)
    return msgspec.structs.replace(
        best, confinement=msgspec.structs.replace(best.confinement, reasons=every)
    )


def _held(found: Established) -> int:
    seen = found.confinement
    return sum(each is not None for each in (seen.filesystem, seen.network, seen.processes))


def _tried_with_groups(
    means: Means, parents: dict[str, Path], reasons: list[str]
) -> Established | None:
    """Try with control groups, then without: a refused group must not cost the rest."""
    failure = ""
    for each in (parents, {}) if parents else ({},):
        with ThreadPoolExecutor(1) as aside:
            found = aside.submit(asyncio.run, _tried(means, each)).result()
        if isinstance(found, Established):
            return found
        failure = found
    name = means.files or "no confinement"
    reasons.append(f"{name} cannot be used: {failure}.")
    return None


async def _tried(means: Means, parents: dict[str, Path]) -> Established | str:
    """What holds under these means, or why nothing could be run under them."""
    token = secrets.token_hex(8)
    with _bait(token) as arguments:
        program = os.path.realpath(sys.executable)
        script = str(Path(__file__).with_name("probed.py"))
        command = Command(
            argv=(program, "-I", "-S", script, *arguments),
            cwd="/",
            env={"PATH": os.defpath},
            read=(sys.base_prefix, os.path.dirname(program), script),
            wall_ms=_WALL_MS,
            memory_bytes=_MEMORY_BYTES,
        )
        order = order_for(command, means, groups.named(parents))
        running = Running(order, Bounds(65536, None), None)
        try:
            outcome = await running.outcome()
        finally:
            await running.end()
    if outcome is None or outcome.exit_code != 0:
        text = outcome.error if outcome and outcome.error else running.stderr.text().strip()
        return text or "the probe did not run to its end"
    able = msgspec.json.decode(running.stdout.text(), type=Attempted)
    if not able.own_folder:
        return "a command could not write into its own folder"
    return _judged(means, parents, able, daemon_gone=_gone(token))


def _judged(
    means: Means, parents: dict[str, Path], able: Attempted, *, daemon_gone: bool
) -> Established:
    reasons: list[str] = []
    files_held = not (able.read or able.write)
    dialled = [name for name in ("tcp", "file_socket", "abstract_socket") if getattr(able, name)]
    if not files_held:
        reasons.append("A command could read or write files that it was not given.")
    if dialled:
        reasons.append(f"A command could connect to a listener outside ({', '.join(dialled)}).")
    if not daemon_gone:
        reasons.append("A daemon left by a command was still alive after it.")
    confinement = Confinement(
        filesystem=means.files if files_held else None,
        network=means.network if not dialled else None,
        processes=means.processes if daemon_gone else None,
        memory=_memory(parents),
        reasons=tuple(reasons),
    )
    return Established(means, tuple(parents.items()), confinement)


def _memory(parents: dict[str, Path]) -> str:
    if group_kinds.MEMORY_V1 in parents:
        return "cgroup v1"
    return "cgroup v2" if group_kinds.V2 in parents else "watcher of resident memory"


@contextmanager
def _bait(token: str) -> Generator[tuple[str, ...]]:
    """A secret, a folder and three listeners, none of which a command may reach."""
    with ExitStack() as stack:
        # The name of a socket takes 107 bytes: a command that gives up on a longer one would look
        # as if it were held.
        room = len(os.fsencode(tempfile.gettempdir())) <= _BAIT_FOLDER_BYTES_MAX
        folder = tempfile.mkdtemp(prefix="visionflow-probe-", dir=None if room else "/tmp")
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        secret = Path(folder, token)
        secret.write_text("secret", encoding="ascii")
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        file_socket = stack.enter_context(socket.socket(socket.AF_UNIX))
        file_socket.bind(f"{folder}/s")
        file_socket.listen()
        abstract = stack.enter_context(socket.socket(socket.AF_UNIX))
        abstract.bind("\0" + token)
        abstract.listen()
        port = str(tcp.getsockname()[1])
        yield (str(secret), folder, port, f"{folder}/s", token)


def _gone(token: str) -> bool:
    """Whether no process carries the token in its arguments; the dead get a moment to leave."""
    deadline = time.monotonic() + _GONE_SECONDS_MAX
    while _any_with(token.encode("ascii")):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def _any_with(token: bytes) -> bool:
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if token in each.read_bytes():
                return True
        except OSError:
            continue
    return False
