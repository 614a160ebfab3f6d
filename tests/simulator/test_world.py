"""The simulated world itself: time, ports, and what a crash leaves behind."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from visionflow.domain.errors import LogUnavailable
from visionflow.ports.bus import Delivery
from visionflow.ports.log import Entry, Head
from visionflow.testing.conformance import LOG_CASES, LogSubject, faults, run_all
from visionflow.testing.simulator.disk import Disk, SimLog
from visionflow.testing.simulator.kernel import Kernel, Process
from visionflow.testing.simulator.wire import Hub, Link, WorkerEnd


def run(kernel: Kernel, process: Process, main: Callable[[], Awaitable[None]]) -> str | None:
    """Run a coroutine function in a process to its end; why it did not come to that."""
    ended: list[bool] = []

    async def whole() -> None:
        await main()
        ended.append(True)

    process.start(whole())
    return kernel.run(lambda: bool(ended) or bool(kernel.faults), 10_000_000)


class Deaf:
    """Hears nothing."""

    def to_worker(self, link: Link, payload: bytes) -> bool:
        return False

    def from_worker(self, link: Link, subject: str, payload: bytes) -> None:
        return


def test_the_simulated_log_passes_the_conformance_suite() -> None:
    kernel = Kernel(7)
    process = kernel.process("writer")
    found: dict[str, str] = {}

    def subject() -> LogSubject:
        disk = Disk(kernel, {}, lambda _: None)

        def tamper(stream: str, seq: int, body: bytes) -> None:
            entries = disk.records.streams[stream]
            entries[seq - 1] = Entry(seq, body, entries[seq - 1].hash)

        def drop(stream: str, seq: int) -> None:
            del disk.records.streams[stream][seq - 1]

        return LogSubject(open=lambda: SimLog(process, disk), tamper=tamper, drop=drop)

    async def main() -> None:
        found.update(faults(await run_all(LOG_CASES, subject)))

    assert run(kernel, process, main) is None
    kernel.close()
    assert found == {}
    assert kernel.faults == []


def test_sleeping_takes_no_real_time_and_moves_the_clock() -> None:
    kernel = Kernel(1)
    process = kernel.process("sleeper")
    seen: list[float] = []

    async def main() -> None:
        before = asyncio.get_running_loop().time()
        await asyncio.sleep(3_600)
        seen.append(asyncio.get_running_loop().time() - before)

    assert run(kernel, process, main) is None
    assert 3_600 <= seen[0] < 3_601


def test_threads_and_sockets_are_out_of_reach() -> None:
    kernel = Kernel(1)
    process = kernel.process("curious")
    refused: list[str] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for reach in (
            lambda: loop.run_in_executor(None, print),
            lambda: loop.call_soon_threadsafe(print),
            lambda: loop.add_reader(0, print),
        ):
            with pytest.raises(NotImplementedError):
                reach()
            refused.append("refused")
        with pytest.raises(NotImplementedError):
            await asyncio.open_unix_connection("/nowhere")

    assert run(kernel, process, main) is None
    assert len(refused) == 3


def test_a_world_in_which_nothing_is_scheduled_says_so() -> None:
    kernel = Kernel(1)
    process = kernel.process("waiter")

    async def main() -> None:
        await asyncio.get_running_loop().create_future()

    assert "nothing is scheduled" in (run(kernel, process, main) or "")
    kernel.close()


def test_a_stopped_process_goes_on_where_it_was() -> None:
    kernel = Kernel(1)
    process = kernel.process("stopped")
    at: list[float] = []

    async def main() -> None:
        await asyncio.sleep(1)
        at.append(asyncio.get_running_loop().time())

    kernel.at_ms(500, process.stop)
    kernel.at_ms(5_000, process.resume)
    assert run(kernel, process, main) is None
    assert at == [5.0]


@pytest.mark.parametrize("seed", range(12))
def test_a_crash_keeps_an_unacknowledged_append_or_loses_it(seed: int) -> None:
    kernel = Kernel(seed)
    process, stored = kernel.process("writer"), list[bytes]()
    disk = Disk(kernel, {}, stored.append)
    acknowledged: list[Head] = []

    async def main() -> None:
        log = SimLog(process, disk)
        acknowledged.append(await log.append("a", 0, b"first"))
        log.append("a", 1, b"second")
        process.die()

    assert run(kernel, process, main) is not None or not process.alive
    kernel.close()
    assert acknowledged[0].seq == 1
    assert stored in ([b"first"], [b"first", b"second"])


def test_both_ends_of_an_unacknowledged_append_are_met() -> None:
    lengths: set[int] = set()
    for seed in range(12):
        kernel = Kernel(seed)
        process, stored = kernel.process("writer"), list[bytes]()
        disk = Disk(kernel, {}, stored.append)

        async def main(process: Process = process, disk: Disk = disk) -> None:
            SimLog(process, disk).append("a", 0, b"x")
            process.die()

        run(kernel, process, main)
        kernel.close()
        lengths.add(len(stored))
    assert lengths == {0, 1}


def test_a_failing_append_is_not_in_the_log() -> None:
    kernel = Kernel(1)
    process, stored = kernel.process("writer"), list[bytes]()
    disk = Disk(kernel, {}, stored.append)
    disk.appends_until_failure = 0

    async def main() -> None:
        with pytest.raises(LogUnavailable):
            await SimLog(process, disk).append("a", 0, b"x")

    assert run(kernel, process, main) is None
    assert stored == []


def test_what_stands_in_finally_of_a_dead_process_reaches_nobody() -> None:
    kernel = Kernel(1)
    dead, other = kernel.process("dead"), kernel.process("worker")
    hub = Hub(dead, Deaf(), lambda *_: True, lambda _: None)
    end = WorkerEnd(other, lambda: None)
    end.join(hub.admit(end, "w1", 1, "secret", other.pid))
    heard: list[bytes] = []
    end.subscribe("worker.w1", lambda delivery: heard.append(delivery.payload))
    stored: list[bytes] = []
    log = SimLog(dead, Disk(kernel, {}, stored.append))

    async def main() -> None:
        try:
            hub.publish("worker.w1", b"alive")
            await asyncio.sleep(1)
            dead.die()
            await asyncio.sleep(1)
        finally:
            hub.publish("worker.w1", b"dead")
            log.append("a", 0, b"dead")

    run(kernel, dead, main)
    kernel.close()
    assert heard == [b"alive"]
    assert stored == []


def test_messages_stay_in_order_and_a_cut_wire_loses_the_rest() -> None:
    kernel = Kernel(3)
    process, other = kernel.process("orchestrator"), kernel.process("worker")
    gone: list[str] = []
    hub = Hub(process, Deaf(), lambda *_: True, gone.append)
    lost: list[bool] = []
    end = WorkerEnd(other, lambda: lost.append(True))
    link = hub.admit(end, "w1", 1, "secret", other.pid)
    end.join(link)
    heard: list[bytes] = []

    def hear(delivery: Delivery) -> None:
        heard.append(delivery.payload)

    end.subscribe("worker.w1", hear)

    async def main() -> None:
        for number in range(50):
            hub.publish("worker.w1", b"%d" % number)
        await asyncio.sleep(1)
        hub.publish("worker.w1", b"too late")
        link.cut()
        await asyncio.sleep(1)

    assert run(kernel, process, main) is None
    assert heard == [b"%d" % number for number in range(50)]
    assert gone == ["w1.1"]
    assert lost == [True]
