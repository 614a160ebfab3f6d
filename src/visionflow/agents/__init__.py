"""Agents: the base class, the roles that come with VisionFlow, and what they work with.

The names that `config/agents.yaml` writes as `visionflow.agents.Name` are found here, each loaded
when it is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from visionflow.agents.base import BaseAgent, PermanentFailure
    from visionflow.agents.roles.reviewer import ReviewerAgent
    from visionflow.agents.roles.tester import TesterAgent
    from visionflow.agents.task import Task

__all__ = ["BaseAgent", "PermanentFailure", "ReviewerAgent", "Task", "TesterAgent"]
ROLES = ("ReviewerAgent", "TesterAgent")
"""The roles that are there."""
_HOMES = {
    "BaseAgent": "visionflow.agents.base",
    "PermanentFailure": "visionflow.agents.base",
    "ReviewerAgent": "visionflow.agents.roles.reviewer",
    "Task": "visionflow.agents.task",
    "TesterAgent": "visionflow.agents.roles.tester",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'visionflow.agents' has no attribute {name!r}")
    return getattr(import_module(home), name)
