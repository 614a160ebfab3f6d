"""The programs in the pages on pipelines and aggregation run as they stand."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


def programs(page: str) -> list[str]:
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(
    ("page", "lines"),
    [
        (
            "pipelines.md",
            [
                "A longer text.",
                "write [({}, 'go_on'), ({}, 'go_on')]",
                "judge [({'length': 7.0}, 'loop'), ({'length': 14.0}, 'finish')]",
            ],
        ),
        (
            "aggregation.md",
            ["agreed {'answer': 1}", "agreed {'answer': 1} ('TASK',)", "{'a': [1], 'b': [2]}"],
        ),
    ],
)
def test_a_pages_program_prints_what_it_should(tmp_path: Path, page: str, lines: list[str]) -> None:
    (program,) = programs(page)
    path = tmp_path / "program.py"
    path.write_text(program, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    told = re.sub(r"'task_\w+'", "'TASK'", done.stdout).splitlines()
    assert told == lines
