"""The predicate of a merge queue: what held before the work began still holds with it.

That is every test of the project that passed on the base, and every command of the plan's `accept`
that ended with 0 there. What the base does not hold cannot be asked of a part of the work; whether
the whole holds it is judged at the end.
"""

import msgspec

from visionflow.agents.candidates.predicates import Trial, accepted_at
from visionflow.agents.candidates.values import Accepted
from visionflow.agents.roles.ground import repository_of
from visionflow.agents.roles.job import storable
from visionflow.agents.roles.measuring import Site, stays_broken, test_at
from visionflow.agents.tools.patchgates import broken_tests, tells
from visionflow.agents.tools.results import OnProgress, TestRun
from visionflow.domain.errors import CommandNotStarted, ConfinementUnavailable
from visionflow.ports.sandbox import Sandbox

_NAMED_MAX = 3


class Base(msgspec.Struct, frozen=True):
    """What the state that work is merged onto holds, before any of it is."""

    commit: str
    tests: TestRun | None = None
    """`None`: no test passed there, so that tests can show nothing."""
    accepted: tuple[Accepted, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def asked(self) -> tuple[str, ...]:
        """The commands that can be asked of what is merged."""
        return tuple(each.command for each in self.accepted if each.passed)

    @property
    def judges(self) -> bool:
        """Whether there is anything that can be asked."""
        return self.tests is not None or bool(self.asked)


class Held(msgspec.Struct, frozen=True):
    """Whether the predicate holds on a commit."""

    why: str | None = None
    """Why not; `None`: it holds."""
    accepted: tuple[Accepted, ...] = ()
    """Of the commands that were asked, up to the first that did not pass."""


async def look_at_base(
    sandbox: Sandbox,
    site: Site,
    commit: str,
    commands: tuple[str, ...],
    on_progress: OnProgress | None = None,
) -> Base:
    """Find out what the base holds."""
    notes: list[str] = []
    tests: TestRun | None = None
    try:
        tests = await test_at(sandbox, site, commit, on_progress=on_progress)
        if not tells(tests):
            why = (tests.reason or "no test passed").rstrip(".")
            notes.append(f"Tests judge no merge, as none passes on the state before ({why}).")
            tests = None
    except (CommandNotStarted, ConfinementUnavailable) as error:
        notes.append(f"Tests judge no merge, as they cannot be run: {error.message}")
    accepted = await _accepted(sandbox, site, commit, commands)
    for each in accepted:
        if each.passed is None:
            why = (each.reason or "it did not run").rstrip(".")
            notes.append(f"`{each.command}` judges no merge: {why}.")
        elif not each.passed:
            notes.append(
                f"`{each.command}` judges no merge, as it does not pass on the state before "
                f"({each.reason or 'it fails'}); the result is judged by it."
            )
    base = Base(commit, tests, accepted)
    if not base.judges:
        notes.append("Nothing can judge the merges: only what is in conflict was left out.")
    return msgspec.structs.replace(base, notes=tuple(notes))


async def holds_at(
    sandbox: Sandbox, site: Site, base: Base, commit: str, on_progress: OnProgress | None = None
) -> Held:
    """Whether everything that the base holds is held by a commit: commands first, then tests."""
    accepted: list[Accepted] = []
    for command in base.asked:
        (each,) = await _accepted(sandbox, site, commit, (command,))
        accepted.append(msgspec.structs.replace(each, on_base=True))
        if not each.passed:
            why = (each.reason or "it fails").rstrip(".")
            told = f"With it `{command}` does not pass, which passed without it: {why}."
            return Held(told, tuple(accepted))
    if base.tests is not None:
        why = await _broken(sandbox, site, base, base.tests, commit, on_progress)
        if why is not None:
            return Held(why, tuple(accepted))
    return Held(None, tuple(accepted))


async def accepted_on(
    sandbox: Sandbox, site: Site, base: Base, commit: str, known: tuple[Accepted, ...]
) -> tuple[Accepted, ...]:
    """How all of the plan's commands go on the last state; `known` are not asked again."""
    had = {each.command: each for each in known}
    missing = tuple(each.command for each in base.accepted if each.command not in had)
    if commit == base.commit:
        had |= {each.command: each for each in base.accepted}
    else:
        had |= {each.command: each for each in await _accepted(sandbox, site, commit, missing)}
    return tuple(
        msgspec.structs.replace(had[each.command], on_base=each.passed) for each in base.accepted
    )


async def _broken(
    sandbox: Sandbox,
    site: Site,
    base: Base,
    before: TestRun,
    commit: str,
    on_progress: OnProgress | None,
) -> str | None:
    try:
        after = await test_at(sandbox, site, commit, before, on_progress=on_progress)
        broken = broken_tests(before, after)
        if broken:
            broken = await stays_broken(sandbox, site, base.commit, before, after)
    except (CommandNotStarted, ConfinementUnavailable) as error:
        return f"With it the tests cannot be run, which ran without it: {error.message}"
    if not broken:
        return None
    more = f" and {len(broken) - _NAMED_MAX} more" if len(broken) > _NAMED_MAX else ""
    ended = "" if after.outcome == "failed" else f" (the tests ended as {after.outcome})"
    named = ", ".join(broken[:_NAMED_MAX])
    return f"With it a test that passed does not any more: {named}{more}{ended}."


async def _accepted(
    sandbox: Sandbox, site: Site, commit: str, commands: tuple[str, ...]
) -> tuple[Accepted, ...]:
    if not commands:
        return ()
    job = site.job
    trial = Trial(
        job.workspace, str(site.scratch / "trial"), job.virtual_env, job.trusted, site.wall_ms
    )
    repository = await repository_of(storable(job))
    return await accepted_at(sandbox, repository.path, commit, commands, trial)
