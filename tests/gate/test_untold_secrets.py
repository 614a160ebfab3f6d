"""A gate's answer holds no value that a tool calls a secret, in whatever file it stands."""

from pathlib import Path

import msgspec
import pytest
from gates import QUICK, gate
from repositories import commit, git, put

HORSE = "corr3ct-h0rse-b4ttery"
LEAKY = {
    "pytest.ini": QUICK,
    ".env": f"API_SECRET={HORSE}\n",
    "app.py": "def price(n):\n    return n + 1\n",
    "test_app.py": (
        "from app import price\n\n\n"
        "def test_price():\n    assert price(1) == 2, open('.env').read()\n"
    ),
}


def test_a_broken_tests_message_is_told_without_the_secret_of_a_file_that_did_not_change(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    git(folder, "init", "-q", ".")
    commit(folder, LEAKY)
    put(folder, {"app.py": "def price(n):\n    return n + 2\n"})
    result = gate(folder, home, monkeypatch, tests="affected")
    assert result.tests is not None
    assert "API_SECRET=[secret SHA-256 " in (result.tests.broken[0].message or "")
    assert HORSE.encode() not in msgspec.json.encode(result)
