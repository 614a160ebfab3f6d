"""Where the outside comes in: announced commands, `__main__.py`, and main guards."""

from collections.abc import Mapping, Sequence

from visionflow.agents.evidence import EntryPoint, Place
from visionflow.agents.findings import portable_path
from visionflow.agents.study.declared import Texts
from visionflow.agents.study.facts import FileFacts
from visionflow.agents.tools.project import Project
from visionflow.agents.tools.text import one_line
from visionflow.agents.tools.tree import is_test_path

ENTRIES_MAX = 200
_ANNOUNCED = ("pyproject.toml", "setup.cfg", "setup.py")


def entry_points_of(
    project: Project, facts: Mapping[str, FileFacts], modules: Mapping[str, str], texts: Texts
) -> tuple[EntryPoint, ...]:
    """All entry points but those of tests, sorted by kind and name; at most `ENTRIES_MAX`."""
    found: set[tuple[str, str, str, Place]] = set()
    for group, name, target in project.entry_points:
        place = texts.place_of(name, _ANNOUNCED[:2], beside=target) or Place(_ANNOUNCED[0], 1)
        found.add((group, name, target, place))
    for name, target, line in _of_setup(facts.get("setup.py")):
        found.add(("console_scripts", name, target, Place("setup.py", line)))
    for path, each in facts.items():
        if is_test_path(path):
            continue
        shown = portable_path(path)
        name = modules.get(path, shown)
        if path.rpartition("/")[2] == "__main__.py":
            found.add(("__main__", name, shown, Place(shown, 1)))
        elif each.guard is not None:
            found.add(("main guard", name, shown, Place(shown, each.guard)))
    rows = sorted(found, key=lambda row: (row[0], row[1], row[3], row[2]))[:ENTRIES_MAX]
    return tuple(
        EntryPoint(one_line(kind, 80), one_line(name, 120), one_line(target, 200), place)
        for kind, name, target, place in rows
    )


def _of_setup(facts: FileFacts | None) -> Sequence[tuple[str, str, int]]:
    """(name, target, line) of `name = module:function` texts in the call of `setup`."""
    listed = (facts.setup or {}).get("entry_points") if facts is not None else None
    found: list[tuple[str, str, int]] = []
    for text, line in listed or ():
        name, equals, target = text.partition("=")
        if equals and target.strip():
            found.append((name.strip(), target.strip(), line))
    return found
