"""Which tests run, what is measured of them, and paths that are longer than a limit."""

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest
from tool_projects import QUICK, request_for, suite_of, write
from unconfined import UnconfinedSandbox

from visionflow.agents.report.gates import base_gates
from visionflow.agents.tools.cover import (
    DATA_PATH_BYTES_MAX,
    coverage_delta,
    read_files,
    unrecordable,
)
from visionflow.agents.tools.missing import too_long
from visionflow.agents.tools.project import look
from visionflow.agents.tools.results import FileCoverage, TestRun
from visionflow.agents.tools.testing import SuiteRequest, run_tests

_KINDS: dict[str, str | bytes] = {
    "pytest.ini": QUICK + "markers =\n    integration: slow\n    e2e: slower\n    unit: quick\n",
    "tests/test_unit.py": "import pytest\ndef test_plain(): pass\n"
    "@pytest.mark.integration\ndef test_marked(): pass\n",
    "tests/integration/test_i.py": "import pytest\ndef test_in_folder(): pass\n"
    "@pytest.mark.unit\ndef test_small(): pass\n",
    "tests/e2e/test_e.py": "import unittest\nclass A(unittest.TestCase):\n"
    "    def test_whole(self): pass\n",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "repo"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def _run(root: Path, request: SuiteRequest, sandbox: UnconfinedSandbox | None = None) -> TestRun:
    return asyncio.run(run_tests(sandbox or UnconfinedSandbox(), look(str(root)), request))


def _names(run: TestRun) -> set[str]:
    return {name.rpartition("::")[2] for name in run.outcomes}


def test_a_selection_collects_no_other_file_and_keeps_what_the_settings_say(
    root: Path, out: Path
) -> None:
    write(root, {
        "pytest.ini": QUICK + "testpaths = tests\n",
        "tests/conftest.py": "import pytest\n@pytest.fixture\ndef one(): return 1\n",
        "tests/deep/test_a.py": "def test_a(one): assert one == 1\n",
        "tests/test_b.py": "raise SystemError('collected')\n",
        "tests/wide/test_c.py": "raise SystemError('collected')\n",
        "beside/test_d.py": "raise SystemError('the settings leave this one out')\n",
    })  # fmt: skip
    request = msgspec.structs.replace(
        request_for(root, out), measure=False,
        selection=("tests/deep/test_a.py", "beside/test_d.py", "gone/test_x.py", "../up.py"),
    )  # fmt: skip
    run = _run(root, request)
    assert (run.outcome, run.outcomes) == ("passed", {"tests/deep/test_a.py::test_a": "passed"})
    assert run.selection == request.selection
    assert any("../up.py, gone/test_x.py" in note for note in run.notes)


@pytest.mark.parametrize("selection", [(), ("gone/test_x.py",)])
def test_a_selection_of_nothing_starts_nothing(
    root: Path, out: Path, selection: tuple[str, ...]
) -> None:
    write(root, {"test_a.py": "def test_a(): pass\n"})
    sandbox = UnconfinedSandbox()
    request = msgspec.structs.replace(request_for(root, out), selection=selection)
    run = _run(root, request, sandbox)
    assert (run.outcome, run.selection, sandbox.commands) == ("no_tests", selection, [])


@pytest.mark.parametrize(
    ("kinds", "framework", "names"),
    [
        (("unit",), "pytest", {"test_plain", "test_small"}),
        (("integration",), "pytest", {"test_marked", "test_in_folder"}),
        (("unit", "e2e"), "pytest", {"test_plain", "test_small", "test_whole"}),
        (("unit", "integration", "e2e"), "unittest", {"test_whole"}),
    ],
)
def test_kinds_are_told_by_mark_then_folder_and_unittest_by_its_class(
    root: Path, out: Path, kinds: tuple[str, ...], framework: str, names: set[str]
) -> None:
    write(root, _KINDS)
    request = msgspec.structs.replace(
        request_for(root, out), kinds=kinds, framework=framework, measure=False
    )
    assert _names(_run(root, request)) == names


def test_no_kind_at_all_starts_nothing(root: Path, out: Path) -> None:
    write(root, _KINDS)
    run = _run(root, msgspec.structs.replace(request_for(root, out), kinds=()))
    assert (run.outcome, run.reason) == ("no_tests", "test_types leaves out every kind of test")


def test_lines_and_branches_of_each_file_are_told(root: Path, out: Path) -> None:
    write(root, {
        "pytest.ini": QUICK, "pkg/__init__.py": "",
        "pkg/a.py": "def f(x):\n    if x:\n        return 1\n    return 2\n",
        "pkg/never.py": "def g(x):\n    if x:\n        return 1\n",
        "tests/test_a.py": "from pkg.a import f\ndef test_f(): assert f(1) == 1\n",
    })  # fmt: skip
    run = suite_of(root, out)
    assert (run.coverage, run.branch_coverage, run.pass_rate) == (42.86, 25.0, 1.0)
    assert {each.path: each for each in run.files} == {
        "pkg/__init__.py": FileCoverage("pkg/__init__.py", 0, ()),
        "pkg/a.py": FileCoverage("pkg/a.py", 4, (4,), 2, ((2, 1),)),
        "pkg/never.py": FileCoverage("pkg/never.py", 3, (1, 2, 3), 2, ((2, 2),)),
    }


def test_a_hostile_coverage_file_gives_only_what_fits() -> None:
    lines = "".join(
        f'<line number="{number}" hits="{hits}" {more}/>'
        for number, hits, more in (
            ("1", "1", 'condition-coverage="50% (1/2)"'), ("2", "0", ""), ("-3", "1", ""),
            ("4", "many", ""), ("9" * 30, "1", ""), ("5", "1", 'condition-coverage="(9/2)"'),
        )
    )  # fmt: skip
    places = ("a.py", "/etc/passwd", "../b.py", "x/../../c.py", "")
    text = "".join(f'<class filename="{place}"><lines>{lines}</lines></class>' for place in places)
    files = read_files(ElementTree.fromstring(f"<coverage>{text}</coverage>"))
    assert files == (FileCoverage("a.py", 3, (2,), 2, ((1, 1),)),)


def test_what_a_change_does_to_coverage_is_told_in_points() -> None:
    before = TestRun(
        "passed", coverage=50.0, files=(FileCoverage("a.py", 2, (1,)), FileCoverage("b.py", 2, ()))
    )
    after = TestRun(
        "passed", coverage=75.5, branch_coverage=10.0,
        files=tuple(FileCoverage(f"{name}.py", 2, ()) for name in "abc"),
    )  # fmt: skip
    delta = coverage_delta(before, after)
    assert (delta.lines, delta.branches) == (25.5, None)
    assert delta.files == (("a.py", 50.0, 100.0), ("c.py", None, 100.0))


def test_where_the_recording_has_no_room_the_tests_pass_and_coverage_says_why(
    root: Path, tmp_path: Path
) -> None:
    write(root, {"mod.py": "x = 1\n", "pytest.ini": QUICK, "test_a.py": "import mod\n"
                 "def test_a(): assert mod.x == 1\n"})  # fmt: skip
    out = tmp_path
    while len(str(out)) < DATA_PATH_BYTES_MAX - 100:
        out = out / ("d" * 60)
    run = suite_of(root, out / ("e" * 70))
    assert (run.outcome, run.coverage, base_gates(run, ())["tests"]) == ("passed", None, True)
    assert "SQLite" in (run.coverage_reason or "")


@pytest.mark.parametrize("over", [0, 1])
def test_the_limit_of_a_recordings_path_is_exact(tmp_path: Path, over: int) -> None:
    folder = tmp_path
    while len(str(folder)) < DATA_PATH_BYTES_MAX - 120:
        folder = folder / ("d" * 60)
    folder.mkdir(parents=True)
    path = folder / ("f" * (DATA_PATH_BYTES_MAX + over - len(str(folder)) - 1))
    assert (unrecordable(path) is not None) is bool(over)
    if over:
        with pytest.raises(sqlite3.OperationalError):
            _written(path)
    else:
        _written(path)


def _written(path: Path) -> None:
    connection = sqlite3.connect(path)
    try:
        connection.execute("create table t(x)")
    finally:
        connection.close()


def test_a_socket_whose_name_has_no_room_here_is_no_verdict(root: Path, tmp_path: Path) -> None:
    body = (
        "import os, socket\ndef test_a():\n"
        "    place = os.path.join(os.environ['HOME'], 's' * 20)\n"
        "    with socket.socket(socket.AF_UNIX) as made: made.bind(place)\n"
    )
    write(root, {"pytest.ini": QUICK, "test_a.py": body})
    run = suite_of(root, tmp_path / ("d" * 100))
    assert (run.outcome, run.missing, base_gates(run, ())["tests"]) == ("could_not_run", (), None)
    assert "the path is too long here" in (run.reason or "")
    assert "107 bytes" in (run.reason or "")


def test_a_limit_that_a_short_folder_cannot_explain_is_the_projects_fault() -> None:
    said = "E  OSError: AF_UNIX path too long"
    assert too_long(said, ("/short", "/tmp")) is None
    assert too_long(said, ("/short", "/" + "t" * 120)) is not None
    assert too_long("E  OSError: [Errno 36] File name too long", ("/" + "t" * 120,)) is None


def test_a_long_folder_for_temporary_files_keeps_nothing_from_being_confined(
    root: Path, tmp_path: Path
) -> None:
    """Of an own process: what holds on a machine is found out once in each."""
    write(root, {"pytest.ini": QUICK, "test_a.py": "def test_a(): pass\n"})
    long = tmp_path / ("t" * 120)
    long.mkdir(parents=True)
    told = subprocess.run(
        [sys.executable, "-c", _CONFINED, str(Path(__file__).parent), str(root), str(tmp_path)],
        env={**os.environ, "TMPDIR": str(long)}, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    ended = json.loads(told.stdout)
    if ended["active"]:
        assert ended["outcome"] == "passed"
    else:
        assert (ended["outcome"], ended["reasons"] != []) == ("could_not_run", True)
    assert "AF_UNIX" not in told.stdout


_CONFINED = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tool_projects import suite_of
from visionflow.adapters.confine import OsSandbox
held = OsSandbox().confinement
run = suite_of(Path(sys.argv[2]), Path(sys.argv[3], "out"), sandbox=OsSandbox())
print(json.dumps({"active": held.active, "reasons": held.reasons, "outcome": run.outcome}))
"""
