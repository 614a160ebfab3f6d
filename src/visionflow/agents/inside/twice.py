"""Runs a checker over files with their suppressing comments ignored, and again with them heeded
over those files that have any: the difference is what comments hide.

Runs confined, by its file. Arguments: the task as JSON (`all` and `held`, the two command lines,
in which `{output}` is the file that the checker writes; `markers`, one of which stands in every
file with a suppressing comment), the output file, then the files.
Writes {"all": what the first wrote, "held": what the second wrote or null, "marked": files}.
"""

import json
import os
import subprocess
import sys


def main() -> int:
    """Run both; a checker that fails or is killed ends this program the same way."""
    task, output, *files = sys.argv[1:]
    wanted = json.loads(task)
    everything = _run(wanted["all"], output + ".all", files)
    markers = [marker.encode() for marker in wanted["markers"]]
    marked = [file for file in files if _has(file, markers)]
    held = _run(wanted["held"], output + ".held", marked) if marked else b"null"
    with open(output, "wb") as file:
        names = json.dumps(marked).encode()
        file.write(b'{"all":%b,"held":%b,"marked":%b}' % (everything, held, names))
    return 0


def _run(command: list[str], output: str, files: list[str]) -> bytes:
    argv = [word.replace("{output}", output) for word in command]
    done = subprocess.run([*argv, *files], check=False)
    if done.returncode < 0:
        os.kill(os.getpid(), -done.returncode)
    if done.returncode:
        sys.exit(done.returncode)
    with open(output, "rb") as file:
        return file.read()


def _has(name: str, markers: list[bytes]) -> bool:
    try:
        with open(name, "rb") as file:
            content = file.read().lower()
    except OSError:
        return False
    return any(marker in content for marker in markers)


if __name__ == "__main__":
    sys.exit(main())
