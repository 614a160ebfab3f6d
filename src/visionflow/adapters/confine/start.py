"""Entry of the launcher process: `python -I -S start.py CONTROL_FD RESULT_FD`.

It makes the folder `inside` importable without the rest of VisionFlow, so that the launcher is up
in some 20 ms, and leaves everything else to `inside.launcher`.
"""

import importlib
import os
import sys

if __name__ == "__main__":
    sys.path.append(os.path.dirname(os.path.abspath(__file__)))
    importlib.import_module("inside.launcher").main(int(sys.argv[1]), int(sys.argv[2]))
