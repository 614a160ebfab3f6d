"""Tries every mutant, or those whose names hold one of the words given; run in the repository."""

import sys
from pathlib import Path

from visionflow.testing.mutants import Verdict, all_mutants, try_mutant, try_unchanged


def main(words: list[str]) -> int:
    """Print a line for each; 0 when every one was caught."""
    chosen = [m for m in all_mutants() if not words or any(word in m.name for word in words)]
    said = try_unchanged([mutant.check for mutant in chosen], Path.cwd())
    if said is not None:
        print(said)
        print("a check fails without any fault planted")
        return 1
    missed = 0
    for mutant in chosen:
        trial = try_mutant(mutant, Path.cwd())
        print(f"{trial.verdict.value:9} {mutant.name}", flush=True)
        if trial.verdict is not Verdict.CAUGHT:
            missed += 1
            print(f"          {mutant.check}\n{trial.said}")
    print(f"{len(chosen)} mutants, {len(chosen) - missed} caught")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
