"""The registry of tools: each once, with typed arguments and result. Every face is made from it."""
