"""docs/wire.md tells the bounds that hold, and every method and key that there is."""

from pathlib import Path

from visionflow.interfaces.wire import asking, cutting, dispatch, jsonrpc, lines, pending, posting
from visionflow.interfaces.wire import sniffing as first
from visionflow.settings.server import ServerSettings

PAGE = (Path(__file__).parents[2] / "docs" / "wire.md").read_text(encoding="utf-8")


def test_the_page_has_the_bounds_that_hold() -> None:
    told = ServerSettings()
    for what, bound in {
        "one line or body": f"{told.frame_bytes_max // 2**20} MB",
        "nesting": f"{told.depth_max} (`depth_max`), and {jsonrpc.CONTAINERS_MAX:,} lists",
        "requests in a batch": str(jsonrpc.BATCH_MAX),
        "requests of a connection that wait for their turn": str(dispatch.QUEUE_MAX),
        "calls of a connection that were begun and wait": str(dispatch.UNDER_WAY_MAX),
        "connections": f"{told.connections_max:,}",
        "a connection that never says a word": f"{first.SILENT_S:.0f} seconds",
        "somebody unknown who shows no token": f"{lines.STRANGER_S:.0f} seconds",
        "an unfinished line without a further byte": f"{lines.PARTIAL_S:.0f} seconds",
        "the head of an HTTP request": f"{first.HEAD_S:.0f} seconds",
        "the body of an HTTP request": f"{posting.BODY_S:.0f} seconds",
        "a client that takes nothing of what it is sent": f"{lines.UNREAD_S:.0f} seconds",
        "answers that are due after a half-close": f"{lines.HALF_CLOSED_S:.0f} seconds",
        "a connection on which nothing was sent or is due": f"{lines.IDLE_S / 3_600:.0f} hours",
    }.items():
        assert f"| {what} | {bound}" in PAGE, what
    assert f"{cutting.LINE_BYTES_MAX:,} bytes" in PAGE
    assert f"last {cutting.KEPT_BYTES_MAX // 2**20} MB" in PAGE
    assert cutting.SCHEME in PAGE


def test_the_page_has_every_method_and_every_key() -> None:
    for key in (asking.KEY_META, asking.TOKEN_META, asking.CLIENT_META, asking.LINE_META):
        assert f"| `{key}` |" in PAGE
    for method in pending.METHODS:
        assert f"`{method}`" in PAGE
