"""Real git repositories for the gate's tests."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path


def git(folder: Path, *words: str, given: bytes = b"") -> str:
    """Run git there, with nothing of this machine's settings; what it prints."""
    env = {
        "PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_DATE": "1700000000 +0000", "GIT_COMMITTER_DATE": "1700000000 +0000",
    }  # fmt: skip
    settings = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "core.quotePath=off",
                "-c", "init.defaultBranch=main", "-c", "protocol.file.allow=always")  # fmt: skip
    done = subprocess.run(
        ["git", *settings, *words], cwd=folder, env=env, check=True, timeout=60,
        input=given, capture_output=True,
    )  # fmt: skip
    return os.fsdecode(done.stdout).strip()


def put(folder: Path, files: Mapping[str, str | bytes]) -> None:
    """Write `files` (relative name to content)."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def commit(folder: Path, files: Mapping[str, str | bytes], message: str = "a change") -> str:
    """Write `files` and commit everything there; the commit's id."""
    put(folder, files)
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", message, "--allow-empty")
    return git(folder, "rev-parse", "HEAD")
