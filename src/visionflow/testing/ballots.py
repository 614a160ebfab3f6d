"""What a log may say of votes: part of the checkers, and as they, apart from the engine.

Each ballot that counts is of a member that had none, while the vote was open; what a vote came to
is recomputed from its ballots, in other words than the engine's; a refusal has the reason that the
log bears out.
"""

from collections import Counter
from collections.abc import Container, Iterator
from fractions import Fraction
from itertools import permutations
from typing import Any

Fact = dict[str, Any]


class VoteLine:
    """What the log says of one vote."""

    def __init__(self, spec: Fact) -> None:
        self.spec = spec
        self.electorate: list[str] = list(spec["electorate"])
        self.ballots: dict[str, str] = {}
        self.rankings: dict[str, list[str]] = {}
        self.referred = False
        self.decision: str | None = None


class VoteCheck:
    """Feed it each event about votes, in order."""

    def __init__(self) -> None:
        self.votes: dict[str, VoteLine] = {}
        self.standings: dict[str, str] = {}
        """What results count as that a vote has made something else of."""

    def event(self, kind: str, event: Fact, agents: Container[str]) -> Iterator[str]:
        """What is wrong with this event; `agents` are those that are alive."""
        if kind == "vote_opened":
            yield from self._opened(event, agents)
            return
        vote = self.votes.get(event["vote"])
        if vote is None:
            yield f"{kind} of {event['vote']}, which was never opened"
        elif kind == "ballot_cast":
            yield from _cast(vote, event)
        elif kind == "ballot_refused":
            right = _why(vote, event["member"])
            if event["code"] != right:
                yield f"a ballot of {event['member']} is refused as {event['code']}, not {right}"
        elif kind == "vote_referred":
            yield from _referred(vote, event)
        else:
            yield from _decided(vote, event)
            yield from self._regraded(vote, event)

    def _regraded(self, vote: VoteLine, event: Fact) -> Iterator[str]:
        """Results count as the vote that they were put to says, each from what it counted as."""
        right = {"approved": "completed", "rejected": "failed"}.get(event["decision"])
        if right is None and vote.spec.get("gates") and event["decision"] == "undecided":
            right = "uncounted"
        for each in event.get("regraded", ()):
            task, before, after = each["task"], each["before"], each["after"]
            if "task" not in vote.spec or after != right:
                yield f"vote {event['vote']} has {task} count as {after}, not as {right}"
            if before != self.standings.get(task, "completed") or before == after:
                yield f"vote {event['vote']} has {task} count as {after}, and as {before} before"
            self.standings[task] = after

    def _opened(self, event: Fact, agents: Container[str]) -> Iterator[str]:
        spec: Fact = event["spec"]
        name, electorate = spec["id"], list(spec["electorate"])
        if name in self.votes:
            yield f"vote {name} is opened twice"
        if not electorate or len(set(electorate)) < len(electorate):
            yield f"vote {name} has the electorate {electorate}"
        for member in electorate:
            if member not in agents and not spec.get("seats"):
                yield f"vote {name} is opened for {member}, which is not there"
        weights = spec.get("weights", ())
        if len(weights) not in (0, len(electorate)) or not all(0 < w < 10_000 for w in weights):
            yield f"vote {name} weighs the ballots of {len(electorate)} members as {weights}"
        if len(event.get("tasks", ())) != (len(electorate) if spec.get("asked") else 0):
            yield f"vote {name} asks its members by {event.get('tasks')}"
        self.votes[name] = VoteLine(spec)


def _why(vote: VoteLine, member: str) -> str | None:
    """Why a ballot does not count now; `None`: it does."""
    if vote.decision is not None:
        return "late_ballot"
    if member not in vote.electorate:
        return "stranger"
    if vote.referred:
        return "late_ballot"
    return "second_ballot" if member in vote.ballots else None


def _cast(vote: VoteLine, event: Fact) -> Iterator[str]:
    wrong = _why(vote, event["member"])
    if wrong is not None:
        yield f"a ballot of {event['member']} on {event['vote']} counts and is a {wrong}"
    vote.ballots[event["member"]] = event["choice"]
    vote.rankings[event["member"]] = list(event.get("ranking", ()))


def _referred(vote: VoteLine, event: Fact) -> Iterator[str]:
    name = event["vote"]
    if vote.decision is not None or vote.referred:
        yield f"vote {name} is referred to a person and was over, or referred before"
    if vote.spec.get("terms", {}).get("resolution") != "human":
        yield f"vote {name} is referred to a person, and its terms do not say so"
    right = _right(vote)
    if right != "undecided":
        yield f"vote {name} is referred to a person with ballots that make it {right}"
    yield from _tallied(vote, event)
    vote.referred = True


def _decided(vote: VoteLine, event: Fact) -> Iterator[str]:
    name = event["vote"]
    if vote.decision is not None:
        yield f"vote {name} is decided twice"
    if ("person" in event) != vote.referred:
        yield f"vote {name} is decided by a person or by its ballots, and it is the other"
    said = event.get("chosen") or event["decision"]
    if not vote.referred and said != _right(vote):
        counts = dict(sorted(Counter(vote.ballots.values()).items()))
        yield f"vote {name} is {said} with {counts}"
    yield from _tallied(vote, event)
    vote.decision = event["decision"]


def _tallied(vote: VoteLine, event: Fact) -> Iterator[str]:
    counts = Counter(vote.ballots.values())
    counts["ranked"] = counts.pop("rank", 0)
    expected = {**counts, "silent": len(vote.electorate) - len(vote.ballots)}
    said = event.get("tally", {})
    if {k: v for k, v in said.items() if v} != {k: v for k, v in expected.items() if v}:
        yield f"vote {event['vote']} counts {said}; its ballots are {expected}"


# What a vote has to come to --------------------------------------------------------------------


def _right(vote: VoteLine) -> str:
    """The option, or the decision, that the ballots make."""
    spec, terms = vote.spec, vote.spec.get("terms", {})
    sides: dict[str, str] = {}
    for member, choice in vote.ballots.items():
        if choice == "rank":
            sides[member] = vote.rankings[member][0]
        elif choice != "abstain":
            sides[member] = {"approve": "approved", "reject": "rejected"}[choice]
    won = _won(vote, sides)
    mechanism = spec.get("mechanism", "majority")
    quorum = Fraction(terms.get("quorum_bp", 0), 10_000)
    share = Fraction(len(sides), len(vote.electorate))
    if share < quorum or (mechanism == "quorum" and not quorum and share <= Fraction(1, 2)):
        won = None
    return won or _resolved(vote, sides) or "undecided"


def _won(vote: VoteLine, sides: dict[str, str]) -> str | None:
    spec, mechanism = vote.spec, vote.spec.get("mechanism", "majority")
    names = set(sides.values())
    if mechanism == "consent":
        return "rejected" if "rejected" in names else next(iter(names), None)
    if mechanism == "unanimous":
        return names.pop() if len(sides) == len(vote.electorate) and len(names) == 1 else None
    if mechanism == "ranked":
        return _elected(spec["options"], [r for r in vote.rankings.values() if r])
    worth = dict.fromkeys(vote.electorate, 1)
    if mechanism == "weighted":
        worth = dict(zip(vote.electorate, spec["weights"], strict=True))
    got = {side: sum(worth[m] for m, of in sides.items() if of == side) for side in names}
    total, threshold = sum(got.values()), spec.get("terms", {}).get("threshold_bp", 0)
    for side, count in got.items():
        ahead = all(count > other for name, other in got.items() if name != side)
        enough = Fraction(count, total) if total else Fraction(0)
        if ahead and (enough >= Fraction(threshold, 10_000) if threshold else enough * 2 > 1):
            return side
    return None


def _resolved(vote: VoteLine, sides: dict[str, str]) -> str | None:
    terms = vote.spec.get("terms", {})
    if terms.get("resolution") == "coordinator":
        return sides.get(terms.get("decider"))
    if terms.get("resolution") != "expert_priority" or not sides:
        return None
    weights = vote.spec.get("weights") or [1] * len(vote.electorate)
    worth = dict(zip(vote.electorate, weights, strict=True))
    most = max(worth[member] for member in sides)
    best = {side for member, side in sides.items() if worth[member] == most}
    return best.pop() if len(best) == 1 else None


def _elected(options: list[str], rankings: list[list[str]]) -> str | None:
    """By the Schulze method, from its definition: the strength of a path is that of its weakest
    link, and who has a stronger path to every other than that has back is elected."""

    def prefer(a: str, b: str) -> int:
        return sum(
            a in ranking and (b not in ranking or ranking.index(a) < ranking.index(b))
            for ranking in rankings
        )

    def link(a: str, b: str) -> int:
        return prefer(a, b) if prefer(a, b) > prefer(b, a) else 0

    def strongest(a: str, b: str) -> int:
        if len(options) <= 5:
            others = [each for each in options if each not in (a, b)]
            paths = (
                [a, *between, b]
                for count in range(len(others) + 1)
                for between in permutations(others, count)
            )
            return max(min(map(link, path, path[1:])) for path in paths)
        reached, strength = {a}, len(rankings)
        while b not in reached:  # The widest path, by adding the strongest link out of what is had.
            width, found = max(
                (link(x, y), y) for x in reached for y in options if y not in reached
            )
            strength = min(strength, width)
            reached.add(found)
        return strength

    if not rankings:
        return None
    for option in options:
        others = [each for each in options if each != option]
        if all(strongest(option, each) > strongest(each, option) for each in others):
            return option
    return None
