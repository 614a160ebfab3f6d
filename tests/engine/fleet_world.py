"""The fleet's machine with a log: random commands, so that any order of things is met."""

import random

from visionflow.domain import fleet as f
from visionflow.domain.swarms import SwarmSpec
from visionflow.domain.tasks import Payload
from visionflow.engine.fleet import FleetState, evolve, fold, handle, open_record
from visionflow.engine.state import Answer


class FleetWorld:
    """A machine, its log, and the commands that somebody might send next."""

    def __init__(self, seed: int = 0) -> None:
        self.random = random.Random(seed)
        self.now_ms = 1_000_000
        self.state = FleetState()
        self.log: list[bytes] = []
        self.sent: list[f.FleetCommand] = []
        """Commands with an id, for repeating."""
        self.names = 0

    def name(self, kind: str) -> str:
        self.names += 1
        return f"{kind}_{self.names}"

    def send(self, command: f.FleetCommand) -> Answer:
        """Decide, fold, and write the record."""
        if command.command is not None:
            self.sent.append(command)
        events, answer = handle(self.state, command)
        if events:
            open_record(self.state, self.now_ms)
            for event in events:
                evolve(self.state, event)
            self.log.append(f.encode_fleet_record(self.now_ms, events))
        return answer

    def replay(self) -> FleetState:
        state = FleetState()
        for body in self.log:
            fold(state, f.decode_fleet_record(body))
        return state

    def events(self) -> list[f.FleetEvent]:
        return [event for body in self.log for event in f.decode_fleet_record(body).events]

    # Asking --------------------------------------------------------------------------------

    def reserve(self, swarm: str, command: str | None = None) -> Answer:
        spec = SwarmSpec(id=swarm)
        return self.send(
            f.ReserveSwarm(now_ms=self.now_ms, spec=spec, by="somebody", command=command)
        )

    def end(self, swarm: str, command: str | None = None) -> Answer:
        return self.send(
            f.EndSwarm(
                now_ms=self.now_ms, swarm=swarm, reason="over", by="somebody", command=command
            )
        )

    def store(
        self, key: str, size: int = 10, ttl_ms: int | None = None, command: str | None = None
    ) -> Answer:
        return self.send(
            f.StoreMemory(
                now_ms=self.now_ms,
                namespace="default",
                key=key,
                value=Payload(inline=b"\xc0"),
                size_bytes=size,
                text="words",
                ttl_ms=ttl_ms,
                by="somebody",
                command=command,
            )
        )

    def tick(self, advance_ms: int = 0) -> Answer:
        self.now_ms += advance_ms
        return self.send(f.TickFleet(now_ms=self.now_ms))

    def keys(self) -> list[str]:
        return [key for _, key in self.state.memory]

    # Chance --------------------------------------------------------------------------------

    def step(self) -> None:
        """One thing that may happen, by chance."""
        self.now_ms += self.random.choice((0, 1, 40, 900))
        chances = (self._swarm, self._memory, self._memory, self._memory, self._audit, self._other)
        self.random.choice(chances)()

    def _swarm(self) -> None:
        command = self.random.choice((None, self.name("command")))
        known = [*self.state.swarms, *self.state.ended, "nowhere"]
        if self.random.random() < 0.5:
            self.reserve(self.random.choice((self.name("swarm"), *known)), command)
        else:
            self.end(self.random.choice(known), command)

    def _memory(self) -> None:
        self.store(
            self.random.choice([f"key{number}" for number in range(12)]),
            self.random.choice((1, 10, 1_000, 2_000_000)),
            self.random.choice((None, 0, 1, 500, 5_000)),
            self.random.choice((None, self.name("command"))),
        )

    def _audit(self) -> None:
        code = self.random.choice((None, "forbidden"))
        self.send(
            f.RecordCall(
                now_ms=self.now_ms,
                by="a",
                role="viewer",
                face="tcp",
                tool="swarm_init",
                code=code,
                count=self.random.choice((1, 7)),
            )
        )
        self.send(f.RecordAccess(now_ms=self.now_ms, by="b", face="http", code="unauthenticated"))

    def _other(self) -> None:
        if self.sent and self.random.random() < 0.4:
            self.send(self.random.choice(self.sent))
        elif self.random.random() < 0.2:
            heads = (("swarm_1", self.random.randint(1, 9), "00" * 32),)
            self.send(f.AnchorStreams(now_ms=self.now_ms, heads=heads))
        else:
            self.tick(self.random.choice((0, 600, 6_000)))
