"""The whole registry: every tool that there is, in the contract's order, and those to come."""

from typing import cast

from visionflow.interfaces.server import Server
from visionflow.interfaces.tools.agents import agent_tools
from visionflow.interfaces.tools.balancing import balancing
from visionflow.interfaces.tools.clearing import clearing_tools
from visionflow.interfaces.tools.consensus import consensus
from visionflow.interfaces.tools.effects import effect_tools
from visionflow.interfaces.tools.mailing import mail_tools
from visionflow.interfaces.tools.memory import memory_tools
from visionflow.interfaces.tools.observing import observing_tools
from visionflow.interfaces.tools.orchestrating import orchestration_tools
from visionflow.interfaces.tools.parting import until_parted
from visionflow.interfaces.tools.repeating import FirstAnswers
from visionflow.interfaces.tools.reporting import reporting_tools
from visionflow.interfaces.tools.results import result_tools
from visionflow.interfaces.tools.shaping import shaping
from visionflow.interfaces.tools.supervising import supervision_tools
from visionflow.interfaces.tools.swarms import swarm_tools
from visionflow.interfaces.tools.syncing import syncing
from visionflow.interfaces.tools.tasks import task_tools
from visionflow.interfaces.tools.tool import Registry

ORDER = (
    "swarm_init swarm_status swarm_monitor swarm_list swarm_scale swarm_reconnect swarm_reset "
    "swarm_destroy agent_spawn agents_spawn_parallel agent_list agent_status agent_health "
    "agent_metrics agent_logs agent_update agent_restart agent_scale agent_terminate "
    "task_orchestrate task_status task_results task_list task_cancel task_retry task_queue_clear "
    "effects effect_resolve load_balance daa_communication agent_message agent_inbox "
    "daa_consensus coordination_sync topology_optimize memory_store memory_retrieve memory_search "
    "performance_report bottleneck_analyze metrics_collect alerts events server_info debug_enable"
).split()
"""All tools of the contract."""
_WAITS_FOR = {
    "telemetry": "agent_metrics bottleneck_analyze metrics_collect alerts",
}
LATER = {
    name: f"It comes with {what}." for what, names in _WAITS_FOR.items() for name in names.split()
}
"""Tools of the contract that do not exist yet, and what they wait for."""


def all_tools(server: Server) -> Registry:
    """The registry of a running server."""
    made = [
        *swarm_tools(server),
        *agent_tools(server),
        *orchestration_tools(server),
        *task_tools(server),
        *result_tools(server),
        *clearing_tools(server),
        *effect_tools(server),
        *memory_tools(server),
        *reporting_tools(server),
        *observing_tools(server, lambda: registry),
        *supervision_tools(server),
        balancing(server),
        *mail_tools(server),
        consensus(server),
        syncing(server),
        shaping(server),
    ]
    places = {name: place for place, name in enumerate(ORDER)}
    made.sort(key=lambda tool: places.get(tool.name, len(places)))
    first = FirstAnswers(server)
    registry = Registry([until_parted(server, first.of(tool)) for tool in made], LATER)
    return registry


def catalogue() -> Registry:
    """The same tools without a server behind them: for help, lists and the reference."""
    return all_tools(cast("Server", _Nobody()))


class _Nobody:
    def __getattr__(self, name: str) -> object:
        raise LookupError(f"This is the catalogue: there is no server, so nothing has {name}.")
