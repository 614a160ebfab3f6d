"""Tells a project's fault from something that is only absent here.

Reads what Python and pytest say when an import, a plugin or a fixture is not there, or when a path
is longer here than a limit of the system. A failure that an absence explains is no verdict on the
project, and the report names what to install. What it does not recognise stays a failure.
"""

import os
import re

from visionflow.agents.tools.project import Project

_NO_MODULE = re.compile(r"ModuleNotFoundError: No module named ['\"]([\w.]+)['\"]")
_NO_NAMED_PLUGIN = re.compile(r"Error importing plugin \"[\w.]+\": No module named '([\w.]+)'")
_NO_PY = re.compile(r"module '(py)' has no attribute")
"""Pytest carries a small module of this name, which stands in the way of a clearer message."""
_NO_METADATA = re.compile(r"PackageNotFoundError: (?:No package metadata was found for )?([\w.-]+)")
_NO_FIXTURE = re.compile(r"fixture '(\w+)' not found")
_NO_OPTION = re.compile(r"unrecognized arguments?: (.+)")
_NO_ASYNC = "async def functions are not natively supported"
_NO_PLUGIN = re.compile(r"Missing required plugins?: (.+)")
_FIXTURES = {
    "mocker": "pytest-mock", "benchmark": "pytest-benchmark", "httpx_mock": "pytest-httpx",
    "requests_mock": "requests-mock", "respx_mock": "respx", "httpserver": "pytest-httpserver",
    "freezer": "pytest-freezer", "event_loop": "pytest-asyncio", "testdir_django": "pytest-django",
    "httpbin": "pytest-httpbin", "httpbin_secure": "pytest-httpbin", "snapshot": "syrupy",
    "datadir": "pytest-datadir", "shared_datadir": "pytest-datadir", "faker": "Faker",
    "aiohttp_client": "pytest-aiohttp", "qtbot": "pytest-qt", "fs": "pyfakefs",
    "data_regression": "pytest-regressions", "file_regression": "pytest-regressions",
    "image_regression": "pytest-regressions", "django_db": "pytest-django",
}  # fmt: skip
_OPTIONS = {
    "--cov": "pytest-cov", "--no-cov": "pytest-cov", "-n": "pytest-xdist", "--dist": "pytest-xdist",
    "--numprocesses": "pytest-xdist", "--timeout": "pytest-timeout",
    "--reruns": "pytest-rerunfailures", "--asyncio-mode": "pytest-asyncio",
    "--benchmark": "pytest-benchmark", "--mypy": "pytest-mypy", "--flake8": "pytest-flake8",
    "--black": "pytest-black", "--isort": "pytest-isort", "--ruff": "pytest-ruff",
    "--randomly": "pytest-randomly", "--random-order": "pytest-random-order",
    "--html": "pytest-html", "--ds": "pytest-django", "--reuse-db": "pytest-django",
    "--no-migrations": "pytest-django", "--flakes": "pytest-flakes", "--pylint": "pytest-pylint",
    "--disable-socket": "pytest-socket", "--enforce-env": "pytest-env", "--nbval": "nbval",
    "--doctest-plus": "pytest-doctestplus", "--doctest-rst": "pytest-doctestplus",
}  # fmt: skip
SHORTER_PATH = "a shorter path"
"""How the absence of room in a path begins."""
_LIMITS = (
    ("AF_UNIX path too long", 60, "the name of a socket takes 107 bytes"),
    ("File name too long", 1_000, "a path takes 4095 bytes"),
    ("unable to open database file", 350, "SQLite takes paths of 504 bytes"),
)
"""What is said at a limit, from how long a folder of ours it may be our doing, and the limit."""
_BUILT_SUFFIXES = (".c", ".cpp", ".cc", ".pyx", ".rs", ".pyx.in", ".py.in")


def absent(text: str, project: Project) -> str | None:
    """What must be installed or built first, when that explains `text`; else `None`."""
    for pattern in (_NO_MODULE, _NO_NAMED_PLUGIN, _NO_PY):
        module = _last(pattern, text)
        if module is not None:
            return _module(module, project)
    metadata = _last(_NO_METADATA, text)
    if metadata is not None:
        return f"{metadata} (its installed metadata)"
    fixture = _last(_NO_FIXTURE, text)
    if fixture in _FIXTURES:
        return _FIXTURES[fixture]
    if _NO_ASYNC in text:
        return "a pytest plugin for async tests, such as pytest-asyncio"
    return None


def too_long(text: str, folders: tuple[str, ...]) -> str | None:
    """The limit that `text` tells of, where our `folders` are long enough to be why."""
    longest = max(map(len, map(os.fsencode, folders)), default=0)
    for said, least, limit in _LIMITS:
        if said in text and longest >= least:
            return f"{SHORTER_PATH}: {limit}, and the folder of the copy alone has {longest}"
    return None


def absent_plugin(text: str) -> str | None:
    """The plugin whose options or presence the project's pytest settings need."""
    named = _NO_PLUGIN.search(text)
    if named:
        return named[1].strip()
    refused = _NO_OPTION.search(text)
    if refused is None:
        return None
    for word in refused[1].split():
        option = word.split("=")[0]
        known = sorted((o for o in _OPTIONS if option.startswith(o)), key=len)
        if known:
            return _OPTIONS[known[-1]]
    return f"the pytest plugin that provides {refused[1].split()[0]}"


def _last(pattern: re.Pattern[str], text: str) -> str | None:
    """The last match: in a chain of exceptions that one ended the test."""
    found = pattern.findall(text)
    return found[-1] if found else None


def _module(module: str, project: Project) -> str | None:
    """An outside distribution, or a part of the project that a build would have made."""
    top, *rest = module.split(".")
    own = {path.rpartition("/")[2] for path in project.packages} | set(project.modules)
    in_tree = any(
        path.startswith(f"{prefix}{top}/") or path == f"{prefix}{top}.py"
        for prefix in (f"{folder}/" if folder else "" for folder in project.import_roots)
        for path in project.tree.python
    )
    if top not in own and not in_tree:
        return top
    return f"{module} (made by the project's build)" if _is_built(rest, project) else None


def _is_built(rest: list[str], project: Project) -> bool:
    """Whether a build makes this part: sources of that name, or a version file by convention."""
    if not rest:
        return False
    name = rest[-1]
    if name in ("_version", "version", "__version__"):
        return True
    names = {path.rpartition("/")[2] for path in project.tree.to_build}
    crate = "Cargo.toml" in names and name.startswith("_")
    return crate or any(name + suffix in names for suffix in _BUILT_SUFFIXES)
