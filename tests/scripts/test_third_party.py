"""The table of third-party packages: its pins are whole and written up, its rows what was found."""

import re
from pathlib import Path

from scripts import third_party

DOCS = Path(__file__).parents[2] / "docs" / "third-party.md"


def test_every_pin_has_a_version_and_a_hash_and_is_told_of_in_the_docs() -> None:
    pins = third_party.pins(third_party.LOCK.read_text())
    assert len(pins) >= 5
    told = DOCS.read_text()
    for pin in pins:
        found = re.fullmatch(r"([a-z0-9-]+)==([\w.]+) --hash=sha256:[0-9a-f]{64}", pin)
        assert found is not None, pin
        assert f"{found[1]} {found[2]}" in told


def test_a_row_says_null_and_unknown_where_nothing_is_known(tmp_path: Path) -> None:
    (tmp_path / "a.py").touch()
    (tmp_path / "report.md").write_text("Could not run: 3 passed, 1 errors, in 2.0 s.\n")
    summary = {
        "out": str(tmp_path), "gates": {"tests": None, "syntax": True, "findings": False},
        "findings": {"high": 1, "low": 0}, "seconds": 1.6,
    }  # fmt: skip
    assert third_party.row("thing==1.0 --hash=sha256:0", tmp_path, summary) == (
        "| thing 1.0 | 2 | Could not run: 3 passed, 1 errors | unknown | null, passed, failed "
        "| 1 high | 2 |"
    )
