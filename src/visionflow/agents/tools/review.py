"""The review tools over a worktree: which one is for what, running one, and putting runs together.

A tool always reads everything that its rules need and is kept so by content; what a reviewer looks
at (focus, part, depth) is taken out of that afterwards. So three reviewers with one cache cost
little more than one, and a finding has the same fingerprint in all of them.
"""

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from visionflow.agents.evidence import FOCUSES, Focus, Part
from visionflow.agents.findings import SEVERITIES, Ended, Finding, Severity, ToolRun, order_of
from visionflow.agents.rules import TOOLS, Depth, rule_of
from visionflow.agents.tools.bandit import run_bandit
from visionflow.agents.tools.cache import ResultCache
from visionflow.agents.tools.complexity import run_complexity
from visionflow.agents.tools.deadcode import run_deadcode
from visionflow.agents.tools.portions import WALL_MS, ScanRequest, digests_of
from visionflow.agents.tools.project import Project
from visionflow.agents.tools.ruff import run_ruff
from visionflow.agents.tools.scan import order_of_suppressed
from visionflow.agents.tools.secrets import run_secrets
from visionflow.agents.tools.suppressed import ProjectSettings, without_hidden
from visionflow.agents.tools.tree import Texts, texts
from visionflow.ports.sandbox import Sandbox

_OF: dict[Focus, tuple[str, ...]] = {
    "security": ("bandit", "detect-secrets", "ruff"),
    "performance": ("ruff",),
    "maintainability": ("complexipy", "ruff", "vulture"),
}
_LEAST: dict[Depth, Severity] = {"quick": "medium", "standard": "low", "thorough": "info"}
"""What a review of each depth still tells of."""
_QUICK = ("bandit", "detect-secrets", "ruff")
_AT_ONCE = 2


class ReviewRequest(msgspec.Struct, frozen=True):
    """What to review and within which bounds. Paths are absolute."""

    worktree: str
    project: Project
    part: Part | None = None
    """Only this slice; `None`: everything."""
    focus: Focus | None = None
    """Only what belongs to it; `None`: everything."""
    scratch: str = ""
    """A folder of our own, outside the worktree, that no other review uses at the same time."""
    wall_ms: int = WALL_MS
    """For each tool."""
    cache: str | None = None
    """The folder of the `ResultCache`."""
    trusted: bool = False
    jobs: int = 2
    depth: Depth = "standard"
    areas: tuple[Focus, ...] = FOCUSES
    """Where `focus` names none: only what belongs to one of these."""
    digests: dict[str, str] = {}
    """`portions.digest_of` of files whose content the caller knows already."""


def tools_for(focus: Focus | None, depth: Depth = "standard") -> tuple[str, ...]:
    """The tools that have rules for `focus`, sorted. A quick review leaves out those whose
    findings are never more than low."""
    chosen = TOOLS if focus is None else _OF[focus]
    return tuple(name for name in chosen if depth != "quick" or name in _QUICK)


async def run_tool(sandbox: Sandbox, name: str, request: ReviewRequest) -> ToolRun:
    """One tool over the part, with what the project hides set apart. Never raises for what the
    tool or the files do."""
    with ResultCache(request.cache) as cache:
        run = await _raw(sandbox, name, request, cache)
    run = without_hidden(run, ProjectSettings(request.worktree))
    part = request.part.name if request.part else None
    return msgspec.structs.replace(
        run,
        findings=tuple(each for each in run.findings if _told(each, request)),
        suppressed=tuple(each for each in run.suppressed if _told(each.finding, request)),
        part=part,
    )


async def review(
    sandbox: Sandbox, request: ReviewRequest, on_tool: Callable[[ToolRun], None] | None = None
) -> tuple[ToolRun, ...]:
    """All tools of the focus, by name; `on_tool` gets each run as it ends."""
    turn = asyncio.Semaphore(_AT_ONCE)
    files = dict.fromkeys((*request.project.tree.python, *_texts(request).files))
    wanted = (file for file in files if request.part is None or request.part.holds(file))
    request = msgspec.structs.replace(
        request, digests=digests_of(request.worktree, wanted, request.digests)
    )

    async def one(name: str) -> ToolRun:
        async with turn:
            run = await run_tool(sandbox, name, request)
        if on_tool is not None:
            on_tool(run)
        return run

    runs = await asyncio.gather(*(one(name) for name in tools_for(request.focus, request.depth)))
    return tuple(runs)


def merge_runs(runs: Iterable[ToolRun]) -> tuple[ToolRun, ...]:
    """One run for each tool, by name, from its runs over parts and focuses."""
    by_tool: dict[str, list[ToolRun]] = {}
    for run in runs:
        by_tool.setdefault(run.tool, []).append(run)
    merged = [_merged(some) for _, some in sorted(by_tool.items())]
    secret = {
        (finding.path, finding.line): finding.snippet
        for run in merged
        if run.tool == "detect-secrets"
        for finding in (*run.findings, *(each.finding for each in run.suppressed))
    }
    return tuple(_masked(run, secret) if secret else run for run in merged)


def _merged(runs: list[ToolRun]) -> ToolRun:
    if len(runs) == 1:
        return runs[0]
    read: dict[str | None, tuple[int, int]] = {}
    for run in runs:
        # Two focuses read the same files, two parts read different ones.
        before = read.get(run.part, (0, 0))
        read[run.part] = max(before, (run.files_read, run.cached))
    findings = {_identity(each): each for run in runs for each in run.findings}
    hidden = {
        (*_identity(each.finding), each.by, each.where): each
        for run in runs
        for each in run.suppressed
    }
    ended, reason = _end_of(runs)
    return ToolRun(
        runs[0].tool,
        next((run.version for run in runs if run.version is not None), None),
        tuple(sorted(findings.values(), key=order_of)),
        sum(files for files, _ in read.values()),
        tuple(sorted({pair for run in runs for pair in run.not_read})),
        ended,
        reason,
        tuple(sorted({line for run in runs for line in run.enforced})),
        tuple(sorted(hidden.values(), key=order_of_suppressed)),
        sum(cached for _, cached in read.values()),
    )


def _end_of(runs: list[ToolRun]) -> tuple[Ended, str | None]:
    """The worst end: a tool that did not do all of its parts has failed."""
    bad = [run for run in runs if run.ended != "completed"]
    if not bad:
        return "completed", None
    reason = min(run.reason or "" for run in bad) or None
    return ("not_run" if all(run.ended == "not_run" for run in runs) else "failed"), reason


def _identity(finding: Finding) -> tuple[object, ...]:
    return (*order_of(finding), finding.fingerprint)


def _masked(run: ToolRun, secret: dict[tuple[str, int], str]) -> ToolRun:
    """The run with the lines of secrets shown as the tool for secrets shows them."""

    def one(finding: Finding) -> Finding:
        shown = secret.get((finding.path, finding.line))
        return finding if shown is None else msgspec.structs.replace(finding, snippet=shown)

    return msgspec.structs.replace(
        run,
        findings=tuple(one(each) for each in run.findings),
        suppressed=tuple(
            msgspec.structs.replace(each, finding=one(each.finding)) for each in run.suppressed
        ),
    )


def _told(finding: Finding, request: ReviewRequest) -> bool:
    areas = request.areas if request.focus is None else (request.focus,)
    if rule_of(finding.tool, finding.rule).focus not in areas:
        return False
    return SEVERITIES.index(finding.severity) <= SEVERITIES.index(_LEAST[request.depth])


async def _raw(sandbox: Sandbox, name: str, request: ReviewRequest, cache: ResultCache) -> ToolRun:
    tree = request.project.tree
    if name == "detect-secrets":
        found = _texts(request)
        return await run_secrets(sandbox, _scan(request, name, found.files, found.skipped), cache)
    if name == "vulture":
        told = _within(request.part, tree.python)
        return await run_deadcode(
            sandbox, _scan(request, name, tree.python, tree.skipped), request.project,
            told, _texts(request).files, cache,
        )  # fmt: skip
    scan = _scan(request, name, _within(request.part, tree.python), tree.skipped)
    if name == "ruff":
        return await run_ruff(sandbox, scan, request.project.python_minor_min, cache)
    if name == "bandit":
        return await run_bandit(sandbox, scan, cache)
    assert name == "complexipy", name
    return await run_complexity(sandbox, scan, cache)


def _scan(
    request: ReviewRequest, name: str, files: tuple[str, ...], skipped: tuple[tuple[str, str], ...]
) -> ScanRequest:
    files = _within(request.part, files) if name == "detect-secrets" else files
    part = request.part
    return ScanRequest(
        worktree=request.worktree,
        files=files,
        skipped=tuple(pair for pair in skipped if part is None or part.holds(pair[0])),
        scratch=str(Path(request.scratch, name)),
        wall_ms=request.wall_ms,
        trusted=request.trusted,
        jobs=request.jobs,
        digests=request.digests,
    )


def _within(part: Part | None, files: tuple[str, ...]) -> tuple[str, ...]:
    return files if part is None else tuple(file for file in files if part.holds(file))


def _texts(request: ReviewRequest) -> Texts:
    try:
        return texts(request.worktree)
    except OSError as error:
        return Texts((), ((".", f"cannot be listed: {error.strerror}"),))
