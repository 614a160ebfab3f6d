"""The words of `visionflow demo`; what it does is in `demonstrating`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

DEMO_EXAMPLES = """\
Examples:
  visionflow demo
  visionflow demo --keep /tmp/ferryline
  visionflow demo --json | jq '{planted, found, gone}'
"""


def demo(
    *,
    keep: Annotated[Path | None, Parameter(negative=())] = None,
    json: Annotated[
        bool, Parameter(negative=(), help="Print one JSON object and nothing else.")
    ] = False,
) -> int:
    """Audit a small project with planted faults, mend some, and prove what is gone.

    No key, no network, nothing of yours is touched. Exit code 0: everything
    planted was found, nothing was invented, and what could be mended safely
    is measured to be gone.

    Parameters
    ----------
    keep
        A new or empty folder in which project, patch and report stay.
    """
    from visionflow.cli.demonstrating import demonstrate

    return demonstrate(keep, json)
