"""Which module of the project imports which, from the facts of its files.

An import is resolved as the interpreter would: along the project's import roots, then from the
folder that a script or test begins in. The edge leads to the module that is meant (`pkg.sub` of
`from pkg import sub`), not to the packages on the way; `ancestors` gives those, which are run too.
Cycles and layers are `structure`'s job.
"""

import sys
from collections.abc import Collection, Iterable, Iterator, Mapping

import msgspec

from visionflow.agents.study.facts import IN_FUNCTION, TYPING, FileFacts, Import
from visionflow.agents.tools.project import Project
from visionflow.agents.tools.tree import is_test_path

_LAUNCHERS = ("subprocess", "runpy", "pexpect")
_ENDS = ("/__init__.py", ".py", "/__init__.pyi", ".pyi")
"""Of one name, in the order in which the interpreter prefers them; stubs stand in for what a build
makes."""
_FORMER = frozenset(
    """BaseHTTPServer CGIHTTPServer ConfigParser Cookie DocXMLRPCServer HTMLParser Queue
    SimpleHTTPServer SimpleXMLRPCServer SocketServer StringIO Tkinter UserDict UserList UserString
    __builtin__ anydbm cPickle cStringIO commands cookielib copy_reg dbhash dumbdbm dummy_thread
    exceptions gdbm htmlentitydefs httplib md5 mimetools new popen2 repr rfc822 robotparser sets sha
    thread tkMessageBox urllib2 urlparse whichdb xmlrpclib
    aifc asynchat asyncore audioop cgi cgitb chunk crypt distutils imghdr imp lib2to3 mailcap msilib
    nis nntplib ossaudiodev pipes smtpd sndhdr spwd sunau telnetlib uu xdrlib""".split()
)
"""Modules that were the standard library's, in Python 2 and in earlier ones of 3."""


class Edge(msgspec.Struct, frozen=True, order=True):
    """One module imports another; both are paths."""

    importer: str
    imported: str
    line: int
    kind: int
    """As in `facts`: TOP, IN_FUNCTION or TYPING."""


class Outside(msgspec.Struct, frozen=True, order=True):
    """An import of something that is neither the project's nor the standard library's."""

    path: str
    line: int
    module: str
    kind: int
    guarded: bool


class ImportGraph(msgspec.Struct, frozen=True):
    """The project's modules and their imports of each other."""

    modules: dict[str, str]
    """Path to import name, sorted by path."""
    edges: tuple[Edge, ...]
    """Sorted; of equal steps the one that binds most, first by line."""
    outside: tuple[Outside, ...]
    through: tuple[Edge, ...] = ()
    """What a module may use without importing it itself: the packages on the way of `import a.b`,
    and what is named in a file that imports by computed names."""
    dynamic: frozenset[str] = frozenset()
    """Paths of modules that import by a computed name and name none."""
    launching: frozenset[str] = frozenset()
    """Paths of test code that can start other programs."""


def graph_of(project: Project, facts: Mapping[str, FileFacts]) -> ImportGraph:
    """The graph of all files in `facts`, tests and stubs among them."""
    paths = sorted(facts)
    names = _Names(project, paths)
    steps: dict[tuple[str, str], Edge] = {}
    outside: set[Outside] = set()
    through: set[Edge] = set()
    dynamic: set[str] = set()
    for path in paths:
        named = names.named(path, facts[path].named)
        through |= {Edge(path, other, 0, IN_FUNCTION) for other in named}
        if facts[path].dynamic and not named:
            dynamic.add(path)
        for each in facts[path].imports:
            found = names.meant(path, each, facts[path].guard is not None)
            kind = TYPING if path.endswith(".pyi") else each.kind
            if found is None:
                outside.add(Outside(path, each.line, each.module, kind, each.guarded))
                continue
            for other in found:
                if not each.names:
                    packages = ancestors(names.paths, other)
                    through |= {Edge(path, init, each.line, kind) for init in packages}
                edge = Edge(path, other, each.line, kind)
                held = steps.get((path, other))
                if other != path and (held is None or _binds(edge) < _binds(held)):
                    steps[path, other] = edge
    return ImportGraph(
        {path: names.name_of(path) for path in paths},
        tuple(sorted(steps.values())),
        tuple(sorted(outside)),
        tuple(sorted(through)),
        frozenset(dynamic),
        frozenset(path for path in paths if is_test_path(path) and _launches(facts[path])),
    )


def _launches(facts: FileFacts) -> bool:
    return any(each.module.partition(".")[0] in _LAUNCHERS for each in facts.imports)


def ancestors(modules: Collection[str], path: str) -> Iterator[str]:
    """The `__init__` files of the packages that a module lies in: importing it runs them."""
    folder = path.rpartition("/")[0]
    while folder:
        init = f"{folder}/__init__.py"
        if init not in modules:
            return
        if init != path:
            yield init
        folder = folder.rpartition("/")[0]


def _binds(edge: Edge) -> tuple[int, int]:
    return edge.kind, edge.line


class _Names:
    """Finds modules by name among the files of the project."""

    def __init__(self, project: Project, paths: Iterable[str]) -> None:
        self.paths = frozenset(paths)
        self.roots = project.import_roots or ("",)
        shipped = {folder.rpartition("/")[2] for folder in project.packages}
        self.shipped = shipped | set(project.modules)
        self.folders: set[str] = {""}
        self.loose: dict[str, set[str]] = {}
        for path in self.paths:
            folder = path.rpartition("/")[0]
            while folder and folder not in self.folders:
                self.folders.add(folder)
                folder = folder.rpartition("/")[0]
        for folder in sorted(self.folders):
            start = self.start_of(folder)
            if f"{folder}/__init__.py" in self.paths and start == folder.rpartition("/")[0]:
                self.loose.setdefault(folder.rpartition("/")[2], set()).add(start)

    def start_of(self, folder: str) -> str:
        """The first folder upwards that is no package: where its packages are imported from."""
        while folder and f"{folder}/__init__.py" in self.paths:
            folder = folder.rpartition("/")[0]
        return folder

    def name_of(self, path: str) -> str:
        """The name by which others import the module."""
        root = next((r for r in self.roots if r and path.startswith(r + "/")), "")
        inner = path[len(root) + 1 :] if root else path
        for end in ("/__init__.py", "/__init__.pyi", ".pyi", ".py"):
            if inner.endswith(end):
                return inner[: -len(end)].replace("/", ".")
        return inner.replace("/", ".")

    def meant(self, importer: str, written: Import, script: bool) -> tuple[str, ...] | None:
        """Paths of the project's modules that an import means; `None`: it is somebody else's.

        The standard library's, and what of the project cannot be found (a module that a build
        makes), gives the nearest package that is there, or nothing.
        """
        parts = tuple(part for part in written.module.split(".") if part)
        if written.level:
            folder = importer.rpartition("/")[0]
            for _ in range(written.level - 1):
                if not folder:
                    return ()
                folder = folder.rpartition("/")[0]
            return self._targets(folder, parts, written.names)
        top = parts[0] if parts else ""
        if top in sys.stdlib_module_names and top not in self.shipped:
            return ()
        for start in self._searched(importer, top, script):
            place = f"{start}/{top}" if start else top
            if self._module(place) is not None:
                return self._targets(start, parts, written.names)
            if place in self.folders:
                # A package without `__init__`, or a folder that only happens to have that name.
                found = self._targets(start, parts, written.names)
                if found or start in self.roots[:-1] or top in self.shipped:
                    return found
        return () if top in _FORMER else None

    def named(self, importer: str, texts: tuple[str, ...]) -> tuple[str, ...]:
        """Modules whose names stand in a file: whole, or beginning in its own folder."""
        found: set[str] = set()
        for text in texts:
            name = text.lstrip(".")
            folder = importer.rpartition("/")[0]
            for _ in range(len(text) - len(name) - 1):
                folder = folder.rpartition("/")[0]
            for start in (folder, *(self.roots if name == text else ())):
                place = name.replace(".", "/")
                module = self._module(f"{start}/{place}" if start else place)
                if module is not None and module != importer:
                    found.add(module)
        return tuple(sorted(found))

    def _searched(self, importer: str, top: str, script: bool) -> Iterator[str]:
        folder = importer.rpartition("/")[0]
        yield self.start_of(folder)
        yield from self.roots
        if script:
            # Run by itself, its own folder comes first, though it may be a package's.
            yield folder
        elsewhere = self.loose.get(top, set())
        if len(elsewhere) == 1:
            yield from elsewhere

    def _module(self, place: str) -> str | None:
        return next((place + end for end in _ENDS if place + end in self.paths), None)

    def _targets(
        self, start: str, parts: tuple[str, ...], names: tuple[str, ...]
    ) -> tuple[str, ...]:
        place, nearest = start, self._module(start) if start and not parts else None
        whole = True
        for part in parts:
            place = f"{place}/{part}" if place else part
            found = self._module(place)
            if found is None and place not in self.folders:
                whole = False
                break
            nearest = found or nearest
        if not whole or not names:
            return (nearest,) if nearest is not None else ()
        targets: list[str] = []
        for name in names:
            inner = self._module(f"{place}/{name}" if place else name)
            chosen = inner or self._module(place) if place else inner
            if chosen is not None:
                targets.append(chosen)
        return tuple(dict.fromkeys(targets))
