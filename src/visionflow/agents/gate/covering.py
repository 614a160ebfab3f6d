"""Which of the changed lines ran in the tests, from a Cobertura coverage.xml.

    coverage of changed lines = changed lines that ran / changed lines that can run

A line can run when coverage counts it: a statement of a measured file, tests left out.
"""

from collections.abc import Sequence
from typing import Any, cast

from visionflow.agents.gate.results import ChangedCoverage, FileLines
from visionflow.agents.tools.delta import FileDiff


def lines_that_can_run(content: bytes) -> dict[str, dict[int, bool]]:
    """Of each measured file its lines, and whether each ran.

    Raises:
        ValueError: it is no coverage.xml.
    """
    # A stranger's tests had a hand in it.
    from defusedxml.ElementTree import fromstring

    try:
        root = cast(Any, fromstring(content))
        return {
            str(each.get("filename")): {
                int(line.get("number", "0")): int(line.get("hits", "0")) > 0
                for line in each.iter("line")
            }
            for each in root.iter("class")
        }
    except (SyntaxError, ValueError) as error:
        raise ValueError(f"coverage.xml cannot be read: {error}") from error


def changed_coverage(
    measured: dict[str, dict[int, bool]], diff: Sequence[FileDiff]
) -> ChangedCoverage:
    """Held against the changed lines."""
    lines = ran = 0
    missing: list[FileLines] = []
    for each in diff:
        known = measured.get(each.new or "", {})
        changed = [
            number for span in each.added for number in range(span.first, span.end)
            if number in known
        ]  # fmt: skip
        idle = tuple(number for number in changed if not known[number])
        lines += len(changed)
        ran += len(changed) - len(idle)
        if idle:
            missing.append(FileLines(each.new or "", idle))
    return ChangedCoverage(lines, ran, tuple(sorted(missing)))
