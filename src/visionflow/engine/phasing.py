"""Which tasks of a phase may be under way: all, the first ones, or those of one stage after the
other. Pure."""

from collections.abc import Callable, Iterator

from visionflow.engine.state import PhaseState


def stages_of(phase: PhaseState) -> Iterator[tuple[str, ...]]:
    """The tasks of each stage, in order; a phase without stages is one."""
    if not phase.stages:
        yield phase.tasks
        return
    start = 0
    for size in phase.stages:
        yield phase.tasks[start : start + size]
        start += size


def in_turn(phase: PhaseState, has_ended: Callable[[str], bool]) -> list[str]:
    """The tasks of it that have not ended and may be under way: of the first stage that has such,
    the first ones, as many as may be under way at once."""
    for stage in stages_of(phase):
        going_on = [name for name in stage if not has_ended(name)]
        if going_on:
            return going_on[: phase.turns] if phase.turns else going_on
    return []
