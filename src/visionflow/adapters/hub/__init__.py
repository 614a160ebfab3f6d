"""The embedded bus: a hub in the orchestrator's loop, and unix sockets to other processes.

`Hub` routes and guards, `Hub.local()` is the orchestrator's own end without a socket,
`connect()` is the end of another process, `BlockingPublisher` that of a thread without a loop.
"""

from visionflow.adapters.hub.blocking import BlockingPublisher
from visionflow.adapters.hub.client import SocketBus, connect
from visionflow.adapters.hub.connection import HubCounts
from visionflow.adapters.hub.guard import (
    Claim,
    Grant,
    NotYet,
    socket_path_for,
    socket_path_in,
    worker_grant,
)
from visionflow.adapters.hub.server import Hub

__all__ = [
    "BlockingPublisher",
    "Claim",
    "Grant",
    "Hub",
    "HubCounts",
    "NotYet",
    "SocketBus",
    "connect",
    "socket_path_for",
    "socket_path_in",
    "worker_grant",
]
