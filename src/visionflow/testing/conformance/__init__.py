"""Behaviour that every implementation of a port must show, as suites anybody can run.

    outcomes = await run_all(LOG_CASES, lambda: LogSubject(open=...))
    assert not faults(outcomes)

One module a port; `case` says what a case is.
"""

from visionflow.testing.conformance.blobs import BLOB_CASES, BlobSubject
from visionflow.testing.conformance.case import (
    Case,
    DoesNotApply,
    Nonconformance,
    Outcome,
    faults,
    run_all,
)
from visionflow.testing.conformance.host import CLOCK_CASES, PROCESS_CASES, HostSubject
from visionflow.testing.conformance.log import LOG_CASES
from visionflow.testing.conformance.log_subject import LogSubject

__all__ = [
    "BLOB_CASES",
    "CLOCK_CASES",
    "LOG_CASES",
    "PROCESS_CASES",
    "BlobSubject",
    "Case",
    "DoesNotApply",
    "HostSubject",
    "LogSubject",
    "Nonconformance",
    "Outcome",
    "faults",
    "run_all",
]
