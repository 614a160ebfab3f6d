"""What the demonstration does around the run: the project before it, the measurements after it.

Every figure comes from a measurement: what was found from the run's own log, what is gone from
examining the patched files anew. Printing, and the run itself, are the command's.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import msgspec

from visionflow.agents.report.facts import RunFacts
from visionflow.compose.applying import facts_in
from visionflow.compose.demo.evaluating import Evaluation, could_tell, evaluate, leaks
from visionflow.compose.demo.examining import examine
from visionflow.compose.demo.following import followed
from visionflow.compose.demo.manifest import Fault, Manifest
from visionflow.compose.demo.sample import materialise, texts_of, variant
from visionflow.compose.job.folder import RunFolder

GOAL = "Audit this repository: security, quality, tests"
PROJECT, RUNS = "ferryline", "runs"
_PAGES = (".html", ".json", ".jsonl", ".md", ".sarif", ".xml")


class Stage(msgspec.Struct, frozen=True):
    """Where the demonstration takes place."""

    folder: Path
    manifest: Manifest

    @property
    def project(self) -> Path:
        """The sample, written out."""
        return self.folder / PROJECT

    @property
    def runs(self) -> Path:
        """Where the run's folder goes."""
        return self.folder / RUNS

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What is planted; what only has to be recognised is left out."""
        return tuple(fault for fault in self.manifest.faults if not fault.planted.both)


class Found(msgspec.Struct, frozen=True):
    """What the run found of what is planted."""

    facts: RunFacts
    evaluation: Evaluation
    leaked: tuple[str, ...]
    """What stands in the run's outputs and must not."""


class Verified(msgspec.Struct, frozen=True):
    """What a second look at the patched files says."""

    gone: tuple[Fault, ...]
    """Found before, and not there any more."""
    left: tuple[Fault, ...]
    """Found before, and still there."""
    new: tuple[str, ...]
    """Reported now, and neither planted nor reported before."""
    facts: RunFacts


def set_stage(folder: Path) -> Stage:
    """Write the sample below `folder`.

    Raises:
        FileExistsError: it is there already.
        WorkspaceError: git is not there, or failed.
    """
    return Stage(folder, materialise(folder / PROJECT))


def look_at_run(folder: RunFolder, manifest: Manifest) -> Found:
    """Hold a finished run against the manifest.

    Raises:
        UnknownId: there is no run here.
        VisionFlowError: its log cannot be read.
    """
    facts = facts_in(folder)
    return Found(facts, evaluate(facts, manifest), leaks(pages_of(folder.path), manifest))


def pages_of(folder: Path) -> Mapping[str, str]:
    """The texts that a run leaves for people and programs, by file name."""
    return {
        path.name: path.read_text(encoding="utf-8", errors="replace")
        for path in sorted(folder.iterdir())
        if path.suffix in _PAGES and path.is_file()
    }


def verify(stage: Stage, found: Found, scratch: Path) -> Verified:
    """Examine the project as it is now, and say which of the faults that were found are gone.

    `scratch`: a folder of ours outside of it, new or empty.

    Raises:
        PermanentFailure: the project cannot be read.
    """
    before = texts_of(variant())
    after = {name: _text(stage.project / name) for name in before}
    manifest = followed(stage.manifest, before, after)
    facts = asyncio.run(examine(stage.project, scratch, GOAL, trusted=True))
    evaluation = evaluate(facts, manifest)
    known = set(found.evaluation.invented)
    mine = [fault for fault in stage.faults if fault.planted.id in found.evaluation.found]
    there = set(evaluation.found)
    # What could not be looked at again counts as still there.
    there |= {fault.planted.id for fault in manifest.faults if not could_tell(fault, facts)}
    return Verified(
        gone=tuple(fault for fault in mine if fault.planted.id not in there),
        left=tuple(fault for fault in mine if fault.planted.id in there),
        new=tuple(each for each in evaluation.invented if each not in known),
        facts=facts,
    )


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""
