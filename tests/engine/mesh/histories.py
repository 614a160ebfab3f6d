"""Random lives of a mesh: peers join, leave, die, come back and stop; links are cut and healed."""

import random

from visionflow.testing.meshes import CALM, ROUGH, Mesh

SETTLED_MS = 150_000
"""Long enough, for a few peers in rough conditions, to know who is there."""


class History:
    """A mesh to which things happen. What must hold at every moment is looked at meanwhile."""

    def __init__(self, seed: int, founders: int, *, rough: bool = False) -> None:
        self.random = random.Random(seed)
        self.mesh = Mesh(seed, ROUGH if rough else CALM)
        self.groups: list[list[str]] = []
        self.gone: set[str] = set()
        """Agents that left or died for good."""
        self.stopped: set[str] = set()
        self.born = founders
        self.mesh.start(f"p{number}" for number in range(founders))
        self.looks = 0
        self.read_only = 0

    def happen(self) -> None:
        """One thing, and some time."""
        living = list(self.mesh.peers)
        act = self.random.choice(
            ("join", "leave", "kill", "back", "cut", "cut", "heal", "stop", "nothing")
        )
        someone = self.random.choice(living) if living else None
        if act == "join" and self.born < 9:
            self.born += 1
            self.mesh.join(f"p{self.born - 1}")
            self._place(f"p{self.born - 1}")
        elif act == "leave" and someone and someone not in self.gone and len(living) > 2:
            self.gone.add(someone)
            self.mesh.leave(someone)
        elif act == "kill" and someone and len(living) > 2:
            self.gone.add(someone)
            self.stopped.discard(someone)
            self.mesh.kill(someone)
        elif act == "back" and someone and someone not in self.gone:
            self.stopped.discard(someone)
            self.mesh.kill(someone)
            self.mesh.join(someone)
        elif act == "cut" and len(living) > 1:
            mixed = self.random.sample(living, len(living))
            at = self.random.choice((len(mixed) // 2, self.random.randrange(1, len(mixed))))
            self.groups = [mixed[:at], mixed[at:]]
            self.mesh.cut(*self.groups)
        elif act == "heal":
            self._heal()
        elif act == "stop" and someone:
            if someone in self.stopped:
                self.stopped.discard(someone)
                self.mesh.go_on(someone)
            else:
                self.stopped.add(someone)
                self.mesh.stop(someone)
        self.let_pass(self.random.choice((300, 3_000, 20_000)))

    def let_pass(self, for_ms: int) -> None:
        """Time passes; every second it is looked whether two of one roster contradict."""
        for _ in range(max(1, for_ms // 1_000)):
            self.mesh.run(min(for_ms, 1_000))
            self.look()

    def look(self) -> None:
        """Of any two that may take something new by one roster, both count on somebody."""
        self.looks += 1
        counted = []
        for agent, peer in self.mesh.peers.items():
            if peer.read_only:
                self.read_only += 1
            elif agent not in self.stopped:
                reached = set(peer.rosters.enrolled) - set(peer.membership.doubting)
                assert 2 * len(reached) > len(peer.rosters.enrolled)
                counted.append((peer.rosters.mark, reached))
        for mark, reached in counted:
            for other, also in counted:
                assert mark != other or reached & also

    def writable(self) -> list[str]:
        """Peers that would take something new."""
        return [
            agent
            for agent, peer in self.mesh.peers.items()
            if agent not in self.stopped and not peer.read_only
        ]

    def settle(self) -> None:
        """Nothing happens until all who reach each other have had time to find that out."""
        self.let_pass(SETTLED_MS)

    def expect_one_majority(self) -> None:
        """All who may take something new reach each other, and go by one roster."""
        writable = self.writable()
        for agent in writable:
            assert self.mesh.reach(writable[0], agent), (writable, self.groups)
        assert len({self.mesh.peers[agent].rosters.mark for agent in writable}) <= 1

    def end_well(self) -> None:
        """All is healed, and all who live and have not left belong to one mesh in the end.

        Where most of a roster is gone for good nobody can change it any more: then the mesh is
        founded anew, as an orchestrator would.
        """
        self._heal()
        for agent in sorted(self.stopped):
            self.mesh.go_on(agent)
        self.stopped.clear()
        self.settle()
        peers = self.mesh.peers
        latest = max((peer.rosters.mark for peer in peers.values()), default=(-1, -1))
        inside = [p for p in peers.values() if p.inside and p.rosters.mark == latest]
        if not inside or all(p.read_only for p in inside):
            belong = [p for agent, p in peers.items() if agent not in self.gone]
            members = [(p.me.agent, p.me.incarnation, p.place) for p in belong]
            if not members:
                return
            self.mesh.found(latest[0] + 1, members)
            self.settle()
        self.expect_agreement()

    def expect_agreement(self) -> None:
        """All who belong know the same, and think that exactly those who live are there."""
        peers = self.mesh.peers
        epoch = max(peer.rosters.mark[0] for peer in peers.values())
        inside = {a for a, peer in peers.items() if peer.inside and peer.rosters.mark[0] == epoch}
        assert inside == set(peers) - self.gone
        # Who was leaving a mesh that lost its majority is left behind in it, and takes nothing new.
        assert all(peer.read_only for agent, peer in peers.items() if agent not in inside)
        enrolled = {tuple(peers[agent].members) for agent in inside}
        assert len(enrolled) == 1
        assert len({peers[agent].digest for agent in inside}) == 1
        members = {member.agent for member in enrolled.pop()}
        for agent in sorted(inside):
            peer = peers[agent]
            assert set(peer.membership.doubting) == members - inside
            assert peer.reached == len(inside)
            assert peer.read_only is (2 * len(inside) <= len(members))
            if not peer.read_only:
                assert set(peer.membership.failed()) == members - inside

    def _heal(self) -> None:
        self.groups = []
        self.mesh.heal()

    def _place(self, agent: str) -> None:
        if self.groups:
            self.random.choice(self.groups).append(agent)
            self.mesh.cut(*self.groups)
