"""Coverage of a test run: its settings, and coverage.xml from what was recorded.

The settings are ours, not the project's: which lines count must not depend on what a repository
says of itself. The recorded data is turned into XML by a second confined command, because foreign
code wrote it.
"""

import re
from pathlib import Path
from xml.etree import ElementTree

import msgspec

from visionflow.agents.tools.project import Project
from visionflow.agents.tools.text import one_line, read_plain, write_whole
from visionflow.ports.sandbox import Command, Sandbox

XML_BYTES_MAX = 64 * 1024 * 1024
_XML_WALL_MS = 120_000
_PLAIN = re.compile(r"[\w./-]+")
_ODD = re.compile(r"[^\w./ -]")
"""In names they would be patterns, variables, or the end of an item."""
_DOCTYPE = "http://cobertura.sourceforge.net/xml/coverage-04.dtd"


class Coverage(msgspec.Struct, frozen=True):
    """How much of the project's own code ran; exactly one of the two is set."""

    percent: float | None
    reason: str | None = None


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
    lines = ["[run]", "branch = False", "relative_files = True", f"data_file = {data}"]
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
    return Coverage(round(100 * covered / valid, 2))
