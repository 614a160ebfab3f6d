"""Each rule of house_rules finds a planted fault and lets the like without it pass."""

import house_rules as rules
import pytest
from house_rules import Source

KEPT_SET = """
class C:
    def __init__(self) -> None:
        self.s: set[int] = set()
    def f(self) -> None:
        for x in self.s: ...
"""


def planted(text: str) -> Source:
    return Source("planted.py", text)


def function_of(lines: int) -> str:
    return "def f() -> None:\n" + "    pass\n" * (lines - 1)


def test_a_function_longer_than_a_screen_is_counted_and_named() -> None:
    count, long = rules.long_functions([planted(function_of(70)), planted(function_of(71))])
    assert (count, long) == (2, ["planted.py:1 f takes 71 lines"])


def test_a_module_over_its_bound_is_named() -> None:
    sources = [planted("x = 1\n" * 500), planted("x = 1\n" * 501)]
    assert rules.long_modules(sources) == ["planted.py:1 has 501 lines"]


@pytest.mark.parametrize(
    "text",
    [
        "def f(a) -> None: ...",
        "def f(a: int): ...",
        "async def f(*a) -> None: ...",
        "def f(*, a, **b: int) -> None: ...",
        "class C:\n    def f(self, a) -> None: ...",
        "class C:\n    @staticmethod\n    def f(a) -> None: ...",
        "def f() -> None:\n    def g(): ...",
    ],
)
def test_a_parameter_or_return_without_a_type_is_found(text: str) -> None:
    assert len(rules.unannotated(planted(text))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "def f(a: int, *b: int, c: int = 1, **d: int) -> None: ...",
        "class C:\n    def f(self) -> None: ...",
        "class C:\n    @classmethod\n    def f(cls, a: int) -> None: ...",
    ],
)
def test_an_annotated_function_passes(text: str) -> None:
    assert rules.unannotated(planted(text)) == []


def test_a_class_named_for_nothing_is_found() -> None:
    text = "class TaskManager: ...\nclass Managers: ...\nclass Queue: ..."
    assert rules.vague_classes(planted(text)) == ["planted.py:1 class TaskManager"]


def test_a_name_that_the_guide_gives_passes_where_it_is_given_and_nowhere_else() -> None:
    text = "class RecoveryManager: ..."
    assert rules.vague_classes(planted(text)) == ["planted.py:1 class RecoveryManager"]
    public = rules.Source("src/visionflow/interfaces/supervisors.py", text)
    assert rules.vague_classes(public) == []


def test_a_module_without_its_job_is_found_and_an_empty_one_is_not() -> None:
    assert rules.undocumented_module(planted("x = 1"))
    assert rules.undocumented_module(planted('"""Its job."""\nx = 1')) == []
    assert rules.undocumented_module(planted("")) == []


@pytest.mark.parametrize("text", ["import visionflow", "from visionflow import Task"])
def test_an_import_of_the_root_from_within_is_found(text: str) -> None:
    assert len(rules.root_imports(planted(text))) == 1


def test_an_import_of_a_module_of_the_package_passes() -> None:
    text = "import visionflow.domain.ids\nfrom visionflow.domain import ids"
    assert rules.root_imports(planted(text)) == []


@pytest.mark.parametrize(
    "text",
    [
        "import asyncio\nasyncio.wait(x)",
        "from asyncio import TaskGroup",
        "for x in {1, 2}: ...",
        "y = [x for x in set(z)]",
        "for x in {a for a in b}: ...",
        "def f() -> None:\n    s = set()\n    for x in s: ...",
        "def f(s: set[int]) -> None:\n    y = list(s)",
        "def f(s: frozenset[int]) -> None:\n    g(*s)",
        KEPT_SET,
    ],
)
def test_what_may_run_in_two_orders_is_found(text: str) -> None:
    assert len(rules.reorderings(planted(text))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "import asyncio\nasyncio.wait_for(x, 1)",
        "for x in sorted({1, 2}): ...",
        "for x in [1, 2]: ...",
        "def f() -> None:\n    s = set()\ndef g(s: list[int]) -> None:\n    for x in s: ...",
        "x = 1 in {1, 2}",
    ],
)
def test_what_has_one_order_passes(text: str) -> None:
    assert rules.reorderings(planted(text)) == []
