"""Lays out the folder that is put on the tests' import path: what VisionFlow adds to a project.

Three things go in: our pytest plugin, links to packages the environment lacks, and the project's
own metadata where it is not installed, so that it finds its version and entry points as it would
after an installation. All of it comes last on the path and replaces nothing.
"""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from visionflow.agents.tools.environment import Environment
from visionflow.agents.tools.project import Project

PLUGIN = "visionflow_testlog"


def lay_out(folder: Path, environment: Environment, project: Project) -> tuple[str, ...]:
    """Fill `folder` (created anew) and say in notes what a reader of the report should know."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    source = Path(__file__).with_name("testlog_plugin.py")
    shutil.copyfile(source, folder / f"{PLUGIN}.py")
    for path in environment.lend:
        (folder / Path(path).name).symlink_to(path)
    return tuple(_metadata(folder, environment, project))


def _metadata(folder: Path, environment: Environment, project: Project) -> Iterator[str]:
    name, version = project.name, project.version
    if name is None or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        return
    if re.sub(r"[-_.]+", "-", name).lower() in environment.installed:
        return
    yield f"{name} is not installed in the environment: its tests run on the source as it is"
    if version is None or not re.fullmatch(r"[A-Za-z0-9.!+_-]+", version):
        return
    made = folder / f"{re.sub(r'[-_.]+', '_', name)}-{version}.dist-info"
    made.mkdir()
    text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    (made / "METADATA").write_text(text, encoding="utf-8")
    groups: dict[str, list[str]] = {}
    for group, entry, value in project.entry_points:
        if not any("\n" in word or "\r" in word for word in (group, entry, value)):
            groups.setdefault(group, []).append(f"{entry} = {value}")
    blocks = ["\n".join((f"[{group}]", *lines)) for group, lines in sorted(groups.items())]
    (made / "entry_points.txt").write_text("\n\n".join(blocks) + "\n", encoding="utf-8")
