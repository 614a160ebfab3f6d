"""The program that calls a user's recovery strategy: `python -P -m visionflow.compose.asked`.

It reads one question as JSON and prints one answer; see `asking`.
"""

import importlib
import importlib.util
import json
import os
import sys
from typing import Any

from visionflow.compose.asking import MARK


def main() -> None:
    """Answer, or end with a traceback."""
    told = json.loads(sys.stdin.read())
    sys.path.extend(path for path in told["paths"] if path not in sys.path)
    answer = _function(told["call"])(told["failure"])
    print(f"\n{MARK}{json.dumps(answer)}", flush=True)
    # Threads that it left must not keep the process.
    os._exit(0)


def _function(call: str) -> Any:
    place, _, name = call.rpartition(":")
    if place.endswith(".py"):
        spec = importlib.util.spec_from_file_location("visionflow_strategy", place)
        if spec is None or spec.loader is None:
            raise ImportError(f"{place} cannot be imported")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    else:
        module = importlib.import_module(place)
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part)
    return found


if __name__ == "__main__":
    main()
