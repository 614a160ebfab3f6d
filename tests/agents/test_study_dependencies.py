"""Declared against imported: what is told, and what is left alone because it cannot be known."""

from pathlib import Path

import msgspec
from study import studied

from visionflow.agents.evidence import EntryPoint, Place
from visionflow.agents.study.declared import Declarations, Texts, declared_in
from visionflow.agents.study.dependencies import Compared, compare
from visionflow.agents.study.entries import entry_points_of
from visionflow.agents.tools.tree import regular_files

Files = dict[str, str | bytes]
PYPROJECT = """\
[project]
name = "shop"
dependencies = [
    "requests>=2",
    "PyYAML",
    "attrs",
    "never.used[extra]>=1 ",
    "tzdata",
    "tomli; python_version < '3.11'",
    "types-requests",
]
optional-dependencies = { fast = ["orjson"], dev = ["black"] }

[project.scripts]
shop = "shop.cli:main"

[dependency-groups]
dev = ["pytest-xdist", { include-group = "x" }]
"""


def declared(root: Path, files: Files) -> Declarations:
    _, facts, _ = studied(root, files)
    return declared_in(Texts(str(root)), regular_files(str(root)), facts.files.get("setup.py"))


def held(root: Path, files: Files, *mentioned: str) -> Compared:
    project, facts, graph = studied(root, files)
    found = declared_in(Texts(str(root)), regular_files(str(root)), facts.files.get("setup.py"))
    return compare(project, graph, found, lambda word: word in mentioned)


def test_former_modules_of_the_standard_library_are_nobodys_distribution(tmp_path: Path) -> None:
    files: Files = {
        "pyproject.toml": "[project]\nname = 'shop'\n",
        "shop/__init__.py": "from HTMLParser import HTMLParser\nimport imp, commands, httpx\n",
        "shop/more.py": "from repr import Repr\n",
    }
    assert [each.name for each in held(tmp_path / "ws", files).undeclared] == ["httpx"]
    files["commands.py"] = ""
    _, _, graph = studied(tmp_path / "own", files)
    assert [(each.importer, each.imported) for each in graph.edges] == [
        ("shop/__init__.py", "commands.py")
    ]


def test_what_only_a_stub_imports_asks_for_no_declaration(tmp_path: Path) -> None:
    files: Files = {
        "pyproject.toml": "[project]\nname = 'shop'\n",
        "shop/__init__.py": "import httpx\n",
        "shop/__init__.pyi": "from typing_extensions import Final\n",
    }
    assert [each.name for each in held(tmp_path / "ws", files).undeclared] == ["httpx"]


def test_undeclared_and_unused_are_told_with_their_places(tmp_path: Path) -> None:
    files: Files = {
        "pyproject.toml": PYPROJECT,
        "shop/__init__.py": "import attr\nimport yaml\n\nimport httpx.client\nimport shop\n",
        "shop/more.py": "import httpx\nimport PIL.Image\nimport requests, os\n",
    }
    found = held(tmp_path / "ws", files)
    assert [(each.name, each.place) for each in found.undeclared] == [
        ("PIL", Place("shop/more.py", 2)), ("httpx", Place("shop/__init__.py", 4)),
    ]  # fmt: skip
    assert [(each.name, each.place) for each in found.unused] == [
        ("never-used", Place("pyproject.toml", 7)),
    ]  # fmt: skip
    assert (found.declared, found.imported) == (10, 5)
    assert found.notes == (
        "Undeclared by the name of the module, its distribution is taken to have the same: httpx.",
    )


def test_only_what_is_shipped_and_cannot_do_without_counts(tmp_path: Path) -> None:
    files: Files = {
        "pyproject.toml": "[project]\nname = 'shop'\ndependencies = []\n",
        "shop/__init__.py": (
            "from typing import TYPE_CHECKING\ntry:\n    import ujson\nexcept ImportError:\n"
            "    ujson = None\nif ujson:\n    import ujson as json\n"
            "if TYPE_CHECKING:\n    import pandas\n"
            "from importlib.util import find_spec\n\n\n"
            "def can():\n    return find_spec('boto') is not None\n\n\n"
            "def go():\n    import boto.auth\n"
        ),
        "shop/tests/test_a.py": "import hypothesis\n",
        "docs/conf.py": "import sphinx_rtd_theme\n",
        "tests/test_b.py": "import pytest\n",
    }
    found = held(tmp_path / "ws", files)
    assert (found.undeclared, found.unused, found.notes) == ((), (), ())


def test_what_code_names_in_a_text_is_not_unused(tmp_path: Path) -> None:
    files: Files = {
        "pyproject.toml": "[project]\nname='s'\ndependencies=['django-extras', 'psycopg2-binary']",
        "s.py": "x = 'django_extras'\n",
    }
    assert [each.name for each in held(tmp_path / "a", files).unused] == [
        "django-extras", "psycopg2-binary",
    ]  # fmt: skip
    found = held(tmp_path / "b", files, "django_extras", "psycopg2")
    assert found.unused == ()


def test_a_likely_provider_is_said_to_be_taken(tmp_path: Path) -> None:
    files: Files = {
        "pyproject.toml": "[project]\nname='s'\ndependencies=['acme-client', 'google-cloud-x']",
        "s.py": "import acme\nimport google.cloud.x\n",
    }
    found = held(tmp_path / "ws", files)
    assert (found.undeclared, found.unused) == ((), ())
    assert found.notes == ("Taken by likeness of names: acme from acme-client.",)


def test_where_requirements_are_computed_nothing_is_called_undeclared(tmp_path: Path) -> None:
    files: Files = {
        "setup.py": "from setuptools import setup\nsetup(install_requires=open('r').readlines())\n",
        "s.py": "import httpx\n",
    }
    found = held(tmp_path / "a", files)
    assert found.undeclared == ()
    assert found.notes == ("Nothing is called undeclared: requirements are computed in setup.py.",)
    nothing: Files = {"s.py": "import httpx\n"}
    told = held(tmp_path / "b", nothing)
    assert told.undeclared == () and "No file declares requirements" in told.notes[0]


def test_every_kind_of_declaration_is_read(tmp_path: Path) -> None:
    files: Files = {
        "setup.cfg": (
            "[options]\ninstall_requires =\n    requests>=2\n    attrs ; python_version<'3'\n"
            "[options.extras_require]\ntest = pytest\nfast =\n    orjson\n"
        ),
        "setup.py": "import setuptools\nsetuptools.setup(tests_require=['mock'])\n",
        "requirements.txt": "-r other.txt\nrich==1 # x\nhttps://x.org/y.whl\nurl @ https://x/z\n",
        "requirements-dev.txt": "black\n",
    }
    found = declared(tmp_path / "ws", files)
    assert {(each.name, each.use, each.conditional) for each in found.items} == {
        ("requests", "runtime", False), ("attrs", "runtime", True),
        ("pytest", "development", False),
        ("orjson", "extra", False), ("mock", "development", False),
        ("rich", "development", False), ("url", "development", False),
        ("black", "development", False),
    }  # fmt: skip
    places = {each.name: each.place for each in found.items}
    assert places["attrs"] == Place("setup.cfg", 4)
    assert places["rich"] == Place("requirements.txt", 2)


def test_poetry_and_requirements_alone_are_declarations_too(tmp_path: Path) -> None:
    poetry: Files = {
        "pyproject.toml": (
            "[tool.poetry.dependencies]\npython = '^3.9'\nclick = '*'\n"
            "rich = { version = '1', optional = true }\n[tool.poetry.group.dev.dependencies]\n"
            "black = '*'\n"
        )
    }
    found = declared(tmp_path / "a", poetry)
    assert {(each.name, each.use) for each in found.items} == {
        ("click", "runtime"), ("rich", "extra"), ("black", "development"),
    }  # fmt: skip
    alone = declared(tmp_path / "b", {"requirements.txt": "click\n"})
    assert [(each.name, each.use) for each in alone.items] == [("click", "runtime")]
    compiled = declared(tmp_path / "c", {"requirements.txt": "click==1\n    # via shop\n"})
    assert [each.use for each in compiled.items] == ["development"]


def test_broken_configuration_is_no_error(tmp_path: Path) -> None:
    files: Files = {"pyproject.toml": "[project\n", "setup.cfg": "x\n[a\n", "s.py": "import httpx"}
    found = held(tmp_path / "ws", files)
    assert found.undeclared == () and "pyproject.toml" in found.notes[0]


def test_entry_points_have_a_kind_and_a_place(tmp_path: Path) -> None:
    root = tmp_path / "ws"
    project, facts, graph = studied(
        root,
        {
            "pyproject.toml": PYPROJECT, "shop/__init__.py": "", "shop/__main__.py": "",
            "shop/cli.py": "\nif __name__ == '__main__':\n    pass\n",
            "tests/test_a.py": "if __name__ == '__main__':\n    pass\n",
            "setup.py": "setup(entry_points='[console_scripts]\\nold = shop:main')\n",
        },
    )  # fmt: skip
    found = entry_points_of(project, facts.files, graph.modules, Texts(str(root)))
    assert found == (
        EntryPoint("__main__", "shop.__main__", "shop/__main__.py", Place("shop/__main__.py", 1)),
        EntryPoint("console_scripts", "old", "shop:main", Place("setup.py", 1)),
        EntryPoint("console_scripts", "shop", "shop.cli:main", Place("pyproject.toml", 15)),
        EntryPoint("main guard", "shop.cli", "shop/cli.py", Place("shop/cli.py", 2)),
    )
    assert msgspec.json.encode(found)
