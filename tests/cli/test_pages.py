"""What the pages say of the command line is what it is: commands, keys, codes, gates."""

import re
import shlex
from pathlib import Path

import msgspec
import pytest

from tests.cli.command_line import visionflow
from visionflow.agents.report.gates import MEANS
from visionflow.agents.report.view import RunView
from visionflow.cli.commands import make_app
from visionflow.cli.ending import NOBODY_READS
from visionflow.cli.running import TERMINATED
from visionflow.compose.job import ExitCode

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
CLI = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
CODES = (ROOT / "docs" / "exit-codes.md").read_text(encoding="utf-8")
COMMAND = re.compile(
    r"^(?:    |- run: |\s*- |exec |\$ |    \$ )?(visionflow [a-z-].*)$|`(visionflow [a-z][^`\n]*)`"
)
STANDS_FOR = {"bash|zsh|fish": "bash", "M": "3", "N": "3", "...": ""}


def commands(text: str) -> list[str]:
    """Each command of ours in a page, as a shell would be given it, without what it pipes into."""
    lines = whole_lines(text)
    found = [match[1] or match[2] for line in lines for match in COMMAND.finditer(line)]
    parts = [part for each in found for part in re.split(r" && | \| | > |  +#| # ", each)]
    return [part.strip() for part in parts if part.strip().startswith("visionflow ")]


def whole_lines(text: str) -> list[str]:
    """Its lines, a command that goes on over several of them being one."""
    lines: list[str] = []
    is_open = False
    for line in text.split("\n"):
        if is_open:
            lines[-1] = f"{lines[-1].removesuffix(chr(92))} {line.strip()}"
        else:
            lines.append(line)
        begun = lines[-1].lstrip("$ ").startswith("visionflow ")
        is_open = begun and (line.endswith(chr(92)) or lines[-1].count("'") % 2 == 1)
    return lines


def section(text: str, heading: str) -> str:
    """A page's part under a heading of the second level."""
    return text.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]


def first_cells(table: str) -> list[str]:
    return [cell.replace("\\|", "|") for cell in re.findall(r"(?m)^\| `?([^`|]+?)`? \|", table)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_a_page_is_one_with_options_that_there_are(page: Path) -> None:
    app = make_app()
    for told in commands(page.read_text(encoding="utf-8")):
        words = [STANDS_FOR.get(word, word) for word in shlex.split(told.replace("\\|", "|"))[1:]]
        if words == ["COMMAND", "--help"]:
            continue
        if len(words) == 1:
            assert words[0] in set(app), told  # a command's name, in the middle of a sentence
            continue
        app.parse_args([word for word in words if word], exit_on_error=False, print_error=False)


def test_commands_are_found_in_pages() -> None:
    assert commands("    visionflow show RUN --json | jq .gates\nsee `visionflow runs`, then") == [
        "visionflow show RUN --json", "visionflow runs",
    ]  # fmt: skip
    assert len(commands(CLI)) > 15


def test_the_page_lists_every_command_and_no_other() -> None:
    told = {each.split()[1] for each in commands(CLI.split("\n## ", 1)[0]) if each.split()[1:]}
    names = {name for name in make_app() if not name.startswith("-")}
    assert told == names


def test_the_page_lists_every_key_that_json_prints_and_no_other() -> None:
    table = section(CLI, "What is printed where")
    told = [key for row in re.findall(r"(?m)^\| (`.*?`) \|", table) for key in row.split(", ")]
    assert sorted(key.strip("`") for key in told) == sorted(RunView.__struct_fields__)
    assert len(msgspec.to_builtins(RunView("r", "s", "o"))) == len(told)


def test_the_page_lists_every_exit_code_and_no_other() -> None:
    told = [
        int(cell) for cell in first_cells(section(CODES, "Of `visionflow run`")) if cell.isdigit()
    ]
    assert told == sorted({*map(int, ExitCode), NOBODY_READS, TERMINATED})


def test_the_page_lists_every_gate_and_no_other() -> None:
    told = [cell for cell in first_cells(section(CODES, "Gates")) if cell != "gate"]
    assert sorted(told) == sorted(MEANS)


def test_a_plan_file_is_not_taken_for_a_goal_to_plan(tmp_path: Path) -> None:
    ran = visionflow("run", "plan.yaml", "--plan-only", cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "There is no plan file" in ran.stderr
    for playbook, type_, told in (("audit", "run_tests", 2), ("code", "implement", 0)):
        role = "tester" if playbook == "audit" else "coder"
        own = "" if playbook == "audit" else ", command: 'sh {goal}'"
        (tmp_path / "plan.yaml").write_text(
            f"goal: g\nplaybook: {playbook}\nwhy: w\ngates: []\nparts: []\nphases:\n"
            f"- name: p\n  tasks: [{{id: t, role: {role}, type: {type_}{own}}}]\n"
        )
        ran = visionflow("run", "plan.yaml", "--plan-only", cwd=tmp_path)
        assert ran.returncode == told, ran.stderr
        assert ("a plan already" in ran.stderr) is (told == 2)
        assert ("type: integrate" in ran.stdout) is (told == 0)
    assert [each.name for each in tmp_path.iterdir()] == ["plan.yaml"]
