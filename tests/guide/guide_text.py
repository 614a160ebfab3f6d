"""The guide as its readers get it: its code blocks, and its shell commands one by one.

It stands beside the project, in ../shared/guide; where it does not, the tests that read it are
skipped with that reason.
"""

import re
from pathlib import Path
from typing import NamedTuple

GUIDE = Path(__file__).parents[3] / "shared" / "guide" / "orchestrating-agents.md"
ABSENT = "the guide is not beside the project"


class Block(NamedTuple):
    """A fenced block."""

    language: str
    heading: str
    """The nearest one above it."""
    text: str


def blocks() -> list[Block]:
    """All blocks of the guide, in order."""
    found: list[Block] = []
    heading, language, lines = "", None, list[str]()
    for line in GUIDE.read_text(encoding="utf-8").splitlines():
        if language is None and line.startswith("```"):
            language, lines = line[3:].strip(), []
        elif line.startswith("```"):
            found.append(Block(language or "", heading, "\n".join(lines)))
            language = None
        elif language is not None:
            lines.append(line)
        elif line.startswith("#"):
            heading = line.lstrip("#").strip()
    return found


def block(language: str, containing: str) -> str:
    """The first block of a language that has this text in it."""
    return next(b.text for b in blocks() if b.language == language and containing in b.text)


def commands() -> list[str]:
    """Every shell command of the guide, as typed, in order; comments are left out."""
    found: list[str] = []
    for each in blocks():
        if each.language == "bash":
            found += _commands(each.text)
    return found


def _commands(text: str) -> list[str]:
    found: list[str] = []
    pending = ""
    for line in text.splitlines():
        if not pending and (not line.strip() or line.lstrip().startswith("#")):
            continue
        pending = f"{pending}\n{line}" if pending else line
        open_quote = pending.count("'") % 2 or pending.count('"') % 2
        if line.rstrip().endswith(("\\", "|")) or open_quote:
            continue
        found.append(pending)
        pending = ""
    return found


def tool_of(command: str) -> str | None:
    """The tool that a command calls, if it calls one."""
    found = re.search(r"mcp__claude-flow__(\w+)", command)
    return found[1] if found else None
