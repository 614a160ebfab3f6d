"""Who belongs to a mesh, agreed on by those who belong to it.

Rosters form a chain: the founders' is number 0, and what the next one changes is a decree of the
electorate of the one before it (`agreement`). A roster with a successor has a majority of members
that accepted the change, so whoever reaches a majority of it reaches one that knows; it is
`unsettled` until the outcome is known, and then goes by the new roster. So two groups that cannot
reach each other never both have a majority, however often members came and went: to count the
living of whatever one happens to know would not do.

Those who are merely gone stay on the roster and count as not reached. A restarted peer joins anew
and takes the place of its former self.
"""

from collections.abc import Iterable

import msgspec

from visionflow.engine.mesh.agreement import ASK_MS, PATIENCE_MS, Agreement, pack
from visionflow.engine.mesh.messages import (
    Agreeing,
    Change,
    Enrolled,
    JoinAsked,
    Member,
    Roster,
    RosterAsked,
    RosterTold,
    Send,
)

CHANGES_KEPT = 64
"""Changes that are told one by one to who is behind; further back the whole roster is told."""
TELL_MS = 1_000
"""One who is behind is told at most this often."""
PREFIX = "roster/"
"""Of the names of agreements on rosters."""

_CHANGE = msgspec.msgpack.Decoder(Change)


def founded(epoch: int, members: Iterable[tuple[str, int, str]]) -> Roster:
    """The first roster of an epoch, of (agent, incarnation, place)."""
    enrolled = tuple(
        Enrolled(agent, incarnation, number, place)
        for number, (agent, incarnation, place) in enumerate(sorted(members))
    )
    return Roster(epoch, 0, enrolled, len(enrolled))


def changed(roster: Roster, change: Change) -> Roster:
    """The next roster. What is so already, or was overtaken by a later life, changes nothing."""
    enrolled = {each.agent: each for each in roster.enrolled}
    number = roster.next_number
    for member in change.left:
        found = enrolled.get(member.agent)
        if found is not None and found.member == member:
            del enrolled[member.agent]
    for agent, incarnation, place in sorted(change.joined):
        found = enrolled.get(agent)
        if found is None or found.incarnation < incarnation:
            enrolled[agent] = Enrolled(agent, incarnation, number, place)
            number += 1
    ordered = tuple(enrolled[agent] for agent in sorted(enrolled))
    return Roster(roster.epoch, roster.number + 1, ordered, number)


def is_change(value: bytes) -> bool:
    """Whether this can be agreed on."""
    try:
        _CHANGE.decode(value)
    except msgspec.MsgspecError:
        return False
    return True


class Rosters:
    """What one peer knows of the chain, and its part in making it longer."""

    def __init__(self, me: Member) -> None:
        self.roster: Roster | None = None
        self.enrolled: dict[str, Enrolled] = {}
        """Of the present roster, by agent."""
        self.unsettled_ms: int | None = None
        """Since when it knows that the next roster is under way."""
        self._me = me
        self._agreement: Agreement | None = None
        self._joining: dict[str, tuple[int, str]] = {}
        self._leaving: dict[str, Member] = {}
        self._changes: list[Change] = []
        """The last ones, up to the present roster."""
        self._told: dict[str, int] = {}

    @property
    def mark(self) -> tuple[int, int]:
        """(epoch, number) of the present roster; a later one is greater."""
        return (-1, -1) if self.roster is None else (self.roster.epoch, self.roster.number)

    @property
    def inside(self) -> bool:
        """Whether this peer belongs to it, in this life."""
        found = self.enrolled.get(self._me.agent)
        return found is not None and found.incarnation == self._me.incarnation

    @property
    def next_ms(self) -> int | None:
        """When `tick` has something to do."""
        return None if self._agreement is None else self._agreement.next_ms

    def found(self, roster: Roster) -> None:
        """Begin an epoch, unless a later roster is known."""
        if (roster.epoch, roster.number) > self.mark:
            self._adopt(roster, [])

    def want_joined(self, agent: str, incarnation: int, place: str, now_ms: int) -> None:
        """See to it that this member is on the roster."""
        enrolled = self.enrolled.get(agent)
        if enrolled is None or enrolled.incarnation < incarnation:
            self._joining[agent] = max(self._joining.get(agent, (0, "")), (incarnation, place))
            self._propose(now_ms)

    def want_left(self, member: Member, now_ms: int) -> None:
        """See to it that this member is not."""
        enrolled = self.enrolled.get(member.agent)
        if enrolled is not None and enrolled.member == member:
            self._leaving[member.agent] = member
            self._propose(now_ms)

    def stay(self, agent: str) -> None:
        """Wish no more that this one leaves. What was proposed already may be decided yet."""
        self._leaving.pop(agent, None)

    def heard(
        self, sender: Member, mark: tuple[int, int], unsettled: bool, now_ms: int
    ) -> list[Send]:
        """What a letter says of its sender's roster: one of the two may be behind."""
        if mark == self.mark:
            if unsettled:
                self._unsettle(now_ms)
            return []
        if now_ms - self._told.get(sender.agent, -TELL_MS) < TELL_MS:
            return []
        self._told[sender.agent] = now_ms
        if mark > self.mark:
            return [Send(sender.agent, RosterAsked())]
        return [self._telling(sender.agent, mark)]

    def receive(
        self,
        sender: Member,
        mark: tuple[int, int],
        message: JoinAsked | RosterAsked | RosterTold | Agreeing,
        now_ms: int,
    ) -> list[Send]:
        """Take what a peer says, that goes by the roster `mark`."""
        match message:
            case JoinAsked(place=place):
                enrolled = self.enrolled.get(sender.agent)
                if enrolled is not None and enrolled.member == sender:
                    return [self._telling(sender.agent, (-1, -1))]
                if self.inside:
                    self.want_joined(sender.agent, sender.incarnation, place, now_ms)
                return []
            case RosterAsked():
                return [self._telling(sender.agent, mark)] if mark < self.mark else []
            case RosterTold():
                self._on_told(mark[0], message, now_ms)
                return []
            case _:
                return self._agree(sender, message, now_ms)

    def tick(self, now_ms: int, entropy: int) -> list[Send]:
        """Go on with the agreement."""
        if self._agreement is None:
            return []
        sent = self._agreement.tick(now_ms, entropy)
        return sent + self._conclude(now_ms)

    def _agree(self, sender: Member, message: Agreeing, now_ms: int) -> list[Send]:
        if not self.inside or message.instance != self._instance:
            return []
        agreement = self._agreement or self._begin()
        sent = agreement.receive(sender, message, now_ms)
        if agreement.accepting:
            self._unsettle(now_ms)
        return sent + self._conclude(now_ms)

    def _conclude(self, now_ms: int) -> list[Send]:
        """Go by the next roster, once it is known, and tell those whom that lets in."""
        agreement, roster = self._agreement, self.roster
        if agreement is None or agreement.chosen is None or roster is None:
            return []
        change = _CHANGE.decode(agreement.chosen.value)
        waiting = [agent for agent, _, _ in change.joined if agent in self._joining]
        self._adopt(changed(roster, change), [*self._changes, change])
        self._propose(now_ms)
        return [self._telling(agent, (-1, -1)) for agent in waiting]

    def _on_told(self, epoch: int, message: RosterTold, now_ms: int) -> None:
        if message.whole is not None:
            whole = message.whole
            if (whole.epoch, whole.number) > self.mark:
                self._adopt(whole, [])
                self._propose(now_ms)
            return
        roster = self.roster
        if roster is None or roster.epoch != epoch:
            return
        for change in message.changes[max(0, roster.number - message.since) :]:
            if roster.number < message.since:
                return
            roster = changed(roster, change)
            self._adopt(roster, [*self._changes, change])
        self._propose(now_ms)

    def _adopt(self, roster: Roster, changes: list[Change]) -> None:
        self.roster = roster
        self.enrolled = {each.agent: each for each in roster.enrolled}
        self._changes = changes[-CHANGES_KEPT:]
        self._agreement = None
        self.unsettled_ms = None
        for agent, (incarnation, _) in list(self._joining.items()):
            found = self.enrolled.get(agent)
            if found is not None and found.incarnation >= incarnation:
                del self._joining[agent]
        for agent, member in list(self._leaving.items()):
            found = self.enrolled.get(agent)
            if found is None or found.member != member:
                del self._leaving[agent]

    def _propose(self, now_ms: int) -> None:
        """Wish for what is wanted to be the next change."""
        if self.inside and (self._joining or self._leaving):
            joined = tuple((agent, *rest) for agent, rest in self._joining.items())
            change = Change(joined, tuple(self._leaving.values()))
            (self._agreement or self._begin()).wish(pack(change), now_ms)

    def _unsettle(self, now_ms: int) -> None:
        """The next roster is under way: should its proposer be gone, others bring it to an end, one
        after the other. What nobody can find, a change of nothing settles."""
        if self.unsettled_ms is None and self.inside:
            self.unsettled_ms = now_ms
            turn = list(self.enrolled).index(self._me.agent)
            agreement = self._agreement or self._begin()
            agreement.wish(pack(Change()), now_ms + ASK_MS + PATIENCE_MS * turn)

    def _begin(self) -> Agreement:
        roster = self.roster
        if roster is None:
            raise ValueError("Nobody founded this mesh.")
        electorate = [each.member for each in roster.enrolled]
        self._agreement = Agreement(self._instance, self._me, electorate, is_change)
        return self._agreement

    @property
    def _instance(self) -> str:
        epoch, number = self.mark
        return f"{PREFIX}{epoch}/{number}"

    def _telling(self, agent: str, mark: tuple[int, int]) -> Send:
        epoch, number = self.mark
        behind = number - mark[1]
        if mark[0] == epoch and 0 < behind <= len(self._changes):
            return Send(agent, RosterTold(None, mark[1], tuple(self._changes[-behind:])))
        return Send(agent, RosterTold(self.roster))
