"""What a run of the playbook `code` amounts to beside the results of its tasks: which tasks came
to no end of their own, whether the work was split, and what each candidate changed.
"""

import subprocess
import threading
from functools import lru_cache
from pathlib import Path

import msgspec

from visionflow.agents.candidates.ranking import RESULT, in_order
from visionflow.agents.candidates.values import DIFF_CHARS_MAX, Contest, Usage
from visionflow.agents.command import ledger
from visionflow.agents.plans import Plan
from visionflow.agents.report.facts import GoesFacts
from visionflow.agents.workspace.git import arguments, environment
from visionflow.agents.workspace.repository import PrivateRepository
from visionflow.compose.job.folder import RunFolder
from visionflow.compose.job.story import Story
from visionflow.domain.errors import WorkspaceError
from visionflow.domain.tasks import TaskStatus

_DIFF = (
    "diff-tree", "-r", "-p", "--no-ext-diff", "--no-textconv", "--no-color", "--no-renames",
    "--src-prefix=a/", "--dst-prefix=b/",
)  # fmt: skip
_LARGE = {
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "core.bigFileThreshold",
    "GIT_CONFIG_VALUE_0": "1m",
}
"""A file above it is named as binary, and not compared line by line."""
_DIFF_S_MAX = 60
_BYTES_MAX = 4 * DIFF_CHARS_MAX + 4
"""A character has at most four bytes: no more is even read."""
_DIFFS_KNOWN = 64
"""Of two commits the difference stays the same: so many are kept, of `DIFF_CHARS_MAX` each."""
NOTHING_MADE = ("failed", "timed_out", "out_of_memory", "flooded")
"""Outcomes of agents that came to no end of their own."""


def contest_of(found: Contest | None, plan: Plan | None, story: Story) -> Contest | None:
    """All that is known by now but the diffs; `None` where no coding agent is part of the plan."""
    if plan is None or not any(task.type == "implement" for _, task in plan.tasks()):
        return found
    failed = tuple(
        (name, part.reason or str(part.status).replace("_", " "))
        for name in story.of_type("implement")
        for part in (story.parts[name],)
        if part.ended and part.status is not TaskStatus.COMPLETED
    )
    split = any(task.type == "integrate" for _, task in plan.tasks())
    return msgspec.structs.replace(found or Contest(), failed=failed, split=split)


def came_to_nothing(contest: Contest, story: Story) -> bool:
    """Whether each of its agents has ended and none by itself."""
    outcome = {each.task: each.outcome for each in contest.attempted}
    first = [name for name in story.of_type("implement") if story.tasks[name].of is None]
    return bool(first) and all(
        outcome.get(name) in NOTHING_MADE
        if story.parts[name].status is TaskStatus.COMPLETED
        else story.parts[name].ended
        for name in first
    )


def goes_of(folder: RunFolder) -> dict[str, GoesFacts]:
    """What all starts for each task used together, by the run's ledger; empty where it has none.

    Raises:
        OSError: the ledger is there and cannot be read.
    """
    used: dict[str, list[Usage]] = {}
    for line in ledger.lines(folder.coding):
        used.setdefault(line.task, []).append(line.usage)
    return {
        name: GoesFacts(
            ledger.together(goes),
            all(None not in (each.input_tokens, each.output_tokens) for each in goes),
        )
        for name, goes in used.items()
    }


def with_diffs(contest: Contest, folder: RunFolder) -> Contest:
    """The same with what each candidate changed, as far as the run's repository has it."""
    repository = PrivateRepository.opened(folder.state / "repository")
    if repository is None:
        return contest
    diffs: dict[str, str] = {}
    for name, base, tip in _changes(contest):
        try:
            diffs[name] = _diff(str(repository.path), base, tip)
        except (WorkspaceError, OSError) as error:
            diffs[name] = f"The change cannot be read: {error}\n"
    return msgspec.structs.replace(contest, diffs=diffs)


def _changes(contest: Contest) -> list[tuple[str, str, str]]:
    """(name, base, tip) of each candidate that changed something, and of the merged result."""
    found = [(each.task, each.base, each.tip or "") for each in contest.attempted]
    if contest.integrated:
        merges = in_order(contest.integrated)
        first, last = merges[0], merges[-1]
        found.append((RESULT, first.base, last.tip))
    return [(name, base, tip) for name, base, tip in found if base and tip and base != tip]


@lru_cache(maxsize=_DIFFS_KNOWN)
def _diff(repository: str, base: str, tip: str) -> str:
    """The difference as text, cut at a line.

    Raises:
        WorkspaceError: the repository does not have them, or git took too long.
        OSError: git could not be started.
    """
    process = subprocess.Popen(
        arguments(*_DIFF, base, tip),
        env=environment(Path(repository), _LARGE),
        cwd=Path(repository).parent,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    clock = threading.Timer(_DIFF_S_MAX, process.kill)
    clock.start()
    try:
        with process.stdout as printed:
            raw = printed.read(_BYTES_MAX)
            whole = not printed.read(1)
        if not whole:
            process.kill()
        status = process.wait()
    finally:
        clock.cancel()
    if whole and status != 0:
        raise WorkspaceError(f"git diff-tree ended with {status} for {base[:12]}..{tip[:12]}.")
    text = raw.decode("utf-8", "replace")
    if whole and len(text) <= DIFF_CHARS_MAX:
        return text
    return text[: text.rfind("\n", 0, DIFF_CHARS_MAX) + 1] + "[cut here: the change goes on]\n"
