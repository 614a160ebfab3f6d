"""The tables of the roles' settings, tasks and capabilities, made from their classes.

`python -m visionflow.testing.role_docs docs/agents-yaml.md` writes them between their marks in
that page; a test holds the page against them, so that it cannot promise an effect that no role
declares.
"""

import json
import sys
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import msgspec

from visionflow.agents.base import BaseAgent
from visionflow.agents.roles.settings import RoleSettings

ROLES = ("coordinator", "researcher", "architect", "coder", "tester", "reviewer", "analyst")
"""In the order of the guide's pipeline, and the analyst beside it."""

GUIDE_WORDS = {
    "coordinator": (
        "task_decomposition", "agent_supervision", "workflow_management",
        "performance_monitoring", "conflict_resolution",
    ),
    "researcher": (
        "information_gathering", "market_research", "competitive_analysis",
        "documentation_analysis", "web_search", "data_collection", "research", "analysis",
    ),
    "architect": (
        "system_design", "architecture_patterns", "scalability_planning", "technical_strategy",
        "patterns", "scalability",
    ),
    "coder": (
        "code_generation", "refactoring", "optimisation", "api_design", "error_handling",
        "implementation",
    ),
    "tester": (
        "test_creation", "validation", "quality_assurance", "automated_testing", "testing",
    ),
    "reviewer": (
        "code_review", "quality_assessment", "security_review", "best_practices", "security",
    ),
    "analyst": ("analysis",),
}  # fmt: skip
"""The words by which the guide asks for each role, in its examples and its table of types."""


class RoleFacts(NamedTuple):
    """What a role declares."""

    name: str
    kind: type[BaseAgent]
    task_types: tuple[str, ...]
    settings: type[RoleSettings]


def role_facts(name: str) -> RoleFacts:
    """What the role of this name declares."""
    kind: type[BaseAgent] = getattr(import_module("visionflow.agents"), f"{name.capitalize()}Agent")
    home = import_module(kind.__module__)
    settings: type[RoleSettings] = getattr(home, f"{name.capitalize()}Settings")
    return RoleFacts(name, kind, tuple(home.TASK_TYPES), settings)


def settings_table() -> str:
    """Each key of each role, its default, and what it changes or why it does not."""
    rows: list[Iterable[str]] = []
    for name in ROLES:
        settings = role_facts(name).settings
        for field in msgspec.structs.fields(settings):
            effect = settings.EFFECTS[field.name]
            rows.append((name, f"`{field.name}`", _default(field), effect))
        for key, why in sorted(settings.UNUSED.items()):
            rows.append((name, f"`{key}`", "", f"None, and a warning says so: {why}"))
    return _table(("role", "key", "when left out", "effect"), rows)


def work_table() -> str:
    """The types of task that each role does, and the capabilities by which it is found."""
    rows: list[Iterable[str]] = []
    for name in ROLES:
        facts = role_facts(name)
        rows.append((name, _words(facts.task_types), _words(sorted(facts.kind.capabilities))))
    return _table(("role", "task types", "capabilities"), rows)


def missing_table() -> str:
    """Words of the guide that no role offers, because no tool does what they say."""
    offered = {word for name in ROLES for word in role_facts(name).kind.capabilities}
    rows: list[Iterable[str]] = []
    for name in ROLES:
        missing = [word for word in GUIDE_WORDS[name] if word not in offered]
        if missing:
            rows.append((name, _words(missing)))
    return _table(("role", "words that match nobody"), rows)


def _default(field: msgspec.structs.FieldInfo) -> str:
    value = field.default
    if value is msgspec.NODEFAULT and field.default_factory is not msgspec.NODEFAULT:
        value = field.default_factory()
    if value is None:
        return "unset"
    return f"`{json.dumps(msgspec.to_builtins(value))}`"


def _words(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(head)]
    lines.append(["---"] * len(lines[0]))
    lines += [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


TABLES = {"settings": settings_table, "work": work_table, "missing": missing_table}


def filled(page: str) -> str:
    """The page with each table between its marks made anew.

    Raises:
        ValueError: it lacks the marks of a table.
    """
    for name, make in TABLES.items():
        begin, end = f"<!-- {name}: made from the classes -->\n", f"<!-- end of {name} -->"
        before, found, rest = page.partition(begin)
        _, closed, after = rest.partition(end)
        if not found or not closed:
            raise ValueError(f"The page has no marks for the table of {name}.")
        page = f"{before}{begin}\n{make()}\n\n{end}{after}"
    return page


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.write_text(filled(target.read_text(encoding="utf-8")), encoding="utf-8")
