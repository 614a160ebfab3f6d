"""The server: `opening` has the running core, `ports` its faces."""
