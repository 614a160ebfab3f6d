"""Confinement of foreign commands by what this operating system offers.

`OsSandbox` is the adapter of `visionflow.ports.sandbox`. `sandbox` runs a command, `probe` finds
out what holds, `means` lists what could, `inside` is the launcher and what it does, `groups`
finds control groups.
"""

from .means import Means
from .sandbox import OsSandbox

__all__ = ["Means", "OsSandbox"]
