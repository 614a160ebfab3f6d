"""Rooms of a hub: one socket for workers of several swarms, which hear nothing of each other."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from visionflow.adapters.hub import Claim, Grant, Hub, connect, worker_grant
from visionflow.domain.errors import NoResponders, Refused
from visionflow.domain.ids import one_word
from visionflow.ports.bus import Delivery


def let_in(claim: Claim) -> Grant:
    """Everybody, into the room of its swarm; both swarms have one name for their subjects."""
    return worker_grant(claim.worker, "sw", claim.role, claim.swarm)


def with_hub(tmp_path: Path, body: Callable[[Hub, str], Awaitable[None]]) -> None:
    async def main() -> None:
        hub = Hub(let_in)
        path = str(tmp_path / "s" / "hub.sock")
        await hub.listen(path)
        try:
            await asyncio.wait_for(body(hub, path), 30)
        finally:
            await hub.close()

    asyncio.run(main())


def test_workers_of_one_name_hear_and_say_nothing_outside_of_their_room(tmp_path: Path) -> None:
    async def body(hub: Hub, path: str) -> None:
        heard: dict[str, list[Delivery]] = {"one": [], "two": []}
        told: dict[str, list[Delivery]] = {"one": [], "two": []}
        locals_ = {name: hub.open_room(name, lambda _: None) for name in heard}
        buses = {name: await connect(path, Claim("w1", 1, swarm=name)) for name in heard}
        for name, bus in buses.items():
            locals_[name].subscribe("orch.sw.cmd", heard[name].append)
            bus.subscribe("worker.w1", told[name].append)
            await bus.settle()
        for name, bus in buses.items():
            bus.publish("orch.sw.cmd", name.encode())
            locals_[name].publish("worker.w1", name.encode())
            await bus.settle()
        for name in heard:
            assert [(d.payload, d.sender) for d in heard[name]] == [(name.encode(), "w1.1")]
            assert [d.payload for d in told[name]] == [name.encode()]
        with pytest.raises(NoResponders):
            await hub.local().request("worker.w1", b"", 1_000)

    with_hub(tmp_path, body)


def test_each_room_hears_of_its_own_who_left_and_a_closed_one_lets_nobody_in(
    tmp_path: Path,
) -> None:
    async def body(hub: Hub, path: str) -> None:
        gone: dict[str, list[str]] = {"one": [], "two": []}
        for name in gone:
            hub.open_room(name, gone[name].append)
        one = await connect(path, Claim("w1", 1, swarm="one"))
        lost = asyncio.Event()
        await connect(path, Claim("w1", 1, swarm="two"), lost.set)
        await one.close()
        while not gone["one"]:
            await asyncio.sleep(0.005)
        assert gone == {"one": ["w1.1"], "two": []}
        hub.close_room("two")
        await lost.wait()
        with pytest.raises(Refused):
            await connect(path, Claim("w1", 1, swarm="two"))
        with pytest.raises(Refused):
            await connect(path, Claim("w1", 1, swarm="never there"))

    with_hub(tmp_path, body)


def test_any_name_is_a_word_and_no_two_names_are_the_same_one() -> None:
    names = ["swarm_1795855550167_abc", "a.b", "a-b", "A", "a", "", "..", "x" * 100, "ü", "a/b"]
    words = [one_word(name) for name in names]
    assert len(set(words)) == len(names)
    assert words[0] == names[0]
    for word in words:
        assert word.islower()
        assert not {".", "/", "*", ">"} & set(word)
