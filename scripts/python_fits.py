"""Says whether this Python can carry the project; runs on any Python 3, before anything is there.

The set-up itself is the Makefile's.
"""

import importlib.util
import sys


def main() -> int:
    """Return 0 when this interpreter fits, else print why not and what to install."""
    if sys.version_info < (3, 11, 4):
        have = ".".join(str(part) for part in sys.version_info[:3])
        print(
            "VisionFlow needs Python 3.11.4 or newer, and this is " + have + ". Install one "
            "and name it: make PYTHON=python3.12 test",
            file=sys.stderr,
        )
        return 1
    if importlib.util.find_spec("ensurepip") is None:
        print(
            "This Python has no ensurepip, so it cannot create .venv. Debian and Ubuntu "
            "package it apart: apt-get install python3-venv",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
