"""What a reviewer says of a piece of code: values, and the rule from findings to a recommendation.

The recommendation: `reject` when anything critical or high was found, `request_changes` when
anything medium was, `undecided` when a tool did not come to its end, else `approve`.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from visionflow.agents.base import PermanentFailure
from visionflow.agents.evidence import Issue
from visionflow.agents.findings import ToolRun
from visionflow.agents.tools.correlate import issues_of

Recommendation = Literal["approve", "request_changes", "reject", "undecided"]
Submission = str | Path | Mapping[str, str]
"""A folder or a file by its path, source text, or several sources by their names."""
_NAME = "submission.py"


class Checked(msgspec.Struct, frozen=True):
    """What was found of one aspect; looping over it gives the issues, the gravest first."""

    issues: tuple[Issue, ...] = ()
    tools: tuple[ToolRun, ...] = ()
    """What was looked with, and how far each got."""

    @property
    def complete(self) -> bool:
        """Every tool came to its end."""
        return all(run.ended == "completed" for run in self.tools)

    def __iter__(self) -> Iterator[Issue]:
        return iter(self.issues)

    def __len__(self) -> int:
        return len(self.issues)


class ReviewReport(msgspec.Struct, frozen=True):
    """A whole review."""

    quality: Checked
    """Functions that are hard to follow, and code that nothing uses."""
    security: Checked
    practices: Checked
    """Likely faults."""
    performance: Checked
    recommendation: Recommendation

    @property
    def approved(self) -> bool | None:
        """Whether the measure `approval_required` is met; `None` where it cannot be told."""
        return None if self.recommendation == "undecided" else self.recommendation == "approve"


def checked(tools: Sequence[ToolRun]) -> Checked:
    """What these runs found."""
    return Checked(issues_of(tools), tuple(tools))


def recommended(aspects: Sequence[Checked]) -> Recommendation:
    """By the rule at the top of this module."""
    worst = {issue.severity for each in aspects for issue in each}
    if worst & {"critical", "high"}:
        return "reject"
    if "medium" in worst:
        return "request_changes"
    return "approve" if all(each.complete for each in aspects) else "undecided"


def laid_out(submission: Submission, folder: Path) -> Path:
    """The folder to review; sources are written below `folder`, a given folder is only read.

    Raises:
        PermanentFailure: there is nothing at the path, or a name leads out of the folder.
    """
    sources: Mapping[str, str | bytes]
    if isinstance(submission, Mapping):
        sources = submission
    elif isinstance(submission, str) and not _is_path(submission):
        sources = {_NAME: submission}
    elif Path(submission).is_dir():
        return Path(submission).resolve()
    else:
        try:
            sources = {Path(submission).name: Path(submission).read_bytes()}
        except OSError as error:
            raise PermanentFailure(
                f"There is no code at {submission}: {error.strerror}."
            ) from error
    return _written(sources, folder)


def _written(sources: Mapping[str, str | bytes], folder: Path) -> Path:
    digest = hashlib.sha256()
    raw: dict[str, bytes] = {}
    for name, text in sorted(sources.items()):
        content = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
        raw[name] = content
    root = (folder / digest.hexdigest()[:16]).resolve()
    for name, content in raw.items():
        place = (root / name).resolve()
        if not place.is_relative_to(root) or place == root:
            raise PermanentFailure(f"The name {name!r} of a source leads out of its folder.")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    return root


def _is_path(text: str) -> bool:
    """Whether a text names a place and is no source."""
    if "\n" in text or "\0" in text or not text.strip():
        return False
    return Path(text).is_absolute() or Path(text).exists()
