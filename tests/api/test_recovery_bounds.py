"""What the guide's recovery manager and the settings of agents do not take."""

import asyncio
from typing import Any

import pytest

from visionflow import RecoveryManager
from visionflow.domain.errors import UsageError
from visionflow.interfaces.mending import Seen, settings_in

GB = 1 << 30


class Scaled:
    """An agent with a memory ceiling on a machine of 24 GiB; it keeps what it is given."""

    def __init__(self, limit: int, machine: int | None) -> None:
        self.limit = limit
        self.machine = machine
        self.restarts = 0

    async def mending(self) -> Any:
        """Itself."""
        return self

    async def machine_bytes(self) -> int | None:
        """Of its machine."""
        return self.machine

    async def seen(self, agent: str) -> Seen:
        """How it is."""
        return Seen(agent, "ready", None, {}, None, self.limit, [])

    async def scale_resources(self, agent: str, resources: dict[str, int]) -> None:
        """Another ceiling."""
        self.limit = resources["memory"]

    async def restart(self, agent: str) -> Seen:
        """Anew."""
        self.restarts += 1
        return await self.seen(agent)


@pytest.mark.parametrize(
    ("limit", "machine", "then"),
    [
        (4 * GB, 24 * GB, 6 * GB),
        (10 * GB, 24 * GB, 12 * GB),
        (900 * GB, 24 * GB, 900 * GB),
        (900 * GB, None, 1_350 * GB),
    ],
)
def test_a_ceiling_is_raised_to_half_of_the_machines_memory_at_most(
    limit: int, machine: int | None, then: int
) -> None:
    agent: Any = Scaled(limit, machine)
    seen = asyncio.run(RecoveryManager(agent).recover_agent("a", "resource_exhaustion"))
    assert seen.memory_limit_bytes == then and agent.restarts == 1


@pytest.mark.parametrize("config", ["x", None, 5, [("a", 1)]])
def test_settings_that_are_none_are_refused_in_our_own_words(config: object) -> None:
    with pytest.raises(UsageError, match="no settings"):
        settings_in(config)
