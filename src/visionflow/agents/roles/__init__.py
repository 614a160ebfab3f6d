"""Roles that come with VisionFlow: agents on the `tools` backend, each a playbook of real tools."""
