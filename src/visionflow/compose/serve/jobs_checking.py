"""What is wrong with an order by itself, before anything is looked up for it."""

from visionflow.domain.errors import Refused, UsageError
from visionflow.domain.limits import INLINE_BYTES_MAX
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
    if order.failure_threshold is not None and not 0 <= order.failure_threshold <= 1:
        raise UsageError(f"failureThreshold is {order.failure_threshold}; it is 0 to 1.")
