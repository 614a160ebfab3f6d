"""Values: what a gate is asked for."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

from visionflow.agents.gate.results import FailOn

TestChoice = Literal["affected", "all", "none"]


class GateRequest(msgspec.Struct, frozen=True):
    """One gate."""

    workspace: Path
    base: str = "HEAD"
    direct: bool = False
    """Compare with the ref itself and not with where HEAD left it."""
    baseline: Path | None = None
    write_baseline: Path | None = None
    tests: TestChoice = "affected"
    all_if_none: bool = False
    """Of `affected`: run all tests where none reaches what changed, so that something is seen."""
    fail_on: FailOn = "low"
    min_coverage: float | None = None
    """Percent of the changed lines that can run."""
    allow_lost: bool = False
    """Lost tests are told of and fail nothing."""
    require_tests: bool = False
    require_tools: bool = False
    cache: bool = True
    trusted: bool = False
    tests_s: float = 600.0
    """At most for a run of the tests."""
    virtual_env: str | None = None
    """The user's VIRTUAL_ENV."""
    state: Path | None = None
    """A folder of ours for what is made on the way; left out: the one that VISIONFLOW_HOME keeps
    for this workspace."""
    results: Path | None = None
    """Where results are kept by content, with `cache`; left out: in VISIONFLOW_HOME."""


OnStage = Callable[[str], None]
"""Told what is being done, in a few words."""
