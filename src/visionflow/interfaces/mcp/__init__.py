"""MCP over the one registry of tools: `/mcp`, stdio, resources, prompts, tasks.

What a tool does is the registry's business, and who may call it the gate's. Everything here
imports the SDK, so it is imported only where it is served.
"""
