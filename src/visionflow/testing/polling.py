"""Votes of a workload whose members are asked, and people who end or decide some of them."""

import random
from collections.abc import Callable
from typing import Protocol

from visionflow.domain import commands as c
from visionflow.domain.votes import Mechanism, Resolution, Terms, VoteSpec
from visionflow.domain.votes_commands import ResolveVote

CONSENT, RANKED = Mechanism.CONSENT, Mechanism.RANKED


Act = Callable[..., str]


class Maker(Protocol):
    """What makes a workload."""

    random: random.Random
    spawned: dict[str, tuple[str, int]]
    span_ms: int

    @property
    def act(self) -> Act:
        """Asks for something; the id of the command."""
        ...

    def name(self, kind: str) -> str:
        """A fresh id."""
        ...

    def chance(self, probability: float) -> bool:
        """Whether it happens."""
        ...


def add_polls(maker: Maker, seed: int) -> None:
    """Some votes, with chance of their own: all else of a seed stays what it is."""
    maker.random = random.Random(f"polls of {seed}")
    spawned = [(name, command) for name, (command, _) in maker.spawned.items()]
    for _ in range(maker.random.choice((0, 1, 2, 3))):
        members = maker.random.sample(spawned, min(len(spawned), maker.random.randint(1, 5)))
        _poll(maker, maker.random.randint(0, maker.span_ms), members)


def _poll(maker: Maker, at_ms: int, members: list[tuple[str, str]]) -> None:
    """Ask for a vote whose members are asked for their ballots, and perhaps for its end."""
    name, chance = maker.name("poll"), maker.random
    electorate = tuple(member for member, _ in members)
    options = chance.choice(((), (), ("left", "right"), electorate))
    mechanisms = [m for m in Mechanism if m is not (CONSENT if options else RANKED)]
    spec = VoteSpec(
        id=name,
        question="?",
        electorate=electorate,
        mechanism=chance.choice(mechanisms),
        options=options,
        asked=True,
        terms=Terms(
            threshold_bp=chance.choice((0, 6_700)),
            resolution=chance.choice(tuple(Resolution)),
            timeout_ms=chance.randint(500, 8_000),
        ),
    )

    def opening(now: int, command: str) -> c.AnyCommand:
        return c.OpenVote(now_ms=now, command=command, spec=spec)

    def closing(now: int, command: str) -> c.AnyCommand:
        return c.CloseVote(now_ms=now, command=command, vote=name, reason="enough")

    def deciding(now: int, command: str) -> c.AnyCommand:
        return ResolveVote(
            now_ms=now, command=command, vote=name, outcome="undecided", person="somebody"
        )

    opened = maker.act(
        at_ms,
        opening,
        needs=tuple(command for _, command in members),
        refusals=("unknown_id",),
    )
    if maker.chance(0.3):
        maker.act(
            at_ms + chance.randint(0, 3_000),
            closing,
            needs=(opened,),
            refusals=("unknown_id", "already_ended", "referred"),
        )
    if maker.chance(0.5):
        maker.act(
            at_ms + chance.randint(500, 9_000),
            deciding,
            needs=(opened,),
            refusals=("unknown_id", "already_ended", "not_referred"),
        )
