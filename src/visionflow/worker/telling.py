"""Text that can be sent: what agents say, and what their exceptions tell.

Agents' code makes these words, so nothing is taken for granted: a file name brings surrogates,
an exception may fail to describe itself. What is said with them is for others.
"""

import os
import traceback

from visionflow.worker.hiding import HIDDEN

TEXT_CHARS_MAX = 8_000
REASON_CHARS_MAX = 4_000
FRAMES_MAX = 4
OWN = os.sep.join(("visionflow", "worker", ""))


def sendable(value: object, chars_max: int = TEXT_CHARS_MAX) -> str:
    """The value as text that UTF-8 can carry and without secrets, cut to this many characters."""
    return carried(HIDDEN.text(carried(value, 2 * chars_max)), chars_max)


def carried(value: object, chars_max: int = TEXT_CHARS_MAX) -> str:
    """The same with whatever secrets it holds."""
    try:
        text = str(value)[:chars_max]
    except Exception as error:
        text = f"(a {type(value).__name__} whose text cannot be had: {type(error).__name__})"
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode()[:chars_max]


def _named(error: BaseException) -> str:
    """Type and message of an exception."""
    message = sendable(error, REASON_CHARS_MAX // 2)
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def told(error: BaseException) -> str:
    """Type, message, and where it came from: the innermost frames, without our own."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [
        f"{frame.filename}:{frame.lineno} in {frame.name}"
        for frame in reversed(frames)
        if OWN not in frame.filename
    ]
    if not places:
        return _named(error)
    return sendable(f"{_named(error)} (at {', from '.join(places[:FRAMES_MAX])})", REASON_CHARS_MAX)
