"""A Redis of our own: on a unix socket in a folder, every write on the disk before its answer."""

import shutil
import socket
from pathlib import Path

from bench.processes import NotThere, end, start, wait_for


class RedisServer:
    """Runs from `open` to `close`; ended by its pid."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "redis.sock"
        self.url = f"unix://{self.path}"
        program = shutil.which("redis-server")
        if program is None:
            raise NotThere(
                "redis-server is not installed (Debian: apt-get install redis-server), so a peer "
                "on it is not measured"
            )
        durable = ["--appendonly", "yes", "--appendfsync", "always", "--save", ""]
        place = ["--port", "0", "--unixsocket", str(self.path), "--dir", str(folder)]
        self._child = start([program, *durable, *place, "--daemonize", "no"], folder / "redis.log")
        try:
            wait_for("redis-server", self._answers)
        except NotThere:
            self.close()
            raise

    def _answers(self) -> bool:
        if self._child.poll() is not None:
            raise NotThere(f"redis-server ended with {self._child.returncode}; see its log")
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dial:
                dial.settimeout(1)
                dial.connect(str(self.path))
                dial.sendall(b"PING\r\n")
                return dial.recv(16).startswith(b"+PONG")
        except OSError:
            return False

    def close(self) -> None:
        """End it."""
        end(self._child)
