"""What is wrong with an order by itself, before anything is looked up for it."""

from visionflow.agents.plans import PLAYBOOKS
from visionflow.compose.serve.jobs_aims import CODE
from visionflow.domain.errors import Refused, UsageError
from visionflow.domain.limits import INLINE_BYTES_MAX
from visionflow.engine.aggregation import Equality, Method
from visionflow.interfaces.aggregating import COPIES_MAX
from visionflow.interfaces.jobs import Order


def check(order: Order) -> None:
    """See that it says something, and nothing that cannot be.

    Raises:
        UsageError: it cannot be understood.
        Refused: it says too much.
    """
    if not order.description.strip() and not order.subtasks and order.task_type is None:
        raise UsageError("The task says nothing.", hint="Say what is to be done in description.")
    if len(order.description) > INLINE_BYTES_MAX:
        raise Refused(
            f"The description has {len(order.description)} characters; {INLINE_BYTES_MAX} are the "
            "most.",
            code="payload_too_large",
            hint="Put the rest into input.",
        )
    if order.parallelism is not None and order.parallelism < 1:
        raise UsageError(f"parallelism is {order.parallelism}; it is at least 1.")
    if order.timeout_ms is not None and order.timeout_ms < 1:
        raise UsageError("timeout is 0; an attempt takes some time.", hint="Leave it out.")
    _check_aggregation(order)
    if order.failure_threshold is not None and not 0 <= order.failure_threshold <= 1:
        raise UsageError(f"failureThreshold is {order.failure_threshold}; it is 0 to 1.")


def _check_aggregation(order: Order) -> None:
    rule = order.aggregation
    if rule is None or order.subtasks:
        return
    if order.task_type is not None or order.agent is not None or order.agent_type is not None:
        if order.playbook is None and order.task_type not in PLAYBOOKS:
            if order.parallelism is None:
                raise UsageError(
                    "resultAggregation makes one of several results, and there is one task.",
                    hint="Say how many are to do it with parallelism, or give subtasks.",
                )
            if order.parallelism > COPIES_MAX:
                raise UsageError(f"parallelism is {order.parallelism}; {COPIES_MAX} is the most.")
            return
    if order.candidates is not None or order.playbook == CODE:
        raise UsageError(
            "resultAggregation has no meaning for coding agents: what they made is ranked.",
            hint="Leave it out.",
        )
    if rule.method not in (Method.MAJORITY_VOTE, Method.WEIGHTED):
        raise UsageError(
            f"resultAggregation {rule.method} has no meaning for a goal in words: the parts of its "
            "plan do different things, and its report has them all.",
            hint="majority_vote and weighted say what its reviews recommend together.",
        )
    if rule.equality is not Equality.EXACT:
        raise UsageError("What reviews recommend is one of a few words: leave equality out.")
