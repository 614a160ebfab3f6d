"""Values of the view: what is told of a run, already cleaned, cut, counted and put in order.

Every face shows these and nothing else. Texts in them hold no control characters and no secret;
each face still escapes them for its own medium. Where a list is bounded, `..._total` says how many
there are. What is not known is `None`.
"""

import msgspec

from visionflow.agents.report.contest_values import BallotLine, ContestView


class GateLine(msgspec.Struct, frozen=True):
    """A gate and what it says when it is passed."""

    name: str
    value: bool | None
    means: str
    idle: bool = False
    """There is nothing that it could judge."""


class Figure(msgspec.Struct, frozen=True):
    """A number that every face shows in the same words."""

    key: str
    label: str
    text: str


class Trust(msgspec.Struct, frozen=True):
    """How far to trust the rest."""

    sentence: str
    statements: tuple[str, ...]
    doubts: tuple[str, ...]
    """Those of the statements that take trust away."""
    good: tuple[str, ...] = ()
    """Those that give cause for it."""
    bad: tuple[str, ...] = ()
    """Those that say what failed."""


class TaskLine(msgspec.Struct, frozen=True):
    title: str
    role: str
    phase: str
    status: str
    reason: str | None
    attempts: int


class IssueLine(msgspec.Struct, frozen=True):
    """One fault, however many tools point at it."""

    rank: int
    severity: str
    place: str
    """`path:line`."""
    path: str
    line: int
    message: str
    rules: tuple[str, ...]
    """`tool rule` of each finding that is part of it."""
    cwe: int | None
    focus: str
    why: tuple[str, ...]
    snippet: str
    command: str
    """What acts on it, as typed in a shell."""
    fixed: bool
    """The coder's change is about this rule in this file."""
    fingerprints: tuple[str, ...]


class HiddenLine(msgspec.Struct, frozen=True):
    """A finding that the project itself hides."""

    severity: str
    place: str
    message: str
    rule: str
    by: str
    where: str


class Unseen(msgspec.Struct, frozen=True):
    """Something that was not looked at."""

    what: str
    why: str
    by: tuple[str, ...]
    """Who did not look."""


class ToolLine(msgspec.Struct, frozen=True):
    tool: str
    version: str | None
    ended: str
    reason: str | None
    findings: int
    suppressed: int
    files_read: int
    cached: int
    not_read: int
    held: tuple[str, ...]


class CaseLine(msgspec.Struct, frozen=True):
    """A test that failed, or was slow."""

    id: str
    outcome: str
    seconds: float
    summary: str
    message: str
    missing: str | None


class FlakyLine(msgspec.Struct, frozen=True):
    id: str
    alone: tuple[str, ...]
    in_order: tuple[str, ...]
    summary: str


class CoverageLine(msgspec.Struct, frozen=True):
    path: str
    percent: float
    lines: int
    missing: int
    ranges: str
    """The lines that did not run, such as `3-9, 14`."""
    branches: int
    missing_branches: int


class TestsView(msgspec.Struct, frozen=True):
    """How the project's own tests went."""

    __test__ = False

    outcome: str
    reason: str | None
    passed: int
    failed: int
    errors: int
    skipped: int
    xfailed: int
    seconds: float
    coverage: float | None
    coverage_reason: str | None
    branch_coverage: float | None
    pass_rate: float | None
    failures: tuple[CaseLine, ...]
    failures_total: int
    flaky: tuple[FlakyLine, ...]
    flaky_total: int
    slowest: tuple[CaseLine, ...]
    files: tuple[CoverageLine, ...]
    """Those with the most lines that did not run first."""
    files_total: int
    spread: tuple[tuple[float, int], ...]
    """(percent, lines) of all measured files, the best covered first; bounded by joining."""
    selection: tuple[str, ...] | None
    missing: tuple[str, ...]
    environment: str
    interpreter: str | None
    held: tuple[tuple[str, str | None], ...]
    """What held the tests: (files, network, processes, memory) and by what."""
    unheld: tuple[str, ...]
    """Why something did not hold."""
    confined: bool | None
    """`None` when nothing of the project was executed."""
    notes: tuple[str, ...]


class Spot(msgspec.Struct, frozen=True):
    """A file by how often it changed and how complex it is."""

    path: str
    changes: int
    complexity: int
    hot: bool = False
    """The architect calls it a hotspot."""


class HotspotLine(msgspec.Struct, frozen=True):
    path: str
    changes: int
    complexity: int
    score: float
    function: str | None
    place: str | None
    function_complexity: int | None


class Node(msgspec.Struct, frozen=True):
    """A module, or a package that stands for its modules, in the drawing."""

    name: str
    modules: int
    lines: int
    level: int
    """0 imports nothing of what is drawn; members of a ring share one."""
    in_cycle: bool


class Edge(msgspec.Struct, frozen=True):
    importer: str
    imported: str
    imports: int
    in_cycle: bool


class GraphView(msgspec.Struct, frozen=True):
    """The import graph as it is drawn."""

    unit: str
    """module or package."""
    modules: int
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    said: str
    """What is drawn and what was left out, one sentence."""


class CycleLine(msgspec.Struct, frozen=True):
    modules: tuple[str, ...]
    places: tuple[str, ...]


class OwnerLine(msgspec.Struct, frozen=True):
    folder: str
    author: str
    share: float
    authors: int


class ArchitectureView(msgspec.Struct, frozen=True):
    """Imports and history."""

    modules: int
    imports: int
    layers: int | None
    scalability_score: float | None
    commits: int | None
    cycles: tuple[CycleLine, ...]
    cycles_total: int
    hotspots: tuple[HotspotLine, ...]
    hotspots_total: int
    spots: tuple[Spot, ...]
    spots_total: int
    owners: tuple[OwnerLine, ...]
    owners_total: int
    graph: GraphView
    notes: tuple[str, ...]


class CitationLine(msgspec.Struct, frozen=True):
    place: str
    text: str
    source: str


class AnswerLine(msgspec.Struct, frozen=True):
    terms: tuple[str, ...]
    hits: int
    citations: tuple[CitationLine, ...]


class NamedPlace(msgspec.Struct, frozen=True):
    name: str
    kind: str
    place: str | None
    text: str = ""


class ResearchView(msgspec.Struct, frozen=True):
    """What code, documents and history answer."""

    answers: tuple[AnswerLine, ...]
    completeness: float | None
    entry_points: tuple[NamedPlace, ...]
    entry_points_total: int
    undeclared: tuple[NamedPlace, ...]
    unused: tuple[NamedPlace, ...]
    declared: int
    imported: int
    todos: tuple[NamedPlace, ...]
    todos_total: int
    indexed: dict[str, int]
    notes: tuple[str, ...]

    @property
    def says_something(self) -> bool:
        """Whether there is anything to show of it."""
        told = (self.answers, self.entry_points, self.undeclared, self.unused, self.todos)
        return any(told)


class CommitLine(msgspec.Struct, frozen=True):
    rule: str
    title: str
    commit: str
    files: int
    fixes: int


class ChangeView(msgspec.Struct, frozen=True):
    """What the coder made."""

    outcome: str
    made: bool
    """There is something to count: it changed files, whether that was taken or not."""
    reason: str | None
    branch: str | None
    tip: str | None
    commits: tuple[CommitLine, ...]
    dropped: tuple[tuple[str, str], ...]
    """(rule, why it was left out)."""
    files: tuple[str, ...]
    files_total: int
    insertions: int
    deletions: int
    gates: dict[str, bool | None]
    fixed: int
    new: tuple[str, ...]
    """Findings that were not there before."""
    code_quality: float | None
    patch_sha256: str | None
    apply: str | None
    """The command that brings it into the workspace; `None` when there is nothing to bring."""
    notes: tuple[str, ...]


class VoteView(msgspec.Struct, frozen=True):
    question: str
    decision: str | None
    electorate: tuple[str, ...]
    ballots: tuple[BallotLine, ...]
    silent: tuple[str, ...]
    """Members without a ballot."""


class CommandLine(msgspec.Struct, frozen=True):
    name: str
    does: str
    command: str


class RunView(msgspec.Struct, frozen=True):
    """Everything that any face tells of a run. The first keys are those of `--json` since 0.1."""

    run: str
    status: str
    out: str
    findings: dict[str, int] | None = None
    """By severity, each tool's by itself; `None` where no tool ran."""
    gates: dict[str, bool | None] | None = None
    seconds: float | None = None
    notes: tuple[str, ...] = ()
    goal: str = ""
    playbook: str = ""
    why: str = ""
    workspace: str = ""
    project: str = ""
    """The workspace's own name."""
    started: str = ""
    head: str | None = None
    dirty: bool | None = None
    trusted: bool = False
    verdict: str = "nothing_checked"
    headline: str = ""
    """Verdict and status in one sentence."""
    subtitle: str = ""
    """Which gates failed or could not be told, and by what; empty where there is nothing to say."""
    tone: str = "unsure"
    """good, bad or unsure: how the headline is coloured."""
    trust: Trust = Trust("", (), ())
    figures: tuple[Figure, ...] = ()
    gate_lines: tuple[GateLine, ...] = ()
    tasks: tuple[TaskLine, ...] = ()
    issues: tuple[IssueLine, ...] = ()
    """Ranked; the first five are what matters most."""
    issues_total: int = 0
    issues_asked: bool = True
    """Whether a review is part of this playbook."""
    issues_known: bool = False
    """Whether any tool got to say something."""
    suppressed: tuple[HiddenLine, ...] = ()
    suppressed_total: int = 0
    hidden: str = ""
    """How many findings the project hides, and how many of them are grave; empty: none."""
    not_looked_at: tuple[Unseen, ...] = ()
    not_looked_at_total: int = 0
    nothing_left_out: str = "Nothing is known that was left out."
    """What is said where nothing is in `not_looked_at`."""
    tools: tuple[ToolLine, ...] = ()
    tests: TestsView | None = None
    architecture: ArchitectureView | None = None
    research: ResearchView | None = None
    change: ChangeView | None = None
    vote: VoteView | None = None
    contest: ContestView | None = None
    """Of coding agents."""
    warnings: tuple[str, ...] = ()
    """Every setting without effect."""
    own_warnings: tuple[str, ...] = ()
    """Those that the user gave: only these are shown to people."""
    commands: tuple[CommandLine, ...] = ()
