"""What a check looks at and what it tells."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path

import msgspec


class Level(StrEnum):
    """How grave a finding is."""

    ERROR = "error"
    """Something does not work."""
    WARNING = "warning"
    """Something will not work, or worse than it could."""
    INFO = "info"
    """Good to know; nothing is wrong."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is not as it should be."""

    level: Level
    what: str
    why: str
    """Why it matters."""
    mend: str | None = None
    """The command that mends it; `None` where no command does, and `why` says what would."""


class Seen(msgspec.Struct, frozen=True):
    """What a check saw."""

    told: str
    """How things stand, in a few words."""
    findings: tuple[Finding, ...] = ()


class Skipped(msgspec.Struct, frozen=True):
    """A check that could not be made, which is no finding."""

    why: str


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where to look. Paths are absolute."""

    home: Path
    """VISIONFLOW_HOME."""
    workspace: Path
    out: Path
    """Where the folders of runs are."""
    environment: Mapping[str, str]
    server: str | None = None
    """HOST:PORT or a socket's path; `None`: this user's own."""
    token: str | None = None
    deep: bool = False
    """Read whole logs, not their ends alone."""

    @property
    def temp(self) -> Path:
        """Where scratch goes."""
        return Path(self.environment.get("TMPDIR") or "/tmp")


Look = Callable[[Place], Seen | Skipped]


class Check(msgspec.Struct, frozen=True):
    """A check, by the word that names it."""

    id: str
    title: str
    look: Look


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """A check that was made, or was not."""

    check: str
    title: str
    told: str
    made: bool
    """False: it could not be made, and `told` says why."""
    findings: tuple[Finding, ...] = ()


class Examined(msgspec.Struct, frozen=True, kw_only=True):
    """All that was looked at."""

    checks: tuple[Checked, ...]

    def count(self, level: Level) -> int:
        """Findings of this level."""
        return sum(each.level is level for check in self.checks for each in check.findings)

    @property
    def well(self) -> bool:
        """Nothing is wrong: there is no error and no warning."""
        return not self.count(Level.ERROR) and not self.count(Level.WARNING)
