"""Scripts: what an agent does with a task, so that its outcome is known before it is done."""

import msgspec


class Script(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an agent does with a task."""

    number: int
    ms: int = 0
    fails: int = 0
    """So many first attempts end as `how` says."""
    how: str = "error"
    """`error`, `permanent`, `throttled` (for `wait_ms`), `hang` (until the wall-clock limit) or
    `crash` (of the process)."""
    steps: int = 0
    notes: bool = False
    large: bool = False
    wait_ms: int = 0
    """Of one that is throttled: how long it asks to wait."""
    locks: tuple[str, ...] = ()
    """Locks of the swarm that it takes first, one within the other."""
    subs: tuple[int, ...] = ()
    """Numbers that it delegates, a task each; their results are added to its own."""
    effects: tuple[str, ...] = ()
    """Classes of the things that it does to the world outside, one after the other."""

    def outcome(self, attempt: int) -> str:
        """How this attempt ends when nothing else happens: `ok`, or `how`."""
        return "ok" if attempt > self.fails else self.how

    @property
    def may_end_badly(self) -> bool:
        """Whether it may fail by itself."""
        return self.fails > 0 and self.how != "throttled"
