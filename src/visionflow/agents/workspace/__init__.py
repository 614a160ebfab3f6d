"""A stranger's folder, made safe to work on: a private repository, its worktrees, their states.

`PrivateRepository` is the whole of it. `foreign` reads a strange git folder as data, `history`
copies its objects, `scan` walks files, `trees` writes them, `git` runs our own git. Nothing here
writes to the source, and no program that its configuration names is ever run.
"""

from .repository import PrivateRepository

__all__ = ["PrivateRepository"]
