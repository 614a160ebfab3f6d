"""Port: values too large for the log, by the hash of their content."""

from typing import Protocol


class Blobs(Protocol):
    """Immutable bytes named by their SHA-256 in hex."""

    def put(self, content: bytes) -> str:
        """Store durably (file and folder synced) and return the name. Storing twice is harmless.

        It blocks on the disk: call it off the loop where that matters.

        Raises:
            LogUnavailable: the disk did not take it.
        """
        ...

    def get(self, name: str) -> bytes:
        """The content, checked against its name.

        Raises:
            BlobMissing: no such blob, or its content has changed.
            LogUnavailable: the disk could not be read.
        """
        ...

    def has(self, name: str) -> bool:
        """Whether a blob of this name is stored."""
        ...
