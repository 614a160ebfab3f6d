"""Reading a folder as a project: robust against what strangers have lying around."""

import os
import subprocess
import sys
from pathlib import Path

from tool_projects import write

from visionflow.agents.findings import portable_path
from visionflow.agents.tools.environment import choose
from visionflow.agents.tools.project import look


def test_an_empty_folder_has_no_tests_and_nothing_to_measure(tmp_path: Path) -> None:
    project = look(str(tmp_path))
    assert (project.style, project.packages, project.modules) == ("none", (), ())
    assert project.tree.files == 0


def test_a_src_layout_measures_what_is_in_src_and_imports_from_there(tmp_path: Path) -> None:
    write(tmp_path, {
        "src/thing/__init__.py": "", "src/thing/part/__init__.py": "", "tests/test_a.py": "",
        "helper.py": "", "pyproject.toml": '[project]\nname = "thing"\nversion = "1"\n'
        'requires-python = ">=3.9,<4"\ndependencies = ["Foo_Bar>=1; python_version>\'3\'"]\n',
    })  # fmt: skip
    project = look(str(tmp_path))
    assert project.packages == ("src/thing",)
    assert project.import_roots == ("src", "")
    assert (project.name, project.python_minor_min) == ("thing", 9)
    assert project.dependencies == ("foo-bar",)


def test_a_flat_layout_measures_packages_and_modules_but_not_tests_or_docs(tmp_path: Path) -> None:
    write(tmp_path, {
        "thing/__init__.py": "", "tests/__init__.py": "", "docs/__init__.py": "",
        "single.py": "", "setup.py": "", "conftest.py": "", "test_single.py": "",
    })  # fmt: skip
    project = look(str(tmp_path))
    assert (project.packages, project.modules) == (("thing",), ("single",))


def test_a_package_dir_other_than_src_is_found_in_setup_cfg(tmp_path: Path) -> None:
    write(tmp_path, {
        "lib/thing/__init__.py": "", "test_a.py": "",
        "setup.cfg": "[options]\npackage_dir =\n    = lib\npython_requires = >=3.8\n"
        "[tool:pytest]\ntestpaths = .\n",
    })  # fmt: skip
    project = look(str(tmp_path))
    assert project.packages == ("lib/thing",)
    assert (project.pytest_config, project.python_minor_min) == ("setup.cfg", 8)


def test_unittest_names_count_only_with_unittest_inside(tmp_path: Path) -> None:
    write(tmp_path, {"tests/testthing.py": "import unittest\nclass A(unittest.TestCase): pass\n"})
    assert look(str(tmp_path)).style == "unittest"
    write(tmp_path, {"tests/testthing.py": "x = 1\n"})
    assert look(str(tmp_path)).style == "none"


def test_links_pipes_and_loops_are_named_and_never_followed(tmp_path: Path) -> None:
    write(tmp_path, {"pkg/__init__.py": ""})
    (tmp_path / "pkg" / "loop").symlink_to(tmp_path)
    (tmp_path / "link.py").symlink_to("/etc/hostname")
    os.mkfifo(tmp_path / "pipe.py")
    tree = look(str(tmp_path)).tree
    assert tree.python == ("pkg/__init__.py",)
    assert dict(tree.skipped) == {"link.py": "a symbolic link", "pipe.py": "not a regular file"}


def test_broken_settings_are_noted_and_do_not_stop_the_reading(tmp_path: Path) -> None:
    write(tmp_path, {"pyproject.toml": b"[project\xff\n", "setup.cfg": "no section\n=\n",
                     "test_a.py": ""})  # fmt: skip
    project = look(str(tmp_path))
    assert project.style == "pytest"
    assert any("pyproject.toml" in note for note in project.notes)
    assert any("setup.cfg" in note for note in project.notes)


def test_ten_thousand_files_are_all_seen(tmp_path: Path) -> None:
    for folder in range(100):
        place = tmp_path / f"p{folder}"
        place.mkdir()
        for number in range(100):
            (place / f"m{number}.py").touch()
    tree = look(str(tmp_path)).tree
    assert (len(tree.python), tree.files, tree.complete) == (10_000, 10_000, True)


def test_a_name_that_is_not_utf8_is_named_by_its_bytes(tmp_path: Path) -> None:
    os.close(os.open(os.fsencode(tmp_path) + b"/a%\xff.py", os.O_CREAT | os.O_WRONLY))
    skipped = look(str(tmp_path)).tree.skipped
    assert [(portable_path(path), why) for path, why in skipped] == [
        ("a%25%FF.py", "its name is not UTF-8")
    ]


def test_the_projects_own_environment_is_used_and_lent_what_it_lacks(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", str(tmp_path / ".venv")], check=True
    )
    environment = choose(str(tmp_path))
    assert environment.kind == "workspace"
    assert environment.python == str(tmp_path / ".venv/bin/python")
    assert {Path(path).name for path in environment.lend} >= {"pytest", "pluggy", "coverage"}
    assert "lent by VisionFlow" in environment.description


def test_an_environment_that_leads_into_a_home_folder_opens_nothing(tmp_path: Path) -> None:
    home = write(tmp_path / "home", {"bin/python3": "#!/bin/sh\n", "secret": "s"})
    (home / "bin/python3").chmod(0o755)
    write(tmp_path / "repo", {".venv/pyvenv.cfg": f"home = {home}/bin\nversion = 3.11.1\n"})
    (tmp_path / "repo/.venv/bin").mkdir()
    (tmp_path / "repo/.venv/bin/python").symlink_to(home / "bin/python3")
    environment = choose(str(tmp_path / "repo"))
    assert environment.kind == "own"
    assert not any(str(home) in path for path in environment.read)
    assert any("no working Python" in note for note in environment.notes)


def test_an_activated_environment_counts_when_the_workspace_has_none(tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    assert choose(str(tmp_path), str(folder)).kind == "activated"
    assert choose(str(tmp_path), None).kind == "own"
