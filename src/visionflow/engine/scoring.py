"""How well an agent suits a task it is able to do: the guide's 40/30/20/10, in basis points.

All of the required capabilities must match, so the first 40 % are the same for every candidate;
they are kept so that scores read as documented. Where there is no record yet the full points are
given: an agent is judged by what it did, not by being new, and an equal share of work follows.
The score is quantised to 16 levels for the index.
"""

from visionflow.domain.limits import (
    PREFETCH_MAX,
    PREFETCH_WINDOW_US,
    RESPONSE_MS_FULL_SCALE,
    SCORE_LEVELS,
)

CAPABILITY_BP = 4_000
SUCCESS_BP = 3_000
CAPACITY_BP = 2_000
RESPONSE_BP = 1_000
PRIOR_TASKS = 4
"""The record counts as if this many tasks had succeeded before."""
LOAD_LEVELS = 8
"""Levels between an agent that holds nothing and one that holds what it works on at once."""
RECORD_TASKS_MIN = 8
"""Completions before an agent may be given work ahead."""


def score_bp(completed: int, failed: int, mean_us: int, open_tasks: int, tasks_max: int) -> int:
    """The score of 4,000 to 10,000 of an agent that has all the capabilities."""
    total = completed + failed + PRIOR_TASKS
    success = SUCCESS_BP * (completed + PRIOR_TASKS) // total
    capacity = CAPACITY_BP * (tasks_max - open_tasks) // tasks_max if open_tasks < tasks_max else 0
    response = RESPONSE_BP - RESPONSE_BP * mean_us // (RESPONSE_MS_FULL_SCALE * 1_000)
    return CAPABILITY_BP + success + capacity + (max(0, response))


def level_of(score: int) -> int:
    """The level, 0 to 15, of a score of 4,000 to 10,000."""
    return (score - CAPABILITY_BP) * SCORE_LEVELS // (SUCCESS_BP + CAPACITY_BP + RESPONSE_BP + 1)


def load_level(open_tasks: int, tasks_max: int) -> int:
    """The level of an agent where only its load counts, in eighths of what it works on at once:
    the highest without any, the lowest from twice that much on."""
    return max(0, SCORE_LEVELS - 1 - open_tasks * LOAD_LEVELS // tasks_max)


def slots(completed: int, mean_us: int, tasks_max: int) -> int:
    """How many open attempts an agent may hold: more than it works on at once if they are short."""
    if completed < RECORD_TASKS_MIN or mean_us >= PREFETCH_WINDOW_US:
        return tasks_max
    ahead = PREFETCH_WINDOW_US // (mean_us or 1)
    return tasks_max + (min(PREFETCH_MAX, ahead))
