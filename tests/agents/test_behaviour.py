"""Two versions of a project: what of them compiles to the same, and what functions do in each."""

import asyncio
import shutil
from pathlib import Path

import pytest
from tool_projects import write
from unconfined import UnconfinedSandbox

from visionflow.agents.inside.behaviour import Unfit, corpus, told
from visionflow.agents.tools.behaviour import (
    Behaviour,
    BehaviourRequest,
    Side,
    compare_behaviour,
    module_of,
)
from visionflow.agents.tools.codes import FileCode, compare_codes
from visionflow.agents.tools.project import look


def codes(tmp_path: Path, before: str | bytes, after: str | bytes) -> FileCode:
    old, new = (each.encode() if isinstance(each, str) else each for each in (before, after))
    sandbox = UnconfinedSandbox()
    work = compare_codes(sandbox, {"m.py": (old, new)}, str(tmp_path), False)
    return asyncio.run(work)["m.py"]


def behaviour(tmp_path: Path, before: dict[str, str], after: dict[str, str]) -> Behaviour:
    old = write(tmp_path / "old", dict(before.items()))
    new = write(tmp_path / "new", dict((before | after).items()))
    pairs = {path: (before[path].encode(), after[path].encode()) for path in after}
    sandbox, scratch = UnconfinedSandbox(), str(tmp_path / "scratch")
    here = tmp_path / "here"

    async def put(side: Side) -> None:
        shutil.rmtree(here, ignore_errors=True)
        shutil.copytree(old if side == "before" else new, here)

    request = BehaviourRequest(str(here), str(old), look(str(old)), scratch)

    async def work() -> Behaviour:
        found = await compare_codes(sandbox, pairs, scratch, False)
        return await compare_behaviour(sandbox, request, found, put)

    return asyncio.run(work())


def test_of_a_stub_nothing_is_run(tmp_path: Path) -> None:
    found = behaviour(tmp_path, {"a.pyi": "import os\nx: int\n"}, {"a.pyi": "x: int\n"})
    assert found.not_comparable == (("a.pyi:module", "a stub: nothing of it is run"),)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("x = f'abc'\n", "x = 'abc'\n"),
        ("def f(a):\n    'One.'\n    return (a)\n", 'def f(a):\n\n    """One."""\n    return a\n'),
        ("def f():\n    'd'\n    pass\n", "def f():\n    'd'\n"),
        ("x = [1,\n 2]  # two\n", "x = [1, 2]\n"),
        ("class A:\n    def f(self): 'A'\n", "class A:\n\n    def f(self):\n        'A'\n"),
    ],
)  # fmt: skip
def test_what_only_reads_otherwise_compiles_to_the_same(
    tmp_path: Path, before: str, after: str
) -> None:
    assert codes(tmp_path, before, after).same


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("def f():\n    return 1\n", "def f():\n    return 1.0\n", FileCode(functions=("f",))),
        ("import os\nx = 1\n", "x = 1\n", FileCode(body=True)),
        ("class A:\n    def f(self): return 1\n", "class A:\n    def f(self): return 2\n",
         FileCode(methods=("A.f",))),
        ("def f():\n    'Usage: x'\n", "def f():\n    'Usage: y'\n", FileCode(functions=("f",))),
    ],
)  # fmt: skip
def test_what_differs_is_told_by_its_place(
    tmp_path: Path, before: str, after: str, expected: FileCode
) -> None:
    found = codes(tmp_path, before, after)
    parts = (found.same, found.functions, found.methods, found.body)
    assert parts == (False, expected.functions, expected.methods, expected.body)


@pytest.mark.parametrize("bad", ["def f(:\n", b"\x00\xff", "x = " + "(" * 5000])
def test_a_file_that_cannot_be_parsed_is_never_called_the_same(
    tmp_path: Path, bad: str | bytes
) -> None:
    found = codes(tmp_path, bad, bad)
    assert not found.same
    assert found.error is not None


def test_functions_are_called_in_both_versions_and_each_difference_is_shown(
    tmp_path: Path,
) -> None:
    before = {
        "shop.py": (
            "import random\n\n\n"
            "def price(n: int, rate: float = 2.0) -> float:\n    return n * rate\n\n\n"
            "def same(text: str) -> str:\n    return '%s!' % text\n\n\n"
            "def fails(n: int) -> int:\n    return 1 // n\n\n\n"
            "def chance(n: int) -> float:\n    return random.random()\n\n\n"
            "def needs(shop: 'Shop') -> int:\n    return 1\n\n\n"
            "class Shop:\n    def open(self): return 1\n"
        )
    }
    after = (
        before["shop.py"].replace("n * rate", "n * rate + 1").replace("return 1\n", "return 2\n")
    )
    after = after.replace("'%s!' % text", "f'{text}!'").replace("1 // n", "1 // (n or 1)")
    after = after.replace("random.random()", "random.random() + 0")
    found = behaviour(tmp_path, before, {"shop.py": after})
    assert found.compared == ("shop.py:fails", "shop.py:price", "shop.py:same")
    assert [(each.function, each.call, each.before, each.after) for each in found.differing] == [
        ("fails", "0", "raises ZeroDivisionError", "1"),
        ("price", "0, 2.0", "0.0", "1.0"),
    ]
    assert dict(found.not_comparable) == {
        "shop.py:chance": "it does not do the same twice",
        "shop.py:needs": "parameter shop: no value of the corpus is a Shop",
        "shop.py:Shop.open": "a method: nothing here makes its object",
    }
    assert not found.same_code


def test_a_statement_of_the_module_counts_for_all_its_functions(tmp_path: Path) -> None:
    before = {"src/pkg/__init__.py": "", "src/pkg/m.py": "import os\n\n\ndef here(n: int):\n"
              "    return os.sep * n\n"}  # fmt: skip
    after = before["src/pkg/m.py"].replace("import os\n\n\n", "")
    found = behaviour(tmp_path, before, {"src/pkg/m.py": after})
    (only,) = found.differing
    assert (only.path, only.function, only.after) == ("src/pkg/m.py", "here", "raises NameError")


def test_a_module_that_can_no_longer_be_imported_is_a_difference(tmp_path: Path) -> None:
    before = {"m.py": "import os\n\nX = os.sep\n\n\ndef f(n: int) -> int:\n    return n\n"}
    found = behaviour(tmp_path, before, {"m.py": before["m.py"].replace("import os\n", "")})
    (only,) = found.differing
    assert "cannot be imported: NameError" in only.after


def test_a_call_that_ends_its_process_costs_only_that_function(tmp_path: Path) -> None:
    before = {
        "m.py": "import os\n\n\ndef a(n: int):\n    return n\n\n\n"
        "def dies(n: int):\n    os._exit(3)\n\n\ndef hangs(n: int):\n    while True:\n"
        "        try:\n            while True: pass\n        except Exception: pass\n\n\n"
        "def z(n: int):\n    return n\n"
    }
    after = (
        before["m.py"]
        .replace("return n\n", "return n or 5\n")
        .replace("os._exit(3)", "os._exit(4)")
    )
    after = after.replace("while True: pass", "while 1: 0")
    found = behaviour(tmp_path, before, {"m.py": after + "\n\nX = 1\n"})
    assert found.compared == ("m.py:a", "m.py:z")
    assert len(found.differing) == 2
    told_of = dict(found.not_comparable)
    assert told_of["m.py:dies"] == "calling it ended the process: exit code 3"
    assert "longer than" in told_of["m.py:hangs"]


def test_where_a_version_lies_makes_no_difference(tmp_path: Path) -> None:
    before = {
        "m.py": "import os\nimport sys\n\nX = 1\n\n\ndef f():\n"
        "    return sys.path, os.getcwd(), __file__, len(__file__), os.environ\n"
    }
    found = behaviour(tmp_path, before, {"m.py": before["m.py"].replace("X = 1\n", "")})
    assert (found.compared, found.differing) == (("m.py:f",), ())


def test_nothing_is_called_where_all_compiles_to_the_same(tmp_path: Path) -> None:
    found = behaviour(tmp_path, {"m.py": "x = f'a'\n"}, {"m.py": "x = 'a'\n"})
    assert found == Behaviour(same_code=True)


def test_programs_and_tests_are_not_imported(tmp_path: Path) -> None:
    files = {"pkg/__init__.py": "", "pkg/__main__.py": "def f(n: int): return 1\n",
             "tests/test_m.py": "def test(): return 1\n"}  # fmt: skip
    after = {path: text.replace("1", "2") for path, text in files.items() if text}
    found = behaviour(tmp_path, files, after)
    assert found.compared == ()
    assert [name for name, _ in found.not_comparable] == ["pkg/__main__.py:f"]


def test_a_module_is_named_as_it_is_imported() -> None:
    assert module_of("src/a/b.py", ("src", "")) == "a.b"
    assert module_of("a/__init__.py", ("",)) == "a"
    assert module_of("a-b/c.py", ("",)) is None
    assert module_of("setup.py", ("",)) is None


def test_the_corpus_has_values_of_common_types_and_says_of_which_it_has_none() -> None:
    assert corpus("list[int]")[1:] == ([0], [1, -1, 2], [0, 1, -1, 0, 1, -1])
    assert None in corpus("Optional[str]")
    assert corpus("typing.Literal['a', 'b']") == ("a", "b")
    assert corpus("'int | None'")[-1] is None
    assert all(isinstance(each, dict) for each in corpus("Mapping[str, list[int]]"))
    with pytest.raises(Unfit):
        corpus("Path")


def test_values_are_told_without_addresses_and_in_one_order() -> None:
    assert told({"b", "a"}) == "{'a', 'b'}"
    assert told(object()) == "<object object at 0x>"
    assert told([(1,), {"a": None}]) == "[(1,), {'a': None}]"
