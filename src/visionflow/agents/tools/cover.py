"""Coverage of a test run: its settings, and coverage.xml from what was recorded.

The settings are ours, not the project's: which lines count must not depend on what a repository
says of itself. The recorded data is turned into XML by a second confined command, because foreign
code wrote it.
"""

import os
import re
from pathlib import Path
from xml.etree import ElementTree

import msgspec

from visionflow.agents.tools.project import Project
from visionflow.agents.tools.results import FileCoverage, TestRun
from visionflow.agents.tools.text import one_line, read_plain, write_whole
from visionflow.ports.sandbox import Command, Sandbox

XML_BYTES_MAX = 64 * 1024 * 1024
DATA_PATH_BYTES_MAX = 504
"""SQLite, which recordings are kept with, takes no longer ones: it adds a suffix and has 512."""
_XML_WALL_MS = 120_000
_LINE_MAX = 10_000_000
_FILES_MAX = 50_000
_TAKEN = re.compile(r"\((\d{1,6})/(\d{1,6})\)")
_PLAIN = re.compile(r"[\w./-]+")
_ODD = re.compile(r"[^\w./ -]")
"""In names they would be patterns, variables, or the end of an item."""
_DOCTYPE = "http://cobertura.sourceforge.net/xml/coverage-04.dtd"


class Coverage(msgspec.Struct, frozen=True):
    """How much of the project's own code ran; exactly one of the first two is set."""

    percent: float | None
    reason: str | None = None
    branch_percent: float | None = None
    files: tuple[FileCoverage, ...] = ()


class CoverageDelta(msgspec.Struct, frozen=True):
    """What a change did to coverage, in percentage points; `None` where one side is unknown."""

    lines: float | None
    branches: float | None
    files: tuple[tuple[str, float | None, float | None], ...] = ()
    """(path, percent before, percent after) of each file whose figure differs, by path."""


def coverage_delta(before: TestRun, after: TestRun) -> CoverageDelta:
    """Coverage of one run of the tests against an earlier one."""
    old = {each.path: each.percent for each in before.files}
    new = {each.path: each.percent for each in after.files}
    files = tuple(
        (path, old.get(path), new.get(path))
        for path in sorted({*old, *new})
        if old.get(path) != new.get(path)
    )
    lines = _difference(before.coverage, after.coverage)
    return CoverageDelta(lines, _difference(before.branch_coverage, after.branch_coverage), files)


def _difference(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else round(after - before, 2)


def unrecordable(data: Path) -> str | None:
    """Why nothing can be recorded to `data`; `None` when it can."""
    length = len(os.fsencode(data))
    if length <= DATA_PATH_BYTES_MAX:
        return None
    return (
        f"the path of the recording has {length} bytes, and SQLite, which keeps it, takes "
        f"{DATA_PATH_BYTES_MAX}; name a shorter output folder with --out DIR"
    )


def write_settings(path: Path, data: Path, project: Project) -> bool:
    """Write the settings of a recording that starts in the top folder; false when there is nothing
    to measure.

    Tests inside a package do not count as its code.
    """
    # What is named otherwise cannot be imported, and could end its line in the settings.
    folders = [package for package in project.packages if _PLAIN.fullmatch(package)]
    tops = [top for top in _module_folders(project) if _PLAIN.fullmatch(top or ".")]
    if not folders and not tops:
        return False
    omit = [f"{f}/{p}" for f in folders for p in ("tests/*", "test/*", "*/tests/*", "*/test/*")]
    omit += [
        _ODD.sub("?", path) + end for top in tops for path, end in _others(top, folders, project)
    ]
    lines = ["[run]", "branch = True", "relative_files = True", f"data_file = {data}"]
    lines += _setting("source", [f"./{folder}" for folder in (*folders, *tops)])
    lines += _setting("omit", [f"./{pattern}" for pattern in omit])
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return True


def _module_folders(project: Project) -> list[str]:
    """Where the measured single-file modules lie; the empty string is the top.

    Measured by folder and not by name: one that no test imports counts too, with no line run.
    """
    files = set(project.tree.python)
    folders: set[str] = set()
    for name in project.modules:
        places = (f"{root}/{name}.py".lstrip("/") for root in project.import_roots)
        found = next((place for place in places if place in files), None)
        if found is not None:
            folders.add(found.rpartition("/")[0])
    return sorted(folders)


def _others(top: str, packages: list[str], project: Project) -> list[tuple[str, str]]:
    """What lies beside measured modules and packages in the folder `top` and is not measured.

    Paths, and what a pattern needs at its end.
    """
    prefix = f"{top}/" if top else ""
    found: set[tuple[str, str]] = set()
    for path in project.tree.python:
        if not path.startswith(prefix):
            continue
        first, slash, _ = path[len(prefix) :].partition("/")
        inner = f"{prefix}{first}"
        if slash and not any(f"{each}/".startswith(f"{inner}/") for each in packages):
            found.add((inner, "/*"))
        elif not slash and first.removesuffix(".py") not in project.modules:
            found.add((inner, ""))
    return sorted(found)


def _setting(name: str, values: list[str]) -> list[str]:
    return [f"{name} =", *(f"    {value}" for value in values)] if values else []


async def make_xml(
    sandbox: Sandbox, command: Command, data: Path, folder: Path, output: Path
) -> Coverage:
    """Turn the recording in `data` into `output`, an XML file with paths from the workspace.

    `command` is that of the tests: the same interpreter, environment and permissions, but for
    writing, which is confined to `folder`.
    """
    if read_plain(data, 1, linked=False) is None:
        return Coverage(None, "the tests ended before coverage was saved")
    folder.mkdir(parents=True, exist_ok=True)
    settings, made = folder / "xml.ini", folder / "coverage.xml"
    settings.write_text("[run]\nrelative_files = True\n", encoding="utf-8")
    argv = (
        command.argv[0], "-m", "coverage", "xml", "--rcfile", str(settings), "--data-file",
        str(data), "--ignore-errors", "--quiet", "-o", str(made),
    )  # fmt: skip
    done = await sandbox.run(
        msgspec.structs.replace(
            command, argv=argv, read=(*command.read, *command.write), write=(str(folder),),
            wall_ms=_XML_WALL_MS,
        )
    )  # fmt: skip
    if done.exit_code != 0:
        said = one_line(done.stdout + done.stderr, 160) or f"it ended by {done.ended_by}"
        return Coverage(None, f"coverage could not be computed: {said}")
    return _publish(made, output)


def _publish(made: Path, output: Path) -> Coverage:
    """Check the XML, strip this machine's folder from it, write it to `output`."""
    # Entities and the like in what strangers' code had a hand in.
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    content = read_plain(made, XML_BYTES_MAX, linked=False) or b""
    try:
        root = fromstring(content)
        valid = int(root.get("lines-valid", "0"))
        covered = int(root.get("lines-covered", "0"))
    except (ElementTree.ParseError, ValueError, DefusedXmlException) as error:
        return Coverage(None, f"coverage.xml could not be read: {one_line(str(error), 120)}")
    if valid <= 0:
        return Coverage(None, "no line of the project's own code was found to measure")
    for source in root.iter("source"):
        source.text = "."
    text = ElementTree.tostring(root, encoding="unicode")
    head = f'<?xml version="1.0" ?>\n<!DOCTYPE coverage SYSTEM "{_DOCTYPE}">\n'
    write_whole(output, (head + text + "\n").encode("utf-8", "replace"))
    files = read_files(root)
    branches = sum(file.branches for file in files)
    missed = sum(number for file in files for _, number in file.missing_branches)
    percent = round(100 * (branches - missed) / branches, 2) if branches else None
    return Coverage(round(100 * covered / valid, 2), None, percent, files)


def read_files(root: ElementTree.Element) -> tuple[FileCoverage, ...]:
    """The measured files, by path. What does not fit is left out: strangers had a hand in it."""
    found: dict[str, FileCoverage] = {}
    for each in root.iter("class"):
        path = each.get("filename", "")
        inside = path and not path.startswith("/") and ".." not in path.split("/")
        if inside and len(found) < _FILES_MAX:
            found[path] = _file(path, each)
    return tuple(found[path] for path in sorted(found))


def _file(path: str, element: ElementTree.Element) -> FileCoverage:
    ran: dict[int, bool] = {}
    untaken: dict[int, int] = {}
    branches: dict[int, int] = {}
    for line in element.iter("line"):
        number, hits = line.get("number", ""), line.get("hits", "")
        if not (number.isdecimal() and hits.isdecimal() and len(number) < 9):
            continue
        if not 0 < int(number) < _LINE_MAX:
            continue
        ran[int(number)] = hits.strip("0") != ""
        taken = _TAKEN.search(line.get("condition-coverage", ""))
        if taken is not None and int(taken[1]) <= int(taken[2]):
            branches[int(number)] = int(taken[2])
            untaken[int(number)] = int(taken[2]) - int(taken[1])
    return FileCoverage(
        path, len(ran), tuple(sorted(number for number, hit in ran.items() if not hit)),
        sum(branches.values()), tuple(sorted((n, many) for n, many in untaken.items() if many)),
    )  # fmt: skip
