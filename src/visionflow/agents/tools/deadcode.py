"""Code that nothing uses, by vulture: names that are defined in one file and used in none.

What each file defines and uses is kept by its content; only the comparison over the whole project
is made each time. Told too seldom rather than too often. Never told of are definitions

- in tests, examples and documentation, and in files that other programs run or read by name;
- whose name occurs as a use anywhere: also in a test, in `__all__`, in a text that is exactly that
  name or a path of names, among what a package's `__init__.py` imports, in an entry point, or as
  code in the documentation;
- whose name begins as one that is put together for `getattr`, such as `f"visit_{word}"`;
- that are decorated, or dunder methods, or stand in classes with bases;
- that are public at the top of what the project distributes.

Unreachable code is told of after a statement that always leaves, and nowhere else.
"""

import hashlib
import json
import re
import sys
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import msgspec

from visionflow.agents.findings import Finding, Suppressed, ToolRun
from visionflow.agents.rules import UNREACHABLE, rule_of
from visionflow.agents.tools.answers import answers, version_of
from visionflow.agents.tools.cache import ResultCache
from visionflow.agents.tools.portions import Parsed, Reader, ScanRequest, read_files
from visionflow.agents.tools.project import Project
from visionflow.agents.tools.scan import Found, packed, tool_run, unpacked
from visionflow.agents.tools.text import clean, one_line, read_plain
from visionflow.agents.tools.tree import is_test_path
from visionflow.ports.sandbox import Sandbox

CONFIDENCE = 60
"""Of vulture's, in percent: what it gives functions and classes; unreachable code has 100."""
_FORM = "3"
_PROGRAM = Path(__file__).parent.parent / "inside" / "deadcode.py"
_BY_NAME = (
    "setup.py", "conf.py", "conftest.py", "noxfile.py", "tasks.py", "fabfile.py", "manage.py",
    "dodo.py", "wsgi.py", "asgi.py", "settings.py", "sitecustomize.py", "hatch_build.py",
)  # fmt: skip
_FOLDERS = ("docs", "doc", "examples", "example", "migrations", "samples", "tutorial", "tutorials")
_DOCUMENT = (".md", ".rst", ".txt")
_DOCUMENT_BYTES_MAX = 1_000_000
_DOCUMENTS_BYTES_MAX = 20_000_000
_CODE = re.compile(r"[`.](\w+)|\b(\w+)\(")
_AUTOMODULE = re.compile(r"automodule::\s*([\w.]+)|^:::\s*([\w.]+)", re.MULTILINE)


class FileNames(msgspec.Struct, frozen=True, array_like=True):
    """What one file defines and uses. Definitions: (kind, name, first line, last line, line of
    the name, comment that hides it)."""

    used: tuple[str, ...] = ()
    defined: tuple[tuple[str, str, int, int, int, str | None], ...] = ()
    unreachable: tuple[tuple[str, int, int, str | None], ...] = ()


class _Told(msgspec.Struct):
    """The program's answer for a file."""

    used: tuple[str, ...]
    defined: tuple[tuple[str, str, int, int, int, str | None], ...]
    unreachable: tuple[tuple[str, int, int, str | None], ...]


_DECODER = msgspec.msgpack.Decoder(FileNames)


async def run_deadcode(
    sandbox: Sandbox,
    request: ScanRequest,
    project: Project,
    told: Collection[str],
    documents: Iterable[str] = (),
    cache: ResultCache | None = None,
) -> ToolRun:
    """What nothing in the whole project uses, where it is defined in one of the files `told`.

    `request` is over all Python files of the project; `documents` are its other text files.
    """

    def argv(output: str, files: tuple[str, ...]) -> tuple[str, ...]:
        return (sys.executable, "-I", str(_PROGRAM), output, *files)

    version = version_of("vulture")
    reader = Reader("vulture", version, argv, parse, (str(_PROGRAM),), _FORM)
    reading = await read_files(sandbox, reader, request, cache or ResultCache(None))
    names = {path: _DECODER.decode(value) for path, value in reading.values.items() if value}
    used = _used(names, project)
    used |= _documented(request.worktree, documents)
    begins = tuple(
        sorted(each[:-1] for each in used if each.endswith("*") and each[:-1].isidentifier())
    )
    wanted = set(told)
    found: list[Found] = []
    for path in sorted(names):
        if path in wanted and not _reached_by_name(path):
            found += _unused(path, names[path], used, begins, project)
    values = packed(found, request.worktree)
    every = [unpacked(value) for _, value in sorted(values.items())]
    findings: list[Finding] = [finding for one in every for finding in one.findings]
    hidden: list[Suppressed] = [each for one in every for each in one.suppressed]
    within = msgspec.structs.replace(
        reading,
        values={path: value for path, value in reading.values.items() if path in wanted},
        not_read=tuple(pair for pair in reading.not_read if pair[0] in wanted),
        cached=min(reading.cached, len(wanted)),
    )
    return tool_run(reader, request, within, findings, hidden)


def parse(content: bytes, worktree: str) -> Parsed:
    """The program's answer as a value for each file.

    Raises:
        ValueError: it is not the program's answer.
    """
    found, not_read = answers(json.loads(content), _Told)
    values = {
        path: msgspec.msgpack.encode(FileNames(told.used, told.defined, told.unreachable))
        for path, told in found.items()
    }
    return values, not_read


def _used(names: dict[str, FileNames], project: Project) -> set[str]:
    used: set[str] = set()
    for each in names.values():
        used.update(each.used)
    for _, _, target in project.entry_points:
        used.update(re.split(r"[^\w]+", target))
    return used


def _documented(worktree: str, documents: Iterable[str]) -> set[str]:
    """Names that documents show as code."""
    found: set[str] = set()
    left = _DOCUMENTS_BYTES_MAX
    for path in documents:
        if left <= 0 or not path.endswith(_DOCUMENT):
            continue
        content = read_plain(Path(worktree, path), _DOCUMENT_BYTES_MAX) or b""
        left -= len(content)
        text = content.decode("utf-8", "replace")
        found.update(one or other for one, other in _CODE.findall(text))
        # A module that is documented whole stands for its names; they are asked for by its path.
        found.update(f"{one or other}.*" for one, other in _AUTOMODULE.findall(text))
    return found


def _reached_by_name(path: str) -> bool:
    *folders, name = path.split("/")
    return is_test_path(path) or name in _BY_NAME or any(part in _FOLDERS for part in folders)


def _unused(
    path: str, names: FileNames, used: set[str], begins: tuple[str, ...], project: Project
) -> Iterator[Found]:
    """`begins`: what the names begin with that are put together."""
    offered = _is_offered(path, project) or f"{_module(path, project)}.*" in used
    for kind, name, _, last, line, comment in names.defined:
        public = not name.startswith("_")
        if (
            name in used
            or _mark(name) in used
            or name.startswith(begins)
            or (offered and public and kind in ("function", "class"))
        ):
            continue
        rule = f"unused-{kind}"
        message = f"unused {kind} '{clean(name)}' ({CONFIDENCE} % confidence)"
        yield _found(path, rule, message, line, last, comment)
    for message, first, last, comment in names.unreachable:
        yield _found(path, UNREACHABLE, clean(message), first, last, comment)


def _found(path: str, rule: str, message: str, line: int, last: int, comment: str | None) -> Found:
    row = rule_of("vulture", rule)
    finding = Finding(
        "vulture", rule, row.severity, message, path, max(1, line), None, last, row.cwe
    )
    return Found(finding, None if comment is None else one_line(comment, 100))


def _mark(name: str) -> str:
    """What stands for the name where a text has it; as the program makes it."""
    return "#" + hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def _module(path: str, project: Project) -> str:
    """The import name of a file, from the first root that holds it."""
    for root in project.import_roots:
        prefix = f"{root}/" if root else ""
        if path.startswith(prefix):
            name = path[len(prefix) :].removesuffix(".py").removesuffix("/__init__")
            return name.replace("/", ".")
    return path


def _is_offered(path: str, project: Project) -> bool:
    """Whether public names of the file are what the project offers to others."""
    if any(path == f"{package}/__init__.py" for package in project.packages):
        return True
    name = re.sub(r"[-_.]+", "_", project.name or "").lower()
    return bool(name) and _module(path, project).lower() == name
