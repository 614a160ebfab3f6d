"""Keeps of a stream its first and its last half, so that any amount of output stays bounded."""

from collections import deque


class KeptOutput:
    """Collects at most `bytes_max` bytes, and counts what it leaves out between the halves."""

    def __init__(self, bytes_max: int) -> None:
        self._head_max = bytes_max - bytes_max // 2
        self._tail_max = bytes_max // 2
        self._head = bytearray()
        self._tail: deque[bytes] = deque()
        self._tail_size = 0
        self._seen = 0

    def add(self, data: bytes) -> None:
        self._seen += len(data)
        room = self._head_max - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        if not data or not self._tail_max:
            return
        self._tail.append(data)
        self._tail_size += len(data)
        while self._tail_size - len(self._tail[0]) >= self._tail_max:
            self._tail_size -= len(self._tail.popleft())

    def text(self) -> str:
        """The kept bytes as text; a line between the halves says how many are missing."""
        tail = b"".join(self._tail)
        tail = tail[max(0, len(tail) - self._tail_max) :]
        left_out = self._seen - len(self._head) - len(tail)
        head = self._head.decode("utf-8", "replace")
        if not left_out:
            return (self._head + tail).decode("utf-8", "replace")
        return f"{head}\n[... {left_out} bytes left out ...]\n{tail.decode('utf-8', 'replace')}"
