"""The codes with which a worker process ends, for those who read them in its `Exit`."""

DONE = 0
"""It was told to stop (or got SIGTERM), and did."""
REFUSED = 84
"""The orchestrator or the hub did not believe who it is: secret, pid or incarnation is old."""
ORPHANED = 85
"""Its orchestrator is gone, for longer than it was told to wait."""
MEMORY = 86
"""The watcher saw more resident memory than the ceiling allows (`resource_exhaustion`)."""
WORN_OUT = 87
"""Too many attempts ignored that they were stopped; a fresh process replaces it."""
STALLED = 88
"""An agent blocked the loop beyond its attempt's wall-clock limit (`timeout`)."""
FORKED = 89
"""Not a worker's own: a process that an agent forked came back into the worker's code."""
