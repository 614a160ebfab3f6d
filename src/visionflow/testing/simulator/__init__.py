"""The simulator: the real orchestrator and the real workers in virtual time.

Node, sessions, effects, recovery, and the worker's session and executor are the ones that
run for users; disk, wires, clocks and processes are simulated, and break as the seed says. What
happens is compared with the log's bytes by checkers that share no code with the system.

    report = simulate(range(1_000), agents=6, jobs=2)
    assert not report.failures, list(report.lines())

A seed and a commit give one run: `run_seed(seed).digest` is the same wherever and however often.
"""

from visionflow.testing.simulator.report import AGENTS, TASKS, Report, results, simulate, told
from visionflow.testing.simulator.run import SeedResult, run_seed
from visionflow.testing.simulator.storm import StormFigures, StormOrder, run_storm

__all__ = [
    "AGENTS",
    "TASKS",
    "Report",
    "SeedResult",
    "StormFigures",
    "StormOrder",
    "results",
    "run_seed",
    "run_storm",
    "simulate",
    "told",
]
