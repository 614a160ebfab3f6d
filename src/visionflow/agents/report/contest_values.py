"""Values of the view of a run of coding agents: each candidate side by side, and what was taken.

As in `values`: texts are cleaned, cut and free of secrets, what is not known is `None`, and every
face shows these and nothing else.
"""

from typing import Literal

import msgspec

Standing = Literal["taken", "good", "not_good", "out", "landed", "unmerged", "under_way", "open"]
"""How a candidate came out. `out`: there is nothing of it that could be judged; `open`: it has
ended, and is not judged or ranked yet; `landed` and `unmerged`: of a part of split work."""


class BallotLine(msgspec.Struct, frozen=True):
    member: str
    choice: str
    evidence: str
    reason: str
    facts: tuple[tuple[str, str], ...]
    dissent: bool
    """Cast against what was decided."""


class PredicateLine(msgspec.Struct, frozen=True):
    """A predicate of the task, run on one result."""

    command: str
    passed: bool | None
    told: str
    """How it went, in words."""
    tail: str
    """The end of what it printed, where it did not pass."""
    on_base: bool | None
    touched: tuple[str, ...] = ()
    """Tests and files that steer them, or that it runs, which the change altered or added;
    bounded."""
    with_base_tests: bool | None = None
    """Whether it passes with those as base has them; `None`: that was not asked or not found."""
    doubt: str | None = None
    """Why its passing is no proof; `None`: nothing speaks against it."""
    tests_passed: int | None = None
    tests_skipped: int | None = None
    """By pytest's results; `None`: there are none."""


class CandidateLine(msgspec.Struct, frozen=True):
    """One candidate: what its agent did, how that was judged, and how it came out."""

    candidate: str
    """The task in the plan; `result` for the work of several agents together."""
    agent: str
    """Its command line as it was given."""
    standing: Standing
    place: int | None
    """In the ranking, 1 is the best; `None`: not in it."""
    outcome: str
    """The outcome's word, or the task's status where it has none."""
    told: str
    """What became of it, in words."""
    reasons: tuple[str, ...] = ()
    """What put it in its place, the weightiest first."""
    gate: str | None = None
    """clean, failed, incomplete or not_run; `None`: it was not judged."""
    gate_failed: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()
    """What the gate could not look at."""
    predicates: tuple[PredicateLine, ...] = ()
    new: tuple[str, ...] = ()
    """New findings, with their places; bounded."""
    new_total: int | None = None
    broken: tuple[str, ...] = ()
    """Tests that passed on base and fail or are gone now; bounded."""
    broken_total: int | None = None
    tests: int | None = None
    """How many were run."""
    ballots: tuple[BallotLine, ...] = ()
    files: tuple[str, ...] = ()
    files_total: int | None = None
    insertions: int | None = None
    deletions: int | None = None
    commits: int | None = None
    """How many the agent made itself."""
    input_tokens: int | None = None
    output_tokens: int | None = None
    tokens: int | None = None
    """Both together; `None`: the tool does not report both."""
    cost_microdollars: int | None = None
    cost: str = "not reported"
    turns: int | None = None
    seconds: float | None = None
    memory_peak_bytes: int | None = None
    exit_code: int | None = None
    goes: tuple[str, ...] = ()
    went: str = ""
    """How it went on, in words: in one go, resumed, started again, adopted."""
    until: str | None = None
    """When it goes on by itself, ISO 8601 in UTC, where it waits."""
    held: tuple[str, ...] = ()
    """What confined it."""
    confined: bool | None = None
    """`None`: no agent of it ran as far as is known."""
    violations: tuple[str, ...] = ()
    """What it did that it may not, by name."""
    summary: str = ""
    """The agent's own last words."""
    log: str | None = None
    """Where its output stands, in the run's folder."""
    tip: str | None = None
    ref: str | None = None
    diff: str | None = None
    """Its change as a patch, cut; `None`: it changed nothing, or it was not read."""
    take: str | None = None
    """The command that brings it into the workspace."""
    notes: tuple[str, ...] = ()


class UnmergedLine(msgspec.Struct, frozen=True):
    """Work that is not in the result, by name."""

    task: str
    reason: str
    """conflict, predicate, not_attempted, violation or failed."""
    message: str
    conflicts: tuple[str, ...]
    """Each file with what git calls the conflict; bounded."""
    ref: str | None
    """What keeps the work in the run's repository; `None`: there is none."""
    recover: str | None
    """The command that brings it back."""


class ContestView(msgspec.Struct, frozen=True):
    """The candidates of a run, the best first, and what was taken."""

    split: bool
    """Whether agents did parts of one work, rather than the same work side by side."""
    winner: str | None
    why: str
    """Of the ranking; empty before it."""
    said: tuple[str, ...]
    """What has to be known of the ranking, a sentence each: ties, equal files, none good enough."""
    candidates: tuple[CandidateLine, ...]
    candidates_total: int
    good: int
    unmerged: tuple[UnmergedLine, ...] = ()
    landed: tuple[tuple[str, str], ...] = ()
    """(task, commit) of what is in the result of split work."""
    batches: tuple[tuple[tuple[str, ...], bool], ...] = ()
    """What the merge queue tried together, and whether the predicate held."""
    tokens: int | None = None
    """Of all that report them; `None`: nobody does."""
    cost_microdollars: int | None = None
    unreported: int = 0
    """How many agents that ran report no tokens, or only a part of them."""
    notes: tuple[str, ...] = ()
