"""The server's settings: each with its name in a file, in the environment and as a flag.

Flags win over the environment, that over the file, that over the defaults here.
"""

import msgspec

SECOND_MS = 1_000


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What holds for a server. Where each value came from is `origins`' business."""

    host: str = "127.0.0.1"
    """Beyond loopback a token is needed."""
    tcp_port: int = 9500
    """`MCP_TCP_PORT`; 0 takes any that is free."""
    enable_tcp: bool = True
    """`MCP_ENABLE_TCP`: without it 9500 speaks HTTP only."""
    web_port: int = 3000
    """`VISIONFLOW_WEB_PORT`."""
    log_level: str = "info"
    """`MCP_LOG_LEVEL`: debug, info, warning or error."""
    log_format: str = "text"
    """text or json."""
    agents_max: int = 20
    """`MAX_AGENTS`: of all swarms together."""
    agent_timeout_ms: int = 300 * SECOND_MS
    """`AGENT_TIMEOUT`, in seconds there: what an attempt may take unless it says otherwise."""
    home: str = ""
    """`VISIONFLOW_HOME`: where state lives; absolute once read."""
    workspaces: tuple[str, ...] = ()
    """Folders that tasks may work on; the first is taken where a task names none."""
    agents_file: str | None = None
    """An agents.yaml."""
    coding_agents: tuple[str, ...] = ()
    """`VISIONFLOW_CODING_AGENTS`: command lines, or profiles, that clients may use."""
    trust: bool = False
    """Run foreign code also where nothing confines it."""
    allowed_hosts: tuple[str, ...] = ()
    """Names beside loopback's and `multi-agent-container` that a Host header may have."""
    allowed_origins: tuple[str, ...] = ()
    """Origins of pages that may call; none by default."""
    allow_unauthenticated: bool = False
    """`VISIONFLOW_ALLOW_UNAUTHENTICATED=1`: serve whoever reaches a port; each start says so."""
    connections_max: int = 1_000
    calls_per_second: float = 50.0
    """Of one client with a token, over a minute; our own user on loopback has no such limit."""
    calls_at_once: int = 16
    """The same, at one time."""
    frame_bytes_max: int = 5 * 1024 * 1024
    """One line or body."""
    depth_max: int = 64
    """Of nested lists and maps in it."""
    orphan_grace_ms: int = 60 * SECOND_MS
    """`VISIONFLOW_ORPHAN_GRACE`, in seconds there: so long workers live on when their server is
    gone, and wait for the next one; 0: they end with it."""
    keep_workers: bool = False
    """Leave workers to the next server also when told to end in order."""
    autoscale: bool | None = None
    """Whether the numbers of agents follow the load, in swarms that do not say; `None`: as
    `agents_file` says, and else not."""
    workers_max: int = 2
    """Processes that agents of one swarm share when they have no limits of their own."""
