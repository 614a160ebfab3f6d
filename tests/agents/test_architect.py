"""The architect: what it does with a task, step by step, and what each setting changes."""

from pathlib import Path
from typing import Any

import pytest
from role_work import Attempt, do
from study import commit
from test_roles import task_for
from tool_projects import write
from unconfined import RefusingSandbox, UnconfinedSandbox

from visionflow.agents.base import PermanentFailure
from visionflow.agents.evidence import Architecture, Owner, Place
from visionflow.agents.roles.architect import ArchitectAgent
from visionflow.agents.roles.job import restored
from visionflow.agents.task import Task

HARD = "def hard(x):\n" + "".join(f"{'    ' * n}if x > {n}:\n" for n in range(1, 9))
HARD += "    " * 9 + "return x\n"
PROJECT: dict[str, str | bytes] = {
    "shop/__init__.py": "",
    "shop/front/__init__.py": "",
    "shop/front/page.py": "from shop.store import stock\n",
    "shop/store/__init__.py": "",
    "shop/store/stock.py": "import shop.store.shelf\n" + HARD,
    "shop/store/shelf.py": "from shop.store import stock\nfrom shop.front import page\n",
    "shop/base.py": "",
    "tests/test_shop.py": "import shop.store.stock\n",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = write(tmp_path / "ws", PROJECT)
    commit(root, "one", author="Ada")
    write(root, {"shop/store/stock.py": f"{PROJECT['shop/store/stock.py']!s}# more\n"})
    commit(root, "two", author="Bob")
    return root


def analysed(project: Path, own: Path, **config: Any) -> Architecture:
    task = task_for(project, "analyse_architecture", repository=str(own.parent / "repository"))
    result = do(ArchitectAgent, own, task, config=config)
    return restored(result["architecture"], Architecture)


def test_structure_and_history_are_told(project: Path, tmp_path: Path) -> None:
    attempt = Attempt()
    result = do(
        ArchitectAgent, tmp_path / "own", task_for(project, "analyse_architecture"),
        attempt=attempt,
    )  # fmt: skip
    found = restored(result["architecture"], Architecture)
    assert [cycle.modules for cycle in found.cycles] == [
        ("shop.front.page", "shop.store.stock", "shop.store.shelf"),
        ("shop.store.shelf", "shop.store.stock"),
    ]
    assert found.cycles[0].places == (
        Place("shop/front/page.py", 1), Place("shop/store/stock.py", 1),
        Place("shop/store/shelf.py", 2),
    )  # fmt: skip
    modules = {module.name: module for module in found.modules}
    assert "tests.test_shop" not in modules and len(modules) == 7
    stock = modules["shop.store.stock"]
    assert (stock.fan_in, stock.fan_out, stock.layer, stock.changes) == (2, 1, None, 2)
    assert modules["shop.base"].layer == 0
    assert ("shop.store.shelf", "shop.front.page") in found.edges
    (spot,) = found.hotspots
    assert (spot.path, spot.changes, spot.function, spot.line) == (
        "shop/store/stock.py", 2, "hard", 2,
    )  # fmt: skip
    assert spot.complexity == spot.function_complexity == 36
    assert Owner("shop/front", "Ada", 1.0, 1) in found.owners
    assert Owner("shop/store", "Ada", 0.5, 2) in found.owners
    # Three of seven modules in cycles; each of the three reaches two others: six of 42 pairs.
    assert found.scalability_score == result["scalability_score"] == round(4 / 7 * 36 / 42, 4)
    assert (found.commits, found.layers) == (2, 1)
    assert attempt.ran == ["prepare worktree", "look at the project", "analyse"]
    assert attempt.notes[-1] == (1.0, "analysis is done")


def test_two_runs_tell_the_same(project: Path, tmp_path: Path) -> None:
    task, first = task_for(project, "analyse_architecture"), Attempt()
    calm = do(ArchitectAgent, tmp_path / "a", task, attempt=first)
    assert do(ArchitectAgent, tmp_path / "b", task) == calm
    again = Attempt(first.done)
    assert do(ArchitectAgent, tmp_path / "a", task, attempt=again) == calm
    assert again.ran == []


def test_changes_that_are_not_committed_count_as_structure_and_not_as_history(
    project: Path, tmp_path: Path
) -> None:
    write(project, {"shop/new.py": "import shop.base\n"})
    found = analysed(project, tmp_path / "own")
    (module,) = [each for each in found.modules if each.name == "shop.new"]
    assert (module.changes, module.fan_out, found.commits) == (0, 1, 2)


def test_without_a_history_there_are_no_hotspots_and_no_owners(tmp_path: Path) -> None:
    root = write(tmp_path / "ws", PROJECT)
    found = analysed(root, tmp_path / "own")
    assert (found.commits, found.hotspots, found.owners) == (None, (), ())
    assert {module.changes for module in found.modules} == {None}
    assert len(found.cycles) == 2


def test_a_damaged_history_costs_only_the_history(project: Path, tmp_path: Path) -> None:
    own, task, first = tmp_path / "own", task_for(project, "analyse_architecture"), Attempt()
    do(ArchitectAgent, own, task, attempt=first)
    for pack in (own / "t1" / "repository" / "repository.git" / "objects").glob("pack/*"):
        pack.unlink()
    result = do(ArchitectAgent, own, task, attempt=Attempt(first.without("analyse")))
    found = restored(result["architecture"], Architecture)
    assert (found.commits, found.hotspots, len(found.cycles)) == (None, (), 2)
    assert found.notes[0].startswith("The history could not be read: git log ended with ")


def test_without_confinement_nothing_is_known_of_imports(project: Path, tmp_path: Path) -> None:
    task = task_for(project, "analyse_architecture")
    result = do(ArchitectAgent, tmp_path / "own", task, sandbox=RefusingSandbox())
    found = restored(result["architecture"], Architecture)
    assert (found.modules, found.layers, found.scalability_score) == ((), None, None)
    assert found.commits == 2 and "imports are not known" in found.notes[0]


def test_a_file_that_cannot_be_parsed_is_named(project: Path, tmp_path: Path) -> None:
    write(project, {"shop/bad.py": "x = " + "(" * 5_000})
    found = analysed(project, tmp_path / "own")
    assert [path for path, _ in found.not_read] == ["shop/bad.py"]
    assert len(found.cycles) == 2


def test_documentation_level_bounds_what_is_told_and_no_figure(
    project: Path, tmp_path: Path
) -> None:
    levels = ("minimal", "standard", "comprehensive")
    found = [analysed(project, tmp_path / x, documentation_level=x) for x in levels]
    assert [len(each.modules) for each in found] == [0, 7, 7]
    assert [bool(each.edges) for each in found] == [False, True, True]
    assert [bool(each.owners) for each in found] == [False, True, True]
    assert len({(x.cycles, x.layers, x.scalability_score, x.hotspots) for x in found}) == 1


def test_comprehensive_tells_of_more_hotspots(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {f"m{n:02}.py": HARD for n in range(25)}
    root = write(tmp_path / "ws", files)
    commit(root, "one")
    write(root, {name: f"{text!s}# more\n" for name, text in files.items()})
    commit(root, "two")
    counts = {
        level: len(analysed(root, tmp_path / level, documentation_level=level).hotspots)
        for level in ("minimal", "standard", "comprehensive")
    }
    assert counts == {"minimal": 5, "standard": 20, "comprehensive": 25}


def test_architecture_style_is_held_against_the_imports(project: Path, tmp_path: Path) -> None:
    plain = analysed(project, tmp_path / "a")
    apart = analysed(project, tmp_path / "b", architecture_style="microservices")
    layered = analysed(project, tmp_path / "c", architecture_style="layered")
    assert plain.notes == ()
    crossing = "shop.front of shop.store (shop/front/page.py:1), shop.store of shop.front"
    assert len(apart.notes) == 1 and crossing in apart.notes[0]
    assert apart.notes[0].startswith("Held against the style microservices: 2 imports from one ")
    assert layered.notes[0].startswith(
        "Held against the style layered: 2 imports between packages that import each other: "
    )


def test_setup_files_and_documents_are_no_packages_that_are_meant_to_stand_alone(
    tmp_path: Path,
) -> None:
    files: dict[str, str | bytes] = {
        "setup.py": "import a\n",
        "docs/example.py": "import b\n",
        "a/__init__.py": "",
        "b/__init__.py": "import a\n",
    }
    root = write(tmp_path / "ws", files)
    apart = analysed(root, tmp_path / "own", architecture_style="microservices")
    assert apart.notes[0].endswith("stand alone: b of a (b/__init__.py:1).")


def test_modules_of_a_package_are_no_packages(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "a/__init__.py": "from a import b\n",
        "a/b.py": "import a.c.d\n",
        "a/c/__init__.py": "",
        "a/c/d.py": "",
    }
    root = write(tmp_path / "ws", files)
    apart = analysed(root, tmp_path / "own", architecture_style="microservices")
    assert apart.notes[0].endswith("1 import from one package into another that is meant to "
                                   "stand alone: a of a.c (a/b.py:1).")  # fmt: skip


def test_settings_without_effect_are_warned_about(project: Path, tmp_path: Path) -> None:
    config = {"design_methodology": "domain_driven_design", "architecture_style": "event_driven"}
    task = task_for(project, "analyse_architecture")
    first, second = do(ArchitectAgent, tmp_path / "own", task, config=config)["warnings"]
    assert first.startswith("architect: design_methodology has no effect: ")
    assert second.startswith("architect: architecture_style 'event_driven' has no effect: ")


def test_timeout_bounds_the_reading(project: Path, tmp_path: Path) -> None:
    task, sandbox = task_for(project, "analyse_architecture"), UnconfinedSandbox()
    do(ArchitectAgent, tmp_path / "own", task, sandbox=sandbox, config={"timeout": 7})
    assert 0 < sandbox.commands[0].wall_ms <= 7_000


@pytest.mark.parametrize("config", [{"documentation_level": "huge"}, {"timeout": -1}])
def test_a_setting_that_makes_no_sense_is_refused(
    project: Path, tmp_path: Path, config: dict[str, Any]
) -> None:
    with pytest.raises(PermanentFailure, match="A setting of the architect"):
        analysed(project, tmp_path / "own", **config)


def test_a_design_is_refused_and_a_workspace_is_analysed(project: Path, tmp_path: Path) -> None:
    wanted = "Design scalable authentication architecture"
    task = Task(id="t", type="design_system", description=wanted)
    with pytest.raises(PermanentFailure, match="needs_model"):
        do(ArchitectAgent, tmp_path / "a", task)
    beside = Task(
        id="t", type="design_system", description=wanted, input={"workspace": str(project)}
    )
    with pytest.raises(PermanentFailure, match="needs_model"):
        do(ArchitectAgent, tmp_path / "b", beside)
    there = task_for(project, "design_system", goal="Audit this repository")
    result = do(ArchitectAgent, tmp_path / "c", there)
    assert result["scalability_score"] == round(4 / 7 * 36 / 42, 4)


def test_a_task_of_another_type_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PermanentFailure, match="cannot do tasks of type 'deploy'"):
        do(ArchitectAgent, tmp_path, Task(id="t", type="deploy"))
    assert not set(ArchitectAgent.capabilities) & {"system_design", "technical_strategy"}
