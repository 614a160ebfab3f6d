"""The name of a unix socket, and how to reach it. It imports nothing heavy: `visionflow mcp` that
finds a server needs no more than this."""

import asyncio
import os
from pathlib import Path

PATH_BYTES_MAX = 100
"""A socket's name takes 107 bytes on Linux and 103 on macOS."""
LINE_BYTES_MAX = 2**26
"""Of an answer."""
