"""Functions that are hard to follow: cognitive complexity by complexipy.

A function is told of from `TOLD` on, and counts as a fault from `LIMIT` on. Only `.py` files; one
that does not parse is named as not read.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from visionflow.agents.findings import Finding, Severity, ToolRun
from visionflow.agents.rules import COMPLEXITY, rule_of
from visionflow.agents.tools.answers import answers, version_of
from visionflow.agents.tools.cache import ResultCache
from visionflow.agents.tools.scan import FORM, Found, Parsed, Reader, ScanRequest, packed, scan
from visionflow.agents.tools.text import clean
from visionflow.ports.sandbox import Sandbox

TOLD, LIMIT, HIGH = 11, 16, 31
"""Complexities from which on a function is information, low and medium."""
_PROGRAM = Path(__file__).parent.parent / "inside" / "complexity.py"
_Function = tuple[str, int, int, int, bool]


async def run_complexity(
    sandbox: Sandbox, request: ScanRequest, cache: ResultCache | None = None
) -> ToolRun:
    """Measure the functions of the `.py` files of `request`."""
    files = tuple(file for file in request.files if file.endswith(".py"))
    request = msgspec.structs.replace(request, files=files)

    def argv(output: str, files: tuple[str, ...]) -> tuple[str, ...]:
        return (sys.executable, "-I", str(_PROGRAM), str(TOLD), output, *files)

    reader = Reader(
        "complexipy", version_of("complexipy"), argv, parse, (str(_PROGRAM),),
        f"{FORM} {TOLD} {LIMIT} {HIGH}",
    )  # fmt: skip
    return await scan(sandbox, reader, request, cache)


def parse(content: bytes, worktree: str) -> Parsed:
    """The program's answer as a value for each file.

    Raises:
        ValueError: it is not the program's answer.
    """
    found, not_read = answers(json.loads(content), list[_Function])
    every = (each for path, functions in found.items() for each in _found(path, functions))
    return packed(every, worktree), not_read


def _found(path: str, functions: list[_Function]) -> Iterator[Found]:
    for name, complexity, first, last, hidden in functions:
        shown = clean(name.replace("::", "."))
        message = f"`{shown}` has a cognitive complexity of {complexity}, {LIMIT - 1} is the limit"
        finding = Finding(
            "complexipy", COMPLEXITY, severity_of(complexity), message, path, max(1, first), None,
            last, rule_of("complexipy", COMPLEXITY).cwe,
        )  # fmt: skip
        yield Found(finding, "complexipy: ignore" if hidden else None)


def severity_of(complexity: int) -> Severity:
    """What a function of this complexity weighs."""
    return "medium" if complexity >= HIGH else "low" if complexity >= LIMIT else "info"
