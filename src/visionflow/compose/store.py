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
