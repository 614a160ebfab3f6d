"""Large values and many of them: what fits no frame travels otherwise or is refused, by name."""

import pytest

from tests.api.agents import Doubler, gathered, sized
from visionflow import AgentOrchestrator, Task
from visionflow.domain.errors import Refused
from visionflow.domain.limits import CAPABILITIES_MAX, INLINE_BYTES_MAX, WORD_CHARS_MAX

WAIT_S = 60.0


@pytest.mark.parametrize("size", range(INLINE_BYTES_MAX - 6, INLINE_BYTES_MAX + 2))
def test_values_around_the_size_at_which_they_become_blobs_come_back_whole(size: int) -> None:
    with AgentOrchestrator() as fleet:
        fleet.spawn(sized)
        content = b"x" * size
        assert fleet.submit(Task(input=content)).result(WAIT_S) == content


def test_more_than_a_frame_holds_is_given_out_at_once() -> None:
    with AgentOrchestrator() as fleet:
        fleet.spawn(sized, count=2)
        content = b"y" * 60_000
        handles = [fleet.submit(Task(input=content)) for _ in range(200)]
        assert all(handle.result(WAIT_S) == content for handle in handles)
        fleet.spawn(gathered, capabilities=["gather"])
        total = fleet.submit(Task(required_capabilities=["gather"]), depends_on=handles)
        assert total.result(WAIT_S) == 200 * 60_000


@pytest.mark.parametrize(
    "task",
    [
        Task(description="d" * (INLINE_BYTES_MAX + 1)),
        Task(type="t" * (WORD_CHARS_MAX + 1)),
        Task(required_capabilities=[f"c{n}" for n in range(CAPABILITIES_MAX + 1)]),
    ],
)
def test_words_that_are_no_words_are_refused(task: Task) -> None:
    with AgentOrchestrator() as fleet, pytest.raises(Refused, match=r"at most|the most"):
        fleet.submit(task).result(WAIT_S)


def test_the_words_of_an_agent_are_bounded_too() -> None:
    with AgentOrchestrator() as fleet, pytest.raises(Refused, match="at most"):
        fleet.spawn(Doubler, name="n" * (WORD_CHARS_MAX + 1))
