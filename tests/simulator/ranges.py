"""Ranges of seeds that planted faults are tried against (visionflow.testing.mutants.runtime).

They are no part of the usual stage, whose thousand seeds cover them: pytest collects this file
only when it is named. A range ends at the first seed that shows a fault.
"""

import pytest

from visionflow.testing.simulator import results, told


@pytest.mark.parametrize("count", [20, 60, 160])
def test_seeds_of_a_range_are_clean(count: int) -> None:
    """Look at so many seeds; a failing one says how to run it again."""
    for result in results(range(count)):
        if result.faults:
            pytest.fail("\n".join(told(result)), pytrace=False)
