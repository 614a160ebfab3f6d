"""Which tests a change can reach, by imports.

A test is affected when what it imports, directly or through others, was changed. Imports do not
tell what a program does that a test starts, nor what a computed name imports, so tests that do
either count as reached by any change; and where something changed that imports cannot tell of (a
configuration, data), the answer is that it cannot be told. Documents are taken to be read by no
test, which is wrong where documents are run as tests.
"""

from collections.abc import Iterable

from visionflow.agents.study.facts import TOP, TYPING
from visionflow.agents.study.graph import ImportGraph, ancestors
from visionflow.agents.tools.tree import is_test_path

_DOCUMENTS = (".md", ".rst", ".adoc")
_NO_SOURCE = ("license", "licence", "copying", "notice", "authors", "changelog", "changes")
_NO_SOURCE_FOLDERS = (".github", ".gitlab", ".circleci", "docs", "doc")
_NO_SOURCE_FILES = (".gitignore", ".gitattributes", ".mailmap", ".editorconfig")


def affected_tests(
    graph: ImportGraph, changed: Iterable[str], test_files: Iterable[str]
) -> tuple[str, ...] | None:
    """Those of `test_files` that the changed files can reach, sorted.

    `graph` is of the state after the change. `None`: it cannot be told, so all have to run. Tests
    that are not in the graph (nobody could read them) count as reached by any change.
    """
    tests = frozenset(test_files)
    reached: set[str] = set()
    for path in changed:
        if path in graph.modules:
            reached.add(path)
        elif path.endswith(".py"):
            if not _is_test(path):
                # It is gone or cannot be read: who imported it shows nowhere.
                return None
        elif not path.endswith(".pyi") and not _is_harmless(path):
            return None
    if not reached:
        return ()
    found = _users(graph, reached, graph.dynamic | graph.launching)
    return tuple(sorted(test for test in tests if test in found or test not in graph.modules))


_State = tuple[str, bool]
"""A module, and whether its functions can be called (else it is only run when it is loaded)."""


def _users(graph: ImportGraph, changed: Iterable[str], open_ended: Iterable[str]) -> set[str]:
    """`changed`, and every module that can come to run something of it. The functions of
    `open_ended` modules may run anything.

    A package on the way to a module is loaded, which runs what stands at its top, but nobody calls
    its functions for that; so an import inside a function of an `__init__` reaches only those who
    use the package itself.
    """
    above = _steps(graph)
    waiting: list[_State] = [(path, used) for path in sorted(changed) for used in (False, True)]
    waiting += [(path, True) for path in sorted(open_ended)]
    found: set[_State] = set()
    while waiting:
        state = waiting.pop()
        if state not in found:
            found.add(state)
            waiting += above.get(state, ())
    return {path for path, used in found if used}


def _steps(graph: ImportGraph) -> dict[_State, list[_State]]:
    """Of each state those that lead to it: backwards, from what is imported to who imports."""
    above: dict[_State, list[_State]] = {}

    def lead(source: _State, target: _State) -> None:
        above.setdefault(target, []).append(source)

    for path in graph.modules:
        lead((path, True), (path, False))
        for init in ancestors(graph.modules, path):
            lead((path, False), (init, False))
    for edge in (*graph.edges, *graph.through):
        if edge.kind == TYPING:
            continue
        # What is done when it is loaded is done when it is used, too.
        source = (edge.importer, edge.kind != TOP)
        lead(source, (edge.imported, True))
    for conftest, guests in _conftest_guests(graph).items():
        for guest in guests:
            lead((guest, True), (conftest, True))
    return above


def _conftest_guests(graph: ImportGraph) -> dict[str, list[str]]:
    """Of each conftest, what lies in and below its folder: pytest gives it to all tests there."""
    guests: dict[str, list[str]] = {}
    for path in graph.modules:
        folder = path.rpartition("/")[0]
        while True:
            conftest = f"{folder}/conftest.py" if folder else "conftest.py"
            if conftest in graph.modules and conftest != path and is_test_path(path):
                guests.setdefault(conftest, []).append(path)
            if not folder:
                break
            folder = folder.rpartition("/")[0]
    return guests


def _is_test(path: str) -> bool:
    """A module that holds tests, and that nothing imports."""
    name = path.rpartition("/")[2]
    return name.startswith("test_") or name.endswith("_test.py")


def _is_harmless(path: str) -> bool:
    """A document or a file of version control and CI: no test is expected to read it."""
    *folders, name = path.split("/")
    if is_test_path(path):
        return False
    if name in _NO_SOURCE_FILES or name.lower().partition(".")[0] in _NO_SOURCE:
        return True
    if folders and folders[0] in _NO_SOURCE_FOLDERS:
        return True
    return not folders and name.endswith(_DOCUMENTS)
