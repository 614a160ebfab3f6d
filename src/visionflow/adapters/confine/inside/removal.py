"""Removes a command's private folder, also where the command took away its own permissions."""

import os
import shutil


def remove_tree(folder: str) -> None:
    """Remove what can be removed; symbolic links are removed, never followed.

    Call it when no process that could write there is left.
    """
    for place, folders, _ in os.walk(folder, topdown=True):
        for name in folders:
            path = os.path.join(place, name)
            if not os.path.islink(path):
                try:
                    os.chmod(path, 0o700)
                except OSError:
                    continue
    shutil.rmtree(folder, ignore_errors=True)
