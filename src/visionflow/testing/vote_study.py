"""How often a vote goes wrong with planted wrong voters, by the engine's own counting.

Pure: a seed is a world with a true answer, members with a record of past work, and ballots. Of `n`
members `f` are planted and always say what is wrong. The same world is put to every mechanism and
to a single agent.
"""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from visionflow.domain.votes import Cast, Choice, Decision, Mechanism, Resolution, Terms, VoteSpec
from visionflow.engine.voting import THRESHOLD_WEIGHTED_BP, outcome, weight_bp

RIGHT_P = 0.8
"""How often an honest member that has evidence is right."""
ABSTAINS_P = 0.1
"""How often it has none."""
PAST = 20
"""Tasks that a member did before, which are its record."""
PLANTED_PAST_P = 0.2
"""How often one was right that was planted from the start."""
OPTIONS = ("a", "b", "c")
"""Of a question that is ranked; the first is the right one."""
SIZES: tuple[tuple[int, tuple[int, ...]], ...] = (
    (3, (0, 1, 2)),
    (5, (0, 1, 2, 3)),
    (7, (0, 1, 2, 3, 4)),
    (9, (0, 1, 2, 3, 4, 5)),
    (15, (0, 3, 5, 7, 8)),
)
"""Members, and how many of them are planted."""
ONE = "one agent"
SEEDS = 1_000


class World(NamedTuple):
    """One seed: what members say, and what they are known by."""

    says: tuple[bool | None, ...]
    """Whether each is right; `None`: it abstains. The planted come first."""
    ranks: tuple[tuple[str, ...], ...]
    known: tuple[int, ...]
    """Weights where the planted ones did badly before."""
    sleeping: tuple[int, ...]
    """Weights where they did as well as anybody until now."""
    one: int
    """The member that would be asked if only one was."""


class Cell(NamedTuple):
    """How often of so many seeds a mechanism was wrong, and how often it decided nothing."""

    wrong: int
    undecided: int


Row = tuple[int, int, Mapping[str, Cell]]


def world_of(seed: int, members: int, planted: int) -> World:
    """The world of a seed."""
    chance = random.Random(f"votes {seed} {members} {planted}")
    says: list[bool | None] = []
    ranks: list[tuple[str, ...]] = []
    known: list[int] = []
    sleeping: list[int] = []
    for number in range(members):
        is_planted = number < planted
        past = sum(chance.random() < RIGHT_P for _ in range(PAST))
        bad = sum(chance.random() < PLANTED_PAST_P for _ in range(PAST))
        right, abstains = chance.random() < RIGHT_P, chance.random() < ABSTAINS_P
        others = chance.sample(OPTIONS[1:], 2)
        sleeping.append(weight_bp(past, PAST - past))
        known.append(weight_bp(bad, PAST - bad) if is_planted else sleeping[-1])
        says.append(False if is_planted else None if abstains else right)
        ranks.append(_ranking(says[-1], is_planted, others))
    return World(
        tuple(says), tuple(ranks), tuple(known), tuple(sleeping), chance.randrange(members)
    )


def _ranking(right: bool | None, planted: bool, others: Sequence[str]) -> tuple[str, ...]:
    true = OPTIONS[0]
    if right is None:
        return ()
    if right:
        return (true, *others)
    # All that are planted push the same wrong option; who errs honestly has the true one next.
    return (OPTIONS[1], OPTIONS[2], true) if planted else (others[0], true, others[1])


def _vote(mechanism: Mechanism, names: tuple[str, ...], **fields: object) -> VoteSpec:
    return VoteSpec("study", "?", names, mechanism, **fields)  # pyright: ignore[reportArgumentType]


def _approving(spec: VoteSpec, world: World) -> str | None:
    """`right`, `wrong`, or `None` for no decision; the true answer is to approve."""
    said = {True: Choice.APPROVE, False: Choice.REJECT, None: Choice.ABSTAIN}
    ballots = {
        name: Cast(said[right]) for name, right in zip(spec.electorate, world.says, strict=True)
    }
    decision = outcome(spec, ballots).decision
    if decision is Decision.UNDECIDED:
        return None
    return "right" if decision is Decision.APPROVED else "wrong"


def _ranking_vote(names: tuple[str, ...], world: World) -> str | None:
    spec = _vote(Mechanism.RANKED, names, options=OPTIONS)
    ballots = {
        name: Cast(Choice.RANK, ranking) if ranking else Cast(Choice.ABSTAIN)
        for name, ranking in zip(names, world.ranks, strict=True)
    }
    chosen = outcome(spec, ballots).chosen
    return None if chosen is None else "right" if chosen == OPTIONS[0] else "wrong"


def _single(names: tuple[str, ...], world: World) -> str | None:
    del names
    right = world.says[world.one]
    return None if right is None else "right" if right else "wrong"


_WEIGHED = Terms(threshold_bp=THRESHOLD_WEIGHTED_BP)
_EXPERT = Terms(threshold_bp=THRESHOLD_WEIGHTED_BP, resolution=Resolution.EXPERT_PRIORITY)
WAYS: dict[str, Callable[[tuple[str, ...], World], str | None]] = {
    ONE: _single,
    "majority": lambda names, w: _approving(_vote(Mechanism.MAJORITY, names), w),
    "quorum": lambda names, w: _approving(_vote(Mechanism.QUORUM, names), w),
    "unanimous": lambda names, w: _approving(_vote(Mechanism.UNANIMOUS, names), w),
    "weighted": lambda names, w: _approving(
        _vote(Mechanism.WEIGHTED, names, weights=w.known, terms=_WEIGHED), w
    ),
    "weighted, expert": lambda names, w: _approving(
        _vote(Mechanism.WEIGHTED, names, weights=w.known, terms=_EXPERT), w
    ),
    "weighted, sleepers": lambda names, w: _approving(
        _vote(Mechanism.WEIGHTED, names, weights=w.sleeping, terms=_WEIGHED), w
    ),
    "ranked": _ranking_vote,
}
"""Each way to decide, by the name in the table."""


def study(seeds: int = SEEDS) -> Iterator[Row]:
    """For each size: how often each way was wrong, and decided nothing."""
    for members, counts in SIZES:
        names = tuple(f"m{number:02}" for number in range(members))
        for planted in counts:
            came: dict[str, list[str | None]] = {way: [] for way in WAYS}
            for seed in range(seeds):
                world = world_of(seed, members, planted)
                for way, decide in WAYS.items():
                    came[way].append(decide(names, world))
            yield (
                members,
                planted,
                {way: Cell(found.count("wrong"), found.count(None)) for way, found in came.items()},
            )


# What it looks like ----------------------------------------------------------------------------


def table(rows: Iterable[Row], seeds: int) -> str:
    """In Markdown: wrong / undecided, in percent."""
    lines = [
        "| members | planted | " + " | ".join(WAYS) + " |",
        "|" + "---:|" * (2 + len(WAYS)),
    ]
    for members, planted, cells in rows:
        told = (
            f"{_percent(c.wrong, seeds)} / {_percent(c.undecided, seeds)}" for c in cells.values()
        )
        lines.append(f"| {members} | {planted} | " + " | ".join(told) + " |")
    return "\n".join(lines)


def _percent(count: int, seeds: int) -> str:
    return f"{100 * count / seeds:.1f}"


_COLOURS = (
    "#6b7280", "#1d4ed8", "#0e7490", "#4d7c0f", "#b45309", "#be123c", "#7e22ce", "#111827",
)  # fmt: skip
_DASHES = ("6 4", "", "2 3", "8 3 2 3", "", "4 2", "1 3", "10 4")
CHARTED = 9
_WIDTH, _HEIGHT, _LEFT, _TOP, _RIGHT, _BOTTOM = 760, 380, 56, 36, 190, 48


def chart(rows: Iterable[Row], seeds: int) -> str:
    """An SVG: how often each way is wrong, among nine members, by how many are planted."""
    chosen = [(planted, cells) for members, planted, cells in rows if members == CHARTED]
    most = max(planted for planted, _ in chosen)
    wide, high = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def place(planted: int, share: float) -> str:
        return f"{_LEFT + wide * planted / most:.1f},{_TOP + high * (1 - share):.1f}"

    title = f"Wrong decisions, % of {seeds:,} seeds, {CHARTED} members"
    box = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" font-family="sans-serif" font-size="12"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {box}><title>{title}</title>',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
        f'<text x="{_LEFT}" y="20" font-size="14">{title}</text>',
    ]
    for tenth in range(0, 11, 2):
        y = _TOP + high * (1 - tenth / 10)
        parts.append(
            f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{_LEFT + wide}" y2="{y:.1f}" stroke="#e5e7eb"/>'
            f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{10 * tenth}</text>'
        )
    for planted, _ in chosen:
        x = _LEFT + wide * planted / most
        y = _TOP + high + 18
        parts.append(f'<text x="{x:.1f}" y="{y}" text-anchor="middle">{planted}</text>')
    parts.append(
        f'<text x="{_LEFT + wide / 2:.1f}" y="{_HEIGHT - 10}" text-anchor="middle">'
        "planted wrong voters</text>"
    )
    for number, way in enumerate(WAYS):
        points = " ".join(place(planted, cells[way].wrong / seeds) for planted, cells in chosen)
        style = f'stroke="{_COLOURS[number]}" stroke-width="2" stroke-dasharray="{_DASHES[number]}"'
        y = _TOP + 10 + 22 * number
        x = _LEFT + wide + 16
        parts.append(
            f'<polyline points="{points}" fill="none" {style}/>'
            f'<line x1="{x}" y1="{y}" x2="{x + 28}" y2="{y}" {style}/>'
            f'<text x="{x + 34}" y="{y + 4}">{way}</text>'
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


# In the docs -----------------------------------------------------------------------------------

PAGE, PICTURE = "consensus.md", "images/consensus.svg"
BEGIN, END = "<!-- votes: begin -->", "<!-- votes: end -->"
SAMPLE = 50
"""Seeds by which a test sees that the page has what the command gives."""


def sample() -> str:
    """A digest of what the first seeds come to."""
    return sha256(table(study(SAMPLE), SAMPLE).encode()).hexdigest()[:16]


def section(rows: Sequence[Row], seeds: int) -> str:
    """What stands in the page between the marks."""
    head = f"{BEGIN}\n<!-- {seeds} seeds; the first {SAMPLE}: {sample()} -->"
    return f"{head}\n\n{table(rows, seeds)}\n\n{END}"


def write(docs: Path, rows: Sequence[Row], seeds: int) -> None:
    """Put table and chart into the docs."""
    page = docs / PAGE
    text = page.read_text(encoding="utf-8")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    page.write_text(before + section(rows, seeds) + after, encoding="utf-8")
    (docs / PICTURE).write_text(chart(rows, seeds), encoding="utf-8")
