"""A change that stops tests from running does not pass: whole gates over each way to do so."""

from collections.abc import Callable
from pathlib import Path

import pytest
from gates import QUICK, gate
from repositories import commit, git, put

from visionflow.agents.gate.machine import as_github, as_json, as_sarif
from visionflow.agents.gate.results import GateResult
from visionflow.agents.gate.shown import as_text

TEST = "from pkg.a import f\n\n\ndef test_f():\n    assert f(1) == 1\n"
MORE = "def test_g():\n    assert True\n"
FILES = {
    "pytest.ini": QUICK,
    "pkg/__init__.py": "",
    "pkg/a.py": "def f(x):\n    return x\n",
    "tests/test_a.py": TEST,
    "tests/test_b.py": MORE,
}
Gate = Callable[..., GateResult]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "repository"
    place.mkdir()
    git(place, "init", "-q", ".")
    commit(place, FILES)
    return place


@pytest.fixture
def run(home: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Gate:
    def one(**asked: object) -> GateResult:
        return gate(folder, home, monkeypatch, **{"tests": "affected", "fail_on": "high", **asked})

    return one


def told(result: GateResult) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    """(broken, lost), with the line of each."""
    assert result.tests is not None, result.tests_reason
    return (
        [(each.id, each.line) for each in result.tests.broken],
        [(each.id, each.line) for each in result.tests.lost],
    )


F = "tests/test_a.py::test_f"
G = "tests/test_b.py::test_g"


@pytest.mark.parametrize(
    ("change", "broken", "lost"),
    [
        ({"pkg/a.py": "import no_such_thing\n\n\ndef f(x):\n    return x\n"},
         [("tests/test_a.py", 1)], []),
        ({"tests/conftest.py": "import os\n\nos._exit(0)\n"},
         [("tests/test_a.py", 1), ("tests/test_b.py", 1)], []),
        ({"tests/test_a.py": TEST + "\n\ndef test_x():\n    import pytest\n\n"
          "    pytest.exit('done', returncode=0)\n", "pkg/b.py": "",
          "tests/test_b.py": "import pkg.b  # noqa\n" + MORE}, [("tests/test_b.py", 1)], []),
        ({"tests/test_a.py": TEST.replace("def", "import pytest\n\n\n@pytest.mark.skip\ndef")},
         [], [(F, 8)]),
        ({"tests/test_a.py": TEST.replace("def", "import pytest\n\n\n@pytest.mark.xfail\ndef")
          .replace("== 1", "== 2")}, [], [(F, 8)]),
        ({"tests/test_a.py": "import pytest\n\npytest.skip('later', allow_module_level=True)\n"},
         [], [(F, 3)]),
        ({"pytest.ini": QUICK.replace("addopts =", "addopts = -k test_g")}, [], [(F, 4)]),
        ({"tests/conftest.py": "def pytest_collection_modifyitems(items):\n    items.clear()\n"},
         [], [(F, 4), (G, 1)]),
        ({"tests/test_a.py": TEST.replace("test_f", "check_f")}, [], [(F, 4)]),
        ({"tests/test_a.py": None}, [], [(F, 4)]),
    ],
    ids=["import", "exit", "left", "skip", "xfail", "skipped-file", "deselected", "emptied",
         "uncollected", "deleted"],
)  # fmt: skip
def test_a_test_that_passed_and_runs_no_more_fails_the_gate(
    run: Gate, folder: Path, change: dict[str, str | None],
    broken: list[tuple[str, int]], lost: list[tuple[str, int]],
) -> None:  # fmt: skip
    put(folder, {name: content for name, content in change.items() if content is not None})
    for name in (name for name, content in change.items() if content is None):
        (folder / name).unlink()
    result = run()
    assert told(result) == (broken, lost)
    assert result.failed
    assert as_text(result, lambda _, text: text).splitlines()[-1].startswith("Gate: ")


def test_a_test_that_hangs_now_is_broken_and_the_limit_is_the_gates_own(
    run: Gate, folder: Path
) -> None:
    put(folder, {"pkg/a.py": "def f(x):\n    while True:\n        x += 1\n"})
    result = run(tests_s=4.0)
    assert told(result)[0] == [(F, 4)]
    assert result.tests is not None
    assert "`--timeout` sets the limit" in result.tests.broken[0].message


def test_a_renamed_file_or_function_and_a_moved_test_are_not_lost(run: Gate, folder: Path) -> None:
    (folder / "tests/test_b.py").rename(folder / "tests/test_renamed.py")
    put(folder, {"tests/test_a.py": TEST.replace("test_f", "test_better_name")})
    result = run()
    assert told(result) == ([], [])
    assert result.clean


def test_lost_tests_can_be_allowed_at_once_or_by_the_baseline(
    run: Gate, folder: Path, tmp_path: Path
) -> None:
    (folder / "tests/test_b.py").unlink()
    assert run().failed == ("1 test lost",)
    allowed = run(allow_lost=True)
    assert (allowed.clean, told(allowed)) == (True, ([], []))
    assert "lost, and allowed" in as_text(allowed, lambda _, text: text)
    file = tmp_path / "gate.json"
    assert run(write_baseline=file).clean
    kept = run(baseline=file)
    assert (kept.clean, kept.stale) == (True, ())
    put(folder, {"tests/test_b.py": MORE})
    assert [each.rule for each in run(baseline=file).stale] == ["lost-test"]


def test_where_neither_side_tells_every_form_says_so(run: Gate, folder: Path) -> None:
    commit(folder, {"tests/conftest.py": "import os\n\nos._exit(0)\n"})
    put(folder, {"pkg/a.py": "def f(x):\n    return x + 0\n"})
    result = run()
    assert (result.failed, result.verdict, result.tests) == ((), "incomplete", None)
    last = as_text(result, lambda _, text: text).splitlines()[-1]
    assert last.startswith("Gate: nothing new in what was looked at; tests unknown: ")
    assert "::warning title=visionflow gate::tests unknown: " in as_github(result)
    assert b'"tests_unknown":true' in as_json(result, 0)
    assert b"ended early" in as_sarif(result) or b"without a result" in as_sarif(result)


def test_a_test_that_was_skipped_before_is_nothing_new(run: Gate, folder: Path) -> None:
    skipped = "import pytest\n\n\n@pytest.mark.skip\n" + MORE
    commit(folder, {"tests/test_b.py": skipped})
    put(folder, {"tests/test_b.py": skipped + "\n\ndef test_h():\n    assert True\n"})
    assert told(run()) == ([], [])
