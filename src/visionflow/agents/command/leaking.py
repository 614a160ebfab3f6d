"""Credentials that an agent was given and wrote into its work.

These are the one kind of secret of which there is no doubt: we handed it over ourselves. The values
stay in this process; what is told is where they stand.
"""

import os
from pathlib import Path

from visionflow.agents.command.confining import Wish, own_environment
from visionflow.agents.command.hiding import Hiding, is_secret, values_in
from visionflow.agents.command.profiles import credentials_of
from visionflow.agents.findings import portable_path
from visionflow.agents.workspace.changes import altered, contents
from visionflow.agents.workspace.fence import Violation

_FILE_BYTES_MAX = 1 << 20
_NAMED_MAX = 5


def given_to(wish: Wish) -> Hiding:
    """The values that the agent of this task is given, by what this process has now."""
    env = own_environment(wish, os.environ)
    profile = wish.template.profile
    named = [*profile.secrets, *(name for name in wish.settings.env if is_secret(name))]
    values = {env[name] for name in named if name in env}
    for _, place in credentials_of(profile, Path.home(), os.environ):
        if place.stat().st_size <= _FILE_BYTES_MAX:
            values |= values_in(place.read_text(encoding="utf-8", errors="surrogateescape"))
    return Hiding(values)


async def leaked(repository: Path, base: str, tip: str, given: Hiding) -> tuple[Violation, ...]:
    """Places of the change that hold such a value and did not before; one violation for all.

    Raises:
        WorkspaceError: git failed.
    """
    changed = [each for each in await altered(repository, base, tip) if each.after is not None]
    blobs = {e.blob for each in changed for e in (each.before, each.after) if e is not None}
    bodies = await contents(repository, blobs)
    found: list[str] = []
    for each in changed:
        assert each.after is not None
        line = given.line_in(bodies[each.after.blob])
        before = None if each.before is None else given.line_in(bodies[each.before.blob])
        if line is not None and before is None:
            found.append(f"{portable_path(os.fsdecode(each.path))}:{line}")
    if not found:
        return ()
    more = f" and {len(found) - _NAMED_MAX} more" if len(found) > _NAMED_MAX else ""
    places = ", ".join(found[:_NAMED_MAX]) + more
    told = f"It wrote a credential that it was given into {places}."
    return (Violation("credential", told),)
