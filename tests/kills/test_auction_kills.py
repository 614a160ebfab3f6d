"""An orchestrator killed with -9 in the middle of an auction, before a mesh of live processes."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("killed_auction.py")


@pytest.mark.acceptance("mesh")
@pytest.mark.parametrize("when", ["opened", "claimed", "settled"])
def test_after_a_kill_in_an_auction_one_peer_has_won_it_and_the_task_ran_once(
    tmp_path: Path, when: str
) -> None:
    words = [sys.executable, str(PROGRAM), str(tmp_path / "run"), when]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2_000:]
    found = json.loads((tmp_path / "run" / "found").read_text())
    counts = Counter(found["events"])
    assert counts["AuctionOpened"] == counts["AuctionSettled"] == counts["TaskAssigned"] == 1
    assert counts["TaskCompleted"] == 1 and not counts["AttemptFailed"]
    assert not counts["AuctionLapsed"] and not counts["ClaimRefused"]
    assert found["attempts"].count("\n") == 1
