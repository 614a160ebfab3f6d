"""Whether a predicate that passes proves anything, by what was run beside it. Pure.

It does not where it passes only with tests as the change itself has them, and where pytest's own
count says that the tests were not run: none passed, more are skipped than on base, or fewer took
part. Such a pass is a doubt and no objection: a goal may ask for other tests.
"""

from collections.abc import Iterable

import msgspec

from visionflow.agents.candidates.commandline import calls_pytest
from visionflow.agents.candidates.steering import Touched
from visionflow.agents.candidates.values import Accepted, Counted

_NAMED_MAX = 3
CANDIDATE, TOGETHER = "this candidate", "the work of all together"
"""Whose change it is, in a sentence."""


class OnBase(msgspec.Struct, frozen=True):
    """How a predicate goes on what everybody began with."""

    passed: bool | None
    counted: Counted | None = None


class WithBase(msgspec.Struct, frozen=True):
    """How it goes on the change with the files that decide how it goes as base has them."""

    accepted: Accepted
    without: tuple[str, ...] = ()
    """Added tests that were left out."""


def proof_of(
    own: Accepted, base: OnBase, touched: Touched, again: WithBase | None, who: str = CANDIDATE
) -> Accepted:
    """The run on the change itself with all that the others say of it.

    `again`: `None` where nothing was touched, or it did not pass.
    """
    passed = None if again is None else again.accepted.passed
    looked = msgspec.structs.replace(
        own, on_base=base.passed, touched=touched.every, with_base_tests=passed
    )
    if not own.passed:
        return looked
    return msgspec.structs.replace(looked, doubt=_doubt(looked, base, touched, again, who))


def _doubt(
    own: Accepted, base: OnBase, touched: Touched, again: WithBase | None, who: str
) -> str | None:
    begins, counted = "passes", own.counted
    if again is not None:
        names = (*touched.judges, *again.without)
        if again.accepted.passed is False:
            return f"passes only {_as_it_is(touched, again.without, who)}"
        were = f"with {_listed(names)} as base has {_them(names)}"
        if again.accepted.passed is None:
            return f"is not known to pass {were}: {again.accepted.reason or 'it was not run'}"
        begins, counted = f"passes {were}", again.accepted.counted
    if counted is None:
        if base.counted is None and not calls_pytest(own.command):
            return None
        return f"{begins}, but pytest left no results, so what passed is not known"
    if not counted.passed:
        what = f"{counted.skipped} skipped" if counted.skipped else "none was run"
        return f"{begins}, but no test in it does: {what}"
    before = base.counted
    if before is None or not before.total:
        return None
    if counted.skipped > before.skipped:
        return f"{begins} with {_tests(counted.skipped)} skipped, and {before.skipped} on base"
    if counted.total < before.total:
        return f"{begins} with {_tests(counted.total)}, and {before.total} on base"
    return None


def _as_it_is(touched: Touched, without: Iterable[str], who: str) -> str:
    """The files that it needs as the change has them, with what was done to them."""
    added = (*touched.steering, *without)
    told: list[str] = []
    if touched.changed:
        them = _them(touched.changed)
        told.append(f"with {_listed(touched.changed)} as {who} changed {them}")
    if added:
        told.append(f"with {_listed(added)}, which {who} added")
    if touched.deleted:
        told.append(f"without {_listed(touched.deleted)}, which {who} deleted")
    return ", and ".join(told)


def _listed(names: tuple[str, ...]) -> str:
    more = [f"{len(names) - _NAMED_MAX} more"] if len(names) > _NAMED_MAX else []
    *first, last = [*names[:_NAMED_MAX], *more]
    return f"{', '.join(first)} and {last}" if first else last


def _them(names: tuple[str, ...]) -> str:
    return "it" if len(names) == 1 else "them"


def _tests(number: int) -> str:
    return "1 test" if number == 1 else f"{number} tests"
