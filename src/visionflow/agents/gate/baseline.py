"""The baseline file: findings that are there and may stay, and those of them that are gone."""

import hashlib
from collections.abc import Iterable, Sequence

import msgspec

from visionflow.agents.findings import Finding, ToolRun, portable_path
from visionflow.agents.gate.results import Accepted, BrokenTest, Tests

VERSION = 1
TESTS, LOST = "tests", "lost-test"
"""The tool and the rule under which lost tests are told of and accepted."""
BYTES_MAX = 16_000_000


class Baseline(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the file holds."""

    version: int
    findings: tuple[Accepted, ...] = ()


def read_baseline(content: bytes) -> Baseline:
    """The baseline that `content` is.

    Raises:
        ValueError: it is none; the message says where it is off.
    """
    try:
        found = msgspec.json.decode(content, type=Baseline)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"it is no baseline: {error}") from error
    if found.version != VERSION:
        raise ValueError(f"its version is {found.version}; this program knows {VERSION}")
    twice = _first_twice(found.findings)
    if twice is not None:
        raise ValueError(f"it has {twice.tool} {twice.fingerprint} twice")
    return found


def _first_twice(entries: Iterable[Accepted]) -> Accepted | None:
    seen: set[tuple[str, str]] = set()
    for each in entries:
        if (each.tool, each.fingerprint) in seen:
            return each
        seen.add((each.tool, each.fingerprint))
    return None


def fingerprint(rule: str, test: str) -> str:
    """Of a test that is told of by its id."""
    content = f"{TESTS}\x00{rule}\x00{test}"
    return hashlib.sha256(content.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def entry_of(lost: BrokenTest) -> Accepted:
    """A lost test, as a baseline accepts it."""
    return Accepted(portable_path(lost.path), TESTS, LOST, fingerprint(LOST, lost.id))


def without_accepted(tests: Tests, entries: Iterable[Accepted], every: bool = False) -> Tests:
    """The lost tests parted by the baseline; with `every` all of them may be lost."""
    known = set(entries)
    allowed = tuple(each for each in tests.lost if every or entry_of(each) in known)
    lost = tuple(each for each in tests.lost if each not in allowed)
    return msgspec.structs.replace(tests, lost=lost, allowed=allowed)


def write_baseline(
    kept: Iterable[Accepted], findings: Iterable[Finding], lost: Iterable[BrokenTest] = ()
) -> bytes:
    """A baseline of what was accepted and still is, of `findings` and `lost` tests; sorted,
    so that two people who add to it seldom meet on a line."""
    entries = {(each.tool, each.fingerprint): each for each in kept}
    for test in lost:
        entry = entry_of(test)
        entries[entry.tool, entry.fingerprint] = entry
    for finding in findings:
        entry = Accepted(finding.path, finding.tool, finding.rule, finding.fingerprint)
        entries[entry.tool, entry.fingerprint] = entry
    value = Baseline(VERSION, tuple(sorted(entries.values())))
    return msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n"


def stale(
    entries: Iterable[Accepted],
    after: Sequence[ToolRun],
    present: Iterable[str],
    tests: Tests | None = None,
) -> tuple[Accepted, ...]:
    """Entries that no longer occur. `present`: the files that there are.

    One whose file a tool did not read, or whose tool did not complete, is not called stale.
    """
    there = {portable_path(each) for each in present}
    runs = {run.tool: run for run in after}
    found = {(each.tool, each.fingerprint) for run in after for each in run.findings}
    gone: list[Accepted] = []
    lost = {entry_of(each) for each in (*tests.lost, *tests.allowed)} if tests else set[Accepted]()
    for entry in sorted(entries):
        if entry.tool == TESTS:
            gone += [entry] if tests is not None and entry not in lost else []
            continue
        run = runs.get(entry.tool)
        read = run is not None and run.ended == "completed"
        read = read and entry.path not in {path for path, _ in run.not_read} if run else False
        known = (entry.tool, entry.fingerprint) in found
        if not known and (read or entry.path not in there):
            gone.append(entry)
    return tuple(gone)
