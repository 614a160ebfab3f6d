"""A program that runs a front over a stand-in orchestrator and prints how it ended, as JSON.

usage: front_program.py CODE [restarts_max [stop_s_max [spares|leaves|meant]]], where CODE is
the stand-in's Python, and workers live on between two of its lives, or also after the last. With
`meant`, 0 and 75 are the codes that it ends with by itself.
"""

import json
import os
import sys

from visionflow.cli.descendants import workers
from visionflow.cli.front import Front


def main() -> None:
    code = sys.argv[1]
    restarts_max = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    stop_s_max = float(sys.argv[3]) if len(sys.argv) > 3 else 30.0
    keeps = sys.argv[4] if len(sys.argv) > 4 else ""
    argv = [sys.executable, "-c", code]
    front = Front(
        argv,
        os.environ,
        restarts_max=restarts_max,
        stop_s_max=stop_s_max,
        spares=workers if keeps in ("spares", "leaves") else None,
        leaves=keeps == "leaves",
        meant={0, 75} if keeps == "meant" else None,
    )
    print(json.dumps(front.run()._asdict()))


if __name__ == "__main__":
    main()
