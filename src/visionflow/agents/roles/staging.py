"""What a stage of a pipeline gives a role to work on.

Roles work on a workspace, and what one of them reports is no workspace. So each stage that a role
does gets the same ground: what was asked for at the start, or the last map with a `workspace` that
a transform made. Once a coder has changed something, those after it see its commit.
"""

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any, cast

import msgspec

GROUND = ("workspace", "goal", "focus", "exclude", "trusted", "virtual_env", "cache")
"""What the requirements may say of where and how roles work."""
SNAPSHOT = ""
"""As the commit of a job: the files as they were found."""


class Ask(msgspec.Struct, frozen=True):
    """What one stage asks of a role."""

    input: dict[str, Any]
    goal: str
    requirements: dict[str, Any]
    """What the requirements say beside the ground."""


def ground_in(first: object, later: Iterable[object] = ()) -> dict[str, Any] | None:
    """Where to work, and for what: what was asked for at first, or the last of the later values
    that names a workspace. A text is the goal; where no folder is named it is the one that the
    program was started in. `None`: nothing says it."""
    found: dict[str, Any] | None = None
    if first is None:
        found = {"workspace": os.getcwd()}
    elif isinstance(first, str):
        found = {"workspace": os.getcwd(), "goal": first}
    elif isinstance(first, Mapping):
        given = cast("Mapping[str, Any]", first)
        if isinstance(given.get("workspace", given.get("goal")), str):
            found = {"workspace": os.getcwd(), **given}
    for value in later:
        if isinstance(value, Mapping):
            given = cast("Mapping[str, Any]", value)
            if isinstance(given.get("workspace"), str):
                found = dict(given)
    return found


def tip_in(results: Iterable[object]) -> str | None:
    """The commit that the last of these results with a change left; `None`: nothing was changed."""
    tip: str | None = None
    for result in results:
        change = cast("Mapping[str, Any]", result).get("change") if _is_map(result) else None
        found = cast("Mapping[str, Any]", change).get("tip") if _is_map(change) else None
        if isinstance(found, str):
            tip = found
    return tip


def asked(ground: Mapping[str, Any], repository: str | None, run: str, tip: str | None) -> Ask:
    """The task of a role on this ground. `repository`: a folder of ours that all stages share;
    `None`: each has its own, and none sees what another changed."""
    given = {key: ground[key] for key in GROUND if ground.get(key) is not None}
    given.setdefault("virtual_env", os.environ.get("VIRTUAL_ENV"))
    given["workspace"] = os.path.abspath(given["workspace"])
    given["alone"] = True
    if repository is not None:
        given |= {"repository": repository, "run": plain(run), "commit": tip or SNAPSHOT}
    rest = {key: value for key, value in ground.items() if key not in GROUND}
    return Ask(given, str(ground.get("goal") or ""), rest)


def plain(name: str) -> str:
    """A name that git takes for a branch."""
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")


def _is_map(value: object) -> bool:
    return isinstance(value, Mapping)
