"""Syncing: compares what the workers of a swarm hold with what the log says, and makes it equal.

Nothing of it is needed for a swarm to go on: what a worker should hold is sent to it until it
confirms that. It is there for whoever wants to see it, and for what nobody thought of.
"""

import asyncio
from collections.abc import Callable

import msgspec

from visionflow.domain import messages as m
from visionflow.domain import supervision_commands as sc
from visionflow.domain.digests import digest_of
from visionflow.engine.effects import Drop, Host
from visionflow.engine.state import SwarmState
from visionflow.engine.syncing import Difference, Differing, differences, expected
from visionflow.ports.host import Host as Machine
from visionflow.runtime.control_plane import ControlPlane
from visionflow.runtime.sessions import Sessions

PATIENCE_MS = 2_000
"""How long an answer is waited for."""
LOOK_MS = 50
SETTLE_MS = 5_000
"""How long it may take until what was sent again has had its effect."""


class Member(msgspec.Struct, frozen=True):
    """An agent, as the log says, and as its worker holds it."""

    agent: str
    worker: str
    expected: str
    """A digest of its version and of what it is."""
    before: str | None
    """The same of what its worker had; `None`: it has none such, or did not answer."""
    after: str | None
    """And has now."""


class Synced(msgspec.Struct, frozen=True):
    """What was compared, and what was sent again."""

    members: list[Member]
    differed: list[tuple[str, str, Difference]]
    """(worker, agent, how), before anything was sent again."""
    silent: list[str]
    """Workers that did not answer."""
    resent: list[tuple[str, str]]
    """For each of these: (agent, what was done)."""
    left: int
    """How many differ still."""


Answers = dict[str, tuple[m.HeldAgent, ...] | None]


class Syncing:
    """Belongs to the loop's thread."""

    def __init__(self, control: ControlPlane, host: Machine, sessions: Sessions) -> None:
        self._control = control
        self._host = host
        self._sessions = sessions
        self._number = 0
        self._waiting: dict[int, tuple[str, asyncio.Future[m.DigestTold | None]]] = {}

    def take(self, worker: str, message: object) -> bool:
        """A worker tells what it holds; whether this is that."""
        if not isinstance(message, m.DigestTold):
            return False
        found = self._waiting.get(message.number)
        # It answers for itself alone.
        if found is not None and found[0] == worker and not found[1].done():
            found[1].set_result(message)
        return True

    async def differing(self) -> list[tuple[str, Differing]]:
        """Ask every worker; (worker, agent and how it differs)."""
        return self._differing(self._control.state, await self._ask_all())

    async def sync(self) -> Synced:
        """Ask every worker, and send again what differs. Takes as long as that takes, at most
        `PATIENCE_MS` and `SETTLE_MS` together."""
        state = self._control.state
        before = await self._ask_all()
        differed = self._differing(state, before)
        resent = [self._mend(state, worker, each) for worker, each in differed]
        after, until_ms = before, self._host.monotonic_ms() + SETTLE_MS
        while resent and self._differing(state, after) and self._host.monotonic_ms() < until_ms:
            await self._pause(LOOK_MS)
            after = await self._ask_all()
        return self._told(state, before, after, differed, resent)

    # Asking ----------------------------------------------------------------------------------

    async def _ask_all(self) -> Answers:
        workers = list(self._control.state.workers)
        # All are asked before the first answer is waited for.
        asked = [(worker, *self._asked(worker)) for worker in workers]
        answers: Answers = {}
        for worker, number, answer in asked:
            answers[worker] = await self._answered(number, answer)
        return answers

    def _asked(self, worker: str) -> tuple[int, asyncio.Future[m.DigestTold | None]]:
        self._number += 1
        answer: asyncio.Future[m.DigestTold | None]
        answer = asyncio.get_running_loop().create_future()
        self._waiting[self._number] = (worker, answer)
        if not self._sessions.ping(worker, m.DigestAsked(self._number)):
            answer.set_result(None)
        return self._number, answer

    async def _answered(
        self, number: int, answer: asyncio.Future[m.DigestTold | None]
    ) -> tuple[m.HeldAgent, ...] | None:
        try:
            told = await self._within(answer, PATIENCE_MS)
        finally:
            del self._waiting[number]
        return None if told is None else told.agents

    async def _within(
        self, answer: asyncio.Future[m.DigestTold | None], patience_ms: int
    ) -> m.DigestTold | None:
        def over() -> None:
            if not answer.done():
                answer.set_result(None)

        timer = self._host.call_later(patience_ms, over)
        try:
            return await answer
        finally:
            timer.cancel()

    async def _pause(self, wait_ms: int) -> None:
        nothing: asyncio.Future[m.DigestTold | None] = asyncio.get_running_loop().create_future()
        await self._within(nothing, wait_ms)

    # Comparing -------------------------------------------------------------------------------

    def _differing(self, state: SwarmState, answers: Answers) -> list[tuple[str, Differing]]:
        return [
            (worker, each)
            for worker, held in answers.items()
            if held is not None
            for each in differences(state, worker, held)
        ]

    def _mend(self, state: SwarmState, worker: str, each: Differing) -> tuple[str, str]:
        """Have a worker hold of an agent what it should."""
        place, name = state.workers.get(worker), each.agent
        incarnation = 0 if place is None else place.incarnation
        match each.difference:
            case Difference.MISSING | Difference.OLDER:
                effect = Host(worker, incarnation, name, state.revisions.get(name, 0))
                spec = state.agents[name].spec

                def send() -> None:
                    self._sessions.host(effect, spec)
                    self._sessions.send(self._sessions.pack())

                # What the state says may not be durable yet; the same below.
                self._control.after_commit(send)
                return name, "its specification was sent again"
            case Difference.OTHER:
                restart = sc.RestartAgent(
                    now_ms=self._host.now_ms(),
                    agent=name,
                    drain=True,
                    reason="its worker holds something else than the log says",
                )
                self._control.offer(restart, bounded=False)
                return name, "it is built anew once it holds nothing"
            case Difference.UNKNOWN:
                drop = Drop(worker, incarnation, name)
                self._control.after_commit(lambda: self._sessions.drop(drop))
                return name, f"{worker} was told to end it"
            case Difference.BUILDING:
                return name, "nothing: it is being built"

    def _told(
        self,
        state: SwarmState,
        before: Answers,
        after: Answers,
        differed: list[tuple[str, Differing]],
        resent: list[tuple[str, str]],
    ) -> Synced:
        members: list[Member] = []
        for worker in state.workers:
            had, has = _by_agent(before.get(worker)), _by_agent(after.get(worker))
            for name, should in expected(state, worker).items():
                members.append(Member(name, worker, _digest(should), had(name), has(name)))
        return Synced(
            members=members,
            differed=[(worker, each.agent, each.difference) for worker, each in differed],
            silent=[worker for worker, held in after.items() if held is None],
            resent=resent,
            left=len(self._differing(state, after)),
        )


def _digest(held: m.HeldAgent) -> str:
    return digest_of(held.agent, held.revision, held.spec, held.up)


def _by_agent(held: tuple[m.HeldAgent, ...] | None) -> Callable[[str], str | None]:
    digests = {each.agent: _digest(each) for each in held or ()}
    return digests.get
