"""The first answer to a call with a key, kept for whoever asks again."""

import asyncio
from types import SimpleNamespace
from typing import cast

import msgspec

from visionflow.domain.access import ADMINS, Caller, Role
from visionflow.interfaces.server import Server
from visionflow.interfaces.tools.arguments import Arguments, Result
from visionflow.interfaces.tools.repeating import FirstAnswers
from visionflow.interfaces.tools.tool import AnyTool, Call, Registry, Tool

CALLER = Caller(name="local:tests", role=Role.ADMIN, face="python", client="c")


class Nothing(Arguments, frozen=True, kw_only=True):
    pass


class Counted(Result, frozen=True, kw_only=True):
    number: int


class World:
    """A tool whose answer has to wait for the disk, and how often what happened."""

    def __init__(self) -> None:
        self.runs = self.waits = 0
        self.gone = False

    def run(self, call: Call, given: Nothing) -> Counted:
        del given
        self.runs += 1
        call.after(self.durable)
        return Counted(number=self.runs)

    async def durable(self) -> None:
        self.waits += 1
        if self.gone:
            raise RuntimeError("the swarm that it was told of is over")

    def registry(self) -> Registry:
        tool: AnyTool = Tool(
            name="count",
            group="test",
            summary="",
            arguments=Nothing,
            result=Counted,
            roles=ADMINS,
            run=self.run,
            example={},
        )
        return Registry([FirstAnswers(cast("Server", Nowhere())).of(tool)])


class Nowhere:
    """A server whose logs know of nothing."""

    def __init__(self) -> None:
        self.fleet = SimpleNamespace(state=SimpleNamespace(answers={}))
        self.swarms = SimpleNamespace(all=list[object])


async def asked(registry: Registry, key: str | None) -> int:
    made = registry.prepare("count", {}, CALLER, key=key)
    result = await registry.finish(made, Call(CALLER, key=key))
    return msgspec.convert(result, Counted, from_attributes=True).number


def test_a_kept_answer_waits_for_no_swarm_any_more_which_may_be_over_by_then() -> None:
    world = World()

    async def main() -> None:
        registry = world.registry()
        assert await asked(registry, "k") == 1
        waited = world.waits
        assert waited > 0
        world.gone = True
        assert await asked(registry, "k") == 1
        assert world.waits == waited

    asyncio.run(main())


def test_another_key_and_no_key_are_other_calls() -> None:
    world = World()

    async def main() -> list[int]:
        registry = world.registry()
        return [await asked(registry, key) for key in ("a", "b", None, None, "a")]

    assert asyncio.run(main()) == [1, 2, 3, 4, 1]


class Place:
    """A swarm whose state is ahead of the disk."""

    def __init__(self, is_settled: bool) -> None:
        self.is_settled = is_settled
        self.waits = 0

    async def settled(self) -> None:
        self.waits += 1


def test_an_answer_that_saw_what_is_not_durable_waits_and_no_other_does() -> None:
    async def main() -> tuple[int, int]:
        ahead, calm = Place(False), Place(True)
        call = Call(CALLER)
        call.saw(ahead)
        call.saw(calm)
        for durable in call.settling:
            await durable()
        return ahead.waits, calm.waits

    assert asyncio.run(main()) == (1, 0)
