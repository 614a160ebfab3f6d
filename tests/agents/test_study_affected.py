"""Which tests a change reaches, and when that cannot be told."""

from pathlib import Path

from study import studied

from visionflow.agents.study.affected import affected_tests

PROJECT: dict[str, str | bytes] = {
    "src/shop/__init__.py": "",
    "src/shop/price.py": "from shop import money\n",
    "src/shop/money.py": "",
    "src/shop/stock.py": "",
    "src/shop/types.py": "",
    "src/shop/lazy/__init__.py": "def load():\n    from shop import stock\n",
    "src/shop/lazy/part.py": "",
    "tests/conftest.py": "",
    "tests/test_price.py": "from shop.price import x\n",
    "tests/test_stock.py": (
        "from typing import TYPE_CHECKING\nfrom shop import stock\n"
        "if TYPE_CHECKING:\n    from shop import types\n"
    ),
    "tests/test_part.py": "from shop.lazy.part import x\n",
    "tests/test_lazy.py": "import shop.lazy.part\n",
    "tests/web/conftest.py": "from . import pages\n",
    "tests/web/pages.py": "",
    "tests/web/test_page.py": "",
}
TESTS = tuple(path for path in PROJECT if path.rpartition("/")[2].startswith("test_"))


def reached(root: Path, *changed: str) -> tuple[str, ...] | None:
    _, _, graph = studied(root, PROJECT)
    found = affected_tests(graph, changed, TESTS)
    return None if found is None else tuple(path.rpartition("test_")[2][:-3] for path in found)


def test_a_change_reaches_tests_through_imports(tmp_path: Path) -> None:
    assert reached(tmp_path / "a", "src/shop/money.py") == ("price",)
    assert reached(tmp_path / "b", "src/shop/stock.py", "src/shop/price.py") == (
        "lazy", "price", "stock",
    )  # fmt: skip


def test_a_package_on_the_way_is_run_by_every_test_below_it(tmp_path: Path) -> None:
    assert reached(tmp_path / "a", "src/shop/__init__.py") == ("lazy", "part", "price", "stock")
    assert reached(tmp_path / "b", "src/shop/lazy/__init__.py") == ("lazy", "part")


def test_imports_for_type_checkers_reach_nothing(tmp_path: Path) -> None:
    assert reached(tmp_path / "a", "src/shop/types.py") == ()


def test_a_conftest_reaches_the_tests_of_its_folder(tmp_path: Path) -> None:
    assert reached(tmp_path / "a", "tests/web/conftest.py") == ("page",)
    assert reached(tmp_path / "b", "tests/web/pages.py") == ("page",)
    everything = ("lazy", "part", "price", "stock", "page")
    assert reached(tmp_path / "c", "tests/conftest.py") == everything


def test_a_changed_test_is_affected_and_a_removed_one_is_not_there(tmp_path: Path) -> None:
    assert reached(tmp_path / "a", "tests/test_stock.py") == ("stock",)
    assert reached(tmp_path / "b", "tests/test_gone.py") == ()


def test_what_imports_cannot_tell_of_is_not_guessed(tmp_path: Path) -> None:
    for number, path in enumerate(
        ("pyproject.toml", "src/shop/data.json", "src/shop/gone.py", "tests/data/a.txt")
    ):
        assert reached(tmp_path / str(number), "src/shop/money.py", path) is None


def test_documents_reach_no_test(tmp_path: Path) -> None:
    assert reached(tmp_path / "a", "README.md", "docs/x.rst", ".gitignore", "LICENSE") == ()


def test_computed_imports_and_programs_that_are_started_count_as_reached(tmp_path: Path) -> None:
    _, _, graph = studied(
        tmp_path / "ws",
        {
            "shop.py": "", "loader.py": "import importlib\nimportlib.import_module(input())\n",
            "tests/test_cli.py": "import subprocess\n", "tests/test_loads.py": "import loader\n",
            "tests/test_other.py": "", "tests/test_bad.py": "def f(:\n",
        },
    )  # fmt: skip
    tests = ["tests/test_cli.py", "tests/test_loads.py", "tests/test_other.py", "tests/test_bad.py"]
    assert affected_tests(graph, ["shop.py"], tests) == (
        "tests/test_bad.py", "tests/test_cli.py", "tests/test_loads.py",
    )  # fmt: skip


def test_a_lazy_package_reaches_only_those_who_use_it(tmp_path: Path) -> None:
    lazy = (
        "import importlib\nWHERE = {'A': 'lib.a'}\n\n\n"
        "def __getattr__(name):\n    return importlib.import_module(WHERE[name])\n"
    )
    _, _, graph = studied(
        tmp_path / "ws",
        {
            "lib/__init__.py": lazy, "lib/a.py": "", "lib/b.py": "",
            "tests/test_face.py": "from lib import A\n", "tests/test_b.py": "from lib.b import x\n",
        },
    )  # fmt: skip
    tests = ["tests/test_face.py", "tests/test_b.py"]
    assert affected_tests(graph, ["lib/a.py"], tests) == ("tests/test_face.py",)
    assert affected_tests(graph, ["lib/b.py"], tests) == ("tests/test_b.py",)
