"""What README shows is what happens."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def embedded_sample() -> str:
    """The one that needs no server; tests/guide runs the other."""
    samples = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    (found,) = (text for text in samples if "mcp_host" not in text)
    return found


@pytest.mark.acceptance("python-api")
def test_the_python_sample_runs_as_a_script(tmp_path: Path) -> None:
    sample = embedded_sample()
    script = tmp_path / "sample.py"
    script.write_text(sample)
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    (printed,) = re.findall(r"It prints `(.*?)`", README)
    assert done.stdout == f"{printed}\n", done.stderr


def test_the_sample_is_the_example() -> None:
    sample = embedded_sample()
    example = (ROOT / "examples" / "double.py").read_text()
    assert example.endswith(sample)


def test_every_link_to_a_file_leads_to_one() -> None:
    pages = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *(ROOT / "docs").glob("**/*.md")]
    broken = [
        f"{page.name}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text())
        if not (page.parent / target).exists()
    ]
    assert broken == []
