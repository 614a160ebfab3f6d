"""Whose process is at the other end of a connection: our user's, an agent's, or somebody else's.

The kernel's socket table has the uid and the inode of the other end; the process that holds that
inode is looked for, and its ancestors are, since a process below a worker is an agent's. Only a
process that was found and is none of those is our own user: what cannot be told needs a token.

All of it blocks on /proc for milliseconds, so it runs in a thread, one look for all connections
that wait for one. A process that is free to do anything as our user could still hide (it could
also change our files): what keeps it from that is confinement, not this.
"""

import asyncio
import os
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from enum import Enum
from pathlib import Path

import msgspec

from visionflow.adapters.os_processes import stat
from visionflow.interfaces.access.diag import Sockets
from visionflow.interfaces.access.peers import Peer
from visionflow.interfaces.access.sockets import SocketTable

PROC = Path("/proc")
MARK = b"VISIONFLOW_WORKER="
"""What each worker has in the environment that it was started with."""
LOOK_S_MAX = 5.0
ANCESTORS_MAX = 64
FAVOURITES_MAX = 16


class Whose(Enum):
    """Whose process is at the other end."""

    OURS = "ours"
    """Our own user's, and none of an agent's."""
    AGENTS = "agents"
    """One of our agents', or one that it started."""
    OTHERS = "others"
    """Another user's of this machine."""
    UNKNOWN = "unknown"
    """It cannot be told; it may be any of the others."""


class Found(msgspec.Struct, frozen=True):
    """What a look found."""

    whose: Whose
    uid: int | None = None
    pid: int | None = None
    why: str = ""
    """In words, for whoever is turned away."""
    settled: bool = True
    """False: the look was not brought to its end, and another may tell more."""


class Lookups:
    """Looks for processes. Its coroutine belongs to one loop; `close` it."""

    def __init__(
        self,
        workers: Callable[[], Collection[int]] = tuple,
        roots: Iterable[int] = (),
        table: Callable[[], Sockets | SocketTable] = Sockets,
    ) -> None:
        """`workers`: pids of our worker processes, asked for in the loop's thread. `roots`: pids of
        processes whose every other descendant is an agent's, orphans that they adopt included."""
        self._workers = workers
        self._roots = frozenset(roots)
        self._table = table
        self._pool: ThreadPoolExecutor | None = None
        self._waiting: list[tuple[Peer, asyncio.Future[Found]]] = []
        self._looking = False
        self._favourites: list[int] = []
        """Processes that were at the other end before: looked at first."""

    async def find(self, peer: Peer) -> Found:
        """Whose process it is."""
        if not peer.unix and not peer.loopback:
            return Found(Whose.UNKNOWN, why="it comes from another machine")
        future: asyncio.Future[Found] = asyncio.get_running_loop().create_future()
        self._waiting.append((peer, future))
        if not self._looking:
            self._looking = True
            self._start()
        try:
            async with asyncio.timeout(LOOK_S_MAX):
                return await future
        except TimeoutError:
            why = "looking for its process took too long"
            return Found(Whose.UNKNOWN, why=why, settled=False)

    def _start(self) -> None:
        """One look for all that wait; who comes meanwhile waits for the next, which begins later
        than it came and so sees its socket."""
        asked, self._waiting = self._waiting, []
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, thread_name_prefix="visionflow-peers")
        loop = asyncio.get_running_loop()
        peers = [peer for peer, _ in asked]
        look = loop.run_in_executor(self._pool, self._look, peers, frozenset(self._workers()))
        look.add_done_callback(lambda done: self._looked(asked, done))

    def _looked(
        self,
        asked: list[tuple[Peer, "asyncio.Future[Found]"]],
        done: "asyncio.Future[list[Found]]",
    ) -> None:
        failure = None if done.cancelled() else done.exception()
        if done.cancelled() or failure is not None:
            why = f"looking for its process failed: {type(failure).__name__}"
            answers = [Found(Whose.UNKNOWN, why=why, settled=False)] * len(asked)
        else:
            answers = done.result()
        for (_, future), answer in zip(asked, answers, strict=True):
            if not future.done():
                future.set_result(answer)
        if self._waiting and self._pool is not None:
            self._start()
        else:
            self._looking = False

    def close(self) -> None:
        """Let go of the thread; whoever still waits hears that nothing can be told."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)

    # In the thread -------------------------------------------------------------------------

    def _look(self, peers: list[Peer], workers: frozenset[int]) -> list[Found]:
        sockets: Sockets | SocketTable | None = None
        answers: list[Found] = []
        try:
            for peer in peers:
                if peer.unix:
                    answers.append(self._unix(peer, workers))
                    continue
                if sockets is None:
                    sockets = self._table()
                answers.append(self._tcp(peer, sockets, workers))
        finally:
            if sockets is not None:
                sockets.close()
        return answers

    def _unix(self, peer: Peer, workers: frozenset[int]) -> Found:
        if peer.uid is None or peer.pid is None:
            return Found(
                Whose.UNKNOWN, peer.uid, why="the system does not tell whose process it is"
            )
        return self._of(peer.uid, peer.pid, workers)

    def _tcp(self, peer: Peer, table: Sockets | SocketTable, workers: frozenset[int]) -> Found:
        row = table.other_end(peer)
        if row is None:
            return Found(
                Whose.UNKNOWN, why=table.fault or "its socket is not in the kernel's table"
            )
        if row.uid != os.geteuid():
            return self._of(row.uid, None, workers)
        pid = self._holder(row.inode)
        if pid is None:
            return Found(Whose.UNKNOWN, row.uid, why="the process that holds its socket is hidden")
        return self._of(row.uid, pid, workers)

    def _of(self, uid: int, pid: int | None, workers: frozenset[int]) -> Found:
        if uid != os.geteuid() or uid == _overflow():
            return Found(Whose.OTHERS, uid, pid, f"its process is another user's (uid {uid})")
        assert pid is not None
        lineage = ancestors(pid)
        if not lineage:
            return Found(Whose.UNKNOWN, uid, pid, "its process is gone")
        if self._is_agents(lineage, workers):
            return Found(Whose.AGENTS, uid, pid, f"its process ({pid}) belongs to an agent")
        self._favour(pid)
        return Found(Whose.OURS, uid, pid)

    def _is_agents(self, lineage: list[int], workers: frozenset[int]) -> bool:
        if lineage[0] == os.getpid():
            return False
        kin = {*lineage, *(session for each in lineage if (session := _session(each)))}
        if kin & workers or self._roots.intersection(lineage[1:]):
            return True
        return any(_is_marked(pid) for pid in kin)

    def _holder(self, inode: int) -> int | None:
        """The process that has this socket open: those known from before first, then the newest,
        since a client was as a rule started later than what else runs."""
        link, me = f"socket:[{inode}]", os.getpid()
        known = [pid for pid in self._favourites if _holds(pid, link)]
        if known:
            return known[0]
        pids = sorted((int(name) for name in os.listdir(PROC) if name.isdigit()), reverse=True)
        found = next((pid for pid in pids if pid != me and _holds(pid, link)), None)
        return me if found is None and _holds(me, link) else found

    def _favour(self, pid: int) -> None:
        with suppress(ValueError):
            self._favourites.remove(pid)
        self._favourites.insert(0, pid)
        del self._favourites[FAVOURITES_MAX:]


def ancestors(pid: int) -> list[int]:
    """A living process and those that started it, nearest first; empty when it is gone."""
    found: list[int] = []
    while pid > 0 and pid not in found and len(found) < ANCESTORS_MAX:
        seen = stat(pid)
        if seen is None or (not found and not seen.alive):
            break
        found.append(pid)
        pid = seen.parent
    return found


def _session(pid: int) -> int:
    seen = stat(pid)
    return 0 if seen is None else seen.session


def _holds(pid: int, link: str) -> bool:
    folder = f"/proc/{pid}/fd"
    try:
        names = os.listdir(folder)
    except OSError:
        return False
    for name in reversed(names):
        with suppress(OSError):
            if os.readlink(f"{folder}/{name}") == link:
                return True
    return False


def _is_marked(pid: int) -> bool:
    """Whether it was started as a worker, of this server or of any."""
    try:
        environment = Path(PROC, str(pid), "environ").read_bytes()
    except OSError:
        return False
    return any(each.startswith(MARK) for each in environment.split(b"\0"))


def _overflow() -> int:
    """The uid that stands for all those a user namespace does not know."""
    try:
        return int((PROC / "sys/kernel/overflowuid").read_text())
    except (OSError, ValueError):
        return 65_534
