"""Who of the roster is there, in one peer's opinion, and what a majority thinks.

After SWIM (Das, Gupta and Motivala, DSN 2002): each heartbeat a peer pings a few others, in an
order by chance that comes to all of them in turn; one that misses two is pinged through others
too, then doubted. The doubt spreads by gossip; who hears of it looks for itself, and doubts too
where neither an answer nor a refutation comes. The doubted member takes it back by a higher
version of its standing. It has *failed* when more than half of the roster doubts it. It costs each
peer the same however many there are.

Who reaches half of the roster or less, itself included, is read-only, so both halves of an even
split are; also one that knows the next roster to be under way and cannot learn what it is.
"""

import msgspec

from visionflow.engine.mesh.chance import Chance
from visionflow.engine.mesh.gossip import GOSSIP_MS, Gossip, Key, bits_of
from visionflow.engine.mesh.messages import Ack, Member, Ping, PingFor, Send, Standing
from visionflow.engine.mesh.roster import Rosters

HEARTBEAT_MS = 3_000
MISSED_MAX = 2
"""Heartbeats that a member may miss before it is doubted."""
PROBES = 3
"""Members that a peer pings at each heartbeat because it is their turn."""
HELPERS = 3
"""Others through which one that missed a heartbeat is pinged."""
LOOKS_MAX = 16
"""Members that a peer pings at once because others doubt them."""
SAMPLE = 16
"""Members of whom it is looked whether they answered when they were last pinged."""
UNSETTLED_MS = 3_000
"""A roster under way for longer than this makes read-only."""


class Probe(msgspec.Struct, gc=False):
    """A ping that was not answered yet."""

    number: int
    missed: int


class Membership:
    """One peer's opinion of who is there. What it holds in common with others is in `gossip`."""

    def __init__(self, me: Member, rosters: Rosters, gossip: Gossip) -> None:
        self.version = 0
        """Of its own standing."""
        self.doubting: dict[str, int] = {}
        """Whom this peer itself doubts, in which version of their standing."""
        self.next_ms = 0
        self._me = me
        self._rosters = rosters
        self._gossip = gossip
        self._number = 0
        self._probes: dict[str, Probe] = {}
        self._looks: dict[str, tuple[int, int]] = {}
        """Whom others doubt: (the version that they doubt, when this peer will too)."""
        self._lately: dict[str, bool] = {}
        """Whether a member answered, of the last that were pinged; the latest last."""
        self._relays: dict[int, tuple[str, int]] = {}
        self._order: list[str] = []
        self._others: list[str] = []
        self._lives: dict[str, int] = {}
        self._seated = 0
        """The numbers of all members, as bits: who has left does not count as a doubter."""

    # What it thinks --------------------------------------------------------------------------

    @property
    def reached(self) -> int:
        """How many of the roster this peer reaches, itself included."""
        return len(self._rosters.enrolled) - len(self.doubting) if self._rosters.inside else 0

    def read_only(self, now_ms: int) -> bool:
        """Whether it reaches too few to take anything new."""
        unsettled_ms = self._rosters.unsettled_ms
        waited = unsettled_ms is not None and now_ms - unsettled_ms > UNSETTLED_MS
        members = len(self._rosters.enrolled)
        return waited or self._alone(members) or not is_majority(self.reached, members)

    def _alone(self, members: int) -> bool:
        """Whether half or more of those that it pinged of late did not answer. Among many members
        that shows long before it is known of each of them."""
        asked = len(self._lately)
        if asked == 0 or asked < min(SAMPLE, members - 1):
            return False
        return not is_majority(sum(self._lately.values()) + 1, asked + 1)

    def failed(self) -> tuple[str, ...]:
        """Members that more than half of the roster doubts, as far as is known here."""
        standings = ((agent, self._standing(agent)) for agent in self._rosters.enrolled)
        return tuple(agent for agent, each in standings if each is not None and each.failed)

    def doubted(self) -> tuple[str, ...]:
        """Members that somebody doubts."""
        standings = ((agent, self._standing(agent)) for agent in self._rosters.enrolled)
        return tuple(agent for agent, each in standings if each is not None and in_doubt(each))

    def there(self) -> list[str]:
        """Other members that it does not doubt."""
        if not self.doubting:
            return self._others
        return [agent for agent in self._others if agent not in self.doubting]

    # What it does ----------------------------------------------------------------------------

    def renewed(self) -> None:
        """The roster is another one now."""
        lives = {each.agent: each.incarnation for each in self._rosters.enrolled.values()}
        self._others = [agent for agent in lives if agent != self._me.agent]
        self._order = []
        # Of a member in another life nothing is known, whatever was of the one before.
        for agent, incarnation in self._lives.items():
            if lives.get(agent) != incarnation:
                for held in (self.doubting, self._probes, self._looks, self._lately):
                    held.pop(agent, None)
        self._lives = lives
        self._seated = sum(1 << each.number for each in self._rosters.enrolled.values())

    def tick(self, now_ms: int, chance: Chance) -> list[Send]:
        """A heartbeat, where it is time for one."""
        if now_ms < self.next_ms or not self._rosters.inside:
            return []
        late_ms = now_ms - self.next_ms
        if late_ms > HEARTBEAT_MS:
            self._forgive(late_ms)
        self.next_ms = now_ms + HEARTBEAT_MS
        self._relays = {n: each for n, each in self._relays.items() if n > self._number - 1_000}
        sent = self._unanswered(now_ms, chance)
        for agent, (version, until_ms) in list(self._looks.items()):
            if now_ms >= until_ms and self._version_of(agent) == version:
                self._doubt(agent, now_ms)
        turns = PROBES
        while turns > 0 and self._others:
            if not self._order:
                self._order = chance.shuffled(self._others)
                turns = min(turns, len(self._order))
            agent = self._order.pop()
            turns -= 1
            if agent not in self._probes:
                sent.append(self._ping(agent, 0))
        return sent

    def receive(self, sender: Member, message: Ping | Ack | PingFor, now_ms: int) -> list[Send]:
        """Take a ping, or the answer to one."""
        match message:
            case Ping():
                if message.incarnation != self._me.incarnation:
                    return []
                if message.doubted:
                    self._refute(message.version, now_ms)
                return [Send(sender.agent, Ack(message.number, self.version))]
            case PingFor():
                enrolled = self._rosters.enrolled.get(message.agent)
                if enrolled is None or enrolled.incarnation != message.incarnation:
                    return []
                self._number += 1
                self._relays[self._number] = (sender.agent, message.number)
                ping = Ping(self._number, message.version, message.doubted, message.incarnation)
                return [Send(message.agent, ping)]
            case Ack():
                return self._on_ack(sender, message, now_ms)

    def look(self, keys: list[Key], now_ms: int) -> list[Send]:
        """Entries of these keys have changed by gossip."""
        sent: list[Send] = []
        for agent, name in keys:
            if name:
                continue
            standing = self._standing(agent)
            if standing is None:
                continue
            if agent == self._me.agent:
                if in_doubt(standing):
                    self._refute(standing.version, now_ms)
                continue
            if self.doubting.get(agent, standing.version) < standing.version:
                del self.doubting[agent]
                self._lately.pop(agent, None)
            if not in_doubt(standing):
                self._looks.pop(agent, None)
                continue
            self._judge(standing, now_ms)
            if agent not in self.doubting:
                sent += self._look_for(agent, standing.version, now_ms)
        return sent

    def _look_for(self, agent: str, version: int, now_ms: int) -> list[Send]:
        """Others doubt a member: look whether it answers. Where many are doubted at once there is
        no time to ask each; then it is enough that none of them has taken back the doubt although
        it would have heard of it by now, and its answer would have come here."""
        if self._looks.get(agent, (-1, 0))[0] == version:
            return []
        rounds = len(self._rosters.enrolled).bit_length()
        self._looks[agent] = (version, now_ms + MISSED_MAX * HEARTBEAT_MS + rounds * GOSSIP_MS)
        if agent in self._probes or len(self._probes) >= LOOKS_MAX + PROBES * MISSED_MAX:
            return []
        return [self._ping(agent, 0)]

    def _unanswered(self, now_ms: int, chance: Chance) -> list[Send]:
        sent: list[Send] = []
        for agent, probe in list(self._probes.items()):
            probe.missed += 1
            if agent in self.doubting:
                del self._probes[agent]
                self._note(agent, False)
            elif probe.missed >= MISSED_MAX:
                del self._probes[agent]
                self._note(agent, False)
                self._doubt(agent, now_ms)
            else:
                again = self._ping(agent, probe.missed)
                sent.append(again)
                sent += self._through_others(agent, chance)
        return sent

    def _through_others(self, agent: str, chance: Chance) -> list[Send]:
        among = [each for each in self.there() if each != agent]
        member = self._rosters.enrolled[agent]
        asking = PingFor(
            self._probes[agent].number,
            agent,
            member.incarnation,
            self._version_of(agent),
            self._is_doubted(agent),
        )
        return [Send(helper, asking) for helper in chance.some(among, HELPERS)]

    def _on_ack(self, sender: Member, message: Ack, now_ms: int) -> list[Send]:
        relayed = self._relays.pop(message.number, None)
        if relayed is not None:
            to, number = relayed
            return [Send(to, Ack(number, message.version, sender.agent, sender.incarnation))]
        agent = message.of or sender.agent
        incarnation = message.incarnation if message.of else sender.incarnation
        probe = self._probes.get(agent)
        if probe is None or probe.number != message.number:
            return []
        del self._probes[agent]
        self._note(agent, True)
        self._looks.pop(agent, None)
        if message.version > self._version_of(agent):
            # Only it itself raises its version, so this is its own word.
            self._gossip.merge((Standing(agent, incarnation, message.version),), now_ms)
        return []

    def _note(self, agent: str, answered: bool) -> None:
        self._lately.pop(agent, None)
        self._lately[agent] = answered
        if len(self._lately) > SAMPLE:
            del self._lately[next(iter(self._lately))]

    def _ping(self, agent: str, missed: int) -> Send:
        self._number += 1
        self._probes[agent] = Probe(self._number, missed)
        incarnation = self._rosters.enrolled[agent].incarnation
        ping = Ping(self._number, self._version_of(agent), self._is_doubted(agent), incarnation)
        return Send(agent, ping)

    def _doubt(self, agent: str, now_ms: int) -> None:
        own = self._rosters.enrolled[self._me.agent]
        member = self._rosters.enrolled[agent]
        version = self._version_of(agent)
        self._looks.pop(agent, None)
        self.doubting[agent] = version
        doubt = Standing(agent, member.incarnation, version, bits_of(1 << own.number))
        self._gossip.merge((doubt,), now_ms, own=True)

    def _judge(self, standing: Standing, now_ms: int) -> None:
        """Say that a member has failed, once more than half of the roster doubts it."""
        doubters = int.from_bytes(standing.doubters, "little") & self._seated
        if not standing.failed and is_majority(doubters.bit_count(), len(self._rosters.enrolled)):
            verdict = Standing(standing.agent, standing.incarnation, standing.version, failed=True)
            self._gossip.merge((verdict,), now_ms, own=True)

    def _refute(self, version: int, now_ms: int) -> None:
        if version >= self.version:
            self.version = version + 1
            own = Standing(self._me.agent, self._me.incarnation, self.version)
            self._gossip.merge((own,), now_ms, own=True)

    def _forgive(self, late_ms: int) -> None:
        """This peer was not running: what it did not hear meanwhile says nothing of others."""
        self._probes = {}
        self._lately = {}
        self._looks = {
            agent: (version, until_ms + late_ms)
            for agent, (version, until_ms) in self._looks.items()
        }

    def _standing(self, agent: str) -> Standing | None:
        entry = self._gossip.held.get((agent, ""))
        return entry if isinstance(entry, Standing) else None

    def _version_of(self, agent: str) -> int:
        standing = self._standing(agent)
        return 0 if standing is None else standing.version

    def _is_doubted(self, agent: str) -> bool:
        standing = self._standing(agent)
        return standing is not None and in_doubt(standing)


def in_doubt(standing: Standing) -> bool:
    """Whether anybody doubts that the member is there."""
    return standing.failed or bool(standing.doubters)


def is_majority(some: int, members: int) -> bool:
    """More than half of them: of two groups that have no member in common, never both."""
    return 2 * some > members
