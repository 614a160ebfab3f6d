"""Where the owner of a log keeps things, on one folder."""

from pathlib import Path

import msgspec


class Store(msgspec.Struct, frozen=True):
    """Where the owner of a log keeps what it must not lose."""

    folder: Path

    @property
    def log(self) -> Path:
        """The event log; of a server with the streams of all swarms and of the fleet."""
        return self.folder / "log.db"

    @property
    def blobs(self) -> Path:
        """Values too large for the log."""
        return self.folder / "blobs"

    @property
    def views(self) -> Path:
        """What lists are read from; it can be made anew from the log."""
        return self.folder / "views.db"

    @property
    def lock(self) -> Path:
        """Names the living owner."""
        return self.folder / "owner.lock"

    @property
    def lines(self) -> Path:
        """Log lines for people."""
        return self.folder / "visionflow.log"

    @property
    def workers(self) -> Path:
        """What worker processes print."""
        return self.folder / "workers.log"

    @property
    def scratch(self) -> Path:
        """Folders of agents, of a server by swarm."""
        return self.folder / "agents"


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
