"""A headless chromium, driven over its pipe: opens one local page at a width and in a colour
scheme, looks at it from inside, and takes pictures. Nothing is installed or downloaded here.
"""

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
WAIT_S_MAX = 60.0
_FLAGS = (
    "--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-extensions", "--no-default-browser-check", "--force-color-profile=srgb",
    "--disable-dev-shm-usage", "--remote-debugging-pipe",
)  # fmt: skip


def installed() -> str | None:
    """The path of a chromium; `None` when there is none."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class BrowserError(Exception):
    """Chromium refused a command or did not answer in time."""


class Page:
    """One tab. Every call waits for its answer, at most `WAIT_S_MAX`."""

    def __init__(self, send: int, receive: int) -> None:
        self._send = send
        self._receive = receive
        self._buffer = b""
        self._id = 0
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        """What the browser told by itself since the page was opened, oldest first."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def open(self, url: str, width: int, height: int, dark: bool) -> None:
        """Load a page and wait for it."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        still = {"name": "prefers-reduced-motion", "value": "reduce"}
        self.call("Emulation.setEmulatedMedia", features=[scheme, still])
        self.events.clear()
        self.call("Page.navigate", url=url)
        self._wait_for("Page.loadEventFired")

    def evaluate(self, expression: str) -> Any:
        """The value of an expression in the page."""
        told = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in told:
            raise BrowserError(str(told["exceptionDetails"]))
        return told["result"].get("value")

    def picture(self, selector: str | None = None) -> bytes:
        """The visible part as PNG, or from the top of what `selector` finds."""
        if selector is not None:
            word = json.dumps(selector)
            self.evaluate(f"document.querySelector({word}).scrollIntoView()")
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def troubles(self) -> list[str]:
        """Errors, refusals of the page's policy, and requests for anything but the page itself."""
        told: list[str] = []
        for event in self.events:
            method, given = event["method"], event["params"]
            if method == "Log.entryAdded" and given["entry"]["level"] in ("error", "warning"):
                told.append(given["entry"]["text"])
            elif method == "Runtime.exceptionThrown":
                told.append(str(given["exceptionDetails"]))
            elif method == "Runtime.consoleAPICalled":
                told.append(str(given["args"]))
            elif method == "Network.requestWillBeSent":
                url = given["request"]["url"]
                if not url.startswith("data:") and given["type"] != "Document":
                    told.append(f"asks for {url}")
            elif method == "Page.javascriptDialogOpening":
                told.append(f"opens a dialog: {given['message']}")
        return told

    def call(self, method: str, **given: Any) -> dict[str, Any]:
        """One command and its answer.

        Raises:
            BrowserError: it was refused, or no answer came in time.
        """
        self._id += 1
        message: dict[str, Any] = {"id": self._id, "method": method, "params": given}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._send, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + WAIT_S_MAX
        while True:
            told = self._read(deadline)
            if told.get("id") == self._id:
                if "error" in told:
                    raise BrowserError(f"{method}: {told['error']}")
                return told["result"]

    def _wait_for(self, event: str) -> None:
        deadline = time.monotonic() + WAIT_S_MAX
        while not any(each["method"] == event for each in self.events):
            self._read(deadline)

    def _read(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            left = deadline - time.monotonic()
            ready = left > 0 and select.select([self._receive], [], [], left)[0]
            data = os.read(self._receive, 1 << 20) if ready else b""
            if not data:
                raise BrowserError("chromium did not answer")
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\0")
        told: dict[str, Any] = json.loads(line)
        if "method" in told:
            self.events.append(told)
        return told


@contextmanager
def page() -> Generator[Page]:
    """A tab of a browser of its own, which ends with the block.

    Raises:
        BrowserError: there is no chromium here, or it does not come up.
    """
    program = installed()
    if program is None:
        raise BrowserError("there is no chromium here; install the package `chromium`")
    flags = [*_FLAGS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as folder:
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()

        def pipes() -> None:
            """Chromium reads 3 and writes 4."""
            high_in, high_out = os.dup(theirs_in), os.dup(theirs_out)
            os.dup2(high_in, 3)
            os.dup2(high_out, 4)

        browser = subprocess.Popen(
            [program, *flags, f"--user-data-dir={folder}", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            preexec_fn=pipes, close_fds=False, start_new_session=True,
            env={**os.environ, "HOME": folder},
        )  # fmt: skip
        os.close(theirs_in)
        os.close(theirs_out)
        try:
            yield Page(ours_out, ours_in)
        finally:
            os.close(ours_out)
            os.close(ours_in)
            browser.terminate()
            try:
                browser.wait(10)
            except subprocess.TimeoutExpired:
                browser.kill()
                browser.wait(10)


def address(path: Path) -> str:
    """A file as chromium opens it."""
    return path.resolve().as_uri()
