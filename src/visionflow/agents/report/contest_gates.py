"""The gates of the playbook `code`, by formula, from what was judged of the result that is taken.

- `winner`: True when a result was good enough and is taken; False when none was; None as long as
  nothing was ranked.
- `accept`: True when every predicate held on that result; False when one did not; None when none
  was asked for, one could not be run, the passing of one is no proof (it passes only with the
  result's own tests, or no test in it passed), or nothing is taken.
- `tests`: False when a test of base fails or is gone with it; True when tests were run on it and
  the tests' ballot does not say that nothing can be told; else None.
- `findings`: False when the findings' ballot is against it; True when that ballot is for it; where
  there is no such ballot by the gate's verdict alone: clean is True, and nothing else is.
- `landed`, of work split over agents: False when a part of it is not in the result; True when all
  of it is; None as long as nothing was ranked.
"""

from collections.abc import Callable, Mapping

from visionflow.agents.candidates import ranking
from visionflow.agents.candidates.values import Accepted, Contest, Judged, Unmerged

MEANS: Mapping[str, str] = {
    "winner": "a result was good enough to be taken",
    "accept": "every predicate held on what is taken, run by us in a fresh copy",
    "tests": "every test that passes on base passes with what is taken",
    "findings": "what is taken brings no new finding that counts",
    "landed": "all of the work that was split over agents is in the result",
}
"""What each says when it is passed."""


def winner_of(contest: Contest) -> Judged | None:
    """The judgement of what is taken; `None` where nothing is, or nobody judged it."""
    if contest.ranking is None or contest.ranking.winner is None:
        return None
    return judged_of(contest, contest.ranking.winner)


def judged_of(contest: Contest, candidate: str) -> Judged | None:
    """The last judgement of a candidate."""
    found = [each for each in contest.judged if each.candidate == candidate]
    return found[-1] if found else None


def accepted_of(contest: Contest) -> tuple[Accepted, ...]:
    """The predicates of what is taken, each with how it went."""
    judged = winner_of(contest)
    return () if judged is None else judged.accepted


def unmerged_of(contest: Contest) -> tuple[Unmerged, ...]:
    """Parts of split work that are not in the result as far as that is settled: by the ranking,
    or where there is none by all merges together."""
    if contest.ranking is not None:
        return contest.ranking.unmerged
    return ranking.unmerged_of(contest.integrated)


def _winner(contest: Contest) -> bool | None:
    return None if contest.ranking is None else contest.ranking.winner is not None


def _accept(contest: Contest) -> bool | None:
    passed = [each.passed for each in accepted_of(contest)]
    if False in passed:
        return False
    doubted = any(each.doubt is not None for each in accepted_of(contest))
    return True if passed and None not in passed and not doubted else None


def _tests(contest: Contest) -> bool | None:
    judged = winner_of(contest)
    gate = None if judged is None else judged.gate
    if judged is None or gate is None or gate.verdict == "not_run":
        return None
    choice = _choice(judged, "tests")
    if gate.broken or gate.lost or choice == "reject":
        return False
    if not gate.tests:
        return None
    told = gate.verdict != "incomplete" if choice is None else choice == "approve"
    return True if told else None


def _findings(contest: Contest) -> bool | None:
    judged = winner_of(contest)
    gate = None if judged is None else judged.gate
    if judged is None or gate is None or gate.verdict == "not_run":
        return None
    choice = _choice(judged, "findings")
    if choice is not None:
        return {"reject": False, "approve": True}.get(choice)
    return True if gate.verdict == "clean" else None


def _landed(contest: Contest) -> bool | None:
    if not contest.split or contest.ranking is None:
        return None
    return not contest.ranking.unmerged


def _choice(judged: Judged, evidence: str) -> str | None:
    """How the ballot on this evidence was cast; `None` where there is none."""
    found = [each.choice for each in judged.ballots if each.evidence == evidence]
    return "reject" if "reject" in found else next(iter(found), None)


FORMULAS: Mapping[str, Callable[[Contest], bool | None]] = {
    "winner": _winner,
    "accept": _accept,
    "tests": _tests,
    "findings": _findings,
    "landed": _landed,
}
