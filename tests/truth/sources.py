"""For every field of every reply of every tool: where its value comes from.

A source is computed from the log as `world` reads it, from the OS, from the server's flags, or from
the call's own arguments. A field that is not here fails the test, and so does one that is here and
in no schema.
"""

from tests.truth.of_agents import (
    AGENT_LIST,
    AGENT_LOGS,
    AGENT_SCALE,
    AGENT_SPAWN,
    AGENT_STATUS,
    AGENT_TERMINATE,
    AGENT_UPDATE,
    PARALLEL,
)
from tests.truth.of_balancing import BALANCE
from tests.truth.of_consensus import CONSENSUS
from tests.truth.of_effects import EFFECTS, RESOLVED
from tests.truth.of_mail import COMMUNICATED, INBOX, REPLIED
from tests.truth.of_mesh import MESH
from tests.truth.of_reports import (
    EVENTS,
    MEMORY_RETRIEVE,
    MEMORY_SEARCH,
    MEMORY_STORE,
    REPORT,
    SERVER_INFO,
)
from tests.truth.of_shaping import OPTIMIZE, SYNC
from tests.truth.of_supervision import (
    AGENT_HEALTH,
    AGENT_RESTART,
    DEBUG_ENABLE,
    OF_AGENT,
    STANDING,
    SWARM_MONITOR,
    SWARM_RECONNECT,
    SWARM_RESET,
)
from tests.truth.of_swarms import SWARM_DESTROY, SWARM_INIT, SWARM_LIST, SWARM_SCALE, SWARM_STATUS
from tests.truth.of_tasks import CHANGED, CLEAR, ORCHESTRATE, TASK_LIST, TASK_RESULTS, TASK_STATUS
from tests.truth.of_teams import TEAMS
from tests.truth.origins import Table

SOURCES: dict[str, Table] = {
    "swarm_init": SWARM_INIT,
    "swarm_status": {**SWARM_STATUS, **STANDING, **TEAMS, **MESH},
    "swarm_monitor": {**SWARM_MONITOR, **MESH},
    "swarm_reconnect": SWARM_RECONNECT,
    "swarm_reset": SWARM_RESET,
    "swarm_list": SWARM_LIST,
    "swarm_scale": SWARM_SCALE,
    "swarm_destroy": SWARM_DESTROY,
    "agent_spawn": AGENT_SPAWN,
    "agents_spawn_parallel": PARALLEL,
    "agent_list": AGENT_LIST,
    "agent_status": {**AGENT_STATUS, **OF_AGENT},
    "agent_health": AGENT_HEALTH,
    "agent_restart": AGENT_RESTART,
    "agent_logs": AGENT_LOGS,
    "agent_update": AGENT_UPDATE,
    "agent_scale": AGENT_SCALE,
    "agent_terminate": AGENT_TERMINATE,
    "task_orchestrate": ORCHESTRATE,
    "task_status": TASK_STATUS,
    "task_results": TASK_RESULTS,
    "task_list": TASK_LIST,
    "task_cancel": CHANGED,
    "task_retry": CHANGED,
    "task_queue_clear": CLEAR,
    "effects": EFFECTS,
    "effect_resolve": RESOLVED,
    "load_balance": BALANCE,
    "daa_communication": COMMUNICATED,
    "agent_message": REPLIED,
    "agent_inbox": INBOX,
    "daa_consensus": CONSENSUS,
    "coordination_sync": SYNC,
    "topology_optimize": OPTIMIZE,
    "memory_store": MEMORY_STORE,
    "memory_retrieve": MEMORY_RETRIEVE,
    "memory_search": MEMORY_SEARCH,
    "performance_report": REPORT,
    "events": EVENTS,
    "server_info": SERVER_INFO,
    "debug_enable": DEBUG_ENABLE,
}
