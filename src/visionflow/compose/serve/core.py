"""The parts of a running server that those who are wired here share."""

import msgspec

from visionflow.adapters.files import FileBlobs
from visionflow.adapters.host_os import OsHost
from visionflow.adapters.lines import LineLog
from visionflow.adapters.sqlite.log import SqliteLog
from visionflow.compose.ground import Ground
from visionflow.compose.store import ServerStore
from visionflow.runtime.ended import EndedSwarms
from visionflow.runtime.fleet import FleetLog
from visionflow.runtime.swarms import Swarms
from visionflow.settings.agents import AgentSettings
from visionflow.settings.server import ServerSettings


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
