"""Values of the playbook `code`: what a coding agent did, how that was judged, and what was taken.

Plain data that MessagePack carries, as results of tasks. Commits and trees are ids in the run's
private repository; sizes are bytes, times ms; paths are relative to the workspace with `/`; what
nobody reported or measured is `None`.
"""

from typing import Literal

import msgspec

from visionflow.agents.evidence import Ballot
from visionflow.agents.findings import Finding
from visionflow.agents.workspace.fence import Violation

Outcome = Literal[
    "changed", "nothing_changed", "violation", "timed_out", "out_of_memory", "flooded", "failed",
    "not_needed",
]  # fmt: skip
"""How an agent's work on a task ended. `changed` alone can be judged and taken. `violation`: it
did what it may not; `flooded`: it wrote more output than is read; `failed`: its program said so or
was killed; `not_needed`: a second go that nobody needed."""


class Usage(msgspec.Struct, frozen=True):
    """What a tool reported of its use of a model; `None` where it reports nothing."""

    input_tokens: int | None = None
    """Those read from a cache included, where the tool tells."""
    output_tokens: int | None = None
    cost_microdollars: int | None = None
    """Millionths of a US dollar."""
    turns: int | None = None


class Attempted(msgspec.Struct, frozen=True):
    """What became of one task of type `implement`: key `attempted` of its result."""

    task: str
    """The plan's task, such as `candidate-2`."""
    agent: str
    """The template as it was given: `claude -p {goal}`, or the name of a profile."""
    profile: str
    """Which profile it was taken for; `script` where none is known."""
    outcome: Outcome
    reason: str | None = None
    """Why, for every outcome but `changed`; one sentence, in the tool's own words where it had
    any."""
    base: str = ""
    """The commit that it began on."""
    tip: str | None = None
    """The one commit on `base` that holds all that it left; kept by a ref whatever the outcome;
    `None` where it left the files as they were."""
    ref: str | None = None
    """The ref in the private repository that keeps `tip`."""
    files: tuple[str, ...] = ()
    insertions: int = 0
    deletions: int = 0
    commits: int = 0
    """How many it had made itself."""
    summary: str = ""
    """The agent's last words, cut; without the values of its credentials."""
    exit_code: int | None = None
    wall_ms: int | None = None
    """All of its goes together."""
    memory_peak_bytes: int | None = None
    output_bytes: int = 0
    log: str | None = None
    """Where its output stands, relative to the run's folder."""
    usage: Usage = Usage()
    session: str | None = None
    """The tool's own name of its conversation."""
    goes: tuple[Literal["started", "resumed", "started_again", "adopted"], ...] = ("started",)
    """How each attempt at it began, the first one first."""
    violations: tuple[Violation, ...] = ()
    held: tuple[str, ...] = ()
    """What confined it, one phrase each; empty: nothing did."""
    notes: tuple[str, ...] = ()


class Counted(msgspec.Struct, frozen=True):
    """How the tests of a predicate went, by the results that pytest wrote."""

    passed: int = 0
    skipped: int = 0
    """Skipped, or expected to fail."""
    total: int = 0
    """Those that failed included; a file that could not be collected counts as one."""


class Accepted(msgspec.Struct, frozen=True):
    """A predicate of the task, run by us on a result in a fresh copy."""

    command: str
    passed: bool | None
    """`None`: it could not be run."""
    exit_code: int | None = None
    reason: str | None = None
    """Why it did not pass, or could not be run."""
    tail: str = ""
    """The end of what it printed."""
    wall_ms: int | None = None
    on_base: bool | None = None
    """Whether it passes without the change too, and so proves nothing."""
    counted: Counted | None = None
    """`None`: no call of pytest left results."""
    touched: tuple[str, ...] = ()
    """Tests and files that steer them, or that the predicate runs, which the change altered or
    added."""
    with_base_tests: bool | None = None
    """Whether it passes with those as base has them; `None`: none was touched, it did not pass at
    all, or that could not be told."""
    doubt: str | None = None
    """Why its passing is no proof, as a phrase whose subject is the predicate."""

    @property
    def proved(self) -> bool:
        """Whether it passes, did not without the change, and nothing speaks against that."""
        return self.passed is True and self.on_base is False and self.doubt is None


class Gated(msgspec.Struct, frozen=True):
    """The gate's answer on a result, against its base."""

    verdict: Literal["clean", "failed", "incomplete", "not_run"]
    failed: tuple[str, ...] = ()
    """One sentence for each thing that fails it."""
    unseen: tuple[str, ...] = ()
    """What could not be looked at."""
    new: tuple[Finding, ...] = ()
    broken: tuple[str, ...] = ()
    """Tests that passed on base and fail now."""
    lost: tuple[str, ...] = ()
    """Tests that passed on base and are gone."""
    tests: int | None = None
    """How many were run; `None`: not known."""


class Judged(msgspec.Struct, frozen=True):
    """A judgement of one result: key `judged` of the result of a task of type `judge`."""

    candidate: str
    """The task whose result it is; `result` for the work of several agents together."""
    tip: str | None
    """What was judged; `None`: there was nothing to judge."""
    reason: str | None = None
    """Why there was nothing to judge."""
    gate: Gated | None = None
    accepted: tuple[Accepted, ...] = ()
    ballots: tuple[Ballot, ...] = ()
    """One of each reviewer, on its evidence."""
    notes: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        """Whether it may be taken: judged, no objection, and every predicate held."""
        objected = any(each.choice == "reject" for each in self.ballots)
        return self.tip is not None and not objected


class Sides(msgspec.Struct, frozen=True):
    """One file that two changes cannot both have as they are."""

    path: str
    ours: str | None
    """As the branch has it, cut; `None`: it is gone there, or no text."""
    theirs: str | None
    base: str | None
    kind: str
    """What git calls it: `content`, `modify/delete`, `add/add`, ..."""


class Unmerged(msgspec.Struct, frozen=True):
    """Work that is not on the branch, and why."""

    task: str
    reason: Literal["conflict", "predicate", "not_attempted", "violation", "failed"]
    message: str
    conflicts: tuple[Sides, ...] = ()
    ref: str | None = None
    """What keeps the work in the private repository."""


class Landed(msgspec.Struct, frozen=True):
    """Work that is on the branch, with the commit that brought it."""

    task: str
    commit: str


class Integrated(msgspec.Struct, frozen=True):
    """What the merge queue did: key `integrated` of the result of a task of type `integrate`."""

    base: str
    tip: str
    """The branch after it; `base` where nothing landed. Each landed commit is an ancestor of it,
    which was looked at."""
    landed: tuple[Landed, ...] = ()
    unmerged: tuple[Unmerged, ...] = ()
    batches: tuple[tuple[tuple[str, ...], bool], ...] = ()
    """Each batch that was tried with whether the predicate held."""
    accepted: tuple[Accepted, ...] = ()
    """Of the last state of the branch."""
    notes: tuple[str, ...] = ()


class Ranked(msgspec.Struct, frozen=True):
    """A place in the ranking."""

    candidate: str
    place: int
    """1 is the best; equal ones share a place."""
    good: bool
    reasons: tuple[str, ...]
    """What put it there, the weightiest first, one phrase each."""


class Ranking(msgspec.Struct, frozen=True):
    """Which one is taken: key `ranking` of the result of the task of type `rank`."""

    order: tuple[Ranked, ...]
    winner: str | None
    """`None`: none is good enough."""
    why: str
    """One sentence."""
    tied: tuple[str, ...] = ()
    """Those that nothing told apart from the winner; it was the first of them."""
    same: tuple[tuple[str, ...], ...] = ()
    """Candidates that made the very same files."""
    unmerged: tuple[Unmerged, ...] = ()
    """Of work split over agents: what is not in the result in the end."""


class Contest(msgspec.Struct, frozen=True):
    """All of it, as far as it is known: what reports are made from."""

    attempted: tuple[Attempted, ...] = ()
    failed: tuple[tuple[str, str], ...] = ()
    """(task, why) of tasks that came to no end of their own, such as a key that was refused."""
    judged: tuple[Judged, ...] = ()
    integrated: tuple[Integrated, ...] = ()
    ranking: Ranking | None = None
    split: bool = False
    """Whether agents did parts of one work, rather than the same work side by side."""
    diffs: dict[str, str] = {}
    """Of each candidate with a tip its change as a patch, cut at `DIFF_CHARS_MAX`."""


DIFF_CHARS_MAX = 60_000
