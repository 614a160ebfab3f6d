"""Small projects for the tests of `agents.study`: written, read and put together."""

import asyncio
import subprocess
from pathlib import Path

from test_workspace_source import WHO
from tool_projects import write
from unconfined import UnconfinedSandbox

from visionflow.agents.study.facts import Facts, read_facts
from visionflow.agents.study.graph import ImportGraph, graph_of
from visionflow.agents.tools.cache import ResultCache
from visionflow.agents.tools.portions import ScanRequest
from visionflow.agents.tools.project import Project, look
from visionflow.ports.sandbox import Sandbox


def read(
    root: Path, scratch: Path, *, cache: Path | None = None, sandbox: Sandbox | None = None
) -> Facts:
    """The facts of all Python files under `root`."""
    tree = look(str(root)).tree
    request = ScanRequest(str(root), tree.python, tree.skipped, str(scratch))
    chosen = sandbox or UnconfinedSandbox()
    with ResultCache(None if cache is None else str(cache)) as known:
        return asyncio.run(read_facts(chosen, request, known))


def studied(root: Path, files: dict[str, str | bytes]) -> tuple[Project, Facts, ImportGraph]:
    """The project, the facts and the graph of these files, written under `root`."""
    write(root, files)
    project = look(str(root))
    facts = read(root, root.parent / "scratch")
    return project, facts, graph_of(project, facts.files)


def steps(graph: ImportGraph) -> set[tuple[str, str]]:
    """The edges by path, without lines."""
    return {(edge.importer, edge.imported) for edge in graph.edges}


def commit(root: Path, message: str, author: str = "Ada") -> None:
    """Commit everything under `root` as `author`; begins a repository where there is none."""
    who = {**WHO, "GIT_AUTHOR_NAME": author, "GIT_COMMITTER_NAME": author}
    empty = ("--allow-empty", "--allow-empty-message")
    for words in (("init", "-q"), ("add", "-A"), ("commit", "-q", *empty, "-F", "-")):
        subprocess.run(
            ["git", *words], cwd=root, env=who, input=message.encode(), timeout=60, check=True,
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
