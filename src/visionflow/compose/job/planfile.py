"""plan.yaml: a plan as a file that a person reads, edits and runs.

What a plan means and when it is sound is `agents.plans`'; here it is written and read, and a fault
is told with file and line.
"""

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import msgspec

from visionflow.agents.evidence import FOCUSES
from visionflow.agents.plans import GATES, PLAYBOOKS, ROLES, Plan, PlanTask, drawing
from visionflow.domain.errors import ConfigError
from visionflow.settings.lines import Located, read_yaml

_FAULTS = 10
"""How many are told at once."""
_WORDS: dict[str, tuple[str, ...]] = {
    "gates": GATES, "role": ROLES, "playbook": PLAYBOOKS, "focus": FOCUSES,
}  # fmt: skip
"""Keys whose values are words of a list."""
_HEAD = """\
# The plan of a run. Edit it, then:  visionflow run {name}
# Phases run one after the other, the tasks of a phase side by side unless it says
# `sequential: true`. Each task has an id, a role, a type and a title; a reviewer's task has a
# focus (security, performance, maintainability), and `part` limits it to a slice of the workspace.
# Gates that can be asked for: {gates}.
#
"""


class PlanFile(msgspec.Struct, frozen=True):
    """What a plan.yaml holds."""

    workspace: str | None
    plan: Plan


def plan_text(plan: Plan, workspace: str, name: str = "plan.yaml") -> str:
    """The plan as YAML, with its drawing in front."""
    import yaml

    # A line break in a path would end the comment.
    shown = name if name.isprintable() and shlex.quote(name) == name else ascii(name)
    head = _HEAD.format(name=shown, gates=", ".join(GATES))
    picture = "".join(f"# {line}\n" for line in drawing(plan))
    written = {"workspace": workspace, **cast("dict[str, Any]", msgspec.to_builtins(plan))}
    body = yaml.safe_dump(
        written, sort_keys=False, allow_unicode=True, width=240, default_flow_style=None
    )
    return f"{head}{picture}\n{body}"


def read_plan(path: Path) -> PlanFile:
    """The plan in a file.

    Raises:
        ConfigError: it cannot be read, is no plan, or cannot run; the message names the line.
    """
    file = read_yaml(path)
    if not isinstance(file.value, dict):
        raise file.fault("A plan is a map.", hint=f"Its keys are {_keys()}.")
    given = dict(cast("Mapping[str, Any]", file.value))  # pyright: ignore[reportUnknownMemberType]
    workspace = given.pop("workspace", None)
    if workspace is not None and not isinstance(workspace, str):
        raise file.fault("workspace is no text.", line=file.keys.get("workspace"))
    unknown = [key for key in given if key not in Plan.__struct_fields__]
    if unknown:
        raise file.unknown_key(unknown[0], ("workspace", *Plan.__struct_fields__), "a plan")
    try:
        plan = msgspec.convert(given, Plan)
    except msgspec.ValidationError as error:
        raise _fault(file, str(error), path) from error
    faults = plan.faults()
    if faults:
        lines = path.read_text(encoding="utf-8").splitlines()
        told = [f"{path}:{_line_of(fault, lines)}: {fault}" for fault in faults[:_FAULTS]]
        more = f"And {len(faults) - _FAULTS} more." if len(faults) > _FAULTS else None
        raise ConfigError("\n".join(told), hint=more)
    return PlanFile(workspace, plan)


def _keys() -> str:
    return ", ".join(("workspace", *Plan.__struct_fields__))


def _line_of(fault: str, lines: list[str]) -> int:
    """The last line that has what the fault names: of two that are alike the second is too many."""
    named = [word for word in (*re.findall(r"'([^']+)'", fault), fault.partition(":")[0]) if word]
    for word in named:
        found = [n for n, line in enumerate(lines, 1) if word in line and not line.startswith("#")]
        if found:
            return found[-1]
    return 1


def _fault(file: Located, told: str, path: Path) -> ConfigError:
    """msgspec's error with the line of its place: lists have none of their own, so the key's."""
    place = re.search(r"at `\$\.?([^`]*)`", told)
    keys = [key for key in re.split(r"[.\[]", place[1]) if key] if place else []
    line = file.keys.get(keys[0]) if keys else file.line
    text = path.read_text(encoding="utf-8").splitlines() if line else []
    found = re.search(r"Invalid enum value '([^']*)'|unknown field `([^`]*)`", told)
    word = next((each for each in found.groups() if each), None) if found else None
    if word and line:
        after = enumerate(text[line - 1 :], line)
        line = next((number for number, each in after if word in each), line)
    last = next((key for key in reversed(keys) if key.isidentifier()), "")
    if last in _WORDS:
        hint = f"Allowed: {', '.join(_WORDS[last])}."
    else:
        allowed = ", ".join(PlanTask.__struct_fields__) if "tasks" in keys else _keys()
        hint = f"Keys there: {allowed}."
    return ConfigError(f"{path}:{line or 1}: {told}.", hint=hint)
