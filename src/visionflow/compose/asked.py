"""The program that calls a user's recovery strategy: `python -P -m visionflow.compose.asked`.

It reads one question as JSON and prints one answer; see `asking`.
"""

import json
import os
import sys

from visionflow.agents.loading import load_function
from visionflow.compose.asking import MARK


def main() -> None:
    """Answer, or end with a traceback."""
    told = json.loads(sys.stdin.read())
    sys.path.extend(path for path in told["paths"] if path not in sys.path)
    answer = load_function(told["call"])(told["failure"])
    print(f"\n{MARK}{json.dumps(answer)}", flush=True)
    # Threads that it left must not keep the process.
    os._exit(0)


if __name__ == "__main__":
    main()
