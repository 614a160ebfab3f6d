"""Follows the planted faults into a changed sample: where each stands now.

A fault keeps its place through lines that come and go above it. One whose line is gone has no
place any more; whether the fault itself is gone is measured, not concluded from that.
"""

from collections.abc import Mapping
from difflib import SequenceMatcher

import msgspec

from visionflow.compose.demo.manifest import Fault, Manifest


def line_map(before: str, after: str) -> dict[int, int]:
    """Old line to new line; lines that were taken out are not in it."""
    matcher = SequenceMatcher(None, before.splitlines(), after.splitlines(), autojunk=False)
    found: dict[int, int] = {}
    for kind, old, old_end, new, new_end in matcher.get_opcodes():
        if kind in ("equal", "replace"):
            pairs = zip(range(old, old_end), range(new, new_end), strict=False)
            found |= {one + 1: other + 1 for one, other in pairs}
    return found


def followed(manifest: Manifest, before: Mapping[str, str], after: Mapping[str, str]) -> Manifest:
    """The manifest as it holds for the texts in `after`; each by file name."""
    maps = {
        name: line_map(text, after[name])
        for name, text in before.items()
        if name in after and after[name] != text
    }

    def moved(fault: Fault) -> Fault:
        lines = maps.get(fault.path or "")
        if lines is None or fault.line is None:
            return fault
        return msgspec.structs.replace(fault, line=lines.get(fault.line))

    planted = {
        name: tuple(sorted(maps[name][line] for line in lines if line in maps[name]))
        if name in maps
        else lines
        for name, lines in manifest.planted_lines.items()
    }
    return msgspec.structs.replace(
        manifest, faults=tuple(moved(each) for each in manifest.faults), planted_lines=planted
    )
