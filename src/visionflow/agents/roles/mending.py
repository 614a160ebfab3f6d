"""Makes the coder's commits: where fixes can be made, the commits of some rules, the patch.

From the same snapshot and the same rules come the same commits. Which rules are kept is the
coder's decision; nothing here tests or judges.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from visionflow.agents.evidence import FixCommit
from visionflow.agents.findings import Ended, portable_path
from visionflow.agents.roles.ground import repository_of
from visionflow.agents.roles.job import JobInput, storable
from visionflow.agents.roles.measuring import Site
from visionflow.agents.rules import fixable_rules, rule_of
from visionflow.agents.study.facts import read_facts
from visionflow.agents.study.unused_imports import RULE as UNUSED_IMPORT
from visionflow.agents.study.unused_imports import Unused, on_purpose
from visionflow.agents.tools.behaviour import module_of
from visionflow.agents.tools.cache import ResultCache
from visionflow.agents.tools.fixing import (
    Fixable,
    Workshop,
    find_fixes,
    fix,
    left_alone,
    reformat,
    ruff_version,
    told_left_alone,
)
from visionflow.agents.tools.portions import ScanRequest
from visionflow.agents.tools.style import Style, keeps_its_own, style_in
from visionflow.agents.tools.text import one_line, write_whole
from visionflow.agents.workspace.changes import (
    altered,
    commit,
    contents,
    entries,
    extent,
    name_branch,
    patch,
    start_of,
)
from visionflow.domain.errors import CommandNotStarted, ConfinementUnavailable
from visionflow.ports.sandbox import Sandbox

FORMAT = "format"
"""What stands for a rule's name in the commit that formats."""
_UNFORMATTED_MAX = 0.1
"""A project uses the formatter that it asks for where at most this share of files shows else."""


class Found(msgspec.Struct, frozen=True):
    """Where fixes can be made, and on which commit they would stand."""

    base: str
    counts: dict[str, dict[str, int]] = {}
    """Of each rule, how many in which files."""
    style: Style | None = None
    """How files are formatted; `None`: they are not."""
    to_format: tuple[str, ...] = ()
    """Files that the formatter may touch."""
    unformatted: int = 0
    notes: tuple[str, ...] = ()
    ended: Ended = "completed"
    reason: str | None = None

    @property
    def rules(self) -> list[str]:
        """The rules, in the order of their commits; formatting comes last."""
        last = [FORMAT] if self.style and (self.counts or self.unformatted) else []
        return [*sorted(self.counts), *last]


class Made(msgspec.Struct, frozen=True):
    """Commits on top of a base, in order."""

    base: str
    tip: str
    commits: tuple[FixCommit, ...] = ()


async def find(
    sandbox: Sandbox,
    site: Site,
    allowed: Mapping[str, list[str]],
    unused: list[Unused],
    formatting: bool,
) -> Found:
    """What can be fixed of the findings in `allowed` (files by rule), and what is left alone.

    `unused`: the findings of unused imports among them.
    """
    repository = await repository_of(site.given)
    base = await start_of(repository)
    bodies = await _python(repository.path, base, site)
    alone = {path: why for path, body in bodies.items() if (why := left_alone(path, body))}
    rules = {rule: paths for rule, paths in allowed.items() if rule in fixable_rules()}
    wanted = sorted({path for paths in rules.values() for path in paths} & bodies.keys())
    request = ScanRequest(
        site.worktree, tuple(wanted), (), str(site.scratch), trusted=site.job.trusted
    )
    minor = site.project.python_minor_min
    with ResultCache(site.job.cache) as cache:
        fixable = await find_fixes(sandbox, request, rules, minor, cache)
        wanted_imports = await _wanted_imports(sandbox, site, fixable, unused, cache)
    counts: dict[str, dict[str, int]] = {}
    kept_out: dict[str, str] = {}
    for rule, files in fixable.counts.items():
        for path, count in files.items():
            if path not in rules[rule]:
                continue
            why = alone.get(path) or (wanted_imports.get(path) if rule == UNUSED_IMPORT else None)
            if why is not None:
                kept_out[path] = why
            else:
                counts.setdefault(rule, {})[path] = count
    notes = list(told_left_alone(kept_out))
    found = Found(base, counts, ended=fixable.ended, reason=fixable.reason)
    if formatting and fixable.ended != "not_run":
        eligible = {path: body for path, body in bodies.items() if path not in alone}
        found = await _with_style(sandbox, site, found, eligible, notes)
    return msgspec.structs.replace(found, notes=tuple(notes))


async def _wanted_imports(
    sandbox: Sandbox, site: Site, fixable: Fixable, unused: list[Unused], cache: ResultCache
) -> dict[str, str]:
    """Files whose unused imports may be wanted, each with why."""
    files = fixable.counts.get(UNUSED_IMPORT)
    if not files:
        return {}
    project = site.project
    scratch = str(site.scratch / "facts")
    request = ScanRequest(site.worktree, project.tree.python, (), scratch, trusted=site.job.trusted)
    facts = await read_facts(sandbox, request, cache)
    roots = project.import_roots or ("",)
    modules = (module_of(path, roots) for path in project.tree.python)
    own = frozenset(name.partition(".")[0] for name in modules if name is not None)
    return on_purpose((each for each in unused if each[0] in files), facts.files, own)


async def _python(repository: Path, commit_id: str, site: Site) -> dict[str, bytes]:
    """The Python files of the snapshot that the job is about, as they stand there."""
    present = await entries(repository, commit_id)
    part = site.job.part
    chosen = {
        path: entry
        for path in site.project.tree.python
        if (entry := present.get(path.encode("utf-8"))) is not None
        and entry.plain
        and (part is None or part.holds(path))
    }
    bodies = await contents(repository, (entry.blob for entry in chosen.values()))
    return {path: bodies[entry.blob] for path, entry in chosen.items()}


async def _with_style(
    sandbox: Sandbox, site: Site, found: Found, eligible: Mapping[str, bytes], notes: list[str]
) -> Found:
    """`found` with the style, where the project asks for one and keeps to it."""
    style = style_in(site.worktree)
    if style is None or not eligible:
        return found
    try:
        changed = await reformat(
            sandbox, style, eligible, _workshop(site.job, site.project.python_minor_min)
        )
    except (ConfinementUnavailable, CommandNotStarted) as error:
        notes.append(f"Not formatted: {error}")
        return found
    if len(changed) > _UNFORMATTED_MAX * len(eligible) and len(changed) > 1:
        notes.append(
            f"Not formatted: {style.source} asks for it, but {len(changed)} of {len(eligible)} "
            "files do not keep to it."
        )
        return found
    if changed and keeps_its_own(style, ruff_version()):
        notes.append(
            f"Left as they are formatted: {len(changed)} of {len(eligible)} files, which ruff "
            f"{ruff_version()} would format otherwise; the project's own formatter is "
            f"{one_line(style.version or '', 60)} ({style.source})."
        )
        eligible, changed = {p: eligible[p] for p in eligible if p not in changed}, {}
    return msgspec.structs.replace(
        found, style=style, to_format=tuple(sorted(eligible)), unformatted=len(changed)
    )


async def make(
    sandbox: Sandbox, job: JobInput, found: Found, rules: list[str], minor: int | None
) -> Made:
    """The commits of these rules, in this order. A rule whose fix changes nothing has none."""
    repository = (await repository_of(storable(job))).path
    workshop = _workshop(job, minor)
    tip = found.base
    done: list[FixCommit] = []
    for rule in rules:
        files = found.to_format if rule == FORMAT else tuple(sorted(found.counts[rule]))
        present = await entries(repository, tip)
        blobs = {path: present[path.encode("utf-8")].blob for path in files}
        bodies = await contents(repository, blobs.values())
        before = {path: bodies[blob] for path, blob in blobs.items()}
        if rule == FORMAT:
            assert found.style is not None
            changed = await reformat(sandbox, found.style, before, workshop)
        else:
            changed = await fix(sandbox, rule, before, workshop)
        title = _title(rule)
        encoded = {path.encode("utf-8"): body for path, body in changed.items()}
        after = await commit(repository, tip, encoded, _message(rule, title, found))
        if after != tip:
            counts = found.counts.get(rule, {})
            fixes = sum(counts.get(path, 1) for path in changed)
            names = tuple(portable_path(path) for path in sorted(changed))
            done.append(FixCommit(rule, title, after, names, fixes))
            tip = after
    return Made(found.base, tip, tuple(done))


def _workshop(job: JobInput, minor: int | None) -> Workshop:
    return Workshop(str(Path(job.scratch, "workshop")), minor, trusted=job.trusted)


def _title(rule: str) -> str:
    if rule == FORMAT:
        return "files formatted as the project asks"
    return rule_of("ruff", rule).title


def _message(rule: str, title: str, found: Found) -> str:
    version = ruff_version() or ""
    if rule == FORMAT:
        source = found.style.source if found.style else ""
        return f"Format: {title}\n\nBy ruff {version} format, as {source} asks.\n"
    return f"{rule}: {title}\n\nSafe fixes of this rule by ruff {version}, and nothing else.\n"


async def write_out(given: dict[str, Any], run: str, tip: str) -> Any:
    """Name the branch, write the patch, and tell how large it is, as plain values."""
    job = msgspec.convert(given, JobInput)
    opened = await repository_of(given)
    base = await start_of(opened)
    text = await patch(opened.path, base, tip)
    if job.patch is not None:
        write_whole(job.patch, text)
    size = await extent(opened.path, base, tip)
    differing = await altered(opened.path, base, tip)
    names = (each.path.decode("utf-8", "surrogateescape") for each in differing)
    return {
        "branch": await name_branch(opened.path, run, tip),
        "files": [portable_path(name) for name in names],
        "insertions": size.insertions,
        "deletions": size.deletions,
        "sha256": hashlib.sha256(text).hexdigest(),
    }
