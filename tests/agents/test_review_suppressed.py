"""What a project's comments and settings would hide: found all the same, and listed apart."""

import asyncio
from pathlib import Path

import pytest
from tool_projects import write
from unconfined import UnconfinedSandbox

from visionflow.agents.findings import Finding, ToolRun
from visionflow.agents.tools.project import look
from visionflow.agents.tools.review import ReviewRequest, run_tool
from visionflow.agents.tools.suppressed import ProjectSettings, without_hidden


def one(root: Path, out: Path, tool: str) -> ToolRun:
    request = ReviewRequest(
        str(root), look(str(root)), scratch=str(out / "scratch"), depth="thorough"
    )
    return asyncio.run(run_tool(UnconfinedSandbox(), tool, request))


def hidden_by(root: Path, finding: Finding) -> str | None:
    return ProjectSettings(str(root)).hides(finding)


def of(tool: str, rule: str, path: str, message: str = "m") -> Finding:
    return Finding(tool, rule, "low", message, path, 1)


def test_comments_of_every_kind_are_told_with_what_they_say(tmp_path: Path) -> None:
    root = write(tmp_path / "repo", {
        "a.py": "import os  # noqa: F401\nimport sys\nimport re  # noqa\n",
        "b.py": "# ruff: noqa: F401\nimport os\n\n\ndef f(a=[]):\n    return a\n",
        "c.py": "# flake8: noqa\nimport os\n", "d.py": "import os  # noqa: E501\n",
    })  # fmt: skip
    run = one(root, tmp_path, "ruff")
    assert [(f.rule, f.path, f.line) for f in run.findings] == [
        ("F401", "a.py", 2), ("B006", "b.py", 5), ("F401", "d.py", 1),
    ]  # fmt: skip
    assert [(each.finding.path, each.by, each.where) for each in run.suppressed] == [
        ("a.py", "comment", "# noqa: F401"), ("a.py", "comment", "# noqa"),
        ("b.py", "comment", "line 1: # ruff: noqa: F401"),
        ("c.py", "comment", "line 1: # flake8: noqa"),
    ]  # fmt: skip


def test_a_nosec_hides_what_it_names_and_no_more(tmp_path: Path) -> None:
    root = write(tmp_path / "repo", {
        "a.py": "eval(x)  # nosec B307 - trusted\nexec(\n    x,\n)  # nosec\n",
        "b.py": "eval(x)  # nosec B602\neval(x)\n",
    })  # fmt: skip
    run = one(root, tmp_path, "bandit")
    assert [(f.rule, f.path, f.line) for f in run.findings] == [
        ("B307", "b.py", 1), ("B307", "b.py", 2),
    ]  # fmt: skip
    assert [(each.finding.rule, each.where) for each in run.suppressed] == [
        ("B307", "# nosec B307 - trusted"), ("B102", "# nosec"),
    ]  # fmt: skip


def test_a_comment_moves_a_finding_and_keeps_its_fingerprint(tmp_path: Path) -> None:
    lines = "import os\nimport os.path\n"
    plain = one(write(tmp_path / "1", {"a.py": lines}), tmp_path, "ruff")
    quiet = one(write(tmp_path / "2", {"a.py": "# ruff: noqa\n" + lines}), tmp_path, "ruff")
    assert plain.suppressed == quiet.findings == ()
    marks = [each.finding.fingerprint for each in quiet.suppressed]
    assert [finding.fingerprint for finding in plain.findings] == marks


@pytest.mark.parametrize(
    ("files", "finding", "where"),
    [
        ({"pyproject.toml": '[tool.ruff.lint]\nignore = ["F"]\n'}, of("ruff", "F401", "a.py"),
         'pyproject.toml: lint.ignore "F"'),
        ({"ruff.toml": 'ignore = ["ALL"]\n'}, of("ruff", "B006", "a.py"),
         'ruff.toml: ignore "ALL"'),
        ({"ruff.toml": '[lint.per-file-ignores]\n"tests/**" = ["F4"]\n'},
         of("ruff", "F401", "tests/deep/a.py"),
         'ruff.toml: lint.per-file-ignores "tests/** F4"'),
        ({"ruff.toml": '[lint.per-file-ignores]\n"!src/**" = ["F"]\n'},
         of("ruff", "F401", "a.py"), 'ruff.toml: lint.per-file-ignores "!src/** F"'),
        ({".ruff.toml": 'extend-exclude = ["vendor"]\n'}, of("ruff", "F401", "x/vendor/a.py"),
         '.ruff.toml: extend-exclude "vendor"'),
        ({"sub/ruff.toml": 'ignore = ["F"]\n', "ruff.toml": ""}, of("ruff", "F401", "sub/x/a.py"),
         'sub/ruff.toml: ignore "F"'),
        ({"setup.cfg": "[flake8]\nextend-ignore = E203,\n    F401  # why\n"},
         of("ruff", "F401", "a.py"), 'setup.cfg: flake8 extend-ignore "F401"'),
        ({"tox.ini": "[flake8]\nper-file-ignores =\n    __init__.py:F401,E501\n    b.py: B\n"},
         of("ruff", "F401", "x/__init__.py"),
         'tox.ini: flake8 per-file-ignores "__init__.py F401"'),
        ({".bandit": "[bandit]\nskips = B101,B307\n"}, of("bandit", "B307", "a.py"),
         '.bandit: skips "B307"'),
        ({".bandit": "[bandit]\nexclude = /tests\n"}, of("bandit", "B1", "tests/a.py"),
         '.bandit: exclude "/tests"'),
        ({"pyproject.toml": '[tool.bandit]\nexclude_dirs = ["old"]\n'},
         of("bandit", "B307", "old/a.py"), 'pyproject.toml: tool.bandit.exclude_dirs "old"'),
        ({"pyproject.toml": '[tool.vulture]\nignore_names = ["on_*"]\n'},
         of("vulture", "unused-function", "a.py", "unused function 'on_key' (60 % confidence)"),
         'pyproject.toml: tool.vulture.ignore_names "on_*"'),
        ({"pyproject.toml": '[tool.vulture]\nexclude = ["legacy"]\n'},
         of("vulture", "unused-class", "x/legacy_a.py"),
         'pyproject.toml: tool.vulture.exclude "legacy"'),
        ({"pyproject.toml": '[tool.complexipy]\nexclude = ["gen/*"]\n'},
         of("complexipy", "cognitive-complexity", "gen/a.py"),
         'pyproject.toml: tool.complexipy.exclude "gen/*"'),
    ],
)  # fmt: skip
def test_a_setting_that_hides_a_finding_is_named(
    tmp_path: Path, files: dict[str, str | bytes], finding: Finding, where: str
) -> None:
    assert hidden_by(write(tmp_path, files), finding) == where


@pytest.mark.parametrize(
    ("files", "finding"),
    [
        ({}, of("ruff", "F401", "a.py")),
        ({"ruff.toml": 'select = ["E"]\n'}, of("ruff", "F401", "a.py")),
        ({"ruff.toml": 'ignore = ["F"]\n'}, of("ruff", "B006", "a.py")),
        ({"ruff.toml": 'ignore = ["ALL"]\nexclude = ["*"]\n'},
         of("ruff", "invalid-syntax", "a.py")),
        ({"ruff.toml": 'ignore = ["F"]\n', "sub/ruff.toml": 'select = ["F"]\n'},
         of("ruff", "F401", "sub/a.py")),
        ({"ruff.toml": 'ignore = ["F"]\n', "pyproject.toml": "[tool.ruff]\n"},
         of("bandit", "B307", "a.py")),
        ({"pyproject.toml": '[tool.ruff]\nignore = ["F"]\n', "ruff.toml": 'select = ["E"]\n'},
         of("ruff", "F401", "a.py")),
        ({"ruff.toml": "not = [toml"}, of("ruff", "F401", "a.py")),
        ({"pyproject.toml": "a = " + "[" * 50_000}, of("bandit", "B307", "a.py")),
        ({"ruff.toml": 'ignore = 7\nexclude = {a = 1}\n"per-file-ignores" = ["F"]\n'},
         of("ruff", "F401", "a.py")),
        ({".bandit": "no section\n"}, of("bandit", "B307", "a.py")),
        ({"ruff.toml": '[per-file-ignores]\n"other.py" = ["F"]\n'}, of("ruff", "F401", "a.py")),
    ],
)  # fmt: skip
def test_what_hides_nothing_is_not_taken_for_it(
    tmp_path: Path, files: dict[str, str | bytes], finding: Finding
) -> None:
    assert hidden_by(write(tmp_path, files), finding) is None


def test_a_setting_moves_findings_out_of_what_counts(tmp_path: Path) -> None:
    root = write(tmp_path / "repo", {
        "a.py": "import os\neval(x)\n", "ruff.toml": 'exclude = ["*.py"]\n',
        ".bandit": "[bandit]\nskips: B307\n",
    })  # fmt: skip
    for tool in ("ruff", "bandit"):
        run = one(root, tmp_path, tool)
        assert run.findings == ()
        assert {each.by for each in run.suppressed} == {"configuration"}
        assert (run.ended, run.files_read) == ("completed", 1)


def test_a_secret_that_a_baseline_accepts_is_listed(tmp_path: Path) -> None:
    import hashlib
    import json

    known = hashlib.sha1(b"hunter2-x9").hexdigest()
    entry = {"type": "Secret Keyword", "filename": "a.py", "hashed_secret": known}
    root = write(tmp_path / "repo", {
        "a.py": 'password = "hunter2-x9"\npassword = "hunter3-y8"\n',
        ".secrets.baseline": json.dumps({"results": {"a.py": [entry, 7], "b.py": "x"}}),
    })  # fmt: skip
    run = one(root, tmp_path, "detect-secrets")
    assert [finding.line for finding in run.findings if finding.path == "a.py"] == [2]
    assert [(each.finding.line, each.where) for each in run.suppressed] == [
        (1, ".secrets.baseline: results")
    ]


def test_settings_are_not_read_through_links(tmp_path: Path) -> None:
    write(tmp_path / "else", {"ruff.toml": 'ignore = ["F"]\n'})
    root = write(tmp_path / "repo", {"a.py": "import os\n"})
    (root / "ruff.toml").symlink_to(tmp_path / "else" / "ruff.toml")
    assert hidden_by(root, of("ruff", "F401", "a.py")) is None


def test_a_run_without_anything_hidden_is_left_as_it_is(tmp_path: Path) -> None:
    run = ToolRun("ruff", "1", (of("ruff", "F401", "a.py"),))
    assert without_hidden(run, ProjectSettings(str(tmp_path))) is run
