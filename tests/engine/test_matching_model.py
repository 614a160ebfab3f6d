"""The matching index against a model that looks at every task and every agent each time."""

from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from visionflow.engine import matching as index
from visionflow.engine.matching import GroupKey, Matching, needs, offers

SKILLS = ("a", "b", "c")
AGENTS = tuple(f"agent{number}" for number in range(6))
CHOICES = st.sets(st.sampled_from(SKILLS)).map(lambda chosen: tuple(sorted(chosen)))


@dataclass
class Offering:
    """An agent of the model."""

    offered: frozenset[str]
    level: int = -1
    turn: int = 0


class MatchingAgainstModel(RuleBasedStateMachine):
    """Random joins, leaves, places, arrivals and departures; `best` must agree every time."""

    def __init__(self) -> None:
        super().__init__()
        self.matching = Matching()
        self.agents: dict[str, Offering] = {}
        self.classes: list[frozenset[str]] = []
        self.tasks: dict[str, tuple[int, int, GroupKey]] = {}
        self.count = 0

    @initialize(first=st.sampled_from(SKILLS), second=st.sampled_from(SKILLS))
    def two_are_there(self, first: str, second: str) -> None:
        """Fewer steps are spent on joining, so that more happens with those who are there."""
        self.join(AGENTS[0], (first,), "x")
        self.join(AGENTS[1], (second,), "x")

    @rule(agent=st.sampled_from(AGENTS[:4]), skills=CHOICES, kind=st.sampled_from(("x", "y")))
    def join(self, agent: str, skills: tuple[str, ...], kind: str) -> None:
        if agent not in self.agents:
            offered = offers(skills, kind)
            self.agents[agent] = Offering(offered)
            self.matching.join(agent, offered)
            if offered not in self.classes:
                self.classes.append(offered)

    @precondition(lambda self: self.agents)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        agent = data.draw(st.sampled_from(sorted(self.agents)))
        del self.agents[agent]
        self.matching.leave(agent)

    @precondition(lambda self: self.agents)
    @rule(data=st.data(), level=st.sampled_from((-1, -1, 0, 7, 15)))
    def place(self, data: st.DataObject, level: int) -> None:
        agent = data.draw(st.sampled_from(sorted(self.agents)))
        self.put(agent, level)

    def put(self, agent: str, level: int) -> None:
        self.count += 1
        self.agents[agent].level = level
        self.agents[agent].turn = self.count
        self.matching.place(agent, level)

    @rule(
        skills=CHOICES,
        kind=st.sampled_from((None, None, "x")),
        pin=st.sampled_from((None, None, None, *AGENTS)),
        order=st.integers(0, 5),
    )
    def enqueue(
        self, skills: tuple[str, ...], kind: str | None, pin: str | None, order: int
    ) -> None:
        self.count += 1
        name, key = f"task{self.count}", (skills, kind, pin)
        self.tasks[name] = (order, self.count, key)
        self.matching.enqueue(name, key, order)

    @precondition(lambda self: self.tasks)
    @rule(data=st.data(), again=st.booleans())
    def dequeue(self, data: st.DataObject, again: bool) -> None:
        name = data.draw(st.sampled_from(sorted(self.tasks)))
        order, _, key = self.tasks.pop(name)
        self.matching.dequeue(name)
        if again:
            self.count += 1
            self.tasks[name] = (order, self.count, key)
            self.matching.enqueue(name, key, order)

    @rule(level=st.sampled_from((-1, 7)))
    def assign(self, level: int) -> None:
        found = self.matching.best()
        assert self.agrees(found)
        if found is not None:
            del self.tasks[found[0]]
            self.matching.dequeue(found[0])
            self.put(found[1], level)

    def agrees(self, found: tuple[str, str] | None) -> bool:
        """A task that was queued again may keep its older place among its equals."""
        expected = self.expected()
        if found is None or expected is None:
            return found == expected
        order, _, key = self.tasks[found[0]]
        return order == self.tasks[expected[0]][0] and found[1] == self.best_for(key)

    def expected(self) -> tuple[str, str] | None:
        for _, _, name in sorted((o, n, name) for name, (o, n, _) in self.tasks.items()):
            agent = self.best_for(self.tasks[name][2])
            if agent is not None:
                return name, agent
        return None

    def best_for(self, key: GroupKey) -> str | None:
        wanted, pin = needs(key), key[2]
        able = [
            (-each.level, len(each.offered), self.classes.index(each.offered), each.turn, name)
            for name, each in self.agents.items()
            if each.level >= 0 and wanted <= each.offered and pin in (None, name)
        ]
        return min(able)[-1] if able else None

    @invariant()
    def the_best_pair_is_that_of_the_model(self) -> None:
        assert self.agrees(self.matching.best())

    @invariant()
    def it_is_idle_only_when_nothing_can_be_assigned(self) -> None:
        assert not self.matching.idle or self.expected() is None

    @invariant()
    def it_knows_who_is_queued_and_who_has_room(self) -> None:
        assert len(self.matching) == len(self.tasks)
        assert all(name in self.matching for name in self.tasks)
        for agent in AGENTS:
            known = self.agents.get(agent)
            assert self.matching.room(agent) == (None if known is None else known.level)

    @invariant()
    def able_tells_whether_anybody_could(self) -> None:
        for skills in ((), ("a",), ("a", "b", "c")):
            wanted = frozenset(skills)
            could = any(wanted <= each.offered for each in self.agents.values())
            assert self.matching.able((skills, None, None)) == could


MatchingAgainstModel.TestCase.settings = settings(
    max_examples=120, stateful_step_count=40, deadline=None
)
TestMatchingAgainstModel = MatchingAgainstModel.TestCase


def test_the_list_of_groups_to_look_at_stays_short_however_often_a_queue_runs_empty() -> None:
    matching, lengths = Matching(), list[int]()
    matching.join("a", offers((), "x"))
    matching.place("a", 15)
    for number in range(2_000):
        matching.enqueue(f"t{number}", ((), None, None), number)
        assert matching.best() == (f"t{number}", "a")
        matching.dequeue(f"t{number}")
        matching.place("a", -1)
        matching.enqueue(f"u{number}", ((), None, None), number)
        matching.dequeue(f"u{number}")
        matching.place("a", 15)
        lengths.append(len(matching._ready))
    assert max(lengths) < 100


def test_groups_that_ran_empty_are_forgotten_when_there_are_many() -> None:
    matching = Matching()
    for number in range(3 * index.EMPTY_GROUPS_MAX):
        matching.enqueue("t", ((f"c{number}",), None, None), number)
        matching.dequeue("t")
    assert len(matching._groups) <= index.EMPTY_GROUPS_MAX
