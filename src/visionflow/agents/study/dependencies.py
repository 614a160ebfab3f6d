"""Declared against imported: what is imported and not declared, what is declared and not imported.

Which distribution a module comes from is known for some (the table), and taken to have the same
name for the rest; where that has to be taken, it is said. Only what the project ships counts:
tests, documents and scripts may import what they like. An import that can fail (`try`, a condition
on the interpreter) or that only type checkers see asks for no declaration.
"""

from collections.abc import Callable, Iterable, Mapping

import msgspec

from visionflow.agents.evidence import Dependency, Place
from visionflow.agents.findings import portable_path
from visionflow.agents.study.declared import Declarations, normal
from visionflow.agents.study.facts import TYPING
from visionflow.agents.study.graph import ImportGraph, Outside
from visionflow.agents.tools.project import Project
from visionflow.agents.tools.text import one_line
from visionflow.agents.tools.tree import is_test_path

KNOWN: Mapping[str, tuple[str, ...]] = {
    "_pytest": ("pytest",), "absl": ("absl-py",), "attr": ("attrs",), "bs4": ("beautifulsoup4",),
    "cairo": ("pycairo",), "Crypto": ("pycryptodome", "pycrypto"), "Cryptodome":
    ("pycryptodomex",), "cv2": ("opencv-python", "opencv-python-headless",
    "opencv-contrib-python"), "dateutil": ("python-dateutil",), "decouple": ("python-decouple",),
    "dns": ("dnspython",), "docx": ("python-docx",), "dotenv": ("python-dotenv",), "fitz":
    ("pymupdf",), "flask_cors": ("flask-cors",), "gi": ("pygobject",), "git": ("gitpython",),
    "github": ("pygithub",), "gitlab": ("python-gitlab",), "igraph": ("igraph", "python-igraph"),
    "jose": ("python-jose",), "jwt": ("pyjwt",), "kafka": ("kafka-python",), "ldap":
    ("python-ldap",), "Levenshtein": ("levenshtein", "python-levenshtein"), "magic":
    ("python-magic",), "mpl_toolkits": ("matplotlib",), "multipart": ("python-multipart",),
    "MySQLdb": ("mysqlclient",), "nacl": ("pynacl",), "OpenSSL": ("pyopenssl",), "PIL":
    ("pillow",), "pkg_resources": ("setuptools",), "pptx": ("python-pptx",), "psycopg2":
    ("psycopg2", "psycopg2-binary"), "pylab": ("matplotlib",), "pythoncom": ("pywin32",),
    "rest_framework": ("djangorestframework",), "ruamel": ("ruamel-yaml",), "serial":
    ("pyserial",), "skimage": ("scikit-image",), "sklearn": ("scikit-learn",), "slugify":
    ("python-slugify",), "snappy": ("python-snappy",), "socks": ("pysocks",), "telegram":
    ("python-telegram-bot",), "tlz": ("toolz",), "usb": ("pyusb",), "vlc": ("python-vlc",),
    "win32api": ("pywin32",), "win32con": ("pywin32",), "xdg": ("pyxdg", "xdg"), "Xlib":
    ("python-xlib",), "yaml": ("pyyaml",), "zmq": ("pyzmq",),
}  # fmt: skip
"""Import name to the distributions that have it."""
_SPACES = (
    "azure", "backports", "google", "jaraco", "opentelemetry", "sphinxcontrib", "zope", "zc",
    "airflow", "odoo", "repoze", "paste", "flufl", "tencentcloud", "aliyunsdkcore", "pulumi",
)  # fmt: skip
"""Import names that many distributions share."""
_NO_IMPORT = (
    "pip", "setuptools", "wheel", "build", "twine", "tox", "nox", "pytest", "coverage", "ruff",
    "black", "isort", "flake8", "mypy", "pyright", "pylint", "bandit", "vulture", "pre-commit",
    "gunicorn", "uvicorn", "hypercorn", "uwsgi", "waitress", "tzdata", "sphinx", "mkdocs",
    "cython", "hatchling", "poetry-core", "flit-core", "ipython", "jupyter", "notebook",
)  # fmt: skip
"""Distributions that are used without an import: tools, servers, data."""
_NO_IMPORT_MARKS = ("types-", "pytest-", "flake8-", "sphinx-", "mkdocs-", "pylint-")
_AFFIXES = ("python-", "py", "lib")


class Compared(msgspec.Struct, frozen=True):
    """The result, sorted by name."""

    undeclared: tuple[Dependency, ...]
    unused: tuple[Dependency, ...]
    declared: int
    """Distributions that are declared, of any use."""
    imported: int
    """Top-level modules of others that what is shipped cannot do without."""
    notes: tuple[str, ...]


def compare(
    project: Project,
    graph: ImportGraph,
    declarations: Declarations,
    mentions: Callable[[str], bool],
) -> Compared:
    """Hold imports against declarations. `mentions` says whether code has a word anywhere: what
    is named in a text may be loaded by it, so it is not called unused."""
    notes: list[str] = []
    names = {each.name for each in declarations.items}
    own = normal(project.name or "")
    shipped = [each for each in graph.outside if _is_shipped(project, each.path)]
    first: dict[str, Outside] = {}
    # What is looked for in a `try` once may be used behind a flag after that.
    optional = {each.module.partition(".")[0] for each in shipped if each.guarded}
    for each in sorted(shipped):
        top = each.module.partition(".")[0]
        if each.kind != TYPING and top not in optional:
            first.setdefault(top, each)
    used = {dist for each in graph.outside for dist in _providers(each.module, names)}
    lonely = [top for top, each in first.items() if not _providers(each.module, names)]
    idle = {name for name in names - used if not _is_tool(name)}
    taken = {top: by for top in lonely if (by := _near(top, idle)) is not None}
    if taken:
        told = ", ".join(f"{top} from {by}" for top, by in sorted(taken.items()))
        notes.append(f"Taken by likeness of names: {told}.")
    missing = [top for top in sorted(lonely) if top not in taken and normal(top) != own]
    if missing and declarations.computed:
        where = ", ".join(declarations.computed)
        notes.append(f"Nothing is called undeclared: requirements are computed in {where}.")
        missing = []
    if missing and not declarations.anywhere:
        notes.append(
            f"No file declares requirements; modules of others that are imported: {_some(missing)}."
        )
        missing = []
    assumed = [top for top in missing if top not in KNOWN]
    if assumed:
        notes.append(
            f"Undeclared by the name of the module, its distribution is taken to have the same: "
            f"{_some(assumed)}."
        )
    needed = [e for e in declarations.items if e.use == "runtime" and not e.conditional]
    unused: dict[str, Dependency] = {}
    for each in needed:
        if each.name in idle and each.name not in taken.values() and each.name != own:
            if not any(mentions(word) for word in _words(each.name)):
                unused.setdefault(each.name, Dependency(each.name, each.place))
    undeclared = tuple(
        Dependency(top, Place(portable_path(first[top].path), first[top].line)) for top in missing
    )
    listed = tuple(unused[name] for name in sorted(unused))
    return Compared(undeclared, listed, len(names), len(first), tuple(notes))


def _is_shipped(project: Project, path: str) -> bool:
    """Of a package or module whose coverage is measured, and no test within it."""
    if is_test_path(path):
        return False
    if any(path.startswith(folder + "/") for folder in project.packages):
        return True
    stem, _, _ = path.rpartition(".")
    folder, _, name = stem.rpartition("/")
    return name in project.modules and folder in project.import_roots


def _providers(module: str, names: Iterable[str]) -> set[str]:
    """Which of the declared distributions a module comes from."""
    top = module.partition(".")[0]
    flat = normal(module)
    wanted = {normal(each) for each in KNOWN.get(top, ())} | {normal(top)}
    wanted |= {affix + normal(top) for affix in _AFFIXES} | {f"{normal(top)}-python"}
    found = {name for name in names if name in wanted}
    # A dotted name says more: `google.cloud.storage` is of google-cloud-storage.
    found |= {n for n in names if "-" in n and (flat == n or flat.startswith(n + "-"))}
    if top in _SPACES and not found:
        found |= {name for name in names if name.startswith(normal(top) + "-")}
    return found


def _near(top: str, idle: Iterable[str]) -> str | None:
    """A declared distribution that nothing else uses and whose name has the module's in it."""
    flat = normal(top)
    near = sorted(n for n in idle if flat in n.split("-") or flat in n or n in flat)
    return near[0] if near else None


def _is_tool(name: str) -> bool:
    return name in _NO_IMPORT or name.startswith(_NO_IMPORT_MARKS) or name.endswith("-stubs")


def _words(name: str) -> tuple[str, ...]:
    """How code could name a distribution's module in a text."""
    modules = [top for top, dists in KNOWN.items() if name in dists]
    return (name, name.replace("-", "_"), *modules)


def _some(names: list[str]) -> str:
    shown = ", ".join(one_line(name, 60) for name in names[:20])
    return shown if len(names) <= 20 else f"{shown} and {len(names) - 20} more"
