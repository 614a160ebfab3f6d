"""One server for all clients of this folder."""

from collections.abc import Iterator
from typing import Any

import pytest
from real_clients import served


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A running `visionflow serve`: its addresses."""
    with served(tmp_path_factory.mktemp("served")) as told:
        yield told
