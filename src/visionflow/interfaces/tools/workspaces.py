"""Folders that a client may have tasks work on: those under the server's roots, and no other."""

import asyncio
import os
from collections.abc import Sequence

from visionflow.domain.errors import UsageError


async def workspace_for(roots: Sequence[str], given: str) -> str:
    """The real path of the folder that a call names; a relative one is meant from the first root.

    Raises:
        UsageError: it is under none of the roots, or no folder.
    """
    return await asyncio.to_thread(_resolved, roots, given)


def under(roots: Sequence[str], given: str) -> str | None:
    """The real path of what a call names, a relative one meant from the first root; `None` when it
    is under none of them. It blocks."""
    real = [os.path.realpath(root) for root in roots]
    if not real or "\x00" in given:
        return None
    # Links and `..` are followed first, so that none leads out of a root.
    found = os.path.realpath(os.path.join(real[0], given))
    if any(found == root or found.startswith(root.rstrip(os.sep) + os.sep) for root in real):
        return found
    return None


def _resolved(roots: Sequence[str], given: str) -> str:
    listed = ", ".join(roots) or "none: start the server with --workspace"
    found = under(roots, given)
    if found is None:
        raise UsageError(
            f"workspace {given[:200]!r} is under none of this server's roots.",
            hint=f"Its roots: {listed}.",
        )
    if not os.path.isdir(found):
        raise UsageError(f"workspace {given[:200]!r} is no folder.", hint=f"Its roots: {listed}.")
    return found
