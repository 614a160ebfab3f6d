"""Each planted fault is caught by the check that is named for it, and by nothing but the fault."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from visionflow.testing.mutants import (
    Mutant,
    Trial,
    Verdict,
    all_mutants,
    try_mutant,
    try_unchanged,
)
from visionflow.testing.mutants.trial import CHECK_SECONDS_MAX, package_copy

REPOSITORY = Path(__file__).resolve().parents[2]
MUTANTS = all_mutants()


def test_the_checks_pass_without_a_fault() -> None:
    said = try_unchanged((mutant.check for mutant in MUTANTS), REPOSITORY)
    assert said is None, said


@pytest.fixture(scope="module")
def trials(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[Trial]]]:
    """The trials of all mutants that were asked for, as many at once as there are processors."""
    asked = {item.callspec.id for item in request.session.items if hasattr(item, "callspec")}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield {
            mutant.name: pool.submit(try_mutant, mutant, REPOSITORY)
            for mutant in MUTANTS
            if words(mutant) in asked
        }


def words(mutant: Mutant) -> str:
    return mutant.name.replace(" ", "-")


@pytest.mark.parametrize("mutant", MUTANTS, ids=words)
def test_a_planted_fault_fails_the_check_named_for_it(
    mutant: Mutant, trials: dict[str, Future[Trial]]
) -> None:
    trial = trials[mutant.name].result(timeout=CHECK_SECONDS_MAX * len(MUTANTS))
    assert trial.verdict is Verdict.CAUGHT, trial.said


def test_the_copy_is_what_the_checks_import() -> None:
    with package_copy() as path:
        ran = subprocess.run(
            [sys.executable, "-c", "import visionflow.engine as m; print(m.__file__)"],
            env={"PYTHONPATH": str(path)},
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert Path(ran.stdout.strip()).is_relative_to(path)


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        (lambda mutant: mutant._replace(before="no such text anywhere"), Verdict.BROKEN),
        (lambda mutant: mutant._replace(before="task"), Verdict.BROKEN),
        (lambda mutant: mutant._replace(file="engine/nowhere.py"), Verdict.BROKEN),
        (lambda mutant: mutant._replace(check="tests/engine/nowhere.py"), Verdict.BROKEN),
        (
            lambda mutant: mutant._replace(after=mutant.before.replace(" or ", "  or ")),
            Verdict.SURVIVED,
        ),
    ],
)
def test_a_trial_that_proves_nothing_does_not_count_as_caught(
    change: Callable[[Mutant], Mutant], verdict: Verdict
) -> None:
    assert try_mutant(change(MUTANTS[0]), REPOSITORY).verdict is verdict
