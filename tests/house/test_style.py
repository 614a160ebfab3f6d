"""The sources follow the style rules; house_rules says what each means."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import PurePosixPath

import house_rules as rules

HEAVY = frozenset(
    "bandit coverage cyclopts mcp psutil pydantic pytest rich starlette uvicorn yaml".split()
)


def test_at_most_one_function_in_a_hundred_is_longer_than_a_screen() -> None:
    count, long = rules.long_functions(rules.python_sources("src"))
    assert len(long) * 100 <= count, long


def test_no_module_is_over_its_bound() -> None:
    rules.expect_none(rules.long_modules(rules.python_sources()))


def test_every_function_annotates_its_parameters_and_return() -> None:
    rules.expect_none(b for s in rules.python_sources() for b in rules.unannotated(s))


def test_no_class_is_named_for_nothing() -> None:
    rules.expect_none(b for s in rules.python_sources() for b in rules.vague_classes(s))


def test_every_module_opens_with_its_job() -> None:
    rules.expect_none(b for s in rules.python_sources() for b in rules.undocumented_module(s))


def test_nothing_inside_imports_the_root_package() -> None:
    inside = [s for s in rules.python_sources("src") if s.path != "src/visionflow/__init__.py"]
    rules.expect_none(b for s in inside for b in rules.root_imports(s))


def test_runtime_and_worker_run_in_one_order_only() -> None:
    shell = rules.python_sources("src/visionflow/runtime", "src/visionflow/worker")
    rules.expect_none(b for s in shell for b in rules.reorderings(s))


def test_no_two_test_modules_share_a_name() -> None:
    """Folders of tests are no packages, so a second module of a name would hide the first."""
    names = Counter(PurePosixPath(s.path).name for s in rules.python_sources("tests"))
    double = [name for name, times in names.items() if times > 1]
    rules.expect_none(name for name in double if name not in ("conftest.py", "__init__.py"))


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import sys, json, visionflow; print(json.dumps(sorted(sys.modules)))"
    ran = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60
    )
    loaded = {name.partition(".")[0] for name in json.loads(ran.stdout)}
    assert "visionflow" in loaded
    assert not loaded & HEAVY
