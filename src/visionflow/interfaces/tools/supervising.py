"""The tools that tell of supervision and act on it: health, restarts, resets, monitoring."""

from visionflow.interfaces.server import Server
from visionflow.interfaces.tools.debugging import debugging
from visionflow.interfaces.tools.health import health
from visionflow.interfaces.tools.monitoring import monitoring
from visionflow.interfaces.tools.reconnecting import reconnecting
from visionflow.interfaces.tools.resetting import resetting
from visionflow.interfaces.tools.restarting import restarting
from visionflow.interfaces.tools.tool import AnyTool


def supervision_tools(server: Server) -> list[AnyTool]:
    """All of them, over this server."""
    made = (monitoring, reconnecting, resetting, health, restarting, debugging)
    return [make(server) for make in made]
