"""Which unused imports may be there on purpose, so that taking them out is not safe.

Ruff calls an import unused when its own file does not use the name. It may still be a probe for
what is installed, be there for what importing it does, or be there for others to import.
"""

import re
from collections.abc import Iterable, Mapping

from visionflow.agents.study.facts import FileFacts, Import

RULE = "F401"
_ACT_WHEN_IMPORTED = frozenset(("antigravity", "readline", "rlcompleter", "site", "this", "turtle"))
_NAMED = re.compile(r"`([^`]+)`")

Unused = tuple[str, int, str]
"""(path, line, message) of a finding of `RULE`."""


def on_purpose(
    findings: Iterable[Unused], facts: Mapping[str, FileFacts], own: frozenset[str]
) -> dict[str, str]:
    """The files with an unused import that may be wanted, each with why.

    `own`: the top names under which the project's own modules are imported.
    """
    wanted = _taken_from(facts)
    found: dict[str, str] = {}
    for path, line, message in findings:
        why = _why(path, line, message, facts.get(path), own, wanted)
        if why is not None:
            found.setdefault(path, why)
    return dict(sorted(found.items()))


def _why(
    path: str,
    line: int,
    message: str,
    facts: FileFacts | None,
    own: frozenset[str],
    wanted: Mapping[str, frozenset[str]],
) -> str | None:
    written = _import_at(facts, line) if facts is not None else None
    name = _NAMED.search(message)
    if written is None or name is None:
        return "unused imports that nobody could look at"
    if written.guarded:
        return "an unused import that may probe what is installed"
    top = (written.module or name[1]).partition(".")[0]
    if written.level or top in own:
        return "an unused import of the project's own, which may be there for what it does"
    if top in _ACT_WHEN_IMPORTED:
        return "an unused import of a module that acts when it is imported"
    bound = name[1].rpartition(" as ")[2]
    bound = bound.rpartition(".")[2] if written.names else bound.partition(".")[0]
    if {bound, "*"} & wanted.get(_last_name(path), frozenset()):
        return "an unused import that another file takes from there"
    return None


def _import_at(facts: FileFacts, line: int) -> Import | None:
    """The import whose statement reaches over this line."""
    before = [each for each in facts.imports if each.line <= line]
    return max(before, key=lambda each: each.line, default=None)


def _taken_from(facts: Mapping[str, FileFacts]) -> dict[str, frozenset[str]]:
    """What is imported by name from modules whose last name is this; `*` is everything."""
    taken: dict[str, set[str]] = {}
    for path, each in facts.items():
        for written in each.imports:
            last = written.module.rpartition(".")[2] or _package(path, written.level)
            taken.setdefault(last, set()).update(written.names)
    return {name: frozenset(names) for name, names in taken.items()}


def _package(path: str, level: int) -> str:
    """The folder that `from . import x` in this file names."""
    folders = path.split("/")[:-1]
    return folders[-level] if 0 < level <= len(folders) else ""


def _last_name(path: str) -> str:
    *folders, file = path.split("/")
    name = file.rpartition(".")[0]
    return folders[-1] if name == "__init__" and folders else name
