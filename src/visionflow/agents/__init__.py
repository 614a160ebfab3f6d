"""Agents: the base class, the roles that come with VisionFlow, and what they work with.

The names that `config/agents.yaml` writes as `visionflow.agents.Name` are found here, each loaded
when it is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from visionflow.agents.base import BaseAgent, PermanentFailure
    from visionflow.agents.roles.analyst import AnalystAgent
    from visionflow.agents.roles.architect import ArchitectAgent
    from visionflow.agents.roles.coder import CoderAgent
    from visionflow.agents.roles.coordinator import CoordinatorAgent
    from visionflow.agents.roles.peer_agent import PeerAgent
    from visionflow.agents.roles.researcher import ResearcherAgent
    from visionflow.agents.roles.reviewer import ReviewerAgent
    from visionflow.agents.roles.tester import TesterAgent
    from visionflow.agents.task import Task
    from visionflow.agents.voting import Ballot, Proposal

__all__ = [
    "AnalystAgent",
    "ArchitectAgent",
    "Ballot",
    "BaseAgent",
    "CoderAgent",
    "CoordinatorAgent",
    "PeerAgent",
    "PermanentFailure",
    "Proposal",
    "ResearcherAgent",
    "ReviewerAgent",
    "Task",
    "TesterAgent",
]
ROLES = (
    "AnalystAgent", "ArchitectAgent", "CoderAgent", "CoordinatorAgent", "PeerAgent",
    "ResearcherAgent", "ReviewerAgent", "TesterAgent",
)  # fmt: skip
"""The roles that are there."""
_HOMES = {
    "AnalystAgent": "visionflow.agents.roles.analyst",
    "ArchitectAgent": "visionflow.agents.roles.architect",
    "CoderAgent": "visionflow.agents.roles.coder",
    "CoordinatorAgent": "visionflow.agents.roles.coordinator",
    "ResearcherAgent": "visionflow.agents.roles.researcher",
    "Ballot": "visionflow.agents.voting",
    "BaseAgent": "visionflow.agents.base",
    "PeerAgent": "visionflow.agents.roles.peer_agent",
    "PermanentFailure": "visionflow.agents.base",
    "Proposal": "visionflow.agents.voting",
    "ReviewerAgent": "visionflow.agents.roles.reviewer",
    "Task": "visionflow.agents.task",
    "TesterAgent": "visionflow.agents.roles.tester",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'visionflow.agents' has no attribute {name!r}")
    return getattr(import_module(home), name)
