"""What the Python faces need of whatever runs a node."""

from collections.abc import Callable
from typing import Protocol

from visionflow.ports.blobs import Blobs
from visionflow.runtime.node import Node
from visionflow.runtime.queries import Queries


class Runtime(Protocol):
    """What this face needs of whatever runs the node."""

    @property
    def blobs(self) -> Blobs:
        """Where large values go."""
        ...

    @property
    def node(self) -> Node:
        """The node; its methods belong to the runtime's thread."""
        ...

    @property
    def queries(self) -> Queries:
        """The read service."""
        ...

    def post(self, call: Callable[[], None]) -> None:
        """Run in the runtime's thread."""
        ...
