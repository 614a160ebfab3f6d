"""Sources of what `daa_consensus` tells: the events of its vote, and what the records were then."""

from collections import Counter
from typing import Any

import msgspec

from tests.truth.checking import Among, At
from tests.truth.origins import Table, iso, swarm_id
from visionflow.domain import events as e
from visionflow.domain.votes_events import VoteReferred

FINAL = {"approve": "approved", "reject": "rejected"}


def opened(at: At) -> Any:
    """When the vote was opened, and as what."""
    return next(
        (at_ms, event)
        for _, _, at_ms, event in at.swarm.events
        if isinstance(event, e.VoteOpened) and event.spec.id == at.reply["voteId"]
    )


def spec(at: At) -> Any:
    return opened(at)[1].spec


def said(at: At, *kinds: type[Any]) -> list[tuple[int, Any]]:
    """What the log has of the vote by when the answer was there."""
    return [
        (at_ms, event)
        for _, _, at_ms, event in at.swarm.events
        if isinstance(event, kinds) and event.vote == at.reply["voteId"] and at_ms <= at.after_ms
    ]


def decided(at: At) -> Any:
    """How it was decided by then; `None`: it was not."""
    found = said(at, e.VoteDecided)
    return found[0] if found else None


def of_decision(field: str) -> Any:
    def source(at: At) -> Any:
        found = decided(at)
        return None if found is None else getattr(found[1], field)

    return source


def ended(at: At) -> Any:
    """Its decision, or what was said when it was referred."""
    found = said(at, e.VoteDecided) or said(at, VoteReferred)
    return found[0][1] if found else None


def status(at: At) -> str:
    if decided(at) is not None:
        return "decided"
    return "referred" if said(at, VoteReferred) else "open"


def ballot(at: At) -> Any:
    """The ballot of the member that is told of; `None`: it has none."""
    cast = (event for _, event in said(at, e.BallotCast))
    return next((event for event in cast if event.member == at.own["agentId"]), None)


def of_ballot(field: str, usual: Any = None) -> Any:
    def source(at: At) -> Any:
        found = ballot(at)
        return usual if found is None else getattr(found, field)

    return source


def facts(at: At) -> Any:
    found = ballot(at)
    body = None if found is None else found.facts.inline
    return None if body is None else msgspec.msgpack.decode(body)


def weight(at: At) -> float:
    """Right before it was opened, by Laplace's rule."""
    done: Counter[bool] = Counter()
    holders: dict[str, tuple[str, bool]] = {}
    for _, _, _, event in at.swarm.events:
        if isinstance(event, e.VoteOpened) and event.spec.id == at.reply["voteId"]:
            break
        if isinstance(event, e.VoteDecided):
            for each in event.regraded:
                if each.agent == at.own["agentId"]:
                    done[True] += (each.after == "completed") - (each.before == "completed")
                    done[False] += (each.after == "failed") - (each.before == "failed")
        if isinstance(event, e.TaskAssigned):
            counts = at.swarm.tasks[event.task].spec.type != "cast_ballot"
            holders[event.task] = (event.agent, counts)
        elif isinstance(event, e.TaskCompleted | e.AttemptFailed) and event.task in holders:
            agent, counts = holders.pop(event.task)
            failed = isinstance(event, e.AttemptFailed)
            if agent == at.own["agentId"] and counts and (not failed or event.kind == "error"):
                done[not failed] += 1
    return 10_000 * (done[True] + 1) // (done.total() + 2) / 10_000


def sides(at: At) -> dict[str, float]:
    scale = 10_000 if spec(at).mechanism == "weighted" else 1
    found = ended(at)
    return {} if found is None else {side: got / scale for side, got in found.shares.items()}


def dissent(at: At) -> Any:
    found = decided(at)[1]
    right = found.chosen or found.decision
    return Among(
        *(
            event.member
            for _, event in said(at, e.BallotCast)
            if event.choice != "abstain"
            and (event.ranking[0] if event.ranking else FINAL[event.choice]) != right
        )
    )


def tally(choice: str) -> Any:
    """Counted from the ballots, and not from what the decision says of them."""

    def source(at: At) -> Any:
        if ended(at) is None:
            return None
        counts = Counter(event.choice.value for _, event in said(at, e.BallotCast))
        if choice == "silent":
            return len(spec(at).electorate) - counts.total()
        return counts[choice]

    return source


def threshold(at: At) -> float | None:
    return spec(at).terms.threshold_bp / 10_000 or None


def closes(at: At) -> str | None:
    timeout_ms = spec(at).terms.timeout_ms
    return iso(opened(at)[0] + timeout_ms) if status(at) == "open" else None


def ranked(at: At) -> Any:
    agent, cast = at.chain[-2]["agentId"], said(at, e.BallotCast)
    found = next(event for _, event in cast if event.member == agent)
    return found.ranking[at.place[-1]]


CONSENSUS: Table = {
    "voteId": lambda at: Among(
        *(v.spec.id for _, _, _, v in at.swarm.events if isinstance(v, e.VoteOpened))
    ),
    "swarmId": swarm_id,
    "status": status,
    "decision": of_decision("decision"),
    "chosen": of_decision("chosen"),
    "reason": lambda at: getattr(ended(at), "reason", None),
    "question": lambda at: spec(at).question,
    "mechanism": lambda at: at.world and spec(at).mechanism,
    "threshold": threshold,
    "conflictResolution": lambda at: spec(at).terms.resolution,
    "electorate[]": lambda at: Among(*spec(at).electorate),
    "ballots[].agentId": lambda at: Among(*spec(at).electorate),
    "ballots[].choice": of_ballot("choice"),
    "ballots[].ranking[]": ranked,
    "ballots[].evidence": of_ballot("evidence"),
    "ballots[].reason": of_ballot("reason"),
    "ballots[].facts": facts,
    "ballots[].weight": weight,
    "dissent[]": dissent,
    "tally": tally("approve"),
    "tally.approve": tally("approve"),
    "tally.reject": tally("reject"),
    "tally.ranked": tally("rank"),
    "tally.abstain": tally("abstain"),
    "tally.silent": tally("silent"),
    "sides[].side": lambda at: Among(*sides(at)),
    "sides[].got": lambda at: sides(at)[at.own["side"]],
    "decidedBy": lambda at: of_decision("person")(at) or of_decision("decider")(at),
    "openedAt": lambda at: iso(opened(at)[0]),
    "closesAt": closes,
    "decidedAt": lambda at: iso(decided(at)[0]) if decided(at) else None,
}
