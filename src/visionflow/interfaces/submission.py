"""A submission on its way: posted to the runtime's thread, offered there, answered by handles.

One object goes all the way, because this path is taken for every task. What the command says is
not looked at here.
"""

from collections.abc import Sequence
from typing import Protocol

from visionflow.domain import commands as c
from visionflow.domain.errors import refusal
from visionflow.engine.state import Answer
from visionflow.interfaces.handles import TaskHandle
from visionflow.runtime.node import Node


class Place(Protocol):
    """Where submissions are offered."""

    @property
    def node(self) -> Node:
        """The node; its methods belong to the runtime's thread."""
        ...


class Submission:
    """Call it in the runtime's thread, once."""

    __slots__ = ("_command", "_handle", "_parts", "_place")

    def __init__(
        self,
        place: Place,
        command: c.SubmitTask | c.SubmitPlan,
        handle: TaskHandle,
        parts: Sequence[TaskHandle] = (),
    ) -> None:
        """`parts` are settled with `handle` when it is refused."""
        self._place = place
        self._command = command
        self._handle = handle
        self._parts = parts

    def __call__(self) -> None:
        """Offer it; what comes of it, the handles hear."""
        node = self._place.node
        try:
            node.control.offer(self._command, self._answered)
        except BaseException as error:
            for each in (self._handle, *self._parts):
                each.settle(None, error)
            return
        expect = node.completions.expect
        for part in self._parts:
            expect(part.id, part.settle)
        expect(self._handle.id, self._handle.settle)

    def _answered(self, answer: Answer) -> None:
        if answer.code is None:
            self._handle.accept()
            for part in self._parts:
                part.accept()
        else:
            forget = self._place.node.completions.forget
            for each in (self._handle, *self._parts):
                forget(each.id, each.settle)
                each.settle(None, refusal(answer.code, answer.message or answer.code))
