"""The checker's look at switches of the topology: each leaves the one in force, unasked ones have
their gain and keep to the cool-down, and a roll-back takes back the switch of before.

Like the rest of the checker it reads plain maps and shares no code with the engine.
"""

from collections.abc import Iterator

from visionflow.testing.tasklines import Fact

GAIN_BP_MIN = 2_000
TRIAL_MS, TRIAL_MS_MAX = 60_000, 1_800_000


class ShapeCheck:
    """Feed it each event of a log in order."""

    def __init__(self) -> None:
        self.topology = "hierarchical"
        self.adaptive = False
        self.cooled_ms = 0
        self.trial: str | None = None
        """The topology that a switch on trial left."""
        self._since_ms = 0
        self._baseline: Fact = {}
        """What was measured under that one."""
        self.switches = 0

    def event(self, kind: str, event: Fact, at_ms: int) -> Iterator[str]:
        """What must not have happened."""
        if kind == "swarm_created":
            said = event["spec"].get("topology", "hierarchical")
            self.adaptive = said == "adaptive"
            self.topology = "hierarchical" if self.adaptive else said
        elif kind == "topology_switched":
            yield from self._switched(event, at_ms)
        elif kind == "topology_kept":
            measured: Fact = event.get("measured", {})
            busy_ms: int = measured.get("busy_ms", 0)
            if self.trial is None or event["topology"] != self.topology:
                yield f"{event['topology']} is kept, and no switch to it was on trial"
            elif busy_ms < TRIAL_MS and at_ms - self._since_ms < TRIAL_MS_MAX:
                yield f"{event['topology']} is kept after {busy_ms} ms at work"
            self.trial = None

    def _switched(self, event: Fact, at_ms: int) -> Iterator[str]:
        before: str = event["before"]
        after: str = event["after"]
        if before != self.topology or after in (before, "adaptive"):
            yield f"a switch from {before} to {after} in a swarm that is {self.topology}"
        if event.get("rolled_back"):
            if self.trial != after:
                yield f"{before} is rolled back to {after}, and {self.trial} was before it"
            if not _is_worse(event.get("measured", {}), self._baseline):
                yield f"a roll-back without a trigger: {event['reason']}"
            self.trial = None
        else:
            if not event.get("requested"):
                yield from self._unasked(event, at_ms)
            self.trial, self._since_ms = before, at_ms
            self._baseline = event.get("measured", {})
        self.topology = after
        self.cooled_ms = event.get("cooled_ms", 0)
        self.switches += 1

    def _unasked(self, event: Fact, at_ms: int) -> Iterator[str]:
        told = f"a switch to {event['after']}"
        if not self.adaptive:
            yield f"{told} of itself in a swarm that is not adaptive"
        if at_ms < self.cooled_ms:
            yield f"{told} within the cool-down"
        gain_bp: int | None = event.get("gain_bp")
        predictions: list[Fact] = event.get("predictions", [])
        took = {each["topology"]: each.get("makespan_ms") for each in predictions}
        own, other = took.get(event["before"]), took.get(event["after"])
        if gain_bp is None or gain_bp < GAIN_BP_MIN or own is None or other is None:
            yield f"{told} for a gain of {gain_bp}"
        elif gain_bp != (own - other) * 10_000 // own:
            yield f"{told} for {gain_bp}, and its figures say {own} and {other} ms"


def _is_worse(since: Fact, base: Fact) -> bool:
    """Whether agents failed, fifteen attempts in a hundred more did, or a quarter less
    work was done."""
    if since.get("agents_failed"):
        return True
    ended, before = _ended(since), _ended(base)
    if ended and before:
        more = since.get("failed", 0) / ended - base.get("failed", 0) / before
        if more >= 0.1499:
            return True
    # What is under way at that time comes on top, so this is the least that has to hold.
    expected = base.get("work_us", 0) * since.get("busy_ms", 0)
    did = since.get("work_us", 0) * base.get("busy_ms", 0)
    return expected > 0 and did <= expected * 0.7501


def _ended(measured: Fact) -> int:
    return measured.get("done", 0) + measured.get("failed", 0)
