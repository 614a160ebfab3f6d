"""The coder: what it fixes, what the gates keep out, and that nothing depends on being killed."""

import asyncio
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from role_work import Attempt, Killed, do
from tool_projects import QUICK, write
from unconfined import RefusingSandbox

from visionflow.agents import CoderAgent, PermanentFailure, Task
from visionflow.agents.evidence import Change
from visionflow.agents.findings import Finding
from visionflow.agents.roles import patching
from visionflow.agents.roles.job import restored, storable
from visionflow.agents.roles.measuring import Review, Site
from visionflow.agents.tools.project import Project
from visionflow.agents.tools.results import CaseOutcome, TestRun
from visionflow.agents.tools.testing import SuiteRequest
from visionflow.agents.workspace import PrivateRepository
from visionflow.agents.workspace.git import git
from visionflow.ports.sandbox import Sandbox

SHOP: dict[str, str | bytes] = {
    "pytest.ini": QUICK,
    "shop/__init__.py": "",
    "shop/probe.py": "FAST = True\ntry:\n    import fast\nexcept Exception:\n    FAST = False\n",
    "shop/core.py": (
        "import os\nimport sys\n\n\n"
        "def name(n):\n    return f'shop'\n\n\n"
        "def has(a, b):\n    return not a in b\n\n\n"
        "def where():\n    return sys.path\n"
    ),
    "tests/test_shop.py": (
        "import os\n\nfrom shop.core import has, name\n\n\n"
        "def test_name():\n    assert name(1) == 'shop'\n\n\n"
        "def test_has():\n    assert has(1, [2])\n"
    ),
}

UNTESTED = {path: text for path, text in SHOP.items() if not path.startswith("tests")}


def passed(*names: str, coverage: float | None = None) -> dict[str, Any]:
    """What a tester said of the unchanged code."""
    outcomes = {f"tests/{name}": "passed" for name in names}
    return {"t": {"tests": {"outcome": "passed", "outcomes": outcomes, "coverage": coverage}}}


def pretend(
    monkeypatch: pytest.MonkeyPatch,
    passes: dict[str, Callable[[Path], bool]],
    coverage: Callable[[Path], float] = lambda _: 100.0,
) -> None:
    """Tests that are functions of the worktree, in place of a pytest for each look."""

    async def run(
        sandbox: Sandbox, project: Project, request: SuiteRequest, on_progress: object = None
    ) -> TestRun:
        here = Path(request.worktree)
        chosen = {
            name: check
            for name, check in passes.items()
            if request.selection is None or name.partition("::")[0] in request.selection
        }
        outcomes: dict[str, CaseOutcome] = {
            name: "passed" if check(here) else "failed" for name, check in chosen.items()
        }
        outcome = "passed" if set(outcomes.values()) == {"passed"} else "failed"
        return TestRun(outcome, outcomes=outcomes, coverage=coverage(here))

    monkeypatch.setattr("visionflow.agents.roles.measuring.run_tests", run)


def text_in(path: str, text: str) -> Callable[[Path], bool]:
    return lambda here: text in (here / path).read_text()


def fix(
    tmp_path: Path,
    files: dict[str, str | bytes],
    *,
    attempt: Attempt | None = None,
    config: dict[str, Any] | None = None,
    dependencies: dict[str, Any] | None = None,
    own: str = "own",
) -> tuple[Change, dict[str, Any]]:
    source = tmp_path / "ws"
    if not source.exists():
        write(source, files)
    # One cache for all tests here: most of their files are the same, and bandit is slow.
    given = {
        "workspace": str(source), "run": "run-1", "patch": str(tmp_path / own / "p"),
        "cache": str(tmp_path.parent / "cache"),
    }  # fmt: skip
    task = Task(id="fix", type="fix", input=given, dependencies=dependencies or {})
    result = do(CoderAgent, tmp_path / own, task, attempt=attempt, config=config)
    return restored(result["change"], Change), result


def files_at(tmp_path: Path, commit: str, path: str, own: str = "own") -> str:
    repository = tmp_path / own / "fix" / "repository" / "repository.git"
    return asyncio.run(git(repository, "cat-file", "blob", f"{commit}:{path}")).decode()


@pytest.mark.acceptance("workspace")
def test_safe_fixes_become_one_commit_a_rule_that_the_tests_and_the_review_let_through(
    tmp_path: Path,
) -> None:
    change, result = fix(tmp_path, SHOP)
    assert change.outcome == "changed", (change.reason, change.dropped)
    assert [each.rule for each in change.commits] == ["E713", "F401", "F541"]
    assert all(each.files == ("shop/core.py",) and each.fixes == 1 for each in change.commits)
    assert change.files == ("shop/core.py",)
    assert change.gates == {"tests": True, "findings": True}
    assert (change.new, change.same_code, change.dropped) == ((), False, ())
    assert change.fixed >= 3
    assert change.branch == "visionflow/run-1"
    assert change.tip is not None
    fixed = files_at(tmp_path, change.tip, "shop/core.py")
    assert "import os" not in fixed
    assert "return 'shop'" in fixed
    assert "return a not in b" in fixed
    assert any("judged by" in note for note in change.notes)  # the import in the tests
    assert any("probe" in note for note in change.notes)  # the import in a try
    assert change.code_quality is not None and 0 < change.code_quality <= 1
    assert result["warnings"] == []
    the_patch_is_the_branch_and_the_users_folder_is_untouched(tmp_path, change, fixed)


def the_patch_is_the_branch_and_the_users_folder_is_untouched(
    tmp_path: Path, change: Change, fixed: str
) -> None:
    source = tmp_path / "ws"
    assert (source / "shop" / "core.py").read_text() == SHOP["shop/core.py"]
    patch = tmp_path / "own" / "p"
    subprocess.run(["git", "apply", str(patch)], cwd=source, check=True, timeout=60)
    assert (source / "shop/core.py").read_text() == fixed
    changed = [line for line in patch.read_text().splitlines() if line[:1] in "+-"]
    assert (change.insertions, change.deletions) == (
        len([line for line in changed if line.startswith("+") and line[:3] != "+++"]),
        len([line for line in changed if line.startswith("-") and line[:3] != "---"]),
    )


@pytest.mark.acceptance("workspace")
def test_killed_after_any_step_it_ends_with_the_same_commits_and_the_same_patch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, {"tests/test_shop.py::test": text_in("shop/core.py", "import sys")})
    steps = Attempt()
    calm, _ = fix(tmp_path, SHOP, own="calm", attempt=steps)
    done: dict[str, bytes] = {}
    for _ in steps.ran:
        attempt = Attempt(done, kill_at=2)
        try:
            # The second step did its work, its record is not there: the next attempt does it again.
            change, _ = fix(tmp_path, SHOP, attempt=attempt, own="killed")
            break
        except Killed:
            done = attempt.done
    else:
        pytest.fail("it never ended")
    assert len(done) == len(steps.ran) - 1
    assert change == calm
    assert (tmp_path / "killed" / "p").read_bytes() == (tmp_path / "calm" / "p").read_bytes()


EXTRA: dict[str, str | bytes] = {
    **UNTESTED,
    "shop/extra.py": "import os\nimport re\n\n\ndef f():\n    return f'x'\n",
}


@pytest.mark.acceptance("workspace")
def test_the_rule_that_breaks_a_test_is_found_and_dropped_and_the_rest_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs_os = text_in("shop/extra.py", "import os")
    pretend(monkeypatch, {"tests/a.py::kept": lambda _: True, "tests/b.py::test": needs_os})
    attempt = Attempt()
    change, _ = fix(tmp_path, EXTRA, attempt=attempt)
    assert [each.rule for each in change.commits] == ["E713", "F541"]
    (dropped,) = change.dropped
    assert dropped.rule == "F401"
    assert "tests/b.py::test" in dropped.why
    assert change.gates == {"tests": True, "findings": True}
    assert change.tip is not None
    assert "import os\nimport re" in files_at(tmp_path, change.tip, "shop/extra.py")
    # Before, the whole patch, two of its three commits, and what is left of it.
    assert attempt.ran.count("run the tests") == 5


@pytest.mark.acceptance("workspace")
def test_a_rule_that_brings_a_new_finding_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its unused import, a tool here objects to a file. Only the review can tell."""
    pretend(monkeypatch, {"tests/a.py::kept": lambda _: True})
    real = patching.review_at

    async def review(sandbox: Sandbox, site: Site, commit: str) -> Review:
        found = await real(sandbox, site, commit)
        if text_in("shop/core.py", "import os")(Path(site.worktree)):
            return found
        new = storable(Finding("made", "X1", "low", "planted", "shop/core.py", 1, fingerprint="f"))
        first, *rest = found.tools
        planted = {**first, "findings": [*first["findings"], new]}
        return Review((planted, *rest), found.lines)

    monkeypatch.setattr(patching, "review_at", review)
    change, _ = fix(tmp_path, UNTESTED)
    assert [each.rule for each in change.commits] == ["E713", "F541"]
    (dropped,) = change.dropped
    assert (dropped.rule, dropped.why) == (
        "F401", "a finding is new: shop/core.py:1 made X1")  # fmt: skip


def test_without_tests_only_what_compiles_to_the_same_is_kept(tmp_path: Path) -> None:
    change, _ = fix(tmp_path, UNTESTED)
    assert [each.rule for each in change.commits] == ["E713", "F541"]
    assert [each.rule for each in change.dropped] == ["F401"]
    assert change.gates == {"tests": None, "findings": True}
    assert change.same_code is True
    assert any("There are no tests" in note for note in change.notes)


@pytest.mark.acceptance("workspace")
def test_where_every_fix_breaks_something_the_patch_is_rejected_and_no_branch_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, {"tests/b.py::test": text_in("extra.py", "import os")})
    change, _ = fix(tmp_path, {"extra.py": "import os\n"})
    assert (change.outcome, change.branch, change.tip, change.commits) == (
        "rejected", None, None, ())  # fmt: skip
    assert "tests/b.py::test" in (change.reason or "")
    assert not (tmp_path / "own" / "p").exists()


def test_code_without_anything_to_mend_is_left_as_it_is(tmp_path: Path) -> None:
    change, _ = fix(tmp_path, {"a.py": "def f():\n    return 1\n\n\nprint(f())\n"})
    assert (change.outcome, change.commits) == ("nothing_to_do", ())
    assert change.code_quality == 1.0


def test_what_the_project_hides_from_the_review_is_not_fixed(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        **UNTESTED,
        "pyproject.toml": "[tool.ruff.lint]\nignore = ['F401']\n",
        "shop/core.py": "import os\n\n\ndef name(n):\n    return f'shop'  # noqa: F541\n\n\n"
        "def has(a, b):\n    return not a in b\n",
    }
    change, _ = fix(tmp_path, files)
    assert [each.rule for each in change.commits] == ["E713"]


def test_linting_false_leaves_findings_and_a_foreign_language_is_warned_about(
    tmp_path: Path,
) -> None:
    change, _ = fix(tmp_path, UNTESTED, config={"linting": False})
    assert change.outcome == "nothing_to_do"
    config = {"languages": ["python", "rust"], "test_generation": True}
    _, result = fix(tmp_path, UNTESTED, config=config, own="b")
    assert len(result["warnings"]) == 2
    assert "test_generation" in result["warnings"][0]
    assert "rust" in result["warnings"][1]
    change, _ = fix(tmp_path, SHOP, config={"languages": ["rust"]}, own="c")
    assert (change.outcome, change.reason) == (
        "nothing_to_do", "python is not among the languages it may fix")  # fmt: skip


FORMATTED: dict[str, str | bytes] = {
    "pyproject.toml": "[tool.black]\n",
    "shop/core.py": 'def name(n):\n    return f"shop"\n',
    "shop/loose.py": "x = {  'a':1 }\n",
    **{f"shop/m{n}.py": f"x = {n}\n" for n in range(9)},
}


def test_formatting_is_a_commit_of_its_own_where_the_project_asks_for_it_and_keeps_to_it(
    tmp_path: Path,
) -> None:
    change, _ = fix(tmp_path, FORMATTED)
    assert [each.rule for each in change.commits] == ["F541", "format"]
    assert change.commits[-1].files == ("shop/loose.py",)
    assert change.tip is not None
    assert files_at(tmp_path, change.tip, "shop/loose.py") == 'x = {"a": 1}\n'
    off, _ = fix(tmp_path, FORMATTED, config={"formatting": False}, own="off")
    assert [each.rule for each in off.commits] == ["F541"]


def test_a_project_that_does_not_keep_to_its_formatter_is_not_formatted(tmp_path: Path) -> None:
    loose = {f"shop/m{n}.py": "x = {  'a':1 }\n" for n in range(9)}
    change, _ = fix(tmp_path, {**FORMATTED, **loose})
    assert [each.rule for each in change.commits] == ["F541"]
    assert any("do not keep to it" in note for note in change.notes)


def test_what_the_projects_own_version_of_the_formatter_made_is_left(tmp_path: Path) -> None:
    """Its own CI would turn it back."""
    pinned = {".pre-commit-config.yaml": "- repo: b\n  rev: 24.2.0\n  hooks:\n  - id: black\n"}
    change, _ = fix(tmp_path, {**FORMATTED, **pinned})
    assert [each.rule for each in change.commits] == ["F541"]
    assert any(
        note.startswith("Left as they are formatted: 1 of ") and "black 24.2.0" in note
        for note in change.notes
    )


def test_a_patch_that_brings_coverage_below_the_threshold_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Imports run, so without them a smaller share of the lines does."""
    with_os = text_in("shop/core.py", "import os")
    pretend(
        monkeypatch, {"tests/a.py::test": lambda _: True},
        coverage=lambda here: 60.0 if with_os(here) else 59.0,
    )  # fmt: skip
    change, _ = fix(tmp_path, UNTESTED, config={"coverage_threshold": 0.6})
    assert [each.rule for each in change.commits] == ["E713", "F541"]
    (dropped,) = change.dropped
    assert (dropped.rule, dropped.why) == ("F401", "coverage falls from 60.0 to 59.0 percent")
    assert change.gates == {"tests": True, "coverage": True, "findings": True}


@pytest.mark.acceptance("confine")
def test_nothing_is_called_fixed_where_nothing_can_be_confined(tmp_path: Path) -> None:
    write(tmp_path / "ws", SHOP)
    task = Task(id="fix", type="fix", input={"workspace": str(tmp_path / "ws")})
    result = do(CoderAgent, tmp_path / "own", task, sandbox=RefusingSandbox())
    change = restored(result["change"], Change)
    assert change.outcome == "could_not_run"
    assert change.code_quality is None


def test_results_of_the_tester_are_used_and_not_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, {"tests/test_shop.py::test_has": lambda _: True})
    attempt = Attempt()
    fix(tmp_path, UNTESTED, attempt=attempt, dependencies=passed("test_shop.py::test_has"))
    assert attempt.ran.count("run the tests") == 1


def test_commits_stand_on_the_users_head_where_the_workspace_is_clean(tmp_path: Path) -> None:
    source = write(tmp_path / "ws", UNTESTED)
    for words in (("init", "-q"), ("add", "."), ("commit", "-q", "-m", "one")):
        subprocess.run(
            ["git", "-c", "user.name=A", "-c", "user.email=a@example.org", *words],
            cwd=source, check=True, timeout=60,
        )  # fmt: skip
    change, _ = fix(tmp_path, UNTESTED)
    folder = tmp_path / "own" / "fix" / "repository"
    repository = asyncio.run(PrivateRepository.create(folder, source))
    assert change.base == repository.head


@pytest.mark.parametrize(
    ("description", "more", "fits"),
    [
        ("Fix the lint findings", {}, True),
        ("Remove unused imports", {"requirements": "safe fixes only"}, True),
        ("Build an authentication service", {}, False),
        ("Fix lint and add a login page", {}, False),
        ("Make it better", {}, False),
    ],
)
def test_only_what_is_mechanical_can_be_implemented_without_a_model(
    tmp_path: Path, description: str, more: dict[str, str], fits: bool
) -> None:
    write(tmp_path / "ws", {"a.py": "x = 1\n"})
    given = {"workspace": str(tmp_path / "ws")}
    task = Task(
        id="t", type="implement_solution", description=description, input=given, config=more
    )
    if fits:
        assert do(CoderAgent, tmp_path / "own", task)["change"]["outcome"] == "nothing_to_do"
    else:
        with pytest.raises(PermanentFailure, match="needs_model"):
            do(CoderAgent, tmp_path / "own", task)
