"""Folders that foreign code shut to their owner do not stay, nor stop what comes next.

Root passes through every door, so a plain user's process does the removing.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

_NOBODY = 65_534
_PROGRAM = """
import os, sys
from pathlib import Path
from visionflow.agents.tools.codes import emptied
if os.geteuid() == 0:
    os.setuid(int(sys.argv[3]))
top, outside = Path(sys.argv[1]), Path(sys.argv[2])
(top / "below" / "deep").mkdir(parents=True)
(top / "below" / "deep" / "file").touch()
(top / "below" / "link").symlink_to(outside)
for each in (top / "below" / "deep", top / "below", top):
    each.chmod(0)
print(sorted(os.listdir(emptied(top))))
"""


@pytest.mark.acceptance("confine")
def test_a_shut_folder_is_emptied_and_what_it_links_to_is_left(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    own = tmp_path / "own"
    own.mkdir()
    if os.geteuid() == 0:
        os.chown(own, _NOBODY, _NOBODY)
        for folder in (tmp_path, *list(tmp_path.parents)[:-2]):
            folder.chmod(folder.stat().st_mode | 0o011)
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(own / "top"), str(outside), str(_NOBODY)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")
    assert [path.name for path in outside.iterdir()] == ["kept"]
    assert outside.stat().st_mode & 0o777 == 0o755
