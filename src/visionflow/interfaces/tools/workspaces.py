"""Folders that a client may have tasks work on: those under the server's roots, and no other."""

import asyncio
import os
from collections.abc import Sequence

from visionflow.domain.errors import UsageError


async def workspace_for(roots: Sequence[str], given: str | None) -> str | None:
    """The real path of the folder that a call names, relative ones from the first root; without
    one the first root, `None` where the server has none.

    Raises:
        UsageError: it is under none of the roots, or no folder.
    """
    if given is None and not roots:
        return None
    return await asyncio.to_thread(_resolved, roots, given)


def _resolved(roots: Sequence[str], given: str | None) -> str:
    real = [os.path.realpath(root) for root in roots]
    listed = ", ".join(roots) or "none: start the server with --workspace"
    if given is None:
        return real[0]
    if not real or "\x00" in given:
        raise UsageError(f"workspace is {given[:200]!r}.", hint=f"Its roots: {listed}.")
    # Links are followed first, so that none leads out of a root.
    found = os.path.realpath(os.path.join(real[0], given))
    if not any(found == root or found.startswith(root.rstrip(os.sep) + os.sep) for root in real):
        raise UsageError(
            f"workspace {given[:200]!r} is under none of this server's roots.",
            hint=f"Its roots: {listed}.",
        )
    if not os.path.isdir(found):
        raise UsageError(f"workspace {given[:200]!r} is no folder.", hint=f"Its roots: {listed}.")
    return found
