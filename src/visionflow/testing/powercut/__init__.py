"""Power cuts, recorded rather than suffered.

    report = sweep(seed=1)
    assert not report.faults

`journal` records, `disk` says what could be left, `check` opens it, `sweep` does it all.
"""

from visionflow.testing.powercut.sweep import Report, Scene, standard_workload, sweep

__all__ = ["Report", "Scene", "standard_workload", "sweep"]
