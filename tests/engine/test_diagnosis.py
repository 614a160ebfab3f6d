"""What the last words of a failure say, and what is done about a faulty configuration."""

import msgspec
import pytest

from tests.engine.calm import Calm
from visionflow.domain import commands as c
from visionflow.domain import events as e
from visionflow.domain import supervision_events as s
from visionflow.domain.agents import AgentSpec, AgentStatus, ResourceLimits
from visionflow.domain.supervision import Cause, RecoverySpec
from visionflow.domain.tasks import FailureKind, Payload
from visionflow.engine.diagnosis import Diagnosis, diagnose
from visionflow.engine.effects import Host, outstanding

TRACEBACK = """\
starting
Traceback (most recent call last):
  File "agent.py", line 4, in <module>
    Style(config["style"])
agent.StyleError: no such style
During handling of the above exception, another exception occurred:
Traceback (most recent call last):
  File "agent.py", line 9, in <module>
KeyError: 'modern'
"""
CONFIG = {"style": "modern", "max_depth": -1, "timeout": 5}


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (TRACEBACK, "style"),
        ("ValueError: max_depth must be positive (at /a/b.py:3 in __init__)", "max_depth"),
        ("TypeError: C.__init__() got an unexpected keyword argument 'timeout'", "timeout"),
        ("timeout is 5, and must be text.", "timeout"),
        ("msgspec.ValidationError: Object contains unknown field `style`", "style"),
        ("ValueError: it took longer than the timeout", None),
        ("ValueError: max_depth and 'timeout' do not fit", "timeout"),
        ("ValueError: 'style' and 'timeout' do not fit", None),
        ("ConnectionError: max_depth", None),
        ("KeyError: 'model'", None),
        ("", None),
    ],
)
def test_the_key_at_fault_is_the_one_that_the_words_name_and_none_where_that_is_not_sure(
    words: str, key: str | None
) -> None:
    found = diagnose(words, CONFIG)
    assert (None if found is None else found.key) == key


def test_a_missing_key_and_a_missing_module_are_named_and_nothing_is_guessed_of_the_rest() -> None:
    missing = diagnose("KeyError: 'model'", CONFIG)
    assert missing and missing.told == "'model' is not in its configuration"
    module = diagnose("ModuleNotFoundError: No module named 'torch'", CONFIG)
    assert module and module.told == "something that it needs cannot be imported"
    line = "Segmentation fault (core dumped)"
    assert diagnose(f"a\n\n{line}\n  \n", CONFIG) == Diagnosis(line)


def ready(world: Calm, **recovery: object) -> str:
    name = world.name("agent")
    spec = AgentSpec(
        id=name,
        type="coder",
        name=name,
        class_path="m:C",
        config=Payload(inline=msgspec.msgpack.encode(CONFIG)),
        limits=ResourceLimits(1_000_000),
        recovery=RecoverySpec(name="own", **recovery),
    )
    world.send(c.SpawnAgent(now_ms=world.now_ms, spec=spec))
    return name


def config_of(world: Calm, agent: str) -> object:
    return msgspec.msgpack.decode(world.state.agents[agent].spec.config.inline or b"\x80")


def down(world: Calm, agent: str, reason: str) -> None:
    """Its worker starts and cannot build it."""
    state = world.state
    for effect in list(outstanding(state)):
        if not isinstance(effect, Host):
            world.carry_out(effect)
    (host,) = [each for each in outstanding(state) if isinstance(each, Host)]
    world.send(
        c.ReportAgentDown(
            now_ms=world.now_ms,
            agent=agent,
            worker=host.worker,
            incarnation=host.incarnation,
            reason=reason,
            revision=host.revision,
        )
    )
    assert world.audit() == []


def test_where_the_strategy_may_the_faulty_key_goes_with_its_reason_and_it_is_built() -> None:
    world = Calm()
    agent = ready(world, mends_config=True)
    down(world, agent, "ValueError: max_depth must be positive")
    assert config_of(world, agent) == {"style": "modern", "timeout": 5}
    told = world.last(e.AgentUpdated).reason
    assert "'max_depth' was taken out" in told
    assert "must be positive" in told
    chosen = world.last(s.RecoveryChosen)
    assert (chosen.cause, chosen.strategy) == (Cause.CRASH, "own")
    down(world, agent, "KeyError: 'modern'")
    assert config_of(world, agent) == {"timeout": 5}
    world.settle()
    assert world.state.agents[agent].status is AgentStatus.READY
    assert not world.of(e.AgentFailed)


def test_where_it_may_not_the_fault_is_named_and_nothing_is_changed() -> None:
    world = Calm()
    agent = ready(world)
    down(world, agent, "ValueError: max_depth must be positive")
    assert config_of(world, agent) == CONFIG
    assert world.state.agents[agent].status is AgentStatus.FAILED
    action = world.last(s.RecoveryChosen).action
    assert action == (
        "its configuration is wrong at 'max_depth': it is not built again until somebody "
        "restarts it"
    )


def test_an_agent_that_cannot_be_built_for_another_reason_has_its_answer_in_the_log_too() -> None:
    world = Calm()
    agent = ready(world, mends_config=True)
    down(world, agent, "RuntimeError: no database")
    chosen = world.last(s.RecoveryChosen)
    assert chosen.agent == agent
    assert (chosen.cause, chosen.strategy) == (Cause.CRASH, "own")
    assert chosen.action == "it is not built again until somebody restarts it"
    assert world.state.agents[agent].status is AgentStatus.FAILED


def test_a_crash_that_names_a_key_is_mended_before_the_next_start() -> None:
    world = Calm()
    agent = ready(world, mends_config=True)
    world.settle()
    worker = world.state.workers[world.state.agents[agent].worker]
    world.send(
        c.ReportWorkerLost(
            now_ms=world.now_ms,
            worker=worker.id,
            incarnation=worker.incarnation,
            kind=FailureKind.CRASH,
            reason="it ended with code 3",
            last_words=TRACEBACK,
        )
    )
    assert world.last(e.WorkerLost).reason.endswith("its last words: KeyError: 'modern'")
    assert config_of(world, agent) == {"max_depth": -1, "timeout": 5}
    assert "'style' was taken out" in world.last(s.RecoveryChosen).action
    world.settle()
    assert world.state.agents[agent].status is AgentStatus.READY


def test_what_was_printed_last_is_not_given_as_the_cause_when_it_is_no_exception() -> None:
    world = Calm()
    agent = ready(world)
    world.settle()
    worker = world.state.workers[world.state.agents[agent].worker]
    world.send(
        c.ReportWorkerLost(
            now_ms=world.now_ms,
            worker=worker.id,
            incarnation=worker.incarnation,
            kind=FailureKind.CRASH,
            reason="it was ended by SIGSEGV",
            last_words="line 1 of 2\nline 2 of 2\n",
        )
    )
    told = world.last(e.WorkerLost).reason
    assert told == "it was ended by SIGSEGV; the last line that it had printed: line 2 of 2"


def test_an_update_that_cannot_be_built_degrades_the_swarm_and_one_never_built_does_not() -> None:
    world = Calm()
    agent = ready(world)
    world.settle()
    world.update(agent, config=Payload(inline=msgspec.msgpack.encode({"style": 1})))
    down(world, agent, "boom")
    assert world.last(s.SwarmDegraded).agents == (agent,)
    other = Calm()
    down(other, ready(other), "boom")
    assert other.state.supervised.degraded is None
