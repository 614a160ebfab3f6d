"""Safe mechanical fixes: what ruff can mend without changing what the code means.

Contents go in and contents come out: ruff, confined, works on copies in a folder of ours that
holds nothing else, so there is no repository within its reach. Only fixes that ruff itself calls
safe are made. Which of them are kept is decided by the coder's gates, and by nothing here.
"""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath

import msgspec

from visionflow.agents.findings import Ended
from visionflow.agents.tools.cache import ResultCache
from visionflow.agents.tools.portions import (
    Parsed,
    Reader,
    ScanRequest,
    own_read_paths,
    portions,
    read_files,
)
from visionflow.agents.tools.style import Style
from visionflow.agents.tools.text import one_line, read_plain
from visionflow.agents.tools.tree import FILE_BYTES_MAX, is_test_path
from visionflow.domain.errors import CommandNotStarted
from visionflow.ports.sandbox import Command, Sandbox

MINOR_LEAST, MINOR_MOST = 7, 15
"""The minor versions of Python 3 that ruff knows."""
MEMORY_BYTES = 1024 * 1024 * 1024
HEAD_BYTES = 2_000
_VENDORED = frozenset(
    "vendor _vendor vendored _vendored third_party thirdparty third-party extern".split()
)
_GENERATED = re.compile(
    rb"@generated|auto-?generated|\bgenerated (?:by|from|with)\b|do not (?:edit|modify)", re.I
)
_COOKIE = re.compile(rb"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)", re.M)
_UTF8 = frozenset((b"utf-8", b"utf8", b"utf_8", b"utf-8-sig", b"ascii", b"us-ascii"))
_SYNTAX = "invalid-syntax"


class Workshop(msgspec.Struct, frozen=True):
    """Where fixing happens, and within which bounds."""

    scratch: str
    """A folder of ours; what an earlier attempt left there is removed."""
    python_minor: int | None = None
    """The oldest minor version of Python 3 that the project says it runs on."""
    wall_ms: int = 120_000
    memory_bytes: int = MEMORY_BYTES
    trusted: bool = False


class Fixable(msgspec.Struct, frozen=True):
    """Where safe fixes can be made."""

    counts: dict[str, dict[str, int]]
    """Of each rule, how many in which files."""
    not_parsed: tuple[str, ...] = ()
    not_read: tuple[tuple[str, str], ...] = ()
    ended: Ended = "completed"
    reason: str | None = None


class _Edit(msgspec.Struct):
    applicability: str | None = None


class _Message(msgspec.Struct):
    """The part of ruff's JSON that is used."""

    filename: str
    code: str | None = None
    fix: _Edit | None = None


def left_alone(path: str, content: bytes) -> str | None:
    """Why a file is not fixed; `None` where it may be.

    Tests are what the fixes are judged by, so nothing that judges is changed.
    """
    if is_test_path(path):
        return "tests, which the fixes are judged by"
    if _VENDORED & set(PurePosixPath(path).parts[:-1]):
        return "somebody else's code in a vendor folder"
    if _GENERATED.search(content[:HEAD_BYTES]):
        return "generated, as they say at their top"
    cookie = _COOKIE.search(b"\n".join(content.split(b"\n", 2)[:2]))
    if cookie is not None and cookie[1].lower() not in _UTF8:
        return "not UTF-8, the only encoding ruff reads"
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return "not UTF-8, the only encoding ruff reads"
    return None


async def find_fixes(
    sandbox: Sandbox,
    request: ScanRequest,
    rules: Iterable[str],
    python_minor: int | None,
    cache: ResultCache,
) -> Fixable:
    """Where in the files of `request` ruff has a safe fix for one of `rules`."""
    binary, version = ruff_program(), ruff_version()
    chosen = sorted(set(rules))
    if binary is None:
        return Fixable({}, ended="not_run", reason="ruff is not installed")
    if not chosen:
        return Fixable({})
    target = _target(python_minor)

    def argv(output: str, files: tuple[str, ...]) -> tuple[str, ...]:
        return (
            binary, "check", "--isolated", "--no-cache", "--exit-zero", "--no-fix",
            "--output-format", "json", "--output-file", output,
            "--select", ",".join(chosen), "--target-version", target, "--", *files,
        )  # fmt: skip

    reader = Reader(
        "ruff-fixable", version, argv, _parse, read=(binary,),
        config=f"1 {target} {' '.join(chosen)}",
    )  # fmt: skip
    read = await read_files(sandbox, reader, request, cache)
    counts: dict[str, dict[str, int]] = {}
    not_parsed: list[str] = []
    for path, value in sorted(read.values.items()):
        for rule, count in msgspec.json.decode(value or b"{}", type=dict[str, int]).items():
            if rule == _SYNTAX:
                not_parsed.append(path)
            else:
                counts.setdefault(rule, {})[path] = count
    told = dict(sorted(counts.items()))
    return Fixable(told, tuple(not_parsed), read.not_read, read.ended, read.reason)


def _parse(content: bytes, worktree: str) -> Parsed:
    """Of each file, how often each rule can be fixed safely.

    Raises:
        ValueError: it is not ruff's JSON.
    """
    found: dict[str, dict[str, int]] = {}
    unread: dict[str, str] = {}
    for message in msgspec.json.decode(content, type=list[_Message]):
        path = os.path.relpath(os.path.join(worktree, message.filename), worktree)
        rule = message.code or _SYNTAX
        if rule == "E902":
            unread[path] = "ruff could not read it"
        elif rule == _SYNTAX or (message.fix and message.fix.applicability == "safe"):
            here = found.setdefault(path, {})
            here[rule] = here.get(rule, 0) + 1
    values = {path: msgspec.json.encode(dict(sorted(each.items()))) for path, each in found.items()}
    return values, tuple(sorted(unread.items()))


async def fix(
    sandbox: Sandbox, rule: str, contents: Mapping[str, bytes], workshop: Workshop
) -> dict[str, bytes]:
    """The files among `contents` that ruff's safe fixes of `rule` change, as they are then.

    A file that ruff does not survive, or leaves in pieces, stays as it is.

    Raises:
        ConfinementUnavailable, CommandNotStarted: ruff cannot be run here.
    """
    binary = _needed()
    target = _target(workshop.python_minor)

    def argv(files: tuple[str, ...]) -> tuple[str, ...]:
        return (
            binary, "check", "--isolated", "--no-cache", "--exit-zero", "--fix-only", "--quiet",
            "--no-unsafe-fixes", "--select", rule, "--target-version", target, "--", *files,
        )  # fmt: skip

    return await _Bench(sandbox, workshop, argv).work(contents)


async def reformat(
    sandbox: Sandbox, style: Style, contents: Mapping[str, bytes], workshop: Workshop
) -> dict[str, bytes]:
    """The files among `contents` that are not formatted by `style`, as they are formatted.

    Raises:
        ConfinementUnavailable, CommandNotStarted: ruff cannot be run here.
    """
    binary = _needed()
    comma = "false" if style.magic_trailing_comma else "true"
    settings = (
        f"line-length={style.line_length}",
        f"format.quote-style='{style.quotes}'",
        f"format.skip-magic-trailing-comma={comma}",
    )

    def argv(files: tuple[str, ...]) -> tuple[str, ...]:
        given = [word for each in settings for word in ("--config", each)]
        return (
            binary, "format", "--isolated", "--no-cache", "--quiet", *given,
            "--target-version", _target(workshop.python_minor), "--", *files,
        )  # fmt: skip

    return await _Bench(sandbox, workshop, argv).work(contents)


def ruff_program() -> str | None:
    """The program that was installed with us."""
    from ruff import find_ruff_bin  # pyright: ignore[reportMissingTypeStubs]

    try:
        return find_ruff_bin()
    except FileNotFoundError:
        return None


def ruff_version() -> str | None:
    """Its version, as its package says."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("ruff")
    except PackageNotFoundError:
        return None


def _needed() -> str:
    binary = ruff_program()
    if binary is None:
        raise CommandNotStarted("ruff is not installed.", hint="Install visionflow anew.")
    return binary


def _target(minor: int | None) -> str:
    """Where the project does not say what it runs on, the oldest: nothing newer is brought in."""
    known = MINOR_LEAST if minor is None else min(max(minor, MINOR_LEAST), MINOR_MOST)
    return f"py3{known}"


class _Bench:
    """Copies of files, worked on by one confined command after the other."""

    def __init__(
        self,
        sandbox: Sandbox,
        workshop: Workshop,
        argv: Callable[[tuple[str, ...]], tuple[str, ...]],
    ) -> None:
        self._sandbox = sandbox
        self._workshop = workshop
        self._argv = argv
        self._bench = Path(os.path.realpath(workshop.scratch), "bench")
        self._home = self._bench.with_name("bench-home")

    async def work(self, contents: Mapping[str, bytes]) -> dict[str, bytes]:
        for folder in (self._bench, self._home):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        for path in contents:
            self._put(path, contents[path])
        changed: dict[str, bytes] = {}
        for files in portions(sorted(contents)):
            changed |= await self._portion(files, contents)
        shutil.rmtree(self._bench, ignore_errors=True)
        return dict(sorted(changed.items()))

    def _put(self, path: str, content: bytes) -> None:
        place = self._bench / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)

    async def _portion(
        self, files: tuple[str, ...], contents: Mapping[str, bytes]
    ) -> dict[str, bytes]:
        done = await self._sandbox.run(self._command(files))
        if done.exit_code == 0:
            return dict(self._read(files, contents))
        # It did not survive one of them, and may have left any of them half written.
        for path in files:
            self._put(path, contents[path])
        if len(files) == 1:
            return {}
        middle = len(files) // 2
        first = await self._portion(files[:middle], contents)
        return first | await self._portion(files[middle:], contents)

    def _read(
        self, files: tuple[str, ...], contents: Mapping[str, bytes]
    ) -> Iterable[tuple[str, bytes]]:
        for path in files:
            now = read_plain(self._bench / path, FILE_BYTES_MAX + 1, linked=False)
            if now is not None and now != contents[path] and len(now) <= FILE_BYTES_MAX:
                yield path, now

    def _command(self, files: tuple[str, ...]) -> Command:
        home = str(self._home)
        env = {
            "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": home, "TMPDIR": home,
            "RAYON_NUM_THREADS": "2",
        }  # fmt: skip
        return Command(
            argv=self._argv(tuple(f"./{file}" for file in files)),
            cwd=str(self._bench),
            env=env,
            read=own_read_paths(),
            write=(str(self._bench), home),
            wall_ms=self._workshop.wall_ms,
            memory_bytes=self._workshop.memory_bytes,
            trusted=self._workshop.trusted,
        )


def told_left_alone(reasons: Mapping[str, str]) -> tuple[str, ...]:
    """A sentence for each reason of `left_alone`, from the reason of each file, by path."""
    by_reason: dict[str, list[str]] = {}
    for path, reason in sorted(reasons.items()):
        by_reason.setdefault(reason, []).append(path)
    return tuple(
        f"Not fixed: {reason} ({len(paths)}, such as {one_line(json.dumps(paths[0])[1:-1], 80)})."
        for reason, paths in sorted(by_reason.items())
    )
