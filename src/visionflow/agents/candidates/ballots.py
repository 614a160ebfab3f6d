"""What each reviewer says of a candidate, by the evidence of its own kind. Pure.

`tests`: the gate's run of the project's tests; `findings`: what tools object to; `accept`: the
task's predicates; `scope`: whether it kept to what was its own. Who has no evidence abstains.
"""

import os
import shlex
from collections.abc import Collection, Iterable, Sequence

from visionflow.agents.candidates.ranking import (
    ACCEPT,
    FINDINGS,
    OWN_JUDGE,
    RAN,
    SCOPE,
    SELECTION,
    TESTS,
)
from visionflow.agents.candidates.values import Accepted, Attempted, Gated
from visionflow.agents.evidence import Ballot, Choice
from visionflow.agents.gate.results import BrokenTest, GateResult, Tests

Facts = dict[str, int | str | None]
_NAMED_MAX = 3


def gated_of(result: GateResult) -> Gated:
    """The gate's answer as a judgement keeps it."""
    tests, findings = result.tests, result.findings
    return Gated(
        result.verdict,
        result.failed,
        (*result.unseen, *((result.tests_reason or "",) if result.tests_unknown else ())),
        (*findings.new, *findings.below),
        tuple(each.id for each in tests.broken) if tests is not None else (),
        tuple(each.id for each in tests.lost) if tests is not None else (),
        tests.run if tests is not None else None,
    )


def not_gated(why: str) -> tuple[Gated, Ballot, Ballot]:
    """Where the gate could not be run."""
    return (
        Gated("not_run", unseen=(why,)),
        Ballot(TESTS, "abstain", TESTS, why),
        Ballot(FINDINGS, "abstain", FINDINGS, why),
    )


def of_tests(result: GateResult) -> Ballot:
    """Reject where a test is broken, lost or newly flaky."""
    tests = result.tests
    if tests is None:
        return Ballot(TESTS, "abstain", TESTS, result.tests_reason or "the tests tell nothing")
    facts: Facts = {
        RAN: tests.run,
        SELECTION: tests.selection,
        "broken": len(tests.broken),
        "lost": len(tests.lost),
        "flaky": len(tests.flaky),
        "failing_on_base": len(tests.known),
    }
    choice, reason = _of_tests(tests)
    return Ballot(TESTS, choice, TESTS, reason, facts)


def _of_tests(tests: Tests) -> tuple[Choice, str]:
    wrong = (
        ("broken", tests.broken, "a test is broken", "tests are broken"),
        ("lost", tests.lost, "a test is lost", "tests are lost"),
        ("flaky", tests.flaky, "a test is newly flaky", "tests are newly flaky"),
    )
    told = [_named(some, one, many) for _, some, one, many in wrong if some]
    if told:
        return "reject", "; ".join(told)
    if not tests.run:
        return "abstain", "no test reaches what changed"
    which = "" if tests.selection == "all" else " that the change reaches"
    some = "1 test" if tests.run == 1 else f"all {tests.run} tests"
    known = f"; failing on base too: {len(tests.known)}" if tests.known else ""
    return "approve", f"{some}{which}: none is broken or lost{known}"


def _named(some: Sequence[BrokenTest], one: str, many: str) -> str:
    names = _some([each.id for each in some])
    return f"{one if len(some) == 1 else f'{len(some)} {many}'}: {names}"


def of_findings(result: GateResult) -> Ballot:
    """Reject where a finding is new; abstain where a tool did not look at all that changed."""
    found, read = result.findings, sum(each.files_read for each in result.tools)
    facts: Facts = {
        "new": len(found.new),
        "below": len(found.below),
        "known": found.known,
        "fixed": found.fixed,
        "hidden": len(found.suppressed),
    }
    choice: Choice = "approve"
    reason = f"no finding is new; known before: {found.known}, gone: {found.fixed}"
    if found.new:
        first = found.new[0]
        named = f"{first.path}:{first.line} {first.tool} {first.rule}: {first.message}"
        some = (
            "a finding is new:" if len(found.new) == 1 else f"{len(found.new)} are new, the first"
        )
        choice, reason = "reject", f"{some} {named}"
    elif result.unseen:
        choice, reason = "abstain", result.unseen[0]
    elif not read:
        choice, reason = "abstain", "no tool reads files like those that changed"
    if found.suppressed:
        reason += f"; hidden by comments or settings of the change: {len(found.suppressed)}"
    return Ballot(FINDINGS, choice, FINDINGS, reason, facts)


def of_predicates(accepted: Sequence[Accepted]) -> Ballot:
    """Reject where one does not pass, or cannot be run; abstain where the passing of one is no
    proof, and where they pass without the change too."""
    if not accepted:
        return Ballot(ACCEPT, "abstain", ACCEPT, "no predicate was given")
    passed = [each for each in accepted if each.passed]
    proved = sum(each.proved for each in passed)
    doubted = [each for each in passed if each.doubt is not None]
    facts: Facts = {
        "asked": len(accepted), "passed": len(passed), "proved": proved, "doubted": len(doubted),
    }  # fmt: skip
    for each in accepted:
        if each.passed is None:
            why = f"`{each.command}` cannot be run: {each.reason}"
            return Ballot(ACCEPT, "reject", ACCEPT, why, facts)
    failed = next((each for each in accepted if not each.passed), None)
    if failed is not None:
        before = ", as on base" if failed.on_base is False else ""
        before = ", and passes on base" if failed.on_base else before
        why = f"`{failed.command}` does not pass: {failed.reason}{before}"
        return Ballot(ACCEPT, "reject", ACCEPT, why, facts)
    if doubted:
        more = f"; so are {len(doubted) - 1} more" if len(doubted) > 1 else ""
        why = f"no proof: `{doubted[0].command}` {doubted[0].doubt}{more}"
        return Ballot(ACCEPT, "abstain", ACCEPT, why, facts)
    if all(each.on_base for each in accepted):
        why = "what was asked for passes on base too, so it proves nothing"
        return Ballot(ACCEPT, "abstain", ACCEPT, why, facts)
    some = "the predicate passes" if len(accepted) == 1 else f"all {len(accepted)} predicates pass"
    why = f"{some}; not passing on base: {proved}"
    return Ballot(ACCEPT, "approve", ACCEPT, why, facts)


def of_scope(
    made: Attempted | None, files: int, own: Sequence[str], harmless: Collection[str] = ()
) -> Ballot:
    """Abstain where nothing held the agent, or where it wrote its own judge.

    `made`: what the agent did; `None` for the work of several. `own`: files that decide how a
    predicate goes and that the change has otherwise. `harmless`: those with which it was tried as
    base has them, and passes.
    """
    open_ = [each for each in own if each not in harmless]
    facts: Facts = {"files": files, OWN_JUDGE: len(open_)}
    changed = "1 file" if files == 1 else f"{files} files"
    if open_:
        why = f"it changed what a predicate depends on, so look at that: {_some(open_)}"
        return Ballot(SCOPE, "abstain", SCOPE, why, facts)
    if own:
        changed += f" (the predicates pass with {_some(own)} as base has that, too)"
    if made is None:
        why = f"{changed}; every commit that landed is an ancestor of the result"
        return Ballot(SCOPE, "approve", SCOPE, why, facts)
    if not made.held:
        why = f"{changed}; nothing held the agent, so what else it did is not known"
        return Ballot(SCOPE, "abstain", SCOPE, why, facts)
    why = f"{changed}, and no branch, tag or stash but its own; held by {', '.join(made.held)}"
    return Ballot(SCOPE, "approve", SCOPE, why, facts)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED_MAX} more" if len(names) > _NAMED_MAX else ""
    return ", ".join(names[:_NAMED_MAX]) + more


def named_by(commands: Iterable[str], files: Iterable[str]) -> tuple[str, ...]:
    """Those of `files` that a word of the command lines names, or a folder that it names."""
    named: set[str] = set()
    for command in commands:
        try:
            words = shlex.split(command)
        except ValueError:
            continue
        for word in words:
            path = os.path.normpath(word.partition("::")[0]) if word else "."
            if path != "." and not path.startswith(("-", "/", "..")):
                named.add(path)
    return tuple(
        sorted(
            each
            for each in files
            if any(each == one or each.startswith(f"{one}/") for one in named)
        )
    )
