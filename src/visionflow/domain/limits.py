"""Every bound in one place. Units stand last in the name.

A bound that a user may change is a field of `Limits`; the constants are part of the machine.
"""

import msgspec

INLINE_BYTES_MAX = 65_536
"""A payload or result above this travels by blob."""
FRAME_BYTES_MAX = 8_388_608
"""One frame between processes."""
COMMANDS_PER_TURN_MAX = 512
"""Commands decided before the record is closed and handed to the disk."""
EVENTS_PER_RECORD_MAX = 4_096
ANSWER_AGE_MS_MAX = 600_000
"""How long a repeated `command_id` gets its first answer again."""
ANSWERS_MAX = 100_000
TERMINAL_TASKS_MAX = 1_000
"""Finished tasks kept whole in the fold; older ones keep id and last attempt."""
FINISHED_IDS_MAX = 100_000
PLAN_TASKS_MAX = 10_000
"""Also the most tasks that one task may depend on."""
WORD_CHARS_MAX = 1_000
"""Of an id, a type, a name, a capability."""
CAPABILITIES_MAX = 256
"""Of one agent, or asked for by one task."""
STEPS_PER_TASK_MAX = 10_000
EFFECTS_PER_TASK_MAX = 10_000
EFFECTS_KEPT_MAX = 4_096
"""Outside effects of tasks that have ended, and whose outcome is known, that are remembered."""
EFFECT_DOUBTS_MAX = 10_000
"""So many may be in doubt until nothing more is begun in their swarm."""
EFFECT_INLINE_BYTES_MAX = 4_096
"""The result of an outside effect above this travels by blob: many are remembered."""
VOTES_OPEN_MAX = 1_000
ELECTORATE_MAX = 10_000
"""Members of one vote."""
AGING_MS_PER_POINT = 6_000
"""One point of priority weighs as much as this much waiting: critical (0) overtakes a low task
(30) unless that one has waited 180 s longer."""
SCORE_LEVELS = 16
RESPONSE_MS_FULL_SCALE = 300_000
"""A mean response of this long or longer earns no points for response time."""
PREFETCH_MAX = 64
PREFETCH_WINDOW_US = 20_000
"""An agent is given about this much work ahead, when its tasks are shorter than that."""
BATCH_MAX = 5
"""Tasks that an agent takes at once where it takes several of their type."""
BATCH_TYPES_MAX = 256
"""Types of tasks of which it is known whether an agent takes several."""
CRASHES_PER_TASK_MAX = 3
"""Crashes of a worker under one task, without a finished step in between, until it is poison."""
KILLS_PER_TASK_MAX = 16
"""The same for a worker that somebody else killed: the task is less suspect."""
THROTTLE_MS_MAX = 3_600_000
"""A throttled attempt waits at most this long, whoever asks for more."""
THROTTLES_PER_TASK_MAX = 64
"""Waits under one task, without a finished step in between, until they count as failures."""
RESTARTS_MAX = 3
RESTART_PERIOD_MS = 60_000
RESTART_BACKOFF_MS = 1_000
"""The second restart in a period waits this long, each further one twice as long."""
SWARMS_MAX = 1_000
"""Swarms of one server that are not over."""
SWARMS_ENDED_MAX = 1_000
"""Swarms that are over and whose ids the fleet still knows."""
MEMORY_KEYS_MAX = 100_000
MEMORY_VALUE_BYTES_MAX = 1_048_576
"""One value of shared memory, as MessagePack."""
MEMORY_TOTAL_BYTES_MAX = 1_073_741_824
MEMORY_TEXT_CHARS_MAX = 65_536
"""What a search looks at of one value."""
MEMORY_EXPIRED_MAX = 1_000
"""Keys that leave at one tick."""
AUDIT_CHARS_MAX = 1_000
"""Of one text in the audit."""
CIRCUIT_FAILURES = 5
"""Failures in a row that open a circuit."""
CIRCUIT_OPEN_MS = 60_000
"""How long it stays open before one call may try."""
CIRCUITS_MAX = 10_000
"""Of one swarm that have counted a failure."""
CIRCUIT_NAME_CHARS_MAX = 200
RECOVERY_FACTOR_MAX = 100
"""So many times what it had at first may an attempt's time, or an agent's memory, grow at once."""
RECYCLING_AGE_MS_MIN = 1_000
"""A process that is replaced sooner would do nothing else."""
LOCKS_MAX = 100_000
"""Of one swarm that somebody holds."""
LOCK_NAME_CHARS_MAX = 1_000
WAITS_PER_ATTEMPT_MAX = 10_000
"""Locks and tasks that one attempt holds or waits for."""
DELEGATIONS_DEEP_MAX = 16
"""Tasks that delegated one another and have not ended, down to one that is delegated. Beyond that
an agent delegates what comes back to it, and would without end."""
DELEGATIONS_ALIKE_MAX = 2
"""Of those, how many may ask for the very same: nothing says that one more would fare otherwise."""
INBOX_MAX = 1_000
"""Messages that wait for one agent; one more is refused until some are acknowledged."""
INBOX_BYTES_MAX = 4_194_304
"""Of their contents that do not travel by blob, for one agent."""
INBOX_FULL_RETRY_MS = 1_000
MAIL_TTL_MS = 3_600_000
"""How long a message is of use that does not say so."""
MAIL_TTL_MS_MAX = 604_800_000
MAIL_SEEN_MAX = 100_000
"""Ids of messages that are remembered, so that one that comes again is not sent again."""
MAIL_FAILURES_MAX = 3
"""So often an agent's handler may fail with a message until it is a dead letter."""
DEAD_LETTERS_MAX = 1_000
SUBSCRIPTIONS_MAX = 256
"""Patterns of topics of one agent."""
REQUESTS_MAX = 10_000
"""Of one swarm that wait for an answer, or whose answer is kept."""
DEADLOCK_BACKOFF_MS = 500
"""An attempt that was ended to break a deadlock is followed by another after this, doubled each
time, and up to as much again, so that the same tasks do not meet in the same way."""
DEADLOCK_BACKOFF_MS_MAX = 60_000
TIMEOUT_GRACE_MS = 5_000
"""A worker ends an attempt at its wall-clock limit; this much later the engine does without it."""


class CodingLimits(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the coding agents of a swarm may use. `None`: it holds them to nothing."""

    tokens: int | None = None
    """Of all of them together, input and output, as far as tools report them."""
    cost_microdollars: int | None = None
    """The same for money."""
    ends_at_ms: int | None = None
    """When all of them have to be done, in ms since the epoch."""
    wall_ms: int | None = None
    """Of one at work on a task."""
    memory_bytes: int | None = None
    """Of one with all its processes."""


class Limits(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an operator may change. Defaults suit one machine."""

    agents_max: int = 20
    """Agents of one swarm that are not terminated."""
    mailbox_max: int = 20_000
    """Commands that wait for a turn; one more is refused with `mailbox_full`."""
    queue_max: int = 1_000_000
    """Tasks that are not finished; one more is refused with `limit_reached`."""
    attempt_timeout_ms: int = 300_000
    """Wall-clock time of one attempt that states none."""
    heartbeat_ms: int = 5_000
    """Workers miss two of these, and two of three probes, before they are declared lost."""
    workers_max: int = 2
    """Processes that agents without limits of their own share."""
    circuit_failures: int = CIRCUIT_FAILURES
    """Failures in a row of an agent, a provider or a tool that open its circuit."""
    circuit_open_ms: int = CIRCUIT_OPEN_MS
    """How long nothing more is tried with it then."""
