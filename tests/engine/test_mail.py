"""Mail: who gets a message, who may not, and what becomes of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.calm import Calm
from visionflow.domain import commands as c
from visionflow.domain import events as e
from visionflow.domain import mail_commands as mc
from visionflow.domain import mail_events as me
from visionflow.domain.agents import AgentSpec
from visionflow.domain.limits import INBOX_BYTES_MAX, INBOX_MAX, MAIL_SEEN_MAX
from visionflow.domain.mail import DeadReason, Letter, is_pattern, is_topic, matches
from visionflow.domain.swarms import SwarmSpec, Topology
from visionflow.domain.tasks import FailureKind, Payload
from visionflow.engine.decide.mail import Again, Sent
from visionflow.engine.effects import Hand, outstanding
from visionflow.engine.mail import may_be_read
from visionflow.engine.state import Answer, SwarmState


class Post(Calm):
    """A calm world in which agents talk, in a mesh where it is not said otherwise."""

    def __init__(self, topology: Topology = Topology.MESH) -> None:
        super().__init__()
        self.state, self.log = SwarmState(), []
        spec = SwarmSpec(id="swarm_1", topology=topology)
        self.send(c.CreateSwarm(now_ms=self.now_ms, spec=spec))

    def mail(self, sender: str, target: str, **fields: object) -> Answer:
        ttl_ms = int(str(fields.pop("ttl_ms", 60_000)))
        identity = str(fields.pop("id", None) or self.name("message"))
        letter = Letter(
            id=identity,
            sender=sender,
            target=target,
            sent_ms=self.now_ms,
            expires_ms=self.now_ms + ttl_ms,
            **fields,
        )
        return self.send(mc.SendMail(now_ms=self.now_ms, letter=letter))

    def outside(self, target: str, **fields: object) -> Answer:
        return self.mail("ops", target, external=True, by="local:me", **fields)

    def box(self, agent: str) -> list[str]:
        """Ids of the messages that wait, in order."""
        inbox = self.state.mail.inboxes.get(agent)
        return [] if inbox is None else [each.letter.id for each in inbox.deliveries.values()]

    def numbers(self, agent: str) -> list[int]:
        inbox = self.state.mail.inboxes.get(agent)
        return [] if inbox is None else list(inbox.deliveries)

    def take(self, agent: str, *numbers: int) -> Answer:
        return self.send(mc.TakeMail(now_ms=self.now_ms, agent=agent, deliveries=numbers))

    def handles(self, agent: str) -> None:
        worker = self.state.workers[self.state.agents[agent].worker]
        who = {"agent": agent, "worker": worker.id, "incarnation": worker.incarnation}
        self.send(mc.ReportHandling(now_ms=self.now_ms, **who))

    def hands(self) -> list[tuple[str, int]]:
        return [(x.agent, x.delivery) for x in outstanding(self.state) if isinstance(x, Hand)]

    def trouble(self, agent: str, delivery: int, for_good: bool = False) -> Answer:
        return self.send(
            mc.ReportMailFailed(
                now_ms=self.now_ms,
                agent=agent,
                delivery=delivery,
                reason="it broke",
                for_good=for_good,
            )
        )


def pair(topology: Topology = Topology.MESH) -> tuple[Post, str, str]:
    post = Post(topology)
    first, second = post.team(2, "python")
    return post, first, second


# Who gets it -----------------------------------------------------------------------------------


@pytest.mark.acceptance("bus")
def test_a_message_is_in_the_inbox_of_whom_it_is_for_and_a_replay_has_it_too() -> None:
    post, first, second = pair()
    answer = post.mail(first, second, id="m1", content=Payload(inline=b"\x01"))
    assert isinstance(answer, Sent) and (answer.subject, answer.count) == ("m1", 1)
    assert post.box(second) == ["m1"] and post.box(first) == []
    assert post.replay().digest() == post.state.digest()
    assert post.replay().mail == post.state.mail


def test_an_agent_is_known_by_its_name_too_and_one_that_two_have_is_refused() -> None:
    post = Post()
    for name in ("ann", "twin", "twin"):
        identity = post.name("agent")
        spec = AgentSpec(id=identity, type="coder", name=name, class_path="m:C")
        post.send(c.SpawnAgent(now_ms=post.now_ms, spec=spec))
    ann = next(n for n, agent in post.state.agents.items() if agent.spec.name == "ann")
    assert post.outside("ann").code is None
    assert len(post.box(ann)) == 1
    refused = post.outside("twin")
    assert refused.code == "unknown_agent" and "2 agents are called twin" in str(refused.message)


def test_broadcasts_go_to_those_that_their_filter_means_and_not_to_the_sender() -> None:
    post = Post()
    coder = post.spawn("python", type="coder")
    tester = post.spawn("testing", "python", type="tester")
    other = post.spawn("review", type="coder")
    for target, meant in (
        ("all", {tester, other}),
        ("type:coder", {other}),
        ("capability:python", {tester}),
        ("swarm:swarm_1", {tester, other}),
    ):
        post.mail(coder, target)
        assert set(post.last(me.MailSent).to) == meant
    assert post.mail(coder, "type:poet").code == "no_recipients"
    alone = Post().outside("all")
    assert isinstance(alone, Sent) and (alone.code, alone.count) == (None, 0), "all of none"
    assert post.mail(coder, "swarm:another").code == "unknown_swarm"


@pytest.mark.acceptance("bus")
def test_a_topic_reaches_those_who_subscribed_to_a_pattern_that_means_it() -> None:
    post = Post()
    done, every, other = post.team(3)
    for agent, pattern in ((done, "builds.*.done"), (every, "builds.>"), (other, "tests")):
        post.send(mc.SubscribeTopic(now_ms=post.now_ms, agent=agent, pattern=pattern))
    post.outside("topic:builds.main.done")
    assert set(post.last(me.MailSent).to) == {done, every}
    post.outside("topic:builds.main")
    assert post.last(me.MailSent).to == (every,)
    post.send(mc.SubscribeTopic(now_ms=post.now_ms, agent=every, pattern="builds.>", on=False))
    assert post.outside("topic:builds.main").code is None
    assert post.last(me.MailSent).to == ()
    assert post.outside("topic:builds.*").code == "usage"


@given(st.lists(st.sampled_from("ab"), min_size=1, max_size=4), st.integers(0, 2**8))
def test_a_pattern_means_a_topic_as_its_words_say(words: list[str], choice: int) -> None:
    """A pattern made from the topic means it, and not the topic changed in a word it names."""
    pattern = [word if choice >> place & 1 else "*" for place, word in enumerate(words)]
    assert matches(".".join(pattern), ".".join(words))
    assert matches(".".join([*pattern[:-1], ">"]), ".".join(words))
    assert not matches(".".join([*pattern, ">"]), ".".join(words))
    for place, word in enumerate(pattern):
        other = [*words[:place], "c", *words[place + 1 :]]
        assert matches(".".join(pattern), ".".join(other)) is (word == "*")


def test_what_is_no_pattern_or_topic_is_told_from_what_is() -> None:
    assert [text for text in ("a", "a.*", "*", ">", "a.>", "*.b") if not is_pattern(text)] == []
    assert [
        text for text in ("", "a.", ".a", "a..b", "a.>.b", "a*", "b.>x") if is_pattern(text)
    ] == []
    assert is_topic("a.b") and not is_topic("a.*") and not is_topic("")


# Who may not -----------------------------------------------------------------------------------


@pytest.mark.acceptance("bus")
def test_what_the_topology_forbids_is_refused_on_record_with_the_rule_and_the_way_out() -> None:
    post = Post(Topology.STAR)
    centre = post.spawn(type="coordinator")
    first, second = post.spawn(), post.spawn()
    refused = post.mail(first, second, id="no")
    assert refused.code == "not_allowed" and centre in str(refused.message)
    told = post.last(me.MailRefused)
    assert (told.id, told.sender, told.target, told.rule) == ("no", first, second, refused.message)
    assert post.box(second) == []
    assert post.mail(first, centre).code is None and post.mail(centre, second).code is None


def test_a_broadcast_reaches_those_that_the_topology_allows_and_names_the_others() -> None:
    post = Post(Topology.STAR)
    centre = post.spawn(type="coordinator")
    first, second = post.spawn(), post.spawn()
    post.mail(first, "all")
    sent = post.last(me.MailSent)
    assert (sent.to, sent.withheld) == ((centre,), (second,))
    assert post.mail(first, "type:coder").code == "not_allowed"


def test_whoever_is_outside_reaches_everybody_and_is_recorded_as_external() -> None:
    post = Post(Topology.STAR)
    post.spawn(type="coordinator")
    agent = post.spawn()
    assert post.outside(agent).code is None
    letter = post.last(me.MailSent).letter
    assert (letter.sender, letter.external, letter.by) == ("ops", True, "local:me")


def test_an_attempt_that_is_over_sends_nothing_and_one_sends_only_for_its_own_agent() -> None:
    post, first, second = pair()
    task = post.submit(agent=first)
    assert post.mail(first, second, task=task, attempt=1).code is None
    assert post.mail(second, first, task=task, attempt=1).code == "stale_attempt"
    post.complete(task)
    assert post.mail(first, second, task=task, attempt=1).code == "stale_attempt"
    assert len(post.box(second)) == 1


def test_a_message_that_comes_again_is_sent_once_and_its_answer_is_the_same() -> None:
    post, first, second = pair()
    before = post.mail(first, second, id="m1")
    again = post.mail(first, second, id="m1")
    assert isinstance(before, Sent) and isinstance(again, Sent)
    assert (again.subject, again.count, again.code) == (before.subject, before.count, None)
    assert post.box(second) == ["m1"] and len(post.of(me.MailSent)) == 1


# Inboxes ---------------------------------------------------------------------------------------


def test_what_was_acknowledged_has_left_and_a_second_time_changes_nothing() -> None:
    post, first, second = pair()
    for _ in range(3):
        post.mail(first, second)
    numbers = post.numbers(second)
    assert post.take(second, numbers[1], numbers[0], 999).subject == f"{numbers[1]},{numbers[0]}"
    assert post.numbers(second) == numbers[2:]
    assert post.take(second, numbers[0]).subject == ""
    assert len(post.of(me.MailTaken)) == 1


@pytest.mark.parametrize("size", [1, 60_000])
def test_a_full_inbox_refuses_with_a_time_to_ask_again_until_something_is_taken(size: int) -> None:
    post, first, second = pair()
    most = min(INBOX_MAX, INBOX_BYTES_MAX // size)
    for _ in range(most):
        assert post.mail(first, second, content=Payload(inline=bytes(size))).code is None
    full = post.mail(first, second, content=Payload(inline=bytes(size)))
    assert full.code == "inbox_full" and "1000 ms" in str(full.message)
    assert len(post.box(second)) == most
    post.take(second, post.numbers(second)[0])
    assert post.mail(first, second, content=Payload(inline=bytes(size))).code is None
    assert post.audit() == []


def test_a_broadcast_goes_on_past_a_full_inbox_where_it_is_a_dead_letter() -> None:
    post, first, second = pair()
    third = post.spawn()
    for _ in range(INBOX_MAX):
        post.mail(first, second)
    assert post.mail(first, "all", id="news").code is None
    sent = post.last(me.MailSent)
    assert (sent.to, sent.full) == ((third,), (second,))
    dead = list(post.state.mail.dead.values())
    assert [(each.agent, each.letter.id, each.reason) for each in dead] == [
        (second, "news", DeadReason.INBOX_FULL)
    ]


def test_after_its_time_a_message_is_a_dead_letter_and_not_before() -> None:
    post, first, second = pair()
    post.mail(first, second, id="short", ttl_ms=1_000)
    post.mail(first, second, id="long", ttl_ms=5_000)
    post.tick(999)
    assert post.box(second) == ["short", "long"]
    post.tick(1)
    assert post.box(second) == ["long"]
    (dead,) = post.state.mail.dead.values()
    assert (dead.letter.id, dead.reason, dead.at_ms) == ("short", DeadReason.EXPIRED, post.now_ms)


def test_what_waits_for_an_agent_that_is_gone_becomes_dead_in_the_same_record() -> None:
    post, first, second = pair()
    post.mail(first, second)
    post.mail(first, second)
    post.send(c.TerminateAgent(now_ms=post.now_ms, agent=second))
    assert post.mail(first, second).code == "unknown_agent"
    post.settle()
    record = next(r for r in post.records() if any(isinstance(x, me.MailDead) for x in r.events))
    assert any(isinstance(x, e.AgentTerminated) for x in record.events)
    assert {each.reason for each in post.state.mail.dead.values()} == {DeadReason.AGENT_GONE}
    assert post.box(second) == [] and post.audit() == []


# Handing over ----------------------------------------------------------------------------------


def test_only_an_agent_that_handles_messages_is_handed_them_in_order() -> None:
    post, first, second = pair()
    post.mail(first, second)
    assert post.hands() == []
    post.handles(second)
    post.mail(first, second)
    assert post.hands() == [(second, number) for number in post.numbers(second)]
    post.take(second, post.numbers(second)[0])
    assert post.hands() == [(second, number) for number in post.numbers(second)]


@pytest.mark.acceptance("bus")
def test_an_inbox_outlives_the_process_and_its_next_life_is_told_what_may_have_been_read() -> None:
    post, first, second = pair()
    post.mail(first, second, id="before")
    post.handles(second)
    post.mail(first, second, id="during")
    post.lose(post.state.agents[second].worker, FailureKind.KILLED)
    post.mail(first, second, id="between")
    assert post.hands() == [], "nobody is there"
    post.now_ms += 60_000 // 2
    post.tick()
    post.settle()
    assert post.hands() == [], "its next life has not said that it handles messages"
    post.handles(second)
    assert [number for _, number in post.hands()] == post.numbers(second)
    inbox = post.state.mail.inboxes[second].deliveries.values()
    read = {x.letter.id: may_be_read(post.state.mail, second, x) for x in inbox}
    assert read == {"before": True, "during": True, "between": False}
    assert list(outstanding(post.replay())) == list(outstanding(post.state))


def test_a_handler_that_fails_gets_the_message_at_its_place_under_another_delivery_id() -> None:
    post, first, second = pair()
    post.handles(second)
    post.mail(first, second, id="bad")
    post.mail(first, second, id="next")
    seen: list[int] = []
    for _ in range(2):
        number = post.numbers(second)[0]
        seen.append(number)
        again = post.trouble(second, number)
        assert isinstance(again, Again) and again.count == post.numbers(second)[0]
        assert post.box(second) == ["bad", "next"]
    number = post.numbers(second)[0]
    last = post.trouble(second, number)
    assert isinstance(last, Again) and last.count == 0
    assert post.box(second) == ["next"] and len({*seen, number}) == 3
    (dead,) = post.state.mail.dead.values()
    assert (dead.reason, dead.failures, dead.note) == (DeadReason.HANDLER_FAILED, 3, "it broke")
    assert post.audit() == []


def test_a_failure_for_good_is_a_dead_letter_at_once() -> None:
    post, first, second = pair()
    post.mail(first, second)
    post.trouble(second, post.numbers(second)[0], for_good=True)
    assert post.box(second) == [] and len(post.state.mail.dead) == 1
    assert post.trouble(second, 1).code is None, "late it changes nothing"


# Requests --------------------------------------------------------------------------------------


def ask_and_answer(post: Post, first: str, second: str) -> tuple[Answer, Answer]:
    asked = post.mail(first, second, id="q", answer_by_ms=post.now_ms + 1_000)
    return asked, post.mail(second, first, id="a", answers="q")


def test_an_answer_goes_back_to_who_asked_whatever_the_topology_and_once() -> None:
    post = Post(Topology.RING)
    first, second, third = post.team(3)
    asked, answered = ask_and_answer(post, first, second)
    assert asked.code is None and answered.code is None
    assert post.mail(second, first).code == "not_allowed", "a message of its own goes on only"
    request = post.state.mail.requests["q"]
    assert request.answer is not None and request.answer.id == "a"
    assert post.last(me.MailSent).to == (first,) and post.box(first) == []
    assert post.mail(second, first, answers="q").code == "already_answered"
    assert post.mail(third, first, answers="q").code == "no_request"


def test_nobody_waits_for_ever_and_a_request_may_be_asked_anew_when_its_time_is_over() -> None:
    post, first, second = pair()
    post.mail(first, second, id="q", answer_by_ms=post.now_ms + 1_000)
    post.mail(first, second, id="q", answer_by_ms=post.now_ms + 1_000)
    assert post.box(second) == ["q"], "the same, asked again, is the same"
    post.tick(1_000)
    assert post.last(me.RequestsForgotten).requests == ("q",)
    assert post.mail(second, first, answers="q").code == "no_request"
    post.mail(first, second, id="q", answer_by_ms=post.now_ms + 1_000)
    assert post.box(second) == ["q", "q"] and "q" in post.state.mail.requests


def test_a_request_goes_to_one_agent() -> None:
    post, first, second = pair()
    refused = post.mail(first, "all", answer_by_ms=post.now_ms + 1_000)
    assert refused.code == "usage" and post.box(second) == []


# Measures --------------------------------------------------------------------------------------


def test_what_agents_send_to_agents_is_counted_and_nothing_else() -> None:
    post = Post(Topology.MESH)
    first, second, _ = post.team(3)
    ask_and_answer(post, first, second)
    post.mail(first, "all")
    assert post.state.totals.messages == 3, "a request, its answer, and one to several"
    post.mail(first, "all", id="q", answer_by_ms=post.now_ms + 1_000)
    post.mail(first, "topic:nobody.listens")
    post.mail(first, "nobody")
    post.outside(second, id="asked", answer_by_ms=post.now_ms + 1_000)
    post.mail(second, "ops", answers="asked")
    assert post.last(me.MailSent).to == ("ops",)
    assert post.state.totals.messages == 3
    assert post.replay().totals == post.state.totals


# Bounds ----------------------------------------------------------------------------------------


def test_alarms_of_messages_that_are_read_do_not_pile_up() -> None:
    post, first, second = pair()
    for _ in range(3_000):
        post.mail(first, second, ttl_ms=600_000)
        post.take(second, *post.numbers(second))
    assert len(post.state.mail_alarm) < 1_100
    assert post.state.mail.open == 0 and len(post.state.mail.seen) == 3_000 < MAIL_SEEN_MAX


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"content": Payload(inline=bytes(65_537))}, "payload_too_large"),
        ({"type": ""}, "usage"),
        ({"type": "x" * 1_001}, "usage"),
        ({"ttl_ms": 0}, "usage"),
        ({"ttl_ms": 604_800_001}, "usage"),
    ],
)
def test_what_says_too_much_or_has_no_time_is_refused(fields: dict[str, object], code: str) -> None:
    post, first, second = pair()
    assert post.mail(first, second, **fields).code == code
    assert post.box(second) == []
