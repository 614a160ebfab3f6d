"""Whole gates: what is flagged, what is not, and what is said when something cannot be told."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from gates import QUICK, SHOP, gate, rules
from repositories import commit, git, put

from visionflow.agents.gate.results import Accepted, FileLines, GateResult
from visionflow.compose.gate.request import GateRequest
from visionflow.compose.gate.running import run_gate
from visionflow.domain.errors import ConfigError, ConfinementUnavailable
from visionflow.ports.sandbox import Command, Completed, Confinement

Gate = Callable[..., GateResult]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    git(folder, "init", "-q", ".")
    commit(folder, SHOP)
    return folder


@pytest.fixture
def run(home: Path, shop: Path, monkeypatch: pytest.MonkeyPatch) -> Gate:
    def one(**asked: object) -> GateResult:
        return gate(shop, home, monkeypatch, **asked)

    return one


def core(text: str, name: str = "shop/core.py") -> dict[str, str]:
    return {name: SHOP["shop/core.py"] + text}


def test_nothing_changed_is_clean_and_starts_nothing(run: Gate) -> None:
    result = run(tests="affected")
    assert result.clean
    assert result.tools == ()
    assert result.tests_reason == "nothing changed"


def test_only_what_is_new_on_a_changed_line_is_flagged(run: Gate, shop: Path) -> None:
    put(shop, {"shop/core.py": "import os\n" + SHOP["shop/core.py"].replace("x + 1", "eval(x)")})
    result = run()
    assert rules(result) == [("shop/core.py", 1, "F401"), ("shop/core.py", 3, "B307")]
    assert result.findings.known == 1
    assert result.failed == ("2 new findings on changed lines",)


def test_a_line_that_moved_or_was_renamed_with_its_file_is_not_flagged(
    run: Gate, shop: Path
) -> None:
    (shop / "shop/core.py").rename(shop / "shop/moved.py")
    put(shop, {"shop/moved.py": "N = 1\n\n\n" + SHOP["shop/core.py"]})
    result = run()
    assert result.clean
    assert [(each.path, each.status, each.lines) for each in result.files] == [
        ("shop/moved.py", "renamed", 3)
    ]


def hidden(result: GateResult) -> list[tuple[str, int, str]]:
    return [
        (each.finding.path, each.finding.line, each.finding.rule)
        for each in result.findings.suppressed
    ]


def test_a_suppressed_finding_is_not_flagged_and_told_where_the_change_hid_it(
    run: Gate, shop: Path
) -> None:
    commit(shop, core("\n\ndef known(x):\n    return eval(x)  # nosec B307\n"))
    text = (shop / "shop/core.py").read_text()
    put(shop, {"shop/core.py": text + "\n\ndef new(x):\n    return eval(x)  # nosec B307\n"})
    result = run()
    assert "B307" not in [rule for _, _, rule in rules(result)]
    assert hidden(result) == [("shop/core.py", 14, "B307")]


def test_a_known_finding_that_a_comment_or_setting_of_the_change_hides_is_told(
    run: Gate, shop: Path
) -> None:
    commit(shop, {"shop/late.py": "import os\n"})
    text = SHOP["shop/core.py"].replace("return eval(x)", "return eval(x)  # nosec")
    ignored = '[lint.per-file-ignores]\n"shop/late.py" = ["F401"]\n'
    put(shop, {"shop/core.py": text, "shop/late.py": "import os\n\nN = 1\n", "ruff.toml": ignored})
    result = run()
    assert hidden(result) == [("shop/core.py", 6, "B307"), ("shop/late.py", 1, "F401")]
    assert (result.clean, result.findings.new) == (True, ())


def test_a_file_that_does_not_parse_is_flagged_and_costs_only_itself(run: Gate, shop: Path) -> None:
    put(shop, {"shop/bad.py": "def (:\n", "shop/good.py": "import os\n"})
    result = run()
    assert ("shop/bad.py", 1, "invalid-syntax") in rules(result)
    assert ("shop/good.py", 1, "F401") in rules(result)
    (bandit,) = [tool for tool in result.tools if tool.tool == "bandit"]
    assert [path for path, _ in bandit.not_read] == ["shop/bad.py"]


def test_deleted_binary_and_mode_changes_flag_nothing(run: Gate, shop: Path) -> None:
    (shop / "shop/core.py").unlink()
    (shop / "tests/test_core.py").chmod(0o755)
    put(shop, {"picture.png": b"\x89PNG\0\0", "odd.py": b"x = '\0'\n"})
    result = run()
    assert [each.status for each in result.files] == ["added", "added", "deleted", "changed"]
    assert {path for path, _, _ in rules(result)} <= {"odd.py"}


def test_the_threshold_shows_what_is_under_it(run: Gate, shop: Path) -> None:
    put(shop, core("\n\nimport os\n"))
    result = run(fail_on="high")
    assert result.clean
    assert "F401" in [each.rule for each in result.findings.below]


def test_a_cycle_that_a_new_import_closes_is_flagged_once(run: Gate, shop: Path) -> None:
    commit(shop, {
        "shop/a.py": "from shop import b\n\nA = b\n", "shop/b.py": "B = 1\n",
        "shop/x.py": "from shop import y\n\nX = y\n",
        "shop/y.py": "from shop import x\n\nY = x\n",
    })  # fmt: skip
    put(shop, {
        "shop/b.py": "from shop import a\n\nB = a\n",
        "shop/y.py": "from shop import x\nfrom shop import core\n\nY = x, core\n",
        "shop/core.py": SHOP["shop/core.py"] + "\n\ndef late():\n    import shop.y\n",
    })  # fmt: skip
    found = [each for each in run().findings.new if each.rule == "import-cycle"]
    assert [(each.path, each.line) for each in found] == [("shop/b.py", 1)]
    assert "shop.b -> shop.a -> shop.b" in found[0].message


def test_a_second_gate_gives_the_same_answer_and_starts_no_tool(
    run: Gate, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gates

    put(shop, core("\n\ndef new(x):\n    return eval(x)\n"))
    first = run()
    assert rules(first)

    async def refuse(*_: object) -> Completed:
        raise AssertionError("something was started")

    monkeypatch.setattr(gates._SANDBOX, "run", refuse)
    again = run()
    assert again.findings == first.findings
    assert [tool.files_read for tool in again.tools] == [tool.files_read for tool in first.tools]


class _Refusing:
    """A machine on which nothing confines."""

    confinement = Confinement(None, None, None, None, ("nothing holds here",))

    async def run(self, command: Command, on_output: object = None) -> Completed:
        raise ConfinementUnavailable("Nothing here can confine foreign code.")


def test_where_nothing_confines_the_gate_has_no_answer(
    tmp_path: Path, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISIONFLOW_HOME", str(tmp_path / "home"))
    put(shop, core("import os\n"))
    with pytest.raises(ConfinementUnavailable, match="--trust") as failure:
        asyncio.run(run_gate(GateRequest(workspace=shop), _Refusing()))
    assert failure.value.status == 77


def test_a_broken_test_fails_and_one_that_failed_before_does_not(run: Gate, shop: Path) -> None:
    failing = "\n\ndef test_always():\n    assert price(2) == 0\n"
    commit(shop, {"tests/test_core.py": SHOP["tests/test_core.py"] + failing})
    put(shop, {"shop/core.py": SHOP["shop/core.py"].replace("x + 1", "x + 2")})
    result = run(tests="affected")
    assert result.tests is not None
    assert result.tests.files == ("tests/test_core.py",)
    assert [each.id for each in result.tests.broken] == ["tests/test_core.py::test_price"]
    assert [each.id for each in result.tests.known] == ["tests/test_core.py::test_always"]
    assert result.failed == ("1 test broken",)
    assert result.coverage is not None
    assert (result.coverage.ran, result.coverage.lines) == (1, 1)


def test_files_of_one_name_that_keep_each_other_from_being_collected_are_known(
    run: Gate, shop: Path
) -> None:
    commit(shop, {"other/test_core.py": "def test_more():\n    assert True\n"})
    put(shop, {"notes.txt": "nothing to do with it\n"})
    result = run(tests="all")
    assert result.tests is not None and result.tests.broken == () and result.clean


def test_a_test_that_became_flaky_fails(run: Gate, shop: Path) -> None:
    flaky = (
        "\n\ndef test_flaky():\n    import os\n\n"
        "    assert 'again' in os.environ['VISIONFLOW_TEST_LOG']\n"
    )  # Each run after the first has its files in a folder of that name.
    put(shop, {"tests/test_core.py": SHOP["tests/test_core.py"] + flaky})
    result = run(tests="affected")
    assert result.tests is not None
    assert [each.id for each in result.tests.flaky] == ["tests/test_core.py::test_flaky"]
    assert result.failed[-1] == "1 test newly flaky"


def test_changed_lines_that_no_test_runs_are_told_and_can_fail(run: Gate, shop: Path) -> None:
    put(shop, core("\n\ndef new(x):\n    if x:\n        return 1\n    return 2\n"))
    result = run(tests="affected", fail_on="medium", min_coverage=50.0)
    assert result.coverage is not None
    assert result.coverage.missing == (FileLines("shop/core.py", (10, 11, 12)),)
    assert (result.coverage.ran, result.coverage.lines) == (1, 4)
    assert result.failed == ("25.0 % of the changed lines ran, 50 % are asked for",)


def test_a_change_that_no_test_reaches_runs_none(run: Gate, shop: Path) -> None:
    put(shop, {"docs/notes.md": "# Notes\n"})
    result = run(tests="affected")
    assert result.tests is not None
    assert (result.tests.run, result.tests.files) == (0, ())
    assert result.clean


def test_tests_that_cannot_run_fail_only_where_they_are_required(run: Gate, shop: Path) -> None:
    git(shop, "rm", "-rq", "tests")
    commit(shop, {"pytest.ini": QUICK})
    put(shop, core("\n\nN = 1\n"))
    result = run(tests="all", require_tests=True)
    assert result.tests is None
    assert result.failed == ("tests are required: pytest found no tests",)


def test_tests_are_run_on_a_copy(run: Gate, shop: Path) -> None:
    evil = (
        "from pathlib import Path\n\n\ndef test_evil():\n    Path('shop/core.py').write_text('')\n"
    )
    put(shop, {"tests/test_evil.py": evil})
    result = run(tests="all")
    assert result.tests is not None
    assert (result.tests.run, result.tests.broken) == (3, ())
    assert (shop / "shop/core.py").read_text() == SHOP["shop/core.py"]


def test_a_baseline_accepts_tells_what_is_stale_and_is_written_anew(
    tmp_path: Path, run: Gate, shop: Path
) -> None:
    file = tmp_path / "gate.json"
    put(shop, core("\n\ndef new(x):\n    return eval(x)\n"))
    written = run(write_baseline=file)
    assert written.clean
    assert "B307" in [each.rule for each in written.findings.accepted]
    content = file.read_bytes()
    again = run(baseline=file)
    assert (again.clean, again.stale) == (True, ())
    assert again.findings.accepted == written.findings.accepted
    run(baseline=file, write_baseline=file)
    assert file.read_bytes() == content
    git(shop, "checkout", "-q", ".")
    stale = run(baseline=file)
    assert {each.rule for each in stale.stale} == {each.rule for each in written.findings.accepted}
    run(baseline=file, write_baseline=file)
    assert b"eval" not in file.read_bytes()
    assert b"B307" not in file.read_bytes()


def test_a_baseline_that_cannot_be_used_is_said_so(tmp_path: Path, run: Gate) -> None:
    put(tmp_path, {"bad.json": "{"})
    for name, told in (("bad.json", "no baseline"), ("none.json", "not there")):
        with pytest.raises(ConfigError, match=told) as failure:
            run(baseline=tmp_path / name)
        assert failure.value.status == 78


def test_an_entry_of_a_file_that_did_not_change_is_not_stale(
    tmp_path: Path, run: Gate, shop: Path
) -> None:
    put(shop, core("\n\ndef new(x):\n    return eval(x)\n"))
    file = tmp_path / "gate.json"
    run(write_baseline=file)
    git(shop, "commit", "-qam", "accepted")
    put(shop, {"other.py": "N = 1\n"})
    result = run(baseline=file)
    assert (result.stale, result.clean) == ((), True)
    assert Accepted not in {type(each) for each in result.stale}


def test_a_folder_within_the_repository_is_gated_alone(
    home: Path, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(shop, {"other/a.py": "import os\n", "shop/core.py": "import sys\n"})
    result = gate(shop / "shop", home, monkeypatch)
    assert {path for path, _, _ in rules(result)} == {"core.py"}
    told = "Only shop/ was looked at; 1 changed file elsewhere in the repository not."
    assert told in result.notes
    git(shop, "add", "-A")
    git(shop, "commit", "-qm", "another")
    put(shop, {"shop/core.py": "N = 1\n"})
    (note,) = gate(shop / "shop", home, monkeypatch).notes
    assert "0 changed files elsewhere" in note


def test_a_name_that_is_no_text_or_steers_a_terminal_is_gated_and_shown_harmless(
    run: Gate, shop: Path
) -> None:
    from visionflow.agents.gate.shown import as_text

    put(shop, {"a\x1b[31m\nb.py": "import os\n", "b\udcff.py": "import os\n"})
    result = run()
    assert len(result.files) == 2
    text = as_text(result, lambda _, words: words)
    assert "\x1b" not in text
    text.encode()


def test_two_gates_of_one_state_give_the_same_bytes(run: Gate, shop: Path) -> None:
    from visionflow.agents.gate.machine import as_github, as_json, as_sarif

    put(shop, core("\n\nimport os\n\n\ndef new(x):\n    return eval(x)\n"))
    first, second = run(), run(cache=False)
    for form in (as_github, as_sarif, lambda result: as_json(result, 1)):
        assert form(first) == form(second)
