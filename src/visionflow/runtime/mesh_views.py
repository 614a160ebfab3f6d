"""What the reports of a mesh's peers amount to. Pure."""

from bisect import bisect_left
from collections.abc import Iterable
from itertools import accumulate
from typing import NamedTuple

import msgspec

from visionflow.domain.messages import PeerReport
from visionflow.engine.mesh.peer import convergence

Peers = tuple[tuple[str, int, str], ...]
"""Agents, each with the number of its life and its place."""


class Heard(msgspec.Struct):
    """The last report of a peer."""

    report: PeerReport
    at_ms: int
    number: int
    """Of the reports of all peers, from 1."""
    short: int | None
    """The number of the first in which it reaches so few, where those are not all members."""


class Opinion(NamedTuple):
    """See `MeshStatus`, which tells it."""

    heard: int
    silent: int
    members: int | None
    reachable: int | None
    read_only: tuple[str, ...]
    agree: bool | None
    converged_ms: int | None


def silent_of(heard: Iterable[Heard], living: Peers) -> int:
    """How many peers are up that are not among these."""
    told = {each.report.agent for each in heard}
    return sum(1 for name, _, _ in living if name not in told)


def opinion_of(heard: list[Heard], living: Peers) -> Opinion:
    """What the reports of these amount to."""
    inside = [each for each in heard if each.report.members]
    reports = [each.report for each in inside]
    sizes = sorted(report.members for report in reports)
    views = convergence((report.digest, report.since_ms) for report in reports)
    silent = silent_of(inside, living)
    agree = False if not views.agreed else None if silent or not reports else True
    up = {name for name, _, _ in living}
    there = [each for each in inside if each.report.agent in up]
    return Opinion(
        heard=len(reports),
        silent=silent,
        members=sizes[len(sizes) // 2] if sizes else None,
        reachable=None if silent else reached_of(there),
        read_only=tuple(report.agent for report in reports if report.read_only),
        agree=agree,
        converged_ms=views.ms if agree else None,
    )


def reached_of(heard: list[Heard]) -> int | None:
    """See `MeshStatus`, of all that are up. Who reached more before one began to reach fewer may
    be one that is not reached; if it is there it says so again in seconds."""
    short = sorted((e.report.reachable, e.short) for e in heard if e.short is not None)
    counts = [count for count, _ in short]
    since = list(accumulate((number for _, number in short), max))
    for each in heard if short else ():
        fewer = bisect_left(counts, each.report.reachable)
        if fewer and each.number < since[fewer - 1]:
            return None
    return max((each.report.reachable for each in heard), default=None)
