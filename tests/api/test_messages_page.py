"""What docs/messages.md shows is what happens, and its numbers are those that the code has."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from visionflow.agents.messages import EVENTS
from visionflow.domain import limits
from visionflow.domain.mail import DeadReason
from visionflow.worker.mailbox import HANDLER_S

PAGE = (Path(__file__).parents[2] / "docs" / "messages.md").read_text(encoding="utf-8")
SAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
WAIT_S = 120.0

pytestmark = pytest.mark.acceptance("bus")


def test_the_samples_pasted_into_one_file_print_what_the_page_says(tmp_path: Path) -> None:
    first, *last = re.findall(r"[Ii]t prints\s+`(.*?)`(?: and `(.*?)`)?\.", PAGE)
    script = tmp_path / "letters.py"
    script.write_text("\n\n".join(SAMPLES), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True, text=True, timeout=WAIT_S, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [first[0], *last[0]]


def test_the_numbers_and_words_of_the_page_are_those_of_the_code() -> None:
    assert f"longer than {HANDLER_S:g} s" in PAGE
    assert f"holds {limits.INBOX_MAX:,} messages, and" in PAGE
    assert f"{limits.INBOX_BYTES_MAX >> 20} MiB of contents" in PAGE
    assert f"last {limits.DEAD_LETTERS_MAX:,} are kept" in PAGE
    assert limits.MAIL_FAILURES_MAX == 3 and "three times in all" in PAGE
    assert limits.MAIL_TTL_MS == 3_600_000 and "after an hour" in PAGE
    assert all(f"`{reason}`" in PAGE for reason in DeadReason)
    told = re.findall(r"`((?:task|agent|error)\.\w+)`", PAGE)
    assert set(told) == set(EVENTS)
