"""The hub: the bus suite over both of its wires, and the guard at its door."""

import asyncio
import os
import socket
import stat
import struct
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path

import pytest

from visionflow.adapters.hub import (
    BlockingPublisher,
    Claim,
    Grant,
    Hub,
    NotYet,
    SocketBus,
    connect,
    socket_path_for,
    socket_path_in,
    worker_grant,
)
from visionflow.adapters.hub.connection import DENIED_MAX
from visionflow.adapters.hub.frames import FrameReader, pack
from visionflow.adapters.hub.guard import make_private
from visionflow.domain.errors import BusClosed, ConfigError, NoResponders, Refused
from visionflow.domain.limits import FRAME_BYTES_MAX
from visionflow.ports.bus import Bus, Delivery
from visionflow.testing.conformance.bus import BUS_CASES, BusUnderTest, Case, check_bus


def run(body: Coroutine[object, object, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await body

    asyncio.run(bounded())


class LocalHub:
    """The hub with ends inside this process."""

    def __init__(self, hub: Hub | None = None) -> None:
        self.hub = hub or Hub()

    async def end(self) -> Bus:
        return self.hub.local()

    async def settle(self, bus: Bus) -> None:
        await asyncio.sleep(0)

    async def close(self) -> None:
        await self.hub.close()


class SocketHub(LocalHub):
    """The hub with ends over its socket."""

    def __init__(self, hub: Hub, path: str) -> None:
        super().__init__(hub)
        self.path = path
        self.ends: list[SocketBus] = []

    async def end(self) -> Bus:
        bus = await connect(self.path)
        self.ends.append(bus)
        return bus

    async def settle(self, bus: Bus) -> None:
        if isinstance(bus, SocketBus):
            await bus.settle()

    async def close(self) -> None:
        for end in self.ends:
            await end.close()
        await super().close()


class MixedHub(SocketHub):
    """Every other end inside this process."""

    async def end(self) -> Bus:
        self.turn = not getattr(self, "turn", False)
        return self.hub.local() if self.turn else await super().end()


async def over_socket(tmp_path: Path, kind: type[SocketHub] = SocketHub) -> SocketHub:
    hub = Hub()
    path = str(tmp_path / "s" / "hub.sock")
    await hub.listen(path)
    return kind(hub, path)


@pytest.mark.parametrize("case", BUS_CASES, ids=lambda case: case.__name__)
@pytest.mark.parametrize("wire", ["local", "socket", "mixed"])
def test_the_hub_does_what_every_bus_must(case: Case, wire: str, tmp_path: Path) -> None:
    async def body() -> None:
        kinds = {"socket": SocketHub, "mixed": MixedHub}
        bus = LocalHub() if wire == "local" else await over_socket(tmp_path, kinds[wire])
        try:
            await case(bus)
        finally:
            await bus.close()

    run(body())


class Broken:
    """An end with one planted fault."""

    def __init__(self, bus: Bus, fault: str) -> None:
        self.bus = bus
        self.fault = fault
        self.held: list[tuple[str, bytes, str | None]] = []

    def publish(self, subject: str, payload: bytes, reply: str | None = None) -> int | None:
        if self.fault == "swaps" and subject.startswith("a.") and len(payload) < 10:
            self.held.append((subject, payload, reply))
            if len(self.held) == 2:
                for held in reversed(self.held):
                    self.bus.publish(*held)
                self.held.clear()
            return None
        if self.fault == "text":
            payload = payload.replace(b"\r\n", b"\n")
        if self.fault == "crosses" and reply is None and subject.startswith("_in.3."):
            subject = "_in.2." + subject[6:]
        return self.bus.publish(subject, payload, reply)

    def subscribe(self, pattern: str, receive: Callable[[Delivery], None]) -> object:
        if self.fault == "greedy" and pattern.endswith("*"):
            pattern = pattern[:-1] + ">"
        subscription = self.bus.subscribe(pattern, receive)
        return Deaf() if self.fault == "keeps" else subscription

    async def request(self, subject: str, payload: bytes, timeout_ms: int) -> bytes:
        try:
            return await self.bus.request(subject, payload, timeout_ms)
        except NoResponders:
            if self.fault == "waits":
                raise TimeoutError from None
            raise

    async def close(self) -> None:
        if self.fault != "stays":
            await self.bus.close()


class Deaf:
    def cancel(self) -> None:
        """Does not."""


class BrokenHub(LocalHub):
    fault = ""

    async def end(self) -> Bus:
        return Broken(self.hub.local(), self.fault)  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("fault", "found_by"),
    [
        ("swaps", "order_holds_across_subjects"),
        ("text", "payloads_are_bytes_of_any_kind"),
        ("greedy", "wildcards_fit_what_they_say"),
        ("crosses", "concurrent_requests_are_never_crossed"),
        ("keeps", "a_cancelled_subscription_hears_nothing_more"),
        ("waits", "nobody_listening_is_known_at_once"),
        ("stays", "a_closed_end_says_so"),
    ],
)
def test_the_suite_names_the_fault_of_a_faulty_bus(
    fault: str, found_by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("visionflow.testing.conformance.bus.WAIT_MS", 300)

    async def make() -> BusUnderTest:
        bus = BrokenHub()
        bus.fault = fault
        return bus

    async def body() -> None:
        assert found_by in await check_bus(make)

    run(body())


SECRET = "s3cret"


def verify(claim: Claim) -> Grant | None:
    if claim.pid != os.getpid() or claim.secret != SECRET or claim.incarnation != 2:
        return None
    return worker_grant(claim.worker, "sw", claim.role)


def guarded(
    body: Callable[[Hub, str, list[str]], Awaitable[None]], tmp_path: Path, **options: int
) -> None:
    async def main() -> None:
        gone: list[str] = []
        hub = Hub(verify, gone.append, **options)
        path = str(tmp_path / "s" / "hub.sock")
        await hub.listen(path)
        try:
            await body(hub, path, gone)
        finally:
            await hub.close()

    run(main())


@pytest.mark.parametrize(
    "claim",
    [
        Claim("w1", 2, "guess"),
        Claim("w1", 1, SECRET),
        Claim(),
        Claim("w1", 2, "", pid=os.getpid()),
    ],
)
def test_a_connection_without_the_right_secret_and_incarnation_is_turned_away(
    claim: Claim, tmp_path: Path
) -> None:
    async def body(hub: Hub, path: str, gone: list[str]) -> None:
        with pytest.raises(Refused) as caught:
            await connect(path, claim)
        assert caught.value.reason == "not_authorised"
        assert (hub.counts.refused, hub.counts.connections, gone) == (1, 0, [])

    guarded(body, tmp_path)


def test_one_that_comes_before_anybody_can_tell_is_not_refused_and_may_come_again(
    tmp_path: Path,
) -> None:
    async def body() -> None:
        ready = False

        def verify(claim: Claim) -> Grant | None:
            if not ready:
                raise NotYet
            return worker_grant(claim.worker, "sw")

        hub = Hub(verify)
        path = str(tmp_path / "hub.sock")
        await hub.listen(path)
        claim = Claim("w1", 1, "secret")
        with pytest.raises(BusClosed):
            await connect(path, claim)
        with pytest.raises(BusClosed):
            await asyncio.to_thread(BlockingPublisher, path, claim)
        ready = True
        bus = await connect(path, claim)
        await bus.close()
        await hub.close()

    run(body())


def test_the_pid_that_counts_is_the_kernels_and_not_the_claimed_one(tmp_path: Path) -> None:
    async def body(hub: Hub, path: str, gone: list[str]) -> None:
        bus = await connect(path, Claim("w1", 2, SECRET, pid=1))
        await bus.close()

    guarded(body, tmp_path)


def test_a_worker_hears_and_says_only_what_it_was_granted(tmp_path: Path) -> None:
    async def body(hub: Hub, path: str, gone: list[str]) -> None:
        heard: list[Delivery] = []
        spied: list[Delivery] = []
        own = hub.local()
        own.subscribe(">", heard.append)
        bus = await connect(path, Claim("w1", 2, SECRET))
        for pattern in ("worker.w1", "worker.w2", "worker.*", ">", "_in.>", "orch.sw.cmd"):
            bus.subscribe(pattern, spied.append)
        for subject in ("orch.sw.cmd", "orch.other.cmd", "worker.w2", "_in.1.1", "orch.sw.hb"):
            bus.publish(subject, b"")
        await bus.settle()
        own.publish("worker.w1", b"mine")
        own.publish("worker.w2", b"not mine")
        await bus.settle()
        assert [d.subject for d in heard if d.sender] == ["orch.sw.cmd", "orch.sw.hb"]
        assert {d.sender for d in heard} == {"w1.2", None}
        assert {d.payload for d in spied} == {b"mine"}
        assert hub.counts.denied == 5 + 3
        with pytest.raises(NoResponders):
            await bus.request("worker.w2", b"", 1_000)
        await bus.close()

    guarded(body, tmp_path)


def test_a_worker_may_answer_a_request_once_and_nobody_elses(tmp_path: Path) -> None:
    async def body(hub: Hub, path: str, gone: list[str]) -> None:
        bus = await connect(path, Claim("w1", 2, SECRET))
        other = await connect(path, Claim("w2", 2, SECRET))
        asked: list[Delivery] = []

        def answer(delivery: Delivery) -> None:
            asked.append(delivery)
            other.publish(delivery.reply or "", b"forged")

        bus.subscribe("worker.w1", answer)
        await bus.settle()
        asking = asyncio.ensure_future(hub.local().request("worker.w1", b"?", 5_000))
        while not asked:
            await bus.settle()
        await other.settle()
        assert hub.counts.denied == 1 and not asking.done()
        bus.publish(asked[0].reply or "", b"true")
        bus.publish(asked[0].reply or "", b"again")
        assert await asking == b"true"
        await bus.settle()
        assert hub.counts.denied == 2
        await bus.close()
        await other.close()

    guarded(body, tmp_path)


def test_the_owner_hears_of_a_lost_worker_and_the_worker_of_a_lost_hub(tmp_path: Path) -> None:
    async def body(hub: Hub, path: str, gone: list[str]) -> None:
        lost: list[str] = []
        first = await connect(path, Claim("w1", 2, SECRET), lambda: lost.append("w1"))
        second = await connect(path, Claim("w2", 2, SECRET), lambda: lost.append("w2"))
        first.link.drop("test")
        await second.settle()
        await second.settle()
        assert gone == ["w1.2"]
        assert hub.local().publish("worker.w1", b"") == 0
        asking = asyncio.ensure_future(second.request("orch.sw.cmd", b"", 5_000))
        hub.local().subscribe("orch.sw.cmd", lambda d: hub.disconnect(d.sender or ""))
        with pytest.raises((BusClosed, NoResponders)):
            await asking
        asking = asyncio.ensure_future(second.request("orch.sw.cmd", b"", 5_000))
        with pytest.raises(BusClosed):
            await asking
        with pytest.raises(BusClosed):
            second.publish("orch.sw.cmd", b"")
        assert lost[-1] == "w2"

    guarded(body, tmp_path)


def test_whoever_goes_on_saying_what_it_may_not_is_cut_off_and_others_go_on(
    tmp_path: Path,
) -> None:
    async def body(hub: Hub, path: str, gone: list[str]) -> None:
        loud = await connect(path, Claim("w1", 2, SECRET))
        fine = await connect(path, Claim("w2", 2, SECRET))
        for _ in range(DENIED_MAX):
            loud.publish("worker.w2", b"do as I say")
        await loud.settle()
        assert gone == []
        loud.publish("worker.w2", b"do as I say")
        loud.link.flush()
        while not gone:
            await fine.settle()
        assert gone == ["w1.2"]
        await fine.close()

    guarded(body, tmp_path)


def test_a_consumer_that_does_not_read_is_dropped_and_others_go_on(tmp_path: Path) -> None:
    async def body(hub: Hub, path: str, gone: list[str]) -> None:
        slow = await asyncio.to_thread(BlockingPublisher, path, Claim("w1", 2, SECRET))
        slow._send(("$sub", None, b"worker.w1"))
        fine = await connect(path, Claim("w2", 2, SECRET))
        own, heard = hub.local(), list[Delivery]()
        fine.subscribe("worker.w2", heard.append)
        while not own.publish("worker.w1", b"are you there"):
            await fine.settle()
        for _ in range(64):
            own.publish("worker.w1", bytes(65_536))
            await asyncio.sleep(0)
        own.publish("worker.w2", b"x")
        await fine.settle()
        assert (hub.counts.slow, gone, len(heard)) == (1, ["w1.2"], 1)
        slow.close()
        await fine.close()

    guarded(body, tmp_path, send_bytes_max=1_000_000)


@pytest.mark.parametrize(
    "noise",
    [
        struct.pack("!I", FRAME_BYTES_MAX + 1),
        struct.pack("!I", 3) + b"\xc1\xc1\xc1",
        bytes(pack([("$what", None, b"")], 100)),
        bytes(pack([("$sub", None, b"a..b")], 100)),
    ],
)
def test_a_connection_that_does_not_keep_to_the_format_is_ended(
    noise: bytes, tmp_path: Path
) -> None:
    async def body() -> None:
        bus = await over_socket(tmp_path)
        peer = await asyncio.to_thread(BlockingPublisher, bus.path, Claim())
        peer._socket.sendall(noise)
        while not bus.hub.counts.faults:
            await asyncio.sleep(0)
        try:
            assert peer._socket.recv(10) == b""
        except ConnectionResetError:
            pass
        peer.close()
        await bus.close()

    run(body())


def test_a_stranger_that_says_nothing_sensible_first_is_told_to_go(tmp_path: Path) -> None:
    async def body(hub: Hub, path: str, gone: list[str]) -> None:
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(bytes(pack([("orch.sw.cmd", None, b"")], 100)))
        (item,) = FrameReader().feed(await reader.read())
        assert item[0] == "$no" and hub.counts.refused == 1
        writer.close()
        await writer.wait_closed()

    guarded(body, tmp_path)


def test_frames_cut_anywhere_are_put_together_again() -> None:
    items = [(f"s.{n}", None if n % 2 else "r", bytes(n)) for n in range(20)]
    stream = bytes(pack(items[:7], 1_000) + pack(items[7:8], 1_000) + pack(items[8:], 1_000))
    for step in (1, 3, 7, 64, len(stream)):
        reader, found = FrameReader(), list[object]()
        for at in range(0, len(stream), step):
            found += reader.feed(stream[at : at + step])
        assert found == items


def test_the_socket_is_private_and_replaces_a_dead_ones(tmp_path: Path) -> None:
    async def body() -> None:
        path = tmp_path / "s" / "hub.sock"
        path.parent.mkdir(mode=0o755)
        left = socket.socket(socket.AF_UNIX)
        left.bind(str(path))
        left.close()
        bus = await over_socket(tmp_path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        await (await bus.end()).close()
        await bus.close()
        assert not path.exists()
        with pytest.raises(BusClosed):
            await connect(str(path))

    run(body())


def test_a_path_for_a_deep_folder_is_short_private_and_always_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    deep = tmp_path / ("x" * 120)
    path = socket_path_for(deep)
    assert path == socket_path_for(deep) != socket_path_for(tmp_path)
    assert len(path) <= 100

    async def too_long() -> None:
        hub = Hub()
        await hub.listen(path)
        await hub.close()
        assert not Path(path).parent.exists()
        with pytest.raises(ConfigError):
            await Hub().listen(str(deep / "hub.sock"))

    run(too_long())


def test_a_socket_stands_in_its_folder_unless_its_path_would_be_too_long(tmp_path: Path) -> None:
    short, deep = tmp_path / "s", tmp_path / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    assert socket_path_in(short) == str(short / "hub.sock")
    assert socket_path_in(deep) == socket_path_for(deep) == socket_path_in(deep)


def test_a_link_planted_where_the_private_folder_should_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "mine").symlink_to(tmp_path / "theirs")
    with pytest.raises(ConfigError):
        make_private(tmp_path / "mine")
