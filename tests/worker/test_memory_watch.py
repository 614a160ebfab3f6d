"""The memory ceiling of a process, whatever an agent does to its descriptors, and its groups."""

import subprocess
import sys
from pathlib import Path

import pytest

from visionflow.worker import limits

GREEDY = """
import os, sys, time
from visionflow.worker import limits
limits._parents = lambda: []
held = limits.enforce(limits.resident_bytes() + 60_000_000, lambda seen: os._exit(86))
assert held.means == "a watcher of resident memory", held
if sys.argv[1] == "none free":
    files = []
    try:
        while True:
            files.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        pass
else:
    os.closerange(3, 1_000)
    files = [os.open(os.devnull, os.O_RDONLY) for _ in range(50)]
taken = bytearray(os.urandom(1_000) * 200_000)
time.sleep(60)
"""


@pytest.mark.parametrize("what", ["none free", "all closed"])
def test_the_watcher_needs_no_descriptor_of_its_process(what: str) -> None:
    done = subprocess.run([sys.executable, "-c", GREEDY, what], capture_output=True, timeout=120)
    assert done.returncode == 86, done.stderr.decode()


def group(parent: Path, pid: int, kills: int) -> Path:
    made = parent / f"visionflow-worker-{pid}"
    made.mkdir()
    (made / "memory.events").write_text(f"oom 3\noom_kill {kills}\n")
    return made


def test_why_a_process_was_killed_is_there_until_somebody_has_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that starts just then must not sweep it away."""
    removed: list[str] = []
    monkeypatch.setattr(limits, "_parents", lambda: [(tmp_path, "memory.max")])
    monkeypatch.setattr(Path, "rmdir", lambda path: removed.append(path.name))
    killed, calm = group(tmp_path, 11, 1), group(tmp_path, 12, 0)
    limits._sweep(tmp_path)
    assert removed == [calm.name]
    assert not limits.over_ceiling(12) and limits.over_ceiling(11)
    assert removed == [calm.name, killed.name]
