"""What the probe runs inside: tries what must not work, and prints as JSON what did work.

Arguments: a secret file, a folder outside, a TCP port, a socket file, an abstract socket's name.
It also leaves a daemon behind, which a sound confinement ends. Standard library only.
"""

import json
import os
import socket
import sys
import time
from collections.abc import Callable

_DAEMON_SECONDS = 20


def _works(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except OSError:
        return False
    return True


def _dial(family: int, address: tuple[str, int] | str) -> None:
    with socket.socket(family, socket.SOCK_STREAM) as line:
        line.settimeout(2)
        line.connect(address)


def _read(path: str) -> None:
    with open(path, "rb") as secret:
        secret.read()


def _write(path: str) -> None:
    with open(path, "wb") as place:
        place.write(b"x")


def _leave_daemon() -> None:
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            nothing = os.open(os.devnull, os.O_RDWR)
            for each in (0, 1, 2):
                os.dup2(nothing, each)
            time.sleep(_DAEMON_SECONDS)
        os._exit(0)
    os.wait()


def main(secret: str, outside: str, port: str, file_socket: str, abstract: str) -> None:
    worked = {
        "read": _works(lambda: _read(secret)),
        "write": _works(lambda: _write(os.path.join(outside, "written"))),
        "tcp": _works(lambda: _dial(socket.AF_INET, ("127.0.0.1", int(port)))),
        "file_socket": _works(lambda: _dial(socket.AF_UNIX, file_socket)),
        "abstract_socket": _works(lambda: _dial(socket.AF_UNIX, "\0" + abstract)),
        "own_folder": _works(lambda: _write(os.path.join(os.environ["TMPDIR"], "own"))),
    }
    _leave_daemon()
    print(json.dumps(worked))


if __name__ == "__main__":
    main(*sys.argv[1:6])
