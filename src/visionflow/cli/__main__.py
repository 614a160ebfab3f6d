"""`python -m visionflow.cli`, which is the same as the command `visionflow`.

Python puts the current folder first where it looks for modules, and that folder may be a
stranger's: it is taken away before anything else is imported.
"""

import os
import sys

if not sys.flags.safe_path and sys.path and sys.path[0] == os.getcwd():
    if not __file__.startswith(os.path.join(sys.path[0], "")):
        del sys.path[0]

from visionflow.cli.main import main

if __name__ == "__main__":
    main()
