"""Agents that say, return or do what is awkward: their tasks end, and their neighbours go on."""

import pytest

from tests.api.agents import Talker, awkward, fork
from visionflow import AgentOrchestrator, Limits, RetryPolicy, Task, TaskFailed

WAIT_S = 60.0
ONCE = RetryPolicy(attempts_max=1)


@pytest.mark.parametrize(
    ("what", "told"),
    [("surrogate", r"no file named \\udc80"), ("unspeakable", "Unspeakable: .*cannot be had")],
)
def test_an_exception_that_cannot_be_sent_as_it_is_still_fails_its_task(
    what: str, told: str
) -> None:
    with AgentOrchestrator(limits=Limits(attempt_timeout_ms=600_000)) as fleet:
        fleet.spawn(awkward)
        handle = fleet.submit(Task(input=what), retry=ONCE)
        with pytest.raises(TaskFailed, match=told):
            handle.result(WAIT_S)


def test_lines_and_notes_that_utf_8_cannot_carry_disturb_nothing() -> None:
    with AgentOrchestrator(limits=Limits(attempt_timeout_ms=600_000)) as fleet:
        fleet.spawn(Talker)
        assert fleet.submit(Task()).result(WAIT_S) == "said"
        assert fleet.submit(Task()).result(WAIT_S) == "said"


def test_a_copy_that_an_agent_forks_does_not_work_in_the_name_of_the_worker() -> None:
    with AgentOrchestrator(limits=Limits(workers_max=1, attempt_timeout_ms=600_000)) as fleet:
        fleet.spawn(fork)
        handles = [fleet.submit(Task()) for _ in range(20)]
        assert [handle.result(WAIT_S) for handle in handles] == ["the original"] * 20


def test_a_task_that_ends_its_process_at_once_is_found_out_and_the_others_go_on() -> None:
    with AgentOrchestrator() as fleet:
        fleet.spawn(awkward, count=2, capabilities=["awkward"])
        fleet.spawn(Talker, count=2, capabilities=["talk"])
        bad = fleet.submit(Task(input="exit", required_capabilities=["awkward"]))
        good = [fleet.submit(Task(required_capabilities=["talk"])) for _ in range(20)]
        with pytest.raises(TaskFailed, match=r"crashed 3 times under it.*code 7"):
            bad.result(WAIT_S)
        assert [handle.result(WAIT_S) for handle in good] == ["said"] * 20
        assert len(fleet.agents()) == 4
