"""What is read of a file, and that one bad file costs only itself."""

from pathlib import Path

from study import read
from tool_projects import write
from unconfined import RefusingSandbox, UnconfinedSandbox

from visionflow.agents.study.facts import IN_FUNCTION, TOP, TYPING

SOURCE = """\
import os, sys
from typing import TYPE_CHECKING
from . import near as n
from ..far import one, two

if TYPE_CHECKING:
    import costly

try:
    import quick
except ImportError:
    import slow

if sys.version_info < (3, 11):
    import tomli


def deep(x):
    import late
    if x:
        for y in x:
            if y:
                return y  # TODO: say why
    # the XXX rated
    return None


class Shape:
    @property
    def size(self):
        return "# TODO not a comment"


if __name__ == "__main__":
    deep([])
"""


def test_imports_are_told_apart_by_when_they_run(tmp_path: Path) -> None:
    root = write(tmp_path / "ws", {"a.py": SOURCE})
    facts = read(root, tmp_path / "s").files["a.py"]
    found = {(each.module, each.level): each for each in facts.imports}
    assert found["", 1].names == ("near",)
    assert found["far", 2].names == ("one", "two")
    kinds = {module: each.kind for (module, level), each in found.items() if not level}
    assert kinds == {
        "os": TOP, "sys": TOP, "typing": TOP, "costly": TYPING, "quick": TOP, "slow": TOP,
        "tomli": TOP, "late": IN_FUNCTION,
    }  # fmt: skip
    guarded = {module for (module, _), each in found.items() if each.guarded}
    assert guarded == {"quick", "slow", "tomli"}
    assert found["late", 0].line == 19


def test_definitions_remarks_and_guards_stand_with_their_lines(tmp_path: Path) -> None:
    root = write(tmp_path / "ws", {"a.py": SOURCE})
    facts = read(root, tmp_path / "s").files["a.py"]
    assert [(d.name, d.kind, d.line, d.complexity) for d in facts.definitions] == [
        ("deep", "function", 18, 6), ("Shape", "class", 28, None),
        ("Shape.size", "function", 30, 0),
    ]  # fmt: skip
    assert [(t.word, t.text, t.line) for t in facts.todos] == [("TODO", "say why", 23)]
    assert (facts.guard, facts.complexity, facts.lines) == (34, 6, 35)


def test_a_bad_file_costs_only_itself(tmp_path: Path) -> None:
    root = write(
        tmp_path / "ws",
        {
            "good.py": "import os\n",
            "wrong.py": "def f(:\n",
            "deep.py": "x = " + "[" * 5_000 + "]" * 5_000,
            "chain.py": "x = " + "not " * 20_000 + "1\n",
            "sum.py": "x = " + " + ".join(["1"] * 20_000) + "\n",
            "null.py": b"x = 1\0\n",
            "odd.py": b"x = '\xe9'\n",
            "latin.py": b"# -*- coding: latin-1 -*-\n# TODO caf\xe9\n",
            "unknown.py": b"# -*- coding: klingon -*-\n",
            "empty.py": b"",
            "marked.py": b"\xef\xbb\xbfimport sys\n",
        },
    )
    facts = read(root, tmp_path / "s")
    assert sorted(facts.files) == ["empty.py", "good.py", "latin.py", "marked.py"]
    why = dict(facts.not_read)
    assert sorted(why) == [
        "chain.py", "deep.py", "null.py", "odd.py", "sum.py", "unknown.py", "wrong.py",
    ]  # fmt: skip
    assert why["deep.py"] == "line 1: too many nested parentheses"
    assert "nested too deeply" in why["chain.py"]
    assert facts.files["latin.py"].todos[0].text == "café"
    assert facts.files["marked.py"].imports[0].module == "sys"
    assert (facts.ended, facts.reason) == ("completed", None)


def test_facts_of_files_that_did_not_change_are_not_read_again(tmp_path: Path) -> None:
    root = write(tmp_path / "ws", {"a.py": "import os\n", "b.py": "import sys\n"})
    first = read(root, tmp_path / "s", cache=tmp_path / "cache")
    sandbox = UnconfinedSandbox()
    again = read(root, tmp_path / "s", cache=tmp_path / "cache", sandbox=sandbox)
    assert (again.files, again.cached, sandbox.commands) == (first.files, 2, [])
    write(root, {"b.py": "import re\n"})
    third = read(root, tmp_path / "s", cache=tmp_path / "cache", sandbox=sandbox)
    assert third.cached == 1 and len(sandbox.commands) == 1
    assert third.files["b.py"].imports[0].module == "re"


def test_where_nothing_confines_nothing_is_known(tmp_path: Path) -> None:
    root = write(tmp_path / "ws", {"a.py": "import os\n"})
    facts = read(root, tmp_path / "s", sandbox=RefusingSandbox())
    assert (facts.files, facts.ended) == ({}, "not_run")
    assert "confine" in (facts.reason or "")


def test_names_in_a_file_that_imports_by_computed_names_are_kept(tmp_path: Path) -> None:
    source = (
        "import importlib\n_WHERE = {'Fleet': 'pkg.fleet', 'x y': 1}\n\n\n"
        "def __getattr__(name):\n    return importlib.import_module(_WHERE[name])\n"
    )
    literal = "import importlib\nimportlib.import_module('pkg.plain')\n"
    root = write(tmp_path / "ws", {"a.py": source, "b.py": literal})
    files = read(root, tmp_path / "s").files
    assert files["a.py"].dynamic and files["a.py"].named == ("Fleet", "pkg.fleet")
    assert not files["b.py"].dynamic
    assert [each.module for each in files["b.py"].imports] == ["importlib", "pkg.plain"]


def test_what_setup_py_lists_is_read_without_running_it(tmp_path: Path) -> None:
    source = (
        "from setuptools import setup\nNEEDS = ['requests>=2', 'attrs']\n"
        "setup(install_requires=NEEDS, extras_require={'x': ['rich']},\n"
        "      tests_require=open('r.txt').read(),\n"
        "      entry_points={'console_scripts': ['go = pkg.cli:main']})\nraise SystemExit\n"
    )
    root = write(tmp_path / "ws", {"setup.py": source})
    found = read(root, tmp_path / "s").files["setup.py"].setup
    assert found == {
        "install_requires": (("requests>=2", 2), ("attrs", 2)), "extras_require": (("rich", 3),),
        "tests_require": None, "entry_points": (("go = pkg.cli:main", 5),),
    }  # fmt: skip
