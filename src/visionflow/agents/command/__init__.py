"""The `command` backend: any command-line agent in a workspace of its own, held to limits."""
