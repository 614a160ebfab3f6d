"""The parts of a running server that those who are wired here share; and where it keeps things."""

from pathlib import Path

import msgspec

from visionflow.adapters.files import FileBlobs
from visionflow.adapters.host_os import OsHost
from visionflow.adapters.lines import LineLog
from visionflow.adapters.sqlite.log import SqliteLog
from visionflow.compose.ground import Ground
from visionflow.compose.store import Store
from visionflow.runtime.ended import EndedSwarms
from visionflow.runtime.fleet import FleetLog
from visionflow.runtime.swarms import Swarms
from visionflow.settings.agents import AgentSettings
from visionflow.settings.server import ServerSettings


class ServerStore(Store, frozen=True):
    """The same of a server: `HOME/server`."""

    @classmethod
    def of(cls, home: str) -> "ServerStore":
        """That of this VISIONFLOW_HOME."""
        return cls(Path(home) / "server")

    @property
    def views(self) -> Path:
        """What lists are read from, a file for each swarm; all can be made anew from the log."""
        return self.folder / "views"

    @property
    def fleet_views(self) -> Path:
        """The same for shared memory and the audit."""
        return self.folder / "fleet.db"

    @property
    def front_lock(self) -> Path:
        """Names the living `visionflow serve`."""
        return self.folder / "front.lock"

    @property
    def runs(self) -> Path:
        """Folders of runs."""
        return self.folder / "runs"

    @property
    def socket(self) -> Path:
        """Where programs of this user on this machine may dial."""
        return self.folder / "mcp.sock"

    @property
    def assistants(self) -> Path:
        """Where `visionflow mcp` dials for its assistant."""
        return self.folder / "assistants.sock"


class Core(msgspec.Struct, frozen=True):
    """What a running server works with."""

    settings: ServerSettings
    store: ServerStore
    templates: AgentSettings
    log: SqliteLog
    blobs: FileBlobs
    host: OsHost
    lines: LineLog
    ground: Ground
    fleet: FleetLog
    swarms: Swarms
    ended: EndedSwarms
