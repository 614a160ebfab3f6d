"""The merge queue: takes finished work onto a branch, in batches, and leaves out what breaks it.

The idea. All that merges without conflict is put on the branch together and the predicate is asked
once. Where it does not hold, the batch is halved: first the front half is settled, then the rest
on top of what was taken of it. Half batches that end at a commit which was asked about already are
not asked about again, so `k` culprits among `n` cost at most `1 + 2 k log2 n` runs where there is
no conflict. What was in conflict with something that the predicate then threw out gets another go.

What holds at the end, whatever the predicate answers: the branch is the base with the accepted
ones merged onto it one after the other in the order given; the predicate held on it unless nothing
was taken; each one is either accepted or refused with a reason.

Nothing here knows of git: merging and asking are done by the caller. A merge of the same two has
to give the same commit each time.
"""

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from visionflow.agents.candidates.values import Landed, Sides, Unmerged

Conflicts = tuple[Sides, ...]
Merge = Callable[[str, str], Awaitable[str | Conflicts]]
"""(commit, task) to the commit with the task's work on top, or to what they are at odds about."""
Holds = Callable[[str], Awaitable[str | None]]
"""`None` where the predicate holds on the commit, else why not, in one sentence."""
OnBatch = Callable[[tuple[str, ...], str], None]
"""Called before the predicate is asked about these tasks, with the commit that holds them."""


class Queued(msgspec.Struct, frozen=True):
    """What came of a queue."""

    tip: str
    landed: tuple[Landed, ...] = ()
    unmerged: tuple[Unmerged, ...] = ()
    """In the order given, each for `conflict` or `predicate`."""
    batches: tuple[tuple[tuple[str, ...], bool], ...] = ()
    """Each batch that the predicate was asked about, in order, with whether it held."""


async def integrate(
    base: str,
    tasks: Sequence[str],
    merge: Merge,
    holds: Holds | None,
    on_batch: OnBatch = lambda tasks, commit: None,
) -> Queued:
    """Take the work of `tasks` onto `base`, the earlier before the later.

    `holds`: `None` where nothing can judge; then only conflicts are refused. It has to hold on
    `base`, which is not asked about.
    """
    queue = _Queue(merge, holds, on_batch)
    tip = await queue.settle(base, tuple(tasks))
    order = {task: number for number, task in enumerate(tasks)}
    return Queued(
        tip,
        tuple(queue.landed),
        tuple(sorted(queue.refused, key=lambda each: order[each.task])),
        tuple(queue.batches),
    )


class _Chain(msgspec.Struct, frozen=True):
    """Tasks merged one after the other."""

    tip: str
    merged: tuple[Landed, ...]
    left: tuple[tuple[str, Conflicts], ...]
    """Tasks in conflict with those before them, and about what."""

    @property
    def tasks(self) -> tuple[str, ...]:
        return tuple(each.task for each in self.merged)


class _Queue:
    def __init__(self, merge: Merge, holds: Holds | None, on_batch: OnBatch) -> None:
        self._merge = merge
        self._holds = holds
        self._on_batch = on_batch
        self._merges: dict[tuple[str, str], str | Conflicts] = {}
        self._answers: dict[str, str | None] = {}
        self.landed: list[Landed] = []
        self.refused: list[Unmerged] = []
        self.batches: list[tuple[tuple[str, ...], bool]] = []

    async def settle(self, tip: str, tasks: tuple[str, ...]) -> str:
        """Accept or refuse every one of `tasks`; the branch with those accepted."""
        chain = await self._chain(tip, tasks)
        if not chain.merged:
            self._refuse(chain.left)
            return tip
        why = await self._asked(chain)
        if why is None:
            self.landed += chain.merged
            self._refuse(chain.left)
            return chain.tip
        if len(chain.merged) == 1:
            self.refused.append(Unmerged(chain.tasks[0], "predicate", why))
            return await self.settle(tip, tuple(task for task, _ in chain.left))
        middle = tasks.index(chain.tasks[len(chain.tasks) // 2])
        tip = await self.settle(tip, tasks[:middle])
        return await self.settle(tip, tasks[middle:])

    async def _chain(self, tip: str, tasks: tuple[str, ...]) -> _Chain:
        merged: list[Landed] = []
        left: list[tuple[str, Conflicts]] = []
        for task in tasks:
            key = (tip, task)
            if key not in self._merges:
                self._merges[key] = await self._merge(tip, task)
            after = self._merges[key]
            if isinstance(after, str):
                merged.append(Landed(task, after))
                tip = after
            else:
                left.append((task, after))
        return _Chain(tip, tuple(merged), tuple(left))

    async def _asked(self, chain: _Chain) -> str | None:
        if self._holds is None:
            return None
        if chain.tip not in self._answers:
            self._on_batch(chain.tasks, chain.tip)
            self._answers[chain.tip] = await self._holds(chain.tip)
            self.batches.append((chain.tasks, self._answers[chain.tip] is None))
        return self._answers[chain.tip]

    def _refuse(self, left: Sequence[tuple[str, Conflicts]]) -> None:
        for task, conflicts in left:
            paths = ", ".join(dict.fromkeys(each.path for each in conflicts))
            message = f"It is at odds with what is on the branch in {paths or 'some file'}."
            self.refused.append(Unmerged(task, "conflict", message, conflicts))
