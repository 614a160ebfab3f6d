"""Measures a commit of the run's private repository: tests, findings, compiled code, behaviour.

Each measurement puts its worktree to the commit first, so that it sees nothing of what ran there
before and can be done again after a kill. What the measurements mean is decided by whoever asked.
"""

from pathlib import Path
from typing import Any

import msgspec

from visionflow.agents.roles.ground import put_back, repository_of
from visionflow.agents.roles.job import JobInput, restored, storable
from visionflow.agents.tools.behaviour import Behaviour, BehaviourRequest, Side, compare_behaviour
from visionflow.agents.tools.codes import FileCode, compare_codes
from visionflow.agents.tools.flaky import CANDIDATES_MAX, run_again
from visionflow.agents.tools.patchgates import broken_tests, vanished_tests
from visionflow.agents.tools.project import Project
from visionflow.agents.tools.results import OnProgress, TestRun
from visionflow.agents.tools.testing import SuiteRequest, run_tests
from visionflow.agents.tools.text import read_plain
from visionflow.agents.tools.tree import FILE_BYTES_MAX
from visionflow.agents.workspace.changes import altered, contents
from visionflow.ports.sandbox import Sandbox

RERUNS = 1
"""A test that a patch broke is run again so often alone, and so often in order."""


class Site(msgspec.Struct, frozen=True):
    """Where something is measured, and for which job. Carried by steps as plain values."""

    job: JobInput
    worktree: str
    project: Project
    name: str
    """Keeps the scratch of different measurements apart."""
    wall_ms: int = 600_000

    @property
    def given(self) -> dict[str, Any]:
        """The job as plain values."""
        return storable(self.job)

    @property
    def scratch(self) -> Path:
        """A folder of ours for these measurements."""
        return Path(self.job.scratch, self.name)


async def test_at(
    sandbox: Sandbox,
    site: Site,
    commit: str,
    before: TestRun | None = None,
    selection: tuple[str, ...] | None = None,
    on_progress: OnProgress | None = None,
    *,
    measure: bool = False,
) -> TestRun:
    """The tests at a commit; coverage only to `measure`. Where `before` is given, what passed there
    and fails now is run again to tell flaky tests; other failures are not, because nobody asks
    about them."""
    request = _suite(site, selection, measure)
    await put_back(site.given, site.worktree, commit)
    run = await run_tests(sandbox, site.project, request, on_progress)
    newly = set(() if before is None else broken_tests(before, run))
    failing = tuple(case for case in run.cases if case.id in newly)
    if not failing or len(newly) > CANDIDATES_MAX:
        return run

    async def clean() -> None:
        await put_back(site.given, site.worktree, commit)

    again = await run_again(
        sandbox, site.project, request, msgspec.structs.replace(run, cases=failing), clean
    )
    return msgspec.structs.replace(run, flaky=(*run.flaky, *again.flaky))


def _suite(site: Site, selection: tuple[str, ...] | None, measure: bool) -> SuiteRequest:
    """Its junit.xml and coverage.xml go to scratch: those of the run are the tester's."""
    return SuiteRequest(
        worktree=site.worktree,
        workspace=site.job.workspace,
        scratch=str(site.scratch / "suite"),
        junit=str(site.scratch / "junit.xml"),
        coverage=str(site.scratch / "coverage.xml"),
        virtual_env=site.job.virtual_env,
        wall_ms=site.wall_ms,
        trusted=site.job.trusted,
        selection=selection,
        reruns=RERUNS,
        measure=measure,
    )


async def stays_broken(
    sandbox: Sandbox, site: Site, base: str, before: TestRun, after: TestRun
) -> tuple[str, ...]:
    """`broken_tests`, without those that vanish from the unchanged code too when it runs again."""
    broken = broken_tests(before, after)
    gone = set(vanished_tests(before, after)) & set(broken)
    if not gone:
        return broken
    files = tuple(sorted({name.partition("::")[0] for name in gone}))
    once_more = await test_at(sandbox, site, base, selection=files)
    unstable = {name for name in gone if name not in once_more.outcomes}
    return tuple(name for name in broken if name not in unstable)


class Review(msgspec.Struct, frozen=True):
    """What the review tools say of a commit."""

    tools: tuple[Any, ...]
    """A `ToolRun` each, as plain values."""
    lines: int
    """Lines of Python that hold more than white space."""


async def review_at(sandbox: Sandbox, site: Site, commit: str) -> Review:
    """All review tools over a commit, with the cache of the job."""
    from visionflow.agents.tools.review import ReviewRequest, review

    await put_back(site.given, site.worktree, commit)
    request = ReviewRequest(
        worktree=site.worktree,
        project=site.project,
        scratch=str(site.scratch / "review"),
        wall_ms=site.wall_ms,
        cache=site.job.cache,
        trusted=site.job.trusted,
        depth="thorough",
    )
    runs = await review(sandbox, request)
    return Review(tuple(storable(run) for run in runs), _lines(site))


def _lines(site: Site) -> int:
    count = 0
    for path in site.project.tree.python:
        content = read_plain(Path(site.worktree, path), FILE_BYTES_MAX) or b""
        count += sum(1 for line in content.split(b"\n") if line.strip())
    return count


async def codes_at(sandbox: Sandbox, site: Site, before: str, after: str) -> dict[str, FileCode]:
    """What the files that differ between two commits compile to, by path."""
    repository = (await repository_of(site.given)).path
    differing = await altered(repository, before, after)
    entries = [entry for each in differing for entry in (each.before, each.after)]
    bodies = await contents(repository, (entry.blob for entry in entries if entry is not None))
    pairs: dict[str, tuple[bytes, bytes]] = {}
    told: dict[str, FileCode] = {}
    for each in differing:
        path = each.path.decode("utf-8", "surrogateescape")
        if each.before is None or each.after is None or not path.endswith((".py", ".pyi")):
            told[path] = FileCode(error="it is no Python file, or only one side has it")
        else:
            pairs[path] = (bodies[each.before.blob], bodies[each.after.blob])
    scratch = str(site.scratch / "codes")
    told |= await compare_codes(sandbox, pairs, scratch, site.job.trusted)
    return dict(sorted(told.items()))


async def behaviour_at(sandbox: Sandbox, site: Site, before: str, after: str) -> Behaviour:
    """What changed functions do at two commits."""
    codes = await codes_at(sandbox, site, before, after)

    async def put(side: Side) -> None:
        await put_back(site.given, site.worktree, before if side == "before" else after)

    request = BehaviourRequest(
        worktree=site.worktree,
        workspace=site.job.workspace,
        project=site.project,
        scratch=str(site.scratch / "behaviour"),
        virtual_env=site.job.virtual_env,
        trusted=site.job.trusted,
    )
    return await compare_behaviour(sandbox, request, codes, put)


def site_of(
    job: dict[str, Any], worktree: str, project: dict[str, Any], name: str, wall_ms: int
) -> Site:
    """A site from the values that steps carry."""
    given = msgspec.convert(job, JobInput)
    return Site(given, worktree, restored(project, Project), name, wall_ms)
