"""VisionFlow: fleets of software agents on a durable, embedded engine.

Importing this does nothing and loads next to nothing; each name is loaded when it is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from visionflow.agents.base import BaseAgent, PermanentFailure, TryLater
    from visionflow.agents.batching import batch_process_tasks
    from visionflow.agents.messages import Message, SwarmEvent
    from visionflow.agents.models import AgentMessage, StatusMessage, TaskMessage
    from visionflow.agents.task import Task
    from visionflow.agents.voting import Ballot, Proposal
    from visionflow.compose.api import AgentOrchestrator
    from visionflow.compose.hierarchy import HierarchicalCoordinator
    from visionflow.compose.mesh import MeshCoordinator
    from visionflow.compose.pipelines import PipelineCoordinator
    from visionflow.domain.errors import (
        AwaitedTaskFailed,
        CircuitOpenError,
        NoAnswer,
        NotPersistable,
        Refused,
        TaskFailed,
        UsageError,
        VisionFlowError,
    )
    from visionflow.domain.limits import Limits
    from visionflow.domain.supervision import RecoverySpec, RecyclingSpec, Upkeep
    from visionflow.domain.tasks import RetryPolicy
    from visionflow.interfaces.aggregating import aggregate_results, run_parallel
    from visionflow.interfaces.breaker import CircuitBreaker
    from visionflow.interfaces.client.calls import MCPClient
    from visionflow.interfaces.piping import PipelineFailed
    from visionflow.interfaces.supervisors import AgentRecycler, FailureDetector, RecoveryManager
    from visionflow.interfaces.tools.votes_told import Vote

__version__ = "0.1.0"
__all__ = [
    "AgentMessage",
    "AgentOrchestrator",
    "AgentRecycler",
    "AwaitedTaskFailed",
    "Ballot",
    "BaseAgent",
    "CircuitBreaker",
    "CircuitOpenError",
    "FailureDetector",
    "HierarchicalCoordinator",
    "Limits",
    "MCPClient",
    "MeshCoordinator",
    "Message",
    "NoAnswer",
    "NotPersistable",
    "PermanentFailure",
    "PipelineCoordinator",
    "PipelineFailed",
    "Proposal",
    "RecoveryManager",
    "RecoverySpec",
    "RecyclingSpec",
    "Refused",
    "RetryPolicy",
    "StatusMessage",
    "SwarmEvent",
    "Task",
    "TaskFailed",
    "TaskMessage",
    "TryLater",
    "Upkeep",
    "UsageError",
    "VisionFlowError",
    "Vote",
    "aggregate_results",
    "batch_process_tasks",
    "run_parallel",
]
_HOMES = {
    "AgentMessage": "visionflow.agents.models",
    "AgentOrchestrator": "visionflow.compose.api",
    "AgentRecycler": "visionflow.interfaces.supervisors",
    "AwaitedTaskFailed": "visionflow.domain.errors",
    "Ballot": "visionflow.agents.voting",
    "BaseAgent": "visionflow.agents.base",
    "CircuitBreaker": "visionflow.interfaces.breaker",
    "CircuitOpenError": "visionflow.domain.errors",
    "FailureDetector": "visionflow.interfaces.supervisors",
    "HierarchicalCoordinator": "visionflow.compose.hierarchy",
    "MeshCoordinator": "visionflow.compose.mesh",
    "Limits": "visionflow.domain.limits",
    "MCPClient": "visionflow.interfaces.client.calls",
    "Message": "visionflow.agents.messages",
    "NoAnswer": "visionflow.domain.errors",
    "NotPersistable": "visionflow.domain.errors",
    "PermanentFailure": "visionflow.agents.base",
    "PipelineCoordinator": "visionflow.compose.pipelines",
    "PipelineFailed": "visionflow.interfaces.piping",
    "Proposal": "visionflow.agents.voting",
    "RecoveryManager": "visionflow.interfaces.supervisors",
    "RecoverySpec": "visionflow.domain.supervision",
    "RecyclingSpec": "visionflow.domain.supervision",
    "Refused": "visionflow.domain.errors",
    "RetryPolicy": "visionflow.domain.tasks",
    "StatusMessage": "visionflow.agents.models",
    "SwarmEvent": "visionflow.agents.messages",
    "Task": "visionflow.agents.task",
    "TaskFailed": "visionflow.domain.errors",
    "TaskMessage": "visionflow.agents.models",
    "TryLater": "visionflow.agents.base",
    "Upkeep": "visionflow.domain.supervision",
    "UsageError": "visionflow.domain.errors",
    "VisionFlowError": "visionflow.domain.errors",
    "Vote": "visionflow.interfaces.tools.votes_told",
    "aggregate_results": "visionflow.interfaces.aggregating",
    "batch_process_tasks": "visionflow.agents.batching",
    "run_parallel": "visionflow.interfaces.aggregating",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'visionflow' has no attribute {name!r}")
    return getattr(import_module(home), name)
