"""Settings: files that people write, read into typed values, with errors that name file and line.

What a template's class does, and whether it can be imported, is not looked at here.
"""

from visionflow.settings.agents import AgentSettings, AgentTemplate, load_agents

__all__ = ["AgentSettings", "AgentTemplate", "load_agents"]
