"""One seed is one run: in one process, in another, and however strings are hashed."""

import json
import os
import subprocess
import sys

from visionflow.testing.simulator import run_seed

SAMPLE = (3, 17, 58)
CODE = """
import json, sys
from visionflow.testing.simulator import run_seed
print(json.dumps([run_seed(seed).digest for seed in map(int, sys.argv[1:])]))
"""


def digests_elsewhere(hash_seed: str) -> list[str]:
    """The digests of the sample in a process of its own."""
    ran = subprocess.run(
        [sys.executable, "-c", CODE, *map(str, SAMPLE)],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    found: list[str] = json.loads(ran.stdout)
    return found


def test_a_seed_run_twice_gives_one_digest() -> None:
    for seed in range(500, 512):
        first, second = run_seed(seed), run_seed(seed)
        assert first == second


def test_two_seeds_give_two_digests() -> None:
    assert run_seed(1).digest != run_seed(2).digest


def test_the_order_of_hashes_changes_nothing() -> None:
    here = [run_seed(seed).digest for seed in SAMPLE]
    assert digests_elsewhere("1") == here
    assert digests_elsewhere("2") == here
