"""Secrets of an orchestrator's process: of its environment, and of its agents' settings."""

import os

from visionflow.domain import events as e
from visionflow.domain.agents import AgentSpec
from visionflow.domain.errors import VisionFlowError
from visionflow.domain.events import AnyEvent
from visionflow.domain.secrecy import secret_values
from visionflow.ports.blobs import Blobs
from visionflow.runtime.intake import unpack
from visionflow.runtime.node import Node
from visionflow.worker.hiding import HIDDEN, secrets_in


def hide_environment() -> None:
    """Keep the secrets that this process was started with out of its lines."""
    HIDDEN.add(secrets_in(os.environ))


def hide_settings(node: Node, blobs: Blobs) -> None:
    """Keep those of a swarm's agents out of lines, as their settings come and change."""
    for agent in node.control.state.agents.values():
        _hide(agent.spec, blobs)

    def committed(_seq: int, _at_ms: int, events: list[AnyEvent]) -> None:
        for event in events:
            if isinstance(event, (e.AgentSpawned, e.AgentUpdated)):
                _hide(event.spec, blobs)

    node.control.on_commit.append(committed)


def _hide(spec: AgentSpec, blobs: Blobs) -> None:
    try:
        HIDDEN.add(secret_values(unpack(spec.config, blobs)))
    except (VisionFlowError, OSError, ValueError):
        pass  # Whoever builds the agent says what is wrong with it.
