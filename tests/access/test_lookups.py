"""Whose process is at the other end, with processes of every kind really there."""

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from dialling import (
    AS_NOBODY,
    NOBODY,
    Listening,
    dialling,
    dialling_path,
    process,
    run,
)

from visionflow.interfaces.access.diag import SocketDiag, Sockets
from visionflow.interfaces.access.lookups import Found, Lookups, Whose
from visionflow.interfaces.access.peers import Peer, plain_host
from visionflow.interfaces.access.sockets import SocketTable

AS_ROOT = pytest.mark.skipif(
    os.geteuid() != 0, reason="is a plain user already, and can become no other"
)
HOSTS = ["127.0.0.1", "::1"]
Way = Callable[[], Sockets | SocketTable]


@pytest.fixture(params=[Sockets, SocketTable.read], ids=["asked", "table"])
def way(request: pytest.FixtureRequest) -> Way:
    """How the kernel is asked: for one connection, or for all of them."""
    return request.param


def found(
    code: str | None,
    *,
    host: str = "127.0.0.1",
    env: dict[str, str] | None = None,
    lookups: Lookups | None = None,
    worker: bool = False,
) -> Found:
    """What is found of a process that runs this code; `worker`: its pid is one of a worker's."""

    async def look() -> Found:
        async with Listening(host) as listening:
            with process(dialling(listening.port, host) if code is None else code, env) as child:
                workers = [child.pid] if worker else []
                looking = lookups or Lookups(lambda: workers)
                peer = (await listening.next()).peer
                try:
                    return await looking.find(peer)
                finally:
                    looking.close()

    return run(look())


@pytest.mark.parametrize("host", HOSTS)
def test_a_program_of_our_own_user_is_known_by_its_process(host: str, way: Way) -> None:
    if host == "::1" and not _has_ipv6():
        pytest.skip("this machine has no IPv6")
    it = found(None, host=host, lookups=Lookups(table=way))
    assert it.whose is Whose.OURS
    assert it.uid == os.geteuid()
    assert it.pid is not None


def test_an_ipv4_client_of_an_ipv6_port_is_known_too(way: Way) -> None:
    if not _has_ipv6():
        pytest.skip("this machine has no IPv6")

    async def look() -> Found:
        with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as both:
            port = both.getsockname()[1]
            with process(dialling(port)):
                both.settimeout(20)
                taken, _ = both.accept()
                with taken:
                    remote, local = taken.getpeername(), taken.getsockname()
                    peer = Peer(
                        remote=(plain_host(remote[0]), remote[1]),
                        local=(plain_host(local[0]), local[1]),
                        inode=os.fstat(taken.fileno()).st_ino,
                    )
                    assert peer.loopback
                    lookups = Lookups(table=way)
                    try:
                        return await lookups.find(peer)
                    finally:
                        lookups.close()

    assert run(look()).whose is Whose.OURS


@AS_ROOT
@pytest.mark.parametrize("host", HOSTS)
def test_another_user_of_the_machine_is_told_apart(host: str, way: Way) -> None:
    if host == "::1" and not _has_ipv6():
        pytest.skip("this machine has no IPv6")

    async def look() -> Found:
        async with Listening(host) as listening:
            with process(dialling(listening.port, host, AS_NOBODY)):
                lookups = Lookups(table=way)
                peer = (await listening.next()).peer
                try:
                    return await lookups.find(peer)
                finally:
                    lookups.close()

    it = run(look())
    assert (it.whose, it.uid) == (Whose.OTHERS, NOBODY)
    assert str(NOBODY) in it.why


def test_a_worker_is_an_agents() -> None:
    assert found(None, worker=True).whose is Whose.AGENTS


def test_what_carries_a_workers_mark_is_an_agents() -> None:
    assert found(None, env={"VISIONFLOW_WORKER": "{}"}).whose is Whose.AGENTS


def test_a_child_of_a_worker_is_an_agents_even_with_an_environment_of_its_own() -> None:
    async def look() -> Found:
        async with Listening() as listening:
            inner = dialling(listening.port)
            outer = (
                "import subprocess, sys\n"
                f"subprocess.run([sys.executable, '-c', {inner!r}], env={{}})"
            )
            with process(outer, {"VISIONFLOW_WORKER": "{}"}):
                lookups = Lookups()
                peer = (await listening.next()).peer
                try:
                    return await lookups.find(peer)
                finally:
                    lookups.close()

    assert run(look()).whose is Whose.AGENTS


def test_an_orphan_of_an_agent_is_known_by_whoever_adopted_it() -> None:
    """It left its parent, its session and its environment behind."""

    async def look(rooted: bool) -> Found:
        async with Listening() as listening:
            inner = dialling(listening.port)
            leaving = (
                "import os, sys\n"
                "if os.fork(): os._exit(0)\n"
                "os.setsid()\n"
                f"os.execve(sys.executable, [sys.executable, '-c', {inner!r}], {{}})"
            )
            # A front adopts orphans, as ours does; below it a worker that starts the leaver.
            front = (
                "import ctypes, subprocess, sys\n"
                "ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)\n"
                f"subprocess.run([sys.executable, '-c', {leaving!r}])\n"
                "sys.stdin.read()"
            )
            with process(front) as child:
                lookups = Lookups(roots=[child.pid] if rooted else [])
                peer = (await listening.next()).peer
                try:
                    it = await lookups.find(peer)
                finally:
                    lookups.close()
                    if it.pid is not None:
                        os.kill(it.pid, signal.SIGKILL)
            return it

    assert run(look(rooted=True)).whose is Whose.AGENTS
    # And that is what told it: without, nothing does.
    assert run(look(rooted=False)).whose is Whose.OURS


def test_a_socket_that_its_process_has_closed_tells_nothing(way: Way) -> None:
    """The kernel shows it as one of uid 0, whoever had it."""

    async def look() -> Found:
        async with Listening() as listening:
            code = dialling(listening.port, then="s.close(); print('closed', flush=True)")
            with process(code) as child:
                it = await listening.next()
                it.transport.pause_reading()
                closed = await asyncio.get_running_loop().run_in_executor(
                    None, child.stdout.readline if child.stdout else bytes
                )
                assert closed == b"closed\n"
                lookups = Lookups(table=way)
                try:
                    return await lookups.find(it.peer)
                finally:
                    lookups.close()

    assert run(look()).whose is Whose.UNKNOWN


def test_another_connection_between_the_same_ports_is_not_taken_for_this_one(way: Way) -> None:
    async def look() -> tuple[Found, Found]:
        async with Listening() as listening:
            with process(dialling(listening.port)):
                peer = (await listening.next()).peer
                later = Peer(remote=peer.remote, local=peer.local, inode=(peer.inode or 0) + 1)
                lookups = Lookups(table=way)
                try:
                    return await lookups.find(peer), await lookups.find(later)
                finally:
                    lookups.close()

    first, second = run(look())
    assert first.whose is Whose.OURS
    assert second.whose is Whose.UNKNOWN


def test_where_the_system_has_no_socket_table_nothing_can_be_told() -> None:
    def none() -> SocketTable:
        return SocketTable(b"", "this system does not tell whose process it is")

    it = found(None, lookups=Lookups(table=none))
    assert it.whose is Whose.UNKNOWN
    assert "does not tell" in it.why


@pytest.mark.parametrize("host", HOSTS)
def test_asking_for_one_connection_tells_what_reading_all_tells(host: str) -> None:
    if host == "::1" and not _has_ipv6():
        pytest.skip("this machine has no IPv6")

    async def look() -> tuple[object, object]:
        async with Listening(host) as listening:
            with process(dialling(listening.port, host)):
                peer = (await listening.next()).peer
                try:
                    asking = SocketDiag()
                    asked = asking.other_end(peer)
                except OSError:
                    pytest.skip("this kernel answers no questions about sockets")
                asking.close()
                return asked, SocketTable.read().other_end(peer)

    asked, read = run(look())
    assert asked == read is not None


def test_a_kernel_that_answers_no_questions_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(asking: SocketDiag, peer: Peer) -> None:
        raise OSError("no")

    monkeypatch.setattr(SocketDiag, "other_end", refuse)
    assert found(None).whose is Whose.OURS
    monkeypatch.setattr(SocketDiag, "other_end", lambda asking, peer: None)
    assert found(None).whose is Whose.OURS


def test_a_look_that_fails_lets_nobody_in() -> None:
    def broken() -> SocketTable:
        raise RuntimeError("broken")

    assert found(None, lookups=Lookups(table=broken)).whose is Whose.UNKNOWN


def test_another_machine_is_not_looked_for() -> None:
    async def look() -> Found:
        return await Lookups(table=_never).find(
            Peer(remote=("192.0.2.1", 5), local=("192.0.2.2", 9500), inode=1)
        )

    assert run(look()).whose is Whose.UNKNOWN


def test_connections_that_come_together_share_a_look() -> None:
    looks: list[int] = []

    def counted() -> SocketTable:
        looks.append(1)
        return SocketTable.read()

    async def look() -> list[Found]:
        async with Listening() as listening:
            code = (
                "import socket, sys\n"
                f"s = [socket.create_connection(('127.0.0.1', {listening.port})) "
                "for _ in range(40)]\nsys.stdin.read()"
            )
            with process(code):
                peers = [(await listening.next()).peer for _ in range(40)]
                lookups = Lookups(table=counted)
                try:
                    return list(await asyncio.gather(*(lookups.find(peer) for peer in peers)))
                finally:
                    lookups.close()

    assert {it.whose for it in run(look())} == {Whose.OURS}
    assert len(looks) <= 3


@pytest.mark.parametrize("marked", [False, True])
def test_a_unix_socket_names_the_process(tmp_path: Path, marked: bool) -> None:
    async def look() -> Found:
        path = str(tmp_path / "s")
        async with Listening(path=path) as listening:
            with process(dialling_path(path), {"VISIONFLOW_WORKER": "{}"} if marked else None):
                lookups = Lookups()
                peer = (await listening.next()).peer
                assert peer.address == "unix"
                try:
                    return await lookups.find(peer)
                finally:
                    lookups.close()

    assert run(look()).whose is (Whose.AGENTS if marked else Whose.OURS)


def test_a_unix_socket_whose_process_is_gone_tells_nothing(tmp_path: Path) -> None:
    """A fork may hold it; whose that is nobody can say."""

    async def look() -> Found:
        path = str(tmp_path / "s")
        async with Listening(path=path) as listening:
            with process(dialling_path(path)):
                peer = (await listening.next()).peer
            lookups = Lookups()
            try:
                return await lookups.find(peer)
            finally:
                lookups.close()

    assert run(look()).whose is Whose.UNKNOWN


def _never() -> SocketTable:
    raise AssertionError("nothing is to be looked at")


def _has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False
