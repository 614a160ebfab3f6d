"""Mutants: planted faults, each with the check that must notice it.

A guarantee is worth what its test can catch. Each mutant replaces one piece of the package's text
by something wrong in a plausible way and names the check that has to fail then. The lists stand
beside this module, one file an area; an area's list is `MUTANTS`, and `AREAS` names the files.

`python -m visionflow.testing.mutants` tries all of them and prints what became of each.
"""

from importlib import import_module

from visionflow.testing.mutants.mutant import Mutant
from visionflow.testing.mutants.trial import Trial, Verdict, try_mutant, try_unchanged

__all__ = ["AREAS", "Mutant", "Trial", "Verdict", "all_mutants", "try_mutant", "try_unchanged"]
AREAS = (
    "calls",
    "detecting",
    "engine",
    "fleet",
    "keeping",
    "mesh",
    "outside",
    "runtime",
    "shape",
    "sharing",
    "storage",
    "teams",
    "telling",
    "throttles",
    "topology",
    "updates",
    "upkeep",
    "votes",
    "waiting",
)
"""Files of this folder with a list."""


def all_mutants() -> tuple[Mutant, ...]:
    """Every mutant of every area, in order.

    Raises:
        ValueError: two have the same name.
    """
    found: list[Mutant] = []
    for area in AREAS:
        found.extend(import_module(f"{__name__}.{area}").MUTANTS)
    names = [mutant.name for mutant in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"Two mutants have the same name: {', '.join(twice)}.")
    return tuple(found)
