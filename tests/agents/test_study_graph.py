"""Which module an import means, and what the graph of a project amounts to."""

from pathlib import Path

from study import steps, studied

from visionflow.agents.evidence import Place
from visionflow.agents.study.structure import Structure, structure_of

Files = dict[str, str | bytes]


def shape(root: Path, files: Files) -> Structure:
    _, _, graph = studied(root, files)
    return structure_of(graph, graph.modules)


def test_imports_lead_to_the_module_that_is_meant(tmp_path: Path) -> None:
    files: Files = {
        "src/pkg/__init__.py": "",
        "src/pkg/a.py": "from pkg import b\nimport pkg.sub.c\nfrom pkg.sub.c import name\n",
        "src/pkg/b.py": "from . import sub\nfrom .sub import c, missing\nfrom .gone import x\n",
        "src/pkg/sub/__init__.py": "from .. import CONSTANT\n",
        "src/pkg/sub/c.py": "import os, requests\nfrom ...beyond import x\n",
        "src/space/deep/m.py": "from space.deep import other\n",
        "src/space/deep/other.py": "",
    }
    _, _, graph = studied(tmp_path / "ws", files)
    assert steps(graph) == {
        ("src/pkg/a.py", "src/pkg/b.py"),
        ("src/pkg/a.py", "src/pkg/sub/c.py"),
        ("src/pkg/b.py", "src/pkg/sub/__init__.py"),
        ("src/pkg/b.py", "src/pkg/sub/c.py"),
        ("src/pkg/sub/__init__.py", "src/pkg/__init__.py"),
        ("src/space/deep/m.py", "src/space/deep/other.py"),
    }
    assert graph.modules["src/pkg/sub/c.py"] == "pkg.sub.c"
    assert graph.modules["src/pkg/sub/__init__.py"] == "pkg.sub"
    assert graph.modules["src/space/deep/m.py"] == "space.deep.m"
    assert [each.module for each in graph.outside] == ["requests"]


def test_tests_and_scripts_find_what_lies_beside_them(tmp_path: Path) -> None:
    files: Files = {
        "pkg/__init__.py": "",
        "pkg/yaml.py": "",
        "pkg/user.py": "import yaml\n",
        "tests/helpers.py": "import pkg\n",
        "tests/test_a.py": "from helpers import x\nimport queue\n",
        "tests/queue.py": "",
        "service/app/__init__.py": "",
        "service/app/main.py": "",
        "service/tests/test_app.py": "import app.main\n",
        "redis/notes.py": "",
        "tool.py": "import redis\n",
    }
    _, _, graph = studied(tmp_path / "ws", files)
    assert steps(graph) == {
        ("tests/helpers.py", "pkg/__init__.py"),
        ("tests/test_a.py", "tests/helpers.py"),
        ("service/tests/test_app.py", "service/app/main.py"),
    }
    assert [each.module for each in graph.outside] == ["yaml", "redis"]


def test_a_planted_cycle_is_found_with_a_place_for_each_step(tmp_path: Path) -> None:
    files: Files = {
        "p/__init__.py": "",
        "p/a.py": "import p.base\nfrom p import b\n",
        "p/b.py": "\n\nfrom p.c import x\n",
        "p/c.py": "def f():\n    from . import a\n",
        "p/base.py": "",
        "p/top.py": "from p import a\n",
    }
    found = shape(tmp_path / "ws", files)
    (cycle,) = found.cycles
    assert cycle.modules == ("p.a", "p.b", "p.c")
    assert cycle.places == (Place("p/a.py", 2), Place("p/b.py", 3), Place("p/c.py", 2))
    assert found.late_cycles == 1
    assert {path: found.layer[path] for path in ("p/base.py", "p/a.py", "p/top.py")} == {
        "p/base.py": 0, "p/a.py": None, "p/top.py": 2,
    }  # fmt: skip
    assert found.layers == 3


def test_imports_for_type_checkers_make_no_cycle(tmp_path: Path) -> None:
    guard = "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    from b import B\n"
    files: Files = {"a.py": guard, "b.py": "import a\n"}
    found = shape(tmp_path / "ws", files)
    assert (found.cycles, found.layers, found.layer["b.py"]) == ((), 2, 1)


def test_each_module_of_a_knot_is_in_a_cycle_that_is_told(tmp_path: Path) -> None:
    files: Files = {
        "a.py": "import b\n", "b.py": "import a, c\n", "c.py": "import d\n", "d.py": "import b\n",
        "e.py": "import f\n", "f.py": "import e\n",
    }  # fmt: skip
    found = shape(tmp_path / "ws", files)
    assert [cycle.modules for cycle in found.cycles] == [("a", "b"), ("b", "c", "d"), ("e", "f")]


def test_the_score_is_its_formula(tmp_path: Path) -> None:
    alone: Files = {"a.py": "", "b.py": ""}
    assert shape(tmp_path / "alone", alone).scalability_score == 1.0
    # A chain of three: three of six pairs depend on each other, and no cycle.
    chain: Files = {"a.py": "import b\n", "b.py": "import c\n", "c.py": ""}
    assert shape(tmp_path / "chain", chain).scalability_score == 0.5
    # Two of four in a cycle, two of twelve pairs.
    ring: Files = {"a.py": "import b\n", "b.py": "import a\n", "c.py": "", "d.py": ""}
    assert shape(tmp_path / "ring", ring).scalability_score == round(0.5 * (1 - 2 / 12), 4)
    _, _, graph = studied(tmp_path / "none", {"a.txt": ""})
    assert structure_of(graph, ()).scalability_score is None


def test_fans_count_modules_and_not_lines(tmp_path: Path) -> None:
    files: Files = {"a.py": "import c\nfrom c import x\n", "b.py": "import c\n", "c.py": ""}
    found = shape(tmp_path / "ws", files)
    assert (found.fan_in["c.py"], found.fan_out["a.py"], found.fan_in["a.py"]) == (2, 1, 0)


def test_a_stub_stands_in_for_what_a_build_makes(tmp_path: Path) -> None:
    files: Files = {
        "p/__init__.py": "from p import fast, plain\n", "p/fast.pyi": "from p import plain\n",
        "p/plain.py": "", "p/plain.pyi": "",
    }  # fmt: skip
    _, _, graph = studied(tmp_path / "ws", files)
    assert ("p/__init__.py", "p/fast.pyi") in steps(graph)
    assert ("p/__init__.py", "p/plain.py") in steps(graph)
    assert ("p/__init__.py", "p/plain.pyi") not in steps(graph)


def test_folders_nested_beyond_any_sense_are_read_all_the_same(tmp_path: Path) -> None:
    files: Files = {"/".join("p" * depth) + "/__init__.py": "" for depth in range(1, 120)}
    deepest = "/".join("p" * 119) + "/leaf.py"
    files[deepest] = "from . import x\nimport p\n"
    _, _, graph = studied(tmp_path / "ws", files)
    assert (deepest, "p/__init__.py") in steps(graph)
