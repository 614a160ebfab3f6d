"""While a server ends, ports may still answer when its swarms are let go of already.

What a tool says then would not be true: that there is no such task, or that a list is empty. So
whoever asks is told that the server ends, before and after the tool has looked.
"""

import inspect
from collections.abc import Awaitable
from typing import Any

import msgspec

from visionflow.domain.errors import UnknownId, VisionFlowError
from visionflow.interfaces.server import Server
from visionflow.interfaces.tools.arguments import Result
from visionflow.interfaces.tools.tool import AnyTool, Call
from visionflow.runtime.node import Stopped


def until_parted(server: Server, tool: AnyTool) -> AnyTool:
    """The same tool, which answers nothing more once the swarms are let go of."""
    run = tool.run

    def asked(call: Call, given: Any) -> Result | Awaitable[Result]:
        server.swarms.check_held()
        found = run(call, given)
        return _awaited(found) if inspect.isawaitable(found) else found

    async def _awaited(found: Awaitable[Result]) -> Result:
        try:
            result = await found
        except Exception as error:
            # What a tool needs may have been closed under it.
            ours = isinstance(error, VisionFlowError)
            server.swarms.check_held(whole=not ours or isinstance(error, (UnknownId, Stopped)))
            raise
        server.swarms.check_held()
        return result

    return msgspec.structs.replace(tool, run=asked)
