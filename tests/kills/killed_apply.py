"""An apply that is killed with -9 at a step of its choice, and what the next one makes of it.

    killed_apply.py FOLDER branch|files|back FIRST STRIDE

Each life is a fork. The first kills itself just after its FIRST, then FIRST + STRIDE, ... call
that changes something on the disk, or that starts a git; the next one is left alone. It is the same
again; for `back` the first is for files and the next for a branch. In between and after it, what is
there is looked at. It ends with the first life that was not killed, and
prints how many steps there are and how many lives were looked at.
"""

import asyncio
import json
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.agents.changed_folder import AFTER, BEFORE, Changed, expected, git, held
from visionflow.agents.workspace.applying import bring_branch, change_files

CALLS = ("open", "rename", "link", "unlink", "mkdir", "rmdir", "symlink", "fchmod", "fsync")
NAME = "run-1"
MARK = ".visionflow-"


def strike(at: int) -> None:
    """Have step number `at` be the last thing that this process does."""
    count = 0

    def step() -> None:
        nonlocal count
        count += 1
        if count == at:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def made(*words: Any, **more: Any) -> Any:
            done = call(*words, **more)
            if call is not opening or words[1] & os.O_CREAT:
                step()
            return done

        return made

    opening, begin = os.open, asyncio.create_subprocess_exec

    async def begun(*words: Any, **more: Any) -> Any:
        process = await begin(*words, **more)
        step()
        return process

    for name in CALLS:
        setattr(os, name, counted(getattr(os, name)))
    asyncio.create_subprocess_exec = begun


def live(changed: Changed, way: str, at: int) -> int:
    """An apply in a process of its own; how it ended, as `waitpid` tells it."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    code = 1
    try:
        strike(at)
        words = (changed.base, changed.tip)
        if way == "branch":
            asyncio.run(bring_branch(changed.repository, changed.source, NAME, *words))
        else:
            asyncio.run(change_files(changed.repository, changed.source, *words))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def look(changed: Changed, way: str) -> None:
    """After a kill: nothing is half, and the repository is one."""
    git(changed.top, "fsck", "--full", "--strict")
    assert git(changed.top, "rev-parse", "main") == changed.base
    before, after = expected(BEFORE), expected(AFTER)
    found = {name: what for name, what in held(changed.source).items() if MARK not in name}
    if way == "branch":
        assert found == before
        return
    for name, what in found.items():
        assert what in (before.get(name), after.get(name)), name
    if found not in (before, after):
        assert (changed.repository.path.parent / "applying.json").exists()


def whole(changed: Changed, way: str) -> None:
    """After the next one: everything is there, and nothing else."""
    git(changed.top, "fsck", "--full", "--strict")
    found = held(changed.source)
    if way == "back":  # one that had done everything is left as it is
        assert found in (expected(BEFORE), expected(AFTER)), found
    else:
        assert found == expected(AFTER if way == "files" else BEFORE), found
    left = [str(path) for path in changed.top.rglob("*") if MARK in path.name]
    left += [str(path) for path in (changed.top / ".git").rglob("*.lock")]
    left += [str(path) for path in (changed.top / ".git").rglob("tmp_*")]
    left += [path.name for path in changed.repository.path.parent.glob("*applying*")]
    assert left == [], left
    if way != "files":
        assert git(changed.top, "rev-parse", f"visionflow/{NAME}") == changed.tip


def main() -> None:
    """See the module."""
    folder, way, first, stride = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    changed = Changed(folder)
    kept, lives, at = folder / "kept", 0, first
    shutil.copytree(changed.top, kept, symlinks=True)
    one, other = ("files", "branch") if way == "back" else (way, way)
    while True:
        ended = live(changed, one, at)
        if ended == 0:
            whole(changed, one)
            break
        assert ended == signal.SIGKILL, f"step {at}: the first life ended with {ended}"
        look(changed, one)
        if lives % 3 == 2:  # nor may the next one be killed to any harm
            live(changed, other, at // 2 + 1)
        assert live(changed, other, 0) == 0, f"step {at}: the second life failed"
        whole(changed, way)
        lives, at = lives + 1, at + stride
        shutil.rmtree(changed.top)
        shutil.copytree(kept, changed.top, symlinks=True)
    print(json.dumps({"steps": at, "lives": lives}))


if __name__ == "__main__":
    main()
