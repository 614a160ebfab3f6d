"""Measures an installed environment: how many packages, how many bytes, which is how large.

A package's size is the sum of the files its RECORD lists, compiled ones included, as they lie
on disk. pip and setuptools are left out: they are the installer's, not ours.
"""

import argparse
import sys
from importlib.metadata import Distribution, distributions
from pathlib import Path

PACKAGES_BELOW = 62
MEGABYTES_BELOW = 160
INSTALLER = ("pip", "setuptools", "wheel")


def bytes_of(distribution: Distribution) -> int:
    """Return how many bytes the files of `distribution` take; files not there count nothing."""
    paths = [Path(str(file.locate())) for file in distribution.files or []]
    return sum(path.stat().st_size for path in paths if path.is_file())


def sizes(site_packages: Path) -> dict[str, int]:
    """Return bytes by package name for one site-packages folder, the largest first."""
    found = {d.name: bytes_of(d) for d in distributions(path=[str(site_packages)])}
    ours = {name: size for name, size in found.items() if name.lower() not in INSTALLER}
    return dict(sorted(ours.items(), key=lambda item: (-item[1], item[0])))


def main(arguments: list[str]) -> int:
    """Print the figures of the environment named; 1 when they are over the bounds."""
    parser = argparse.ArgumentParser(description="Measure an installed environment.")
    parser.add_argument("site_packages", type=Path)
    measured = sizes(parser.parse_args(arguments).site_packages)
    for name, size in measured.items():
        print(f"{size / 1e6:8.2f} MB  {name}")
    megabytes = sum(measured.values()) / 1e6
    print(
        f"base install: {len(measured)} packages (fewer than {PACKAGES_BELOW}), "
        f"{megabytes:.1f} MB (under {MEGABYTES_BELOW})"
    )
    if not measured:
        print("nothing is installed there, so nothing was measured", file=sys.stderr)
        return 1
    return int(len(measured) >= PACKAGES_BELOW or megabytes >= MEGABYTES_BELOW)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
