"""What a user's own strategy says is done, within bounds; where it fails the usual is done."""

import msgspec

from tests.engine.calm import Calm
from tests.engine.test_diagnosis import config_of
from tests.engine.test_recovery_by_cause import MEMORY, PATIENT, given, ready
from visionflow.domain import commands as c
from visionflow.domain import events as e
from visionflow.domain import supervision_events as s
from visionflow.domain.agents import AgentStatus
from visionflow.domain.supervision import Advice
from visionflow.domain.tasks import FailureKind, Payload, TaskStatus
from visionflow.engine.effects import Host, outstanding


def lose(world: Calm, agent: str, advice: Advice, kind: FailureKind = FailureKind.CRASH) -> None:
    worker = world.state.workers[world.state.agents[agent].worker]
    world.send(
        c.ReportWorkerLost(
            now_ms=world.now_ms,
            worker=worker.id,
            incarnation=worker.incarnation,
            kind=kind,
            reason="gone",
            machine_bytes=5 * MEMORY,
            advice=advice,
        )
    )
    assert world.audit() == []


def packed(**config: object) -> Payload:
    return Payload(inline=msgspec.msgpack.encode(config))


def test_a_worker_is_given_up_or_waits_as_its_strategy_says() -> None:
    world = Calm()
    agent = ready(world, MEMORY)
    lose(world, agent, Advice(wait_ms=7_000))
    assert world.last(e.WorkerLost).restart_at_ms == world.now_ms + 7_000
    assert world.last(s.RecoveryChosen).action == "it is started again in 7000 ms; its own choice"
    world.now_ms += 7_000
    world.settle()
    lose(world, agent, Advice(restart=False))
    assert world.state.agents[agent].status is AgentStatus.FAILED
    assert "its strategy gives it up" in (world.state.supervised.degraded or "")


def test_a_strategy_that_leaves_all_as_usual_is_not_told_as_a_choice_of_its_own() -> None:
    world = Calm()
    agent = ready(world, MEMORY)
    lose(world, agent, Advice())
    assert "own choice" not in world.last(s.RecoveryChosen).action


def test_the_restart_intensity_holds_whatever_a_strategy_says() -> None:
    world = Calm()
    agent = ready(world, MEMORY, restarts_max=2)
    for _ in range(3):
        lose(world, agent, Advice(restart=True, wait_ms=0))
        world.settle()
    assert world.state.agents[agent].status is AgentStatus.FAILED


def test_the_memory_that_a_strategy_gives_is_bounded_by_the_machines() -> None:
    world = Calm()
    agent = ready(world, MEMORY)
    lose(world, agent, Advice(memory_bytes=3 * MEMORY))
    assert world.last(s.CeilingRaised).memory_bytes == 3 * MEMORY
    world.now_ms += 60_001
    world.settle()
    lose(world, agent, Advice(memory_bytes=90 * MEMORY), FailureKind.RESOURCES)
    assert world.last(s.CeilingRaised).memory_bytes == 5 * MEMORY


def test_the_time_of_the_next_attempt_and_whether_there_is_one_are_the_strategys() -> None:
    world = Calm()
    ready(world)
    task = world.submit(timeout_ms=10_000, retry=PATIENT)

    def time_out(advice: Advice) -> None:
        world.send(
            c.ReportFailure(
                now_ms=world.now_ms,
                task=task,
                attempt=world.state.tasks[task].attempt,
                kind=FailureKind.TIMEOUT,
                reason="slow",
                advice=advice,
            )
        )

    time_out(Advice(timeout_ms=90_000, wait_ms=3_000))
    assert world.last(e.AttemptFailed).retry_at_ms == world.now_ms + 3_000
    world.tick(3_000)
    assert given(world, task).timeout_ms == 90_000
    time_out(Advice(timeout_ms=90_000))
    assert "gets 90000 ms again; its own choice" in world.last(s.RecoveryChosen).action
    world.tick(100_000)
    time_out(Advice(restart=False))
    assert world.status(task) is TaskStatus.FAILED


def test_an_agent_is_built_with_the_configuration_that_a_strategy_gives_and_not_for_ever() -> None:
    world = Calm()
    agent = ready(world, MEMORY)
    lose(world, agent, Advice(config=packed(style="plain")))
    assert config_of(world, agent) == {"style": "plain"}
    assert "strategy own gave it another configuration" in world.last(e.AgentUpdated).reason
    world.settle()
    for number in range(100):
        if world.state.agents[agent].status is AgentStatus.FAILED:
            break
        world.update(agent, tasks_max=1 + number % 2)
        (host,) = [x for x in outstanding(world.state) if isinstance(x, Host)]
        world.send(
            c.ReportAgentDown(
                now_ms=world.now_ms,
                agent=agent,
                worker=host.worker,
                incarnation=host.incarnation,
                reason="no",
                revision=host.revision,
                advice=Advice(config=packed(number=number)),
            )
        )
    assert world.state.agents[agent].status is AgentStatus.FAILED


def test_where_a_strategy_fails_the_usual_is_done_and_the_log_says_why() -> None:
    world = Calm()
    agent = ready(world, MEMORY)
    lose(world, agent, Advice(fault="it did not answer within 5 s"))
    assert world.last(e.WorkerLost).restart_at_ms == world.now_ms
    assert world.last(s.RecoveryChosen).action.endswith(
        "; its own choice failed: it did not answer within 5 s"
    )
