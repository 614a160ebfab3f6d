"""Values that roles hand over: what was found out, and where it stands in the workspace.

Plain data that MessagePack carries; nothing runs here. Findings are in `findings`, test runs in
`tools.results`. Everything is sorted by content and holds no time, so that the same tree gives the
same bytes. Paths are relative to the workspace with `/`; lines count from 1; shares and scores lie
between 0 and 1; what is not known is `None`.
"""

from typing import Literal

import msgspec

from visionflow.agents.findings import Finding, Severity

Focus = Literal["security", "performance", "maintainability"]
FOCUSES: tuple[Focus, ...] = ("security", "performance", "maintainability")
"""What a reviewer looks at; each rule of the rule table belongs to one of them."""


class Place(msgspec.Struct, frozen=True, order=True):
    """A line of a file."""

    path: str
    line: int


class Part(msgspec.Struct, frozen=True):
    """A slice of the workspace that is reviewed by itself: a package, or what is left over."""

    name: str
    folders: tuple[str, ...] = ()
    """Its folders; empty: the whole workspace."""
    besides: tuple[str, ...] = ()
    """Folders that other parts took."""

    def holds(self, path: str) -> bool:
        """Whether the file belongs to this part."""
        inside = not self.folders or any(_below(path, folder) for folder in self.folders)
        return inside and not any(_below(path, folder) for folder in self.besides)


def _below(path: str, folder: str) -> bool:
    return folder in ("", ".") or path == folder or path.startswith(folder + "/")


class Survey(msgspec.Struct, frozen=True):
    """The coordinator's first look: what there is, and how the work was split."""

    files: int
    python_files: int
    parts: tuple[Part, ...]
    unplanned: tuple[str, ...] = ()
    """Packages that are there now and that no part of the plan names; they are in the part of what
    is left over."""
    unreviewed: tuple[str, ...] = ()
    """Python files that lie in no part that a review of the plan is about."""
    secrets: tuple[Finding, ...] = ()
    """Where values stand that must not be written, when no review of the plan looks for them.
    They are no findings of the run: nobody asked for a judgement."""


class Citation(msgspec.Struct, frozen=True):
    """A place that answers, with the line as it stands there."""

    path: str
    """Of a commit `git log`."""
    line: int
    text: str
    source: Literal["code", "docs", "log"]
    commit: str | None = None


class Answer(msgspec.Struct, frozen=True):
    """What the index has on some terms of the goal, the best first."""

    terms: tuple[str, ...]
    citations: tuple[Citation, ...]
    hits: int
    """How many lines matched in all."""


class EntryPoint(msgspec.Struct, frozen=True):
    """Where the outside comes in."""

    kind: str
    """console_scripts and its kin, `__main__`, or `main guard`."""
    name: str
    target: str
    place: Place


class Dependency(msgspec.Struct, frozen=True):
    """A distribution or module, and the first place that tells of it."""

    name: str
    place: Place | None


class Todo(msgspec.Struct, frozen=True):
    """A remark of something left to do."""

    word: str
    text: str
    place: Place


class Research(msgspec.Struct, frozen=True):
    """What the researcher found in code, documents and history."""

    answers: tuple[Answer, ...] = ()
    completeness: float | None = None
    """Share of the goal's terms that have a citation; `None` where it has no term to look up."""
    entry_points: tuple[EntryPoint, ...] = ()
    undeclared: tuple[Dependency, ...] = ()
    """Imported and not declared."""
    unused: tuple[Dependency, ...] = ()
    """Declared and not imported."""
    declared: int = 0
    imported: int = 0
    todos: tuple[Todo, ...] = ()
    indexed: dict[str, int] = {}
    """How many files of code and docs, and how many commits."""
    not_read: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


class Module(msgspec.Struct, frozen=True):
    """A module of the project in its import graph."""

    name: str
    path: str
    lines: int
    fan_in: int
    fan_out: int
    layer: int | None
    """0 imports nothing of the project; `None` for a module in a cycle."""
    complexity: int | None
    """Cognitive, of all its functions together."""
    changes: int | None
    """Commits that touched it, within the history that was looked at."""


class Cycle(msgspec.Struct, frozen=True):
    """Modules that import each other in a ring, with the import that makes each step."""

    modules: tuple[str, ...]
    places: tuple[Place, ...]


class Hotspot(msgspec.Struct, frozen=True):
    """A file that is both hard to read and often changed."""

    path: str
    changes: int
    complexity: int
    score: float
    """changes x complexity over the largest such product of this repository."""
    function: str | None
    """Its most complex function."""
    line: int | None
    function_complexity: int | None


class Owner(msgspec.Struct, frozen=True):
    """Who wrote most of a folder's history."""

    folder: str
    author: str
    """A name; addresses are left out."""
    share: float
    authors: int


class Architecture(msgspec.Struct, frozen=True):
    """What the architect found in imports and history."""

    modules: tuple[Module, ...] = ()
    edges: tuple[tuple[str, str], ...] = ()
    """(importer, imported), both modules of the project."""
    cycles: tuple[Cycle, ...] = ()
    layers: int | None = None
    hotspots: tuple[Hotspot, ...] = ()
    owners: tuple[Owner, ...] = ()
    scalability_score: float | None = None
    """By the formula in docs/measures.md."""
    commits: int | None = None
    """History that was looked at; `None` without one."""
    not_read: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


class FixCommit(msgspec.Struct, frozen=True):
    """One commit of the coder's: one rule."""

    rule: str
    title: str
    commit: str
    files: tuple[str, ...]
    fixes: int


class Dropped(msgspec.Struct, frozen=True):
    """A rule whose fix did not pass the gates."""

    rule: str
    why: str


class Change(msgspec.Struct, frozen=True):
    """What the coder made of the workspace, on a branch of the private repository."""

    outcome: Literal["changed", "nothing_to_do", "rejected", "could_not_run"]
    reason: str | None = None
    """Why, for every outcome but `changed`."""
    base: str = ""
    """The snapshot that it stands on."""
    branch: str | None = None
    tip: str | None = None
    commits: tuple[FixCommit, ...] = ()
    dropped: tuple[Dropped, ...] = ()
    files: tuple[str, ...] = ()
    insertions: int = 0
    deletions: int = 0
    patch_sha256: str | None = None
    gates: dict[str, bool | None] = {}
    """`tests`: they end as before; `findings`: none is new."""
    fixed: int = 0
    """Findings that are gone."""
    new: tuple[Finding, ...] = ()
    """Findings that were not there before."""
    code_quality: float | None = None
    """By the formula in docs/measures.md."""
    same_code: bool | None = None
    """Whether every changed file compiles to what it did before; `None`: nobody looked."""
    notes: tuple[str, ...] = ()


Choice = Literal["approve", "reject", "abstain"]
Verdict = Literal["approved", "rejected", "undecided"]
"""What a run votes on is taken or not: its votes have no options to rank."""


class Ballot(msgspec.Struct, frozen=True):
    """A member's vote, and what it rests on."""

    member: str
    choice: Choice
    evidence: str
    """Which measurement: `tests`, `findings` or `behaviour`."""
    reason: str
    facts: dict[str, int | str | None] = {}


class Vote(msgspec.Struct, frozen=True):
    """A vote as the log has it."""

    question: str
    electorate: tuple[str, ...]
    ballots: tuple[Ballot, ...] = ()
    decision: Verdict | None = None
    """`None` while it is open."""


class Issue(msgspec.Struct, frozen=True):
    """One fault, however many tools point at it."""

    severity: Severity
    path: str
    line: int
    message: str
    rules: tuple[tuple[str, str], ...]
    """(tool, rule) of each finding that is part of it; the message is the first one's."""
    cwe: int | None
    focus: Focus
    fingerprints: tuple[str, ...]
    snippet: str = ""
    """The line as it stands; secrets in it are hidden."""
    why: tuple[str, ...] = ()
    """What moved it up in the ranking, one short phrase each."""
