"""A project's own tests: every way in which a suite can go, told truly."""

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest
from tool_projects import QUICK, suite_of, write
from unconfined import RefusingSandbox, UnconfinedSandbox

from visionflow.agents.report.gates import base_gates
from visionflow.agents.tools.results import Progress, TestRun

_CODE = "def f(x):\n    if x:\n        return 1\n    return 2\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "repo").mkdir()
    return tmp_path / "repo"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def _gate(run: TestRun) -> bool | None:
    return base_gates(run, ())["tests"]


def _names(junit: Path) -> set[str | None]:
    return {case.get("name") for case in ElementTree.parse(junit).iter("testcase")}


def test_a_passing_suite_is_counted_measured_and_written_down(root: Path, out: Path) -> None:
    write(root, {
        "pytest.ini": QUICK, "src/thing/__init__.py": _CODE,
        "tests/test_a.py": "import thing\ndef test_f(): assert thing.f(1) == 1\n",
    })  # fmt: skip
    seen: list[Progress] = []
    run = suite_of(root, out, on_progress=seen.append)
    assert (run.outcome, run.counts.passed, run.counts.total) == ("passed", 1, 1)
    assert run.coverage == 75.0
    assert _gate(run) is True
    assert seen[-1] == Progress(1, 1, None, 0)
    assert _names(out / "junit.xml") == {"test_f"}
    coverage = ElementTree.parse(out / "coverage.xml")
    assert [c.get("filename") for c in coverage.iter("class")] == ["src/thing/__init__.py"]
    assert str(root) not in (out / "coverage.xml").read_text()
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(run), type=TestRun) == run


def test_a_failure_is_named_with_what_it_said_and_no_folder_of_this_run(
    root: Path, out: Path
) -> None:
    write(root, {
        "pytest.ini": QUICK,
        "test_a.py": "import os\ndef test_no():\n    assert os.getcwd() == object(), 'é'\n"
        "def test_yes(): pass\n",
    })  # fmt: skip
    run = suite_of(root, out)
    assert (run.outcome, run.counts.failed, run.counts.passed) == ("failed", 1, 1)
    assert [case.id for case in run.cases] == ["test_a.py::test_no"]
    assert "é" in run.cases[0].summary
    assert str(root) not in run.cases[0].message
    assert _gate(run) is False


@pytest.mark.parametrize("used", [False, True])
def test_hypothesis_is_imported_for_suites_that_use_it_and_for_no_others(
    root: Path, out: Path, used: bool
) -> None:
    property_test = (
        "from hypothesis import given, strategies\n@given(strategies.just(7))\n"
        "def test_a(x): assert x == 8\n"
    )
    write(root, {
        "pytest.ini": "[pytest]\n",
        "conftest.py": "import sys\ndef pytest_unconfigure():\n"
        "    open('seen', 'w').write(str('hypothesis' in sys.modules))\n",
        "test_a.py": property_test if used else "def test_a(): pass\n",
    })  # fmt: skip
    run = suite_of(root, out)
    assert (root / "seen").read_text() == str(used)
    assert run.outcome == ("failed" if used else "passed")
    assert not used or "test case: test_a(" in run.cases[0].message


def test_two_runs_of_one_tree_agree_in_all_but_time(root: Path, out: Path) -> None:
    write(root, {
        "pytest.ini": QUICK, "mod.py": _CODE,
        "test_a.py": "import mod\ndef test_a(): assert mod.f == hash('x')\n"
        "def test_b(): assert {'a', 'b', 'c', 'd'} == 1\n",
    })  # fmt: skip
    first, second = suite_of(root, out / "1"), suite_of(root, out / "2")

    def timeless(run: TestRun) -> object:
        cases = [msgspec.structs.replace(case, seconds=0.0) for case in run.cases]
        return (run.outcome, run.reason, run.counts, cases, run.coverage, run.notes)

    assert timeless(first) == timeless(second)


def test_a_hanging_test_is_cut_off_and_what_finished_is_told(root: Path, out: Path) -> None:
    write(root, {
        "pytest.ini": QUICK,
        "test_a.py": "import time\ndef test_ok(): pass\ndef test_hang(): time.sleep(60)\n",
    })  # fmt: skip
    run = suite_of(root, out, wall_ms=4_000)
    assert run.outcome == "timed_out"
    assert (run.counts.passed, run.counts.total, run.collected) == (1, 1, 2)
    assert "test_hang" in (run.reason or "")
    assert _gate(run) is None
    assert _names(out / "junit.xml") == {"test_ok", "test_hang"}


def test_a_hang_that_ignores_interrupts_is_still_cut_off(root: Path, out: Path) -> None:
    body = (
        "import signal, time\ndef test_ok(): pass\ndef test_hang():\n"
        "    signal.signal(signal.SIGALRM, signal.SIG_IGN)\n    time.sleep(60)\n"
    )
    write(root, {"pytest.ini": QUICK, "mod.py": _CODE, "test_a.py": body})
    run = suite_of(root, out, wall_ms=4_000)
    assert (run.outcome, run.counts.passed) == ("timed_out", 1)
    assert (run.coverage, run.coverage_reason) == (
        None, "the tests ended before coverage was saved",
    )  # fmt: skip
    assert _names(out / "junit.xml") == {"test_ok", "test_hang"}


@pytest.mark.parametrize("way", ["os._exit(0)", "os.kill(os.getpid(), 11)"])
def test_a_process_that_leaves_in_the_middle_is_no_pass(root: Path, out: Path, way: str) -> None:
    write(root, {
        "pytest.ini": QUICK,
        "test_a.py": f"import os\ndef test_ok(): pass\ndef test_leaves(): {way}\n",
    })  # fmt: skip
    run = suite_of(root, out)
    assert (run.outcome, run.counts.passed, run.counts.errors) == ("failed", 1, 1)
    assert "while this test ran" in run.cases[0].message
    assert _names(out / "junit.xml") == {"test_ok", "test_leaves"}


def test_no_tests_starts_nothing(root: Path, out: Path) -> None:
    write(root, {"mod.py": "x = 1\n"})
    sandbox = UnconfinedSandbox()
    run = suite_of(root, out, sandbox=sandbox)
    assert (run.outcome, run.coverage, _gate(run)) == ("no_tests", None, None)
    assert sandbox.commands == []
    assert _names(out / "junit.xml") == set()


def test_a_suite_that_skips_everything_is_no_pass(root: Path, out: Path) -> None:
    body = "import pytest\n@pytest.mark.skip\ndef test_a(): pass\n"
    write(root, {"pytest.ini": QUICK, "test_a.py": body})
    run = suite_of(root, out)
    assert (run.outcome, run.reason, _gate(run)) == ("no_tests", "all 1 were skipped", None)


def test_a_missing_import_is_a_missing_dependency_and_no_verdict(root: Path, out: Path) -> None:
    write(root, {
        "pytest.ini": QUICK, "tests/test_a.py": "import nonesuch.part\n",
        "tests/test_b.py": "def test_b(): pass\n",
    })  # fmt: skip
    run = suite_of(root, out)
    assert run.outcome == "could_not_run"
    assert run.reason == "missing dependency: nonesuch (imported by tests/test_a.py)"
    assert (run.counts.passed, run.counts.errors, run.missing) == (1, 1, ("nonesuch",))
    assert run.pass_rate == 0.5
    (root / "tests" / "test_b.py").unlink()
    alone = suite_of(root, out)
    assert (alone.counts.errors, alone.pass_rate) == (1, None)
    assert _gate(run) is None


def test_a_real_failure_beside_a_missing_import_still_fails(root: Path, out: Path) -> None:
    write(root, {
        "pytest.ini": QUICK, "test_a.py": "import nonesuch\n", "test_b.py": "def test_b(): 1/0\n",
    })  # fmt: skip
    run = suite_of(root, out)
    assert (run.outcome, _gate(run)) == ("failed", False)
    assert "nonesuch" in (run.reason or "")


def test_a_wrong_import_of_the_projects_own_is_its_fault(root: Path, out: Path) -> None:
    write(root, {
        "pytest.ini": QUICK, "pkg/__init__.py": "", "test_a.py": "import pkg.typo\n",
    })  # fmt: skip
    run = suite_of(root, out)
    assert (run.outcome, run.missing) == ("failed", ())


def test_an_extension_that_was_not_built_is_missing(root: Path, out: Path) -> None:
    write(root, {
        "pytest.ini": QUICK, "pkg/__init__.py": "", "pkg/_fast.c": "",
        "test_a.py": "import pkg._fast\n",
    })  # fmt: skip
    run = suite_of(root, out)
    assert run.outcome == "could_not_run"
    assert run.missing == ("pkg._fast (made by the project's build)",)


@pytest.mark.parametrize(
    ("files", "missing"),
    [
        ({"pytest.ini": "[pytest]\naddopts = --timeout=3\n"}, "pytest-timeout"),
        ({"pytest.ini": "[pytest]\nrequired_plugins = pytest-nonesuch\n"}, "pytest-nonesuch"),
        ({"conftest.py": "import nonesuch\n"}, "nonesuch"),
    ],
)
def test_what_pytest_itself_lacks_is_named(
    root: Path, out: Path, files: dict[str, str | bytes], missing: str
) -> None:
    write(root, {"test_a.py": "def test_a(): pass\n", **files})
    run = suite_of(root, out)
    assert (run.outcome, run.missing, run.counts.total) == ("could_not_run", (missing,), 0)
    assert missing in (run.reason or "")


def test_coverage_options_in_the_settings_do_not_need_their_plugin(root: Path, out: Path) -> None:
    write(root, {
        "pytest.ini": QUICK.strip() + " --cov=mod --cov-report term-missing --cov-fail-under=99\n",
        "mod.py": _CODE, "test_a.py": "import mod\ndef test_a(): mod.f(0)\n",
    })  # fmt: skip
    run = suite_of(root, out)
    assert (run.outcome, run.coverage) == ("passed", 75.0)


def test_a_syntax_error_fails_its_module_and_the_rest_runs(root: Path, out: Path) -> None:
    write(root, {
        "pytest.ini": QUICK, "test_a.py": "def broken(:\n", "test_b.py": "def test_b(): pass\n",
    })  # fmt: skip
    run = suite_of(root, out)
    assert (run.outcome, run.counts.errors, run.counts.passed) == ("failed", 1, 1)


def test_unittest_only_projects_run_too(root: Path, out: Path) -> None:
    body = "import unittest\nclass A(unittest.TestCase):\n    def test_a(self): pass\n"
    write(root, {"tests/__init__.py": "", "tests/testthing.py": body})
    run = suite_of(root, out)
    assert (run.outcome, run.counts.passed) == ("passed", 1)


def test_settings_of_a_folder_above_are_not_taken(root: Path, out: Path) -> None:
    write(root.parent, {"pytest.ini": "[pytest]\naddopts = --nonsense\n"})
    write(root, {"test_a.py": "def test_a(): pass\n"})
    assert suite_of(root, out).outcome == "passed"


def test_tests_run_in_the_projects_own_environment(root: Path, out: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(root / ".venv")], check=True)
    site = root / f".venv/lib/python3.{sys.version_info.minor}/site-packages"
    write(site, {"onlythere.py": "value = 7\n"})
    write(root, {
        "mod.py": _CODE,
        "test_a.py": "import sys, mod, onlythere\ndef test_a():\n"
        "    assert mod.f(1) == 1 and onlythere.value == 7 and '.venv' in sys.prefix\n",
    })  # fmt: skip
    run = suite_of(root, out)
    assert (run.outcome, run.reason) == ("passed", None)
    assert run.coverage == 75.0
    assert "own environment" in run.environment
    assert "lent by VisionFlow" in run.environment


def test_a_project_that_is_not_installed_still_finds_its_version(root: Path, out: Path) -> None:
    write(root, {
        "pytest.ini": QUICK, "thing/__init__.py": "",
        "pyproject.toml": '[project]\nname = "thing"\nversion = "1.2"\n'
        '[project.scripts]\nthing = "thing:main"\n',
        "test_a.py": "from importlib.metadata import version, entry_points\n"
        "def test_a():\n    assert version('thing') == '1.2'\n"
        "    assert entry_points(group='console_scripts', name='thing')\n",
    })  # fmt: skip
    run = suite_of(root, out)
    assert (run.outcome, run.reason) == ("passed", None)
    assert any("not installed" in note for note in run.notes)


def test_a_newer_python_than_there_is_is_told_before_anything_runs(root: Path, out: Path) -> None:
    write(root, {"pyproject.toml": '[project]\nname="a"\nrequires-python=">=3.99"\n',
                 "test_a.py": ""})  # fmt: skip
    sandbox = UnconfinedSandbox()
    run = suite_of(root, out, sandbox=sandbox)
    assert (run.outcome, sandbox.commands) == ("could_not_run", [])
    assert "3.99" in (run.reason or "")


def test_without_confinement_nothing_runs_and_it_says_so(root: Path, out: Path) -> None:
    write(root, {"test_a.py": "def test_a(): pass\n"})
    run = suite_of(root, out, sandbox=RefusingSandbox())
    assert (run.outcome, run.enforced, _gate(run)) == ("could_not_run", None, None)
    assert "confine" in (run.reason or "")


def test_tests_that_plant_links_in_our_folders_leak_nothing(
    root: Path, out: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("<testsuites>secret</testsuites>")
    body = (
        "import os, atexit\ndef test_a(): pass\n"
        "def plant():\n"
        "    place = os.path.dirname(os.environ['VISIONFLOW_TEST_LOG']) + '/junit.xml'\n"
        f"    os.unlink(place); os.symlink({str(secret)!r}, place)\n"
        "atexit.register(plant)\n"
    )
    write(root, {"pytest.ini": QUICK, "test_a.py": body})
    run = suite_of(root, out)
    assert run.outcome == "passed"
    assert "secret" not in (out / "junit.xml").read_text()
    assert _names(out / "junit.xml") == {"test_a"}


def test_a_latin_1_file_is_tested_and_measured(root: Path, out: Path) -> None:
    write(root, {
        "pytest.ini": QUICK, "mod.py": b"# -*- coding: latin-1 -*-\nvalue = '\xe9'\n",
        "test_a.py": "import mod\ndef test_a(): assert mod.value == chr(233)\n",
    })  # fmt: skip
    run = suite_of(root, out)
    assert (run.outcome, run.coverage) == ("passed", 100.0)


def test_what_a_killed_attempt_left_behind_is_not_counted(root: Path, out: Path) -> None:
    write(root, {"pytest.ini": QUICK, "test_a.py": "def test_a(): pass\n"})
    old = '{"kind": "report", "id": "old.py::x", "when": "call", "outcome": "failed"}\n'
    write(out, {"scratch/tests/results.jsonl": old, "scratch/tests/junit.xml": "<old/>"})
    run = suite_of(root, out)
    assert (run.outcome, run.counts.total) == ("passed", 1)
    assert _names(out / "junit.xml") == {"test_a"}


def test_a_test_that_interrupts_the_session_is_named(root: Path, out: Path) -> None:
    body = "def test_a(): pass\ndef test_b(): raise KeyboardInterrupt\n"
    write(root, {"pytest.ini": QUICK, "test_a.py": body})
    run = suite_of(root, out)
    assert (run.outcome, run.counts.passed, _gate(run)) == ("could_not_run", 1, None)
    assert "test_a.py::test_b" in (run.reason or "")


def test_async_tests_without_their_plugin_are_no_verdict(root: Path, out: Path) -> None:
    write(root, {"pytest.ini": QUICK, "test_a.py": "async def test_a(): pass\n"})
    run = suite_of(root, out)
    assert (run.outcome, _gate(run)) == ("could_not_run", None)
    assert "pytest-asyncio" in run.missing[0]
