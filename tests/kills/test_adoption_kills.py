"""A server killed with -9 while it recovers, adopts, ends or leaves its workers: one run, once.

`killed_adoption.py` has the lives. In CI some of the writes are tried, for a release all of them.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("killed_adoption.py")
ALL = [
    (at, when, how)
    for how in ("adopts", "ends", "leaves")
    for at in range(1, 7)
    for when in ("BEFORE", "AFTER")
]
"""A write that is never reached leaves the kill at the very end."""
SOME = [
    (1, "BEFORE", "adopts"),
    (1, "AFTER", "adopts"),
    (2, "BEFORE", "adopts"),
    (3, "AFTER", "ends"),
    (3, "BEFORE", "ends"),
    (2, "AFTER", "leaves"),
]
POINTS = ALL if os.environ.get("VISIONFLOW_RELEASE") == "1" else SOME


@pytest.mark.acceptance("durable")
def test_a_kill_at_any_write_of_adoption_and_shutdown_leaves_one_attempt_and_one_completion(
    tmp_path: Path,
) -> None:
    def lived(point: tuple[int, str, str]) -> list[str]:
        at, when, how = point
        folder = tmp_path / f"{at}-{when}-{how}"
        words = [sys.executable, str(PROGRAM), str(folder), str(at), when, how]
        done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            return [f"{point}: {done.stderr[-2_000:]}"]
        found = json.loads((folder / "found").read_text())
        counts = Counter(found["events"])
        faults = [
            f"{counts[name]} times {name}"
            for name, times in (("TaskCompleted", 1), ("TaskAssigned", 1), ("AttemptFailed", 0))
            if counts[name] != times
        ]
        if found["attempts"].count("\n") != 1:
            faults.append(f"it ran as {found['attempts']!r}")
        return [f"{point}: {fault} in {found['events']}" for fault in faults]

    with ThreadPoolExecutor(2) as pool:
        faults = [fault for faults in pool.map(lived, POINTS) for fault in faults]
    assert not faults, "\n".join(faults)
