"""The lives of a task, an agent and a vote, as tables.

A table maps a status to the events that may happen in it, and each of those to the status that
follows. What is not listed cannot happen: `advance` refuses it, the auditor and the checkers of
a log report it, and the diagrams in the docs are drawn from here. An agent's change between
ready and processing follows from its first and its last open attempt, under the names `busy` and
`idle`.
"""

from visionflow.domain import events as e
from visionflow.domain import supervision_events as s
from visionflow.domain.agents import AgentStatus as A
from visionflow.domain.event import Event
from visionflow.domain.tasks import TaskStatus as T
from visionflow.domain.votes import VoteStatus as V
from visionflow.domain.votes_events import VoteReferred


class IllegalTransition(Exception):
    """A fold met an event that its table does not list: the log or the engine is wrong."""


TASK: dict[T, dict[type[Event], T]] = {
    T.PENDING: {
        e.TaskQueued: T.QUEUED,
        e.TaskFailed: T.FAILED,
        e.TaskDeadLettered: T.DEAD_LETTER,
        e.TaskCancelled: T.CANCELLED,
    },
    T.QUEUED: {
        e.TaskAssigned: T.ASSIGNED,
        e.TaskBlocked: T.BLOCKED,
        e.TaskFailed: T.FAILED,
        e.TaskCancelled: T.CANCELLED,
    },
    T.ASSIGNED: {
        e.TaskStarted: T.RUNNING,
        e.StepFinished: T.ASSIGNED,
        e.TaskCompleted: T.COMPLETED,
        e.AttemptFailed: T.PENDING,
        e.TaskCancelling: T.ASSIGNED,
        s.AttemptRecalling: T.ASSIGNED,
    },
    T.RUNNING: {
        e.StepFinished: T.RUNNING,
        e.TaskCompleted: T.COMPLETED,
        e.AttemptFailed: T.PENDING,
        e.TaskCancelling: T.RUNNING,
        s.AttemptStalled: T.RUNNING,
        s.AttemptProgressed: T.RUNNING,
    },
    T.BLOCKED: {
        e.TaskQueued: T.QUEUED,
        e.PlanUnblocked: T.ORCHESTRATING,
        e.TaskFailed: T.FAILED,
        e.TaskCancelled: T.CANCELLED,
    },
    T.ORCHESTRATING: {
        e.TaskBlocked: T.BLOCKED,
        e.TaskCompleted: T.COMPLETED,
        e.TaskFailed: T.FAILED,
        e.TaskCancelled: T.CANCELLED,
    },
    T.FAILED: {e.TaskQueued: T.QUEUED},
    T.DEAD_LETTER: {e.TaskQueued: T.QUEUED},
    T.CANCELLED: {e.TaskQueued: T.QUEUED},
    T.COMPLETED: {},
}

AGENT: dict[A, dict[type[Event] | str, A]] = {
    A.CREATED: {
        e.AgentInitialising: A.INITIALISING,
        e.AgentUpdated: A.CREATED,
        e.AgentTerminating: A.TERMINATING,
    },
    A.INITIALISING: {
        e.AgentUpdated: A.INITIALISING,
        e.AgentReady: A.READY,
        e.AgentErrored: A.ERROR,
        e.AgentRecovering: A.RECOVERING,
        e.AgentTerminating: A.TERMINATING,
    },
    A.READY: {
        "busy": A.PROCESSING,
        e.AgentUpdated: A.READY,
        e.AgentRebuilt: A.READY,
        e.AgentMoved: A.RECOVERING,
        e.AgentErrored: A.ERROR,
        e.AgentRecovering: A.RECOVERING,
        e.AgentTerminating: A.TERMINATING,
    },
    A.PROCESSING: {
        "busy": A.PROCESSING,
        "idle": A.READY,
        e.AgentUpdated: A.PROCESSING,
        e.AgentRebuilt: A.PROCESSING,
        e.AgentDraining: A.PROCESSING,
        e.AgentErrored: A.ERROR,
        e.AgentRecovering: A.RECOVERING,
        e.AgentTerminating: A.TERMINATING,
    },
    A.ERROR: {
        e.AgentUpdated: A.ERROR,
        e.AgentRecovering: A.RECOVERING,
        e.AgentFailed: A.FAILED,
        e.AgentTerminating: A.TERMINATING,
    },
    A.RECOVERING: {
        e.AgentUpdated: A.RECOVERING,
        e.AgentMoved: A.RECOVERING,
        e.AgentReady: A.READY,
        e.AgentFailed: A.FAILED,
        e.AgentTerminating: A.TERMINATING,
    },
    A.FAILED: {e.AgentRecovering: A.RECOVERING, e.AgentTerminating: A.TERMINATING},
    A.TERMINATING: {e.AgentTerminated: A.TERMINATED},
    A.TERMINATED: {},
}

VOTE: dict[V, dict[type[Event], V]] = {
    V.OPEN: {
        e.BallotCast: V.OPEN,
        e.BallotRefused: V.OPEN,
        VoteReferred: V.REFERRED,
        e.VoteDecided: V.DECIDED,
    },
    V.REFERRED: {e.BallotRefused: V.REFERRED, e.VoteDecided: V.DECIDED},
    V.DECIDED: {e.BallotRefused: V.DECIDED},
}


def next_task_status(status: T, event: type[Event], task: str) -> T:
    """The status after `event`.

    Raises:
        IllegalTransition: the table does not list it.
    """
    after = TASK[status].get(event)
    if after is None:
        raise IllegalTransition(f"task {task} is {status}: {event.__name__} cannot happen then")
    return after


def next_agent_status(status: A, event: type[Event] | str, agent: str) -> A:
    """The status after `event`.

    Raises:
        IllegalTransition: the table does not list it.
    """
    after = AGENT[status].get(event)
    if after is None:
        name = event if isinstance(event, str) else event.__name__
        raise IllegalTransition(f"agent {agent} is {status}: {name} cannot happen then")
    return after


def next_vote_status(status: V, event: type[Event], vote: str) -> V:
    """The status after `event`.

    Raises:
        IllegalTransition: the table does not list it.
    """
    after = VOTE[status].get(event)
    if after is None:
        raise IllegalTransition(f"vote {vote} is {status}: {event.__name__} cannot happen then")
    return after
