"""Votes from Python: a question put to agents of a fleet, and what came of it."""

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, Protocol, TypeVar, cast

from visionflow.domain import commands as c
from visionflow.domain.commands import AnyCommand
from visionflow.domain.errors import UnknownAgent, UsageError, VisionFlowError
from visionflow.domain.events import AnyEvent, VoteDecided
from visionflow.domain.votes import Matter, VoteSpec
from visionflow.domain.votes_commands import ResolveVote
from visionflow.domain.votes_events import VoteReferred
from visionflow.engine.state import Answer, SwarmState
from visionflow.interfaces.running import Runtime
from visionflow.interfaces.tools.patches import Results, must_hold_change, results_of
from visionflow.interfaces.tools.proposing import (
    ALL,
    Proposed,
    members_in,
    read_proposal,
    snake,
)
from visionflow.interfaces.tools.votes_told import Vote, told
from visionflow.runtime.control_plane import ControlPlane
from visionflow.runtime.intake import pack, sound

T = TypeVar("T")
POLL_S = 0.2
PERSON = "python"
"""Who decides what was referred to a person, where this program says no name."""


class Identified(Protocol):
    """A handle of an agent."""

    @property
    def id(self) -> str:
        """Its id."""
        ...


Member = str | Identified
"""An agent, by id, name or handle."""
Members = Sequence[Member] | str
"""Agents, or `all` of those that are there."""


def proposal_in(
    proposal: str | Mapping[str, Any], options: Sequence[Member] | None, **terms: Any
) -> dict[str, Any]:
    """The proposal as `daa_consensus` takes it.

    Raises:
        UsageError: it is neither a question nor a map, or something is said twice.
    """
    if isinstance(proposal, str):
        given: dict[str, Any] = {"question": proposal}
    elif isinstance(cast("object", proposal), Mapping):
        given = {snake(str(key)): value for key, value in proposal.items()}
    else:
        raise UsageError(f"{proposal!r:.100} is neither a question nor a map with a proposal.")
    beside = {key: value for key, value in terms.items() if value is not None}
    if options is not None:
        kind = "candidates" if Matter.TASK_ASSIGNMENT in given else "options"
        beside[kind] = names_in(options, kind)
    twice = next((key for key in beside if key in given), None)
    if twice is not None:
        raise UsageError(f"{twice} is given twice.", hint="Leave one of them out.")
    return {**given, **beside}


def names_in(members: Members, what: str) -> list[str]:
    """Agents by what they are called: handles by their ids.

    Raises:
        UsageError: something else is among them.
    """
    if isinstance(members, str):
        if members == ALL:
            return [ALL]
        raise UsageError(f"{what} is {members!r:.100}; it is a list, or 'all'.")
    found = [each if isinstance(each, str) else getattr(each, "id", None) for each in members]
    wrong = next((at for at, name in enumerate(found) if not isinstance(name, str)), None)
    if wrong is not None:
        raise UsageError(f"{what} has {members[wrong]!r:.100}, which is no agent and no word.")
    return cast("list[str]", found)


class Opened(NamedTuple):
    """A vote that was opened here."""

    vote: str
    control: ControlPlane

    def must_run(self) -> None:
        """Nothing comes of it where the node has ended.

        Raises:
            BaseException: what the node ended of.
        """
        if self.control.failure is not None:
            raise self.control.failure


class FleetVotes:
    """What of a `Fleet` is about votes. From any thread; each call blocks."""

    _runtime: Runtime

    def _ask(self, command: AnyCommand) -> Answer:
        raise NotImplementedError

    def _in_turn(self, look: Callable[[], None]) -> None:
        raise NotImplementedError

    def vote(
        self,
        proposal: str | Mapping[str, Any],
        *,
        options: Sequence[Member] | None = None,
        members: Members = ALL,
        mechanism: str | None = None,
        threshold: float | None = None,
        timeout: float | None = None,
    ) -> Vote:
        """Have agents vote, and wait until it is decided, or referred to a person.

        `proposal`: a question, or a map as `daa_consensus` takes it, such as `{"task_result":
        task.id}`; it may hold all that stands beside it here, and `quorum`, `conflict_resolution`,
        `capability`, `description`. `options`: what is chosen from (of a `task_assignment` the
        agents); without any it is approved or rejected. `mechanism`: majority, weighted, quorum,
        unanimous or ranked. `threshold`: the share, 0 to 1, that a side needs. `timeout`: seconds
        until it is closed by the ballots that are there.

        Raises:
            UsageError: the proposal is none.
            Refused: `no_electorate`, `no_result`, `no_change`, or it cannot be voted on so.
            UnknownId: an agent or task is not there.
        """
        over = threading.Event()
        opened = self.open_vote(
            proposal,
            over.set,
            options=options,
            members=members,
            mechanism=mechanism,
            threshold=threshold,
            timeout=timeout,
        )
        while not over.wait(POLL_S):
            opened.must_run()
        return self.vote_of(opened.vote)

    def open_vote(
        self,
        proposal: str | Mapping[str, Any],
        over: Callable[[], None],
        *,
        options: Sequence[Member] | None = None,
        members: Members = ALL,
        mechanism: str | None = None,
        threshold: float | None = None,
        timeout: float | None = None,
    ) -> Opened:
        """Have agents vote as `vote` does, and raise what it does, but do not wait. `over` is
        called in the runtime's thread once it is decided, or a person's to decide."""
        given = proposal_in(
            proposal, options, voting_mechanism=mechanism, threshold=threshold, timeout=timeout
        )
        asked = read_proposal(given)
        node, blobs = self._runtime.node, self._runtime.blobs
        control, shown = node.control, pack(given, "a proposal", blobs)
        name = node.intake.new_id("vote")
        made: list[VoteSpec] = []
        judged: list[Results] = []

        def make() -> None:
            state = control.state

            def ids(words: Sequence[str]) -> tuple[str, ...]:
                return members_in(state, words, lambda word: agent_in(state, word))

            candidates = ids(asked.options) if asked.matter is Matter.TASK_ASSIGNMENT else ()
            made.append(asked.spec(name, ids(names_in(members, "members")), candidates, shown))
            judged.extend(_patch_of(state, asked))

        self._in_turn(make)
        for results in judged:
            must_hold_change(results, blobs)
        spec = sound(made[0])
        self._follow(sound(c.OpenVote(now_ms=node.intake.now_ms(), spec=spec)), over)
        return Opened(name, control)

    def _follow(self, command: c.OpenVote, over: Callable[[], None]) -> None:
        """Open a vote and follow it by what is durable, as long as it is open."""
        control, name, post = self._runtime.node.control, command.spec.id, self._runtime.post

        def committed(_seq: int, _at_ms: int, events: list[AnyEvent]) -> None:
            for event in events:
                if isinstance(event, VoteDecided | VoteReferred) and event.vote == name:
                    with suppress(VisionFlowError):  # It is being closed.
                        post(forget)
                    over()

        def forget() -> None:
            with suppress(ValueError):  # A person was asked, and decided at once.
                control.on_commit.remove(committed)

        self._in_turn(lambda: control.on_commit.append(committed))
        try:
            self._ask(command)
        except BaseException:
            with suppress(VisionFlowError):
                post(forget)
            raise

    def vote_of(self, vote: str) -> Vote:
        """A vote as far as it is, by its id; the last 256 that were decided are kept.

        Raises:
            UnknownId: there is none.
        """
        found: list[Vote] = []
        state = self._runtime.node.control.state
        self._in_turn(lambda: found.append(told(state, vote)))
        return found[0]

    def decide_vote(self, vote: str, decision: str, *, person: str = PERSON) -> Vote:
        """Decide a vote that was referred to a person: `approved`, `rejected`, `undecided`, or one
        of its options. `person`: who says so, for the log.

        Raises:
            Refused: `not_referred`, `already_ended`, or there is no such outcome.
            UnknownId: there is no such vote.
        """
        now_ms = self._runtime.node.intake.now_ms()
        command = ResolveVote(now_ms=now_ms, vote=vote, outcome=decision, person=person)
        self._ask(sound(command))
        return self.vote_of(vote)


class AsyncFleetVotes:
    """The same for a program with a loop of its own."""

    @property
    def _votes(self) -> FleetVotes:
        raise NotImplementedError

    async def vote(self, proposal: str | Mapping[str, Any], **terms: Any) -> Vote:
        """See `FleetVotes.vote`. Who stops waiting does not end the vote."""
        # A vote may take minutes, and a thread of the loop's pool is none to hold for so long.
        loop, over = asyncio.get_running_loop(), asyncio.Event()

        def tell() -> None:
            with suppress(RuntimeError):  # Who waited, and the loop, are gone.
                loop.call_soon_threadsafe(over.set)

        opened = await asyncio.to_thread(lambda: self._votes.open_vote(proposal, tell, **terms))
        while not over.is_set():
            opened.must_run()
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await over.wait()
        return await self.vote_of(opened.vote)

    async def vote_of(self, vote: str) -> Vote:
        """See `FleetVotes.vote_of`."""
        return await asyncio.to_thread(lambda: self._votes.vote_of(vote))

    async def decide_vote(self, vote: str, decision: str, *, person: str = PERSON) -> Vote:
        """See `FleetVotes.decide_vote`."""
        return await asyncio.to_thread(
            lambda: self._votes.decide_vote(vote, decision, person=person)
        )


def agent_in(state: SwarmState, word: str) -> str:
    """The id of the agent of this id or name, the latest of several.

    Raises:
        UnknownAgent: there is none.
    """
    if word in state.agents:
        return word
    for agent in reversed(state.agents.values()):
        if agent.spec.name == word:
            return agent.spec.id
    raise UnknownAgent(f"There is no agent {word[:100]!r}.", hint="agents() has them all.")


def _patch_of(state: SwarmState, asked: Proposed) -> list[Results]:
    if asked.matter is not Matter.PATCH or asked.judged is None:
        return []
    return [results_of(state, asked.judged)]
