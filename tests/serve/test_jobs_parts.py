"""The pieces of jobs that need no server: who does what, and how a run is named in a shared log."""

from collections.abc import Iterator

import pytest

from visionflow.compose.job.naming import ALONE, PLAN, Shared
from visionflow.compose.serve.jobs_team import Need, Offer, forming, shares, unmet, waiting
from visionflow.domain import commands as c
from visionflow.domain import events as e
from visionflow.domain.agents import AgentSpec, AgentStatus
from visionflow.domain.events import AnyEvent, Record
from visionflow.domain.tasks import FailureKind, TaskSpec
from visionflow.domain.votes import Choice, Decision, Tally, VoteSpec
from visionflow.engine.state import AgentState, SwarmState

WANTED = {"lead": "coordinator", "rev-a": "reviewer", "rev-b": "reviewer", "test": "tester"}


def swarm_of(*agents: tuple[str, bool], status: AgentStatus = AgentStatus.READY) -> SwarmState:
    state = SwarmState()
    for number, (kind, formed) in enumerate(agents):
        spec = AgentSpec(f"a{number}", kind, f"a{number}", "m:C", formed=formed)
        state.agents[spec.id] = AgentState(spec, status, "w1", {})
    return state


@pytest.mark.parametrize(
    ("there", "asked", "room", "formed"),
    [
        ((), None, 9, ["lead", "rev-a", "rev-b", "test"]),
        ((), None, 3, ["lead", "rev-a", "test"]),
        ((), None, 0, []),
        ((), False, 9, []),
        ((("reviewer", False),), None, 9, ["lead", "test"]),
        ((("reviewer", False),), None, 1, []),
        ((("reviewer", False),), False, 9, []),
        ((("reviewer", False),), True, 9, ["lead", "rev-b", "test"]),
        ((("reviewer", True), ("coordinator", True)), None, 9, ["rev-b", "test"]),
        ((("reviewer", True), ("coordinator", True)), None, 1, ["test"]),
        ((("reviewer", True), ("artist", False)), None, 9, ["lead", "test"]),
    ],
)
def test_a_team_is_formed_of_what_is_missing(
    there: tuple[tuple[str, bool], ...], asked: bool | None, room: int, formed: list[str]
) -> None:
    assert list(forming(WANTED, swarm_of(*there), asked, room)) == formed


def test_agents_that_failed_or_leave_are_nobody() -> None:
    for status in (AgentStatus.FAILED, AgentStatus.TERMINATING):
        assert forming(WANTED, swarm_of(("reviewer", False), status=status), None, 9) == WANTED


def test_capabilities_go_to_whoever_has_them_and_what_nobody_has_is_named() -> None:
    offers = [Offer("a", "coder", ("python",)), Offer("b", "reviewer", ("security", "python"))]
    offers.append(Offer("c", "artist", ("juggling",)))
    classes = {"tester": ("coverage",), "coder": ("python",)}
    asked = ["python", "security", "coverage", "juggling"]
    needs, missing = shares(asked, ["coder", "reviewer", "tester"], offers, classes)
    assert needs == {
        "coder": ("python",), "reviewer": ("python", "security"), "tester": ("coverage",),
    }  # fmt: skip
    assert missing == ("coverage", "juggling")
    need = Need("n", None, ("python", "flying"))
    assert unmet(need, offers) == ["flying"]
    (told,) = waiting([need, Need("m", "coder", ("python",))], offers)
    assert "flying" in told


ROOT = "task_1_a"
OTHERS = ("task_1_a2", "task_1_b.fix", "task_1_a2.fix", "plan", "fix")


def events_of(task: str, vote: str) -> Iterator[AnyEvent]:
    yield e.PlanSubmitted(spec=TaskSpec(id=task), phases=())
    yield e.TaskSubmitted(spec=TaskSpec(id=task))
    yield e.TaskAssigned(task=task, attempt=1, agent="x")
    yield e.AttemptFailed(task=task, attempt=1, kind=FailureKind.ERROR, reason="r")
    yield e.TaskCompleted(task=task, attempt=1)
    yield e.VoteOpened(spec=VoteSpec(vote, "?", ("m",), seats=True))
    yield e.BallotCast(vote=vote, member="m", choice=Choice.APPROVE, evidence="e")
    yield e.VoteDecided(vote=vote, decision=Decision.APPROVED, tally=Tally(), reason="r")


def test_a_run_in_a_shared_log_sees_its_own_events_under_its_own_names() -> None:
    names = Shared(ROOT)
    for local, task in ((PLAN, ROOT), ("fix", f"{ROOT}.fix")):
        own = list(events_of(local, "vote"))
        assert [names.own(each) for each in events_of(task, f"{ROOT}.vote")] == own
        assert names.task(local) == task
    for other in OTHERS:
        assert {names.own(each) for each in events_of(other, other)} == {None}
    assert names.own(e.AgentReady(agent="a")) is None
    assert names.own(e.Recovered(boot=2)) == e.Recovered(boot=2)
    mixed = [*events_of(OTHERS[0], "v"), *events_of(ROOT, f"{ROOT}.vote")]
    assert names.told(Record(1, mixed)).events == mixed[8:]
    assert [ALONE.own(each) for each in mixed] == mixed


def test_commands_of_a_run_leave_under_the_names_of_the_log() -> None:
    names = Shared(ROOT)
    opened = c.OpenVote(now_ms=1, command="open", spec=VoteSpec("vote", "?", ("m",)))
    sent = names.sent(opened)
    assert isinstance(sent, c.OpenVote)
    assert (sent.spec.id, sent.spec.seats, sent.command) == (f"{ROOT}.vote", True, f"{ROOT}/open")
    closed = c.CloseVote(now_ms=1, vote="vote", reason="r")
    assert names.sent(closed) == c.CloseVote(now_ms=1, vote=f"{ROOT}.vote", reason="r")
    cancel = c.CancelTask(now_ms=1, task=PLAN)
    assert names.sent(cancel) == c.CancelTask(now_ms=1, task=ROOT)
    assert ALONE.sent(opened) is opened
