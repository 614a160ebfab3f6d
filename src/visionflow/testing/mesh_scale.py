"""How a mesh behaves as it grows: what each peer sends, and how long it takes until all know.

One mesh after the other over a simulated network without faults, in virtual time, so the figures
are those of the protocol and not of the machine.
"""

from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path

import msgspec

from visionflow.testing.meshes import CALM, Mesh

WARMING_MS = 10_000
CALM_MS = 30_000
WAIT_MS = 400_000
NOTHING = "nothing happens"
CUT_SHARE = 20
"""One of so many is cut off, at least one."""


class Load(msgspec.Struct, frozen=True):
    """What peers sent while something happened."""

    messages: float
    """Of each peer in a second, in the mean; like the next."""
    bytes: float
    most_messages: float
    """Of the peer that sent the most."""
    most_bytes: float


class Stage(msgspec.Struct, frozen=True):
    """Something that happened to a mesh."""

    what: str
    ms: int | None
    """Until all whom it concerns knew, in virtual time; `None`: they never did."""
    load: Load


class Scale(msgspec.Struct, frozen=True):
    """What a mesh of so many showed."""

    agents: int
    seed: int
    cut_off: int
    stages: tuple[Stage, ...]

    @property
    def again(self) -> str:
        """The command that shows the same."""
        return f"visionflow simulate --mesh --agents {self.agents} --seed {self.seed}"


class _Growing:
    """A mesh, and what is done to it."""

    def __init__(self, agents: int, seed: int) -> None:
        self.mesh = Mesh(seed, CALM, as_bytes=False)
        self.names = [f"agent-{number:05}" for number in range(agents)]
        self.mesh.start(self.names)
        self.mesh.run(WARMING_MS)

    def stage(self, what: str, holds: Callable[[], bool], every_ms: int = 100) -> Stage:
        """Wait until it holds, and count what is sent meanwhile."""
        self.mesh.traffic()
        began_ms = self.mesh.now_ms
        took_ms = self.mesh.run_until(holds, WAIT_MS, every_ms)
        return Stage(what, took_ms, self._load(began_ms))

    def calm(self) -> Stage:
        """Nothing happens."""
        self.mesh.traffic()
        began_ms = self.mesh.now_ms
        self.mesh.run(CALM_MS)
        return Stage(NOTHING, CALM_MS, self._load(began_ms))

    def _load(self, began_ms: int) -> Load:
        sent = self.mesh.traffic()
        seconds = max(self.mesh.now_ms - began_ms, 1) / 1_000
        peers = max(len(self.mesh.peers), 1)
        return Load(
            round(sent.messages / peers / seconds, 2),
            round(sent.bytes / peers / seconds, 1),
            round(sent.most_messages / seconds, 2),
            round(sent.most_bytes / seconds, 1),
        )

    @property
    def agree(self) -> bool:
        """All hold the same, go by one roster, and doubt nobody."""
        peers = self.mesh.peers.values()
        return (
            len({peer.digest for peer in peers}) == 1
            and all(peer.inside for peer in peers)
            and not any(peer.membership.doubting for peer in peers)
        )


def stages(agents: int, seed: int) -> Iterator[Stage]:
    """What happens to a mesh of so many, one after the other."""
    growing = _Growing(agents, seed)
    mesh, names = growing.mesh, growing.names
    yield growing.calm()
    mesh.put(names[0], "load", b"1")
    yield growing.stage("one says something new", lambda: growing.agree)
    lost = names[agents // 2]
    mesh.kill(lost)
    yield growing.stage("one dies: until all know it failed", lambda: _failed(mesh, [lost]))
    mesh.join(lost, names[:1])
    yield growing.stage("it joins again", lambda: growing.agree)
    few = names[: max(1, agents // CUT_SHARE)]
    many = names[len(few) :]
    mesh.cut(few, many)
    yield growing.stage(
        "a cut: until those cut off are read-only",
        lambda: all(mesh.peers[agent].read_only for agent in few),
    )
    yield growing.stage(
        "and from then until the others know them failed", lambda: _failed(mesh, few, many), 1_000
    )
    mesh.heal()
    yield growing.stage("the cut heals", lambda: growing.agree, 1_000)


def measure(agents: int, seed: int) -> Scale:
    """Do all that to a mesh of so many, at least three."""
    return Scale(agents, seed, max(1, agents // CUT_SHARE), tuple(stages(agents, seed)))


def _failed(mesh: Mesh, lost: list[str], among: list[str] | None = None) -> bool:
    """Whether all of these know that exactly those have failed."""
    return all(list(mesh.peers[agent].membership.failed()) == lost for agent in among or mesh.peers)


# In the docs -------------------------------------------------------------------------------------

SIZES = (10, 100, 300)
"""Smaller meshes that are measured beside a large one."""
PAGE = "mesh-scale.md"
BEGIN, END = "<!-- mesh: begin -->", "<!-- mesh: end -->"
SAMPLE = 10
"""Agents of the mesh by which a test sees that the page has what the command gives."""


def sizes(agents: int) -> list[int]:
    """What is measured where so many are asked for."""
    return [*(size for size in SIZES if size < agents), agents]


def table(scales: Sequence[Scale]) -> str:
    """Everything as Markdown: how long each thing took, and what it made peers send."""
    head = " | ".join(f"{scale.agents:,}" for scale in scales)
    rule = "---|" * (len(scales) + 1)
    rows = list(zip(*(scale.stages for scale in scales), strict=True))
    parts = (
        ("seconds until all knew, with so many agents", _seconds),
        ("messages of each agent in a second", _messages),
        ("bytes of each agent in a second", _bytes),
        ("messages / bytes of the one that sends most, in a second", _most),
    )
    lines: list[str] = []
    for title, cell in parts:
        lines += [f"| {title} | {head} |", f"|{rule}"]
        lines += [f"| {row[0].what} | {' | '.join(cell(each) for each in row)} |" for row in rows]
        lines.append("")
    return "\n".join(lines[:-1])


def _seconds(stage: Stage) -> str:
    if stage.what == NOTHING:
        return "-"
    return "never" if stage.ms is None else f"{stage.ms / 1_000:,.1f}"


def _messages(stage: Stage) -> str:
    return f"{stage.load.messages:,.1f}"


def _bytes(stage: Stage) -> str:
    return f"{stage.load.bytes:,.0f}"


def _most(stage: Stage) -> str:
    return f"{stage.load.most_messages:,.1f} / {stage.load.most_bytes:,.0f}"


def sample() -> str:
    """A digest of what a small mesh shows."""
    return sha256(table([measure(SAMPLE, 0)]).encode()).hexdigest()[:16]


def write(docs: Path, scales: Sequence[Scale]) -> None:
    """Put the table into the docs.

    Raises:
        OSError, IndexError: there is no such page, or it has no place for it.
    """
    page = docs / PAGE
    text = page.read_text(encoding="utf-8")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    seed = scales[0].seed
    head = f"{BEGIN}\n<!-- seed {seed}; of {SAMPLE} agents: {sample()} -->"
    page.write_text(f"{before}{head}\n\n{table(scales)}\n\n{END}{after}", encoding="utf-8")
