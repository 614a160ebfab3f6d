"""Measures precision and recall for each class of planted faults, and writes docs/precision.md.

Writes the sample and its clean twin into a temporary folder and examines both with the roles
themselves, confined as in a run. `--check` changes nothing and fails when the page is not what
was measured.
"""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from visionflow.compose.demo.evaluating import Evaluation, evaluate, table
from visionflow.compose.demo.examining import examine
from visionflow.compose.demo.sample import materialise
from visionflow.compose.demo.showing import GOAL

PAGE = Path(__file__).parent.parent / "docs" / "precision.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def measure(folder: Path, faulty: bool) -> Evaluation:
    """Examine one variant of the sample, written below `folder`."""
    name = "sample" if faulty else "twin"
    manifest = materialise(folder / name, faulty)
    facts = asyncio.run(examine(folder / name, folder / f"{name}-scratch", GOAL, trusted=True))
    return evaluate(facts, manifest)


def percent(share: float | None) -> str:
    """A share as the table shows it; `none` where there is nothing to divide by."""
    return "none" if share is None else f"{100 * share:.0f} %"


def measured(sample: Evaluation, twin: Evaluation) -> str:
    """What stands between the marks of the page."""
    reported = len(sample.found) + len(sample.invented) + len(twin.invented)
    sums = (
        f"Of {sample.planted} planted, {len(sample.found)} were found (recall "
        f"{percent(len(sample.found) / sample.planted)}). Of {reported} reported in the sample "
        f"and its twin, {len(sample.invented) + len(twin.invented)} were invented (precision "
        f"{percent(len(sample.found) / reported if reported else None)})."
    )
    missed = [f"- missed: {each}" for each in sample.missed]
    invented = [f"- invented in the sample: {each}" for each in sample.invented]
    invented += [f"- invented in the twin: {each}" for each in twin.invented]
    listed = [*missed, *invented]
    return "\n".join([BEGIN, "", sums, "", *table(sample, twin, percent), *listed, "", END])


def with_measured(page: str, text: str) -> str:
    """The page with what was measured put in.

    Raises:
        ValueError: the page lacks the marks.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("the page lacks its marks")
    return before + text + after


def main(arguments: list[str]) -> int:
    """Measure, then write or check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="visionflow-") as folder:
        text = measured(measure(Path(folder), True), measure(Path(folder), False))
    before = PAGE.read_text(encoding="utf-8")
    after = with_measured(before, text)
    print(text)
    if chosen.check:
        return int(before != after)
    PAGE.write_text(after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
