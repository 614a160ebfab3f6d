"""Chaos: a real server with real workers, to which bad things are done while clients use it.

Processes are killed, stopped, starved and cut off, the server among them, by choices that repeat
with the seed. In the end the log, the blobs and what agents wrote down are held to the
guarantees; no part of the system under test is asked.

    report = chaos(Order(seed=7, duration_s=60))
    assert not report.violations, report.violations
"""

from visionflow.testing.chaos.plan import Fault, Order, Plan, make_plan
from visionflow.testing.chaos.run import ChaosReport, Progress, chaos

__all__ = ["ChaosReport", "Fault", "Order", "Plan", "Progress", "chaos", "make_plan"]
