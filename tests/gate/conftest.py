"""What the gate's tests share."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all, as a user has one: what is known of equal files is not found out again."""
    return tmp_path_factory.mktemp("home")
