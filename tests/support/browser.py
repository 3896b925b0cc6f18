"""Chromium without a window, driven over a pipe: no socket, and no library to install.

Speaks the Chrome DevTools protocol (chromedevtools.github.io/devtools-protocol), of which these
few commands are stable: JSON texts, each ended by a zero byte, on file descriptors 3 and 4.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_TIMEOUT = 60.0
_SWITCHES = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-extensions", "--disable-default-apps",
    "--remote-debugging-pipe", "--hide-scrollbars",
)  # fmt: skip
# Has the pipe's ends where Chromium looks for them.
_LAUNCH = (
    "import os, sys; "
    "os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); "
    "os.execv(sys.argv[3], sys.argv[3:])"
)


def chromium() -> str | None:
    """Return the path of a Chromium, if one is installed."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next((path for name in names if (path := shutil.which(name))), None)


class Browser:
    """A running Chromium.

    Attributes:
        requests: URLs that the page shown asked for, itself included.
        complaints: what it wrote to the console, and what it threw.
    """

    def __init__(self, path: str) -> None:
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self._loaded = False
        self._number = 0
        self._held = b""
        self._session: str | None = None
        self._profile = tempfile.mkdtemp(prefix="chromium-")
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        # Away from 3 and 4, which are about to be theirs.
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (theirs_in, theirs_out)]
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-c", _LAUNCH, *map(str, ends), path, *_SWITCHES),
                *(f"--user-data-dir={self._profile}", "about:blank"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=ends,
            # Its own place for what it would put into a home.
            env={**os.environ, "HOME": self._profile},
        )
        for end in (theirs_in, theirs_out, *ends):
            os.close(end)

    def __enter__(self) -> Self:
        try:
            target = self.call("Target.createTarget", url="about:blank")["targetId"]
            attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
            self._session = attached["sessionId"]
            for domain in ("Page", "Runtime", "Log", "Network"):
                self.call(f"{domain}.enable")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End it."""
        self._session = None
        with contextlib.suppress(OSError, TimeoutError, RuntimeError, EOFError):
            self.call("Browser.close")
        for end in (self._in, self._out):
            os.close(end)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._profile, ignore_errors=True)

    # -- commands ------------------------------------------------------------------------------

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Give a command and return its result."""
        self._number += 1
        number = self._number
        message: dict[str, Any] = {"id": number, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + _TIMEOUT
        while True:
            got = self._message(end)
            if got.get("id") == number:
                break
            self._take(got)
        if "error" in got:
            raise RuntimeError(f"{method}: {got['error']}")
        result: dict[str, Any] = got["result"]
        return result

    def _message(self, end: float) -> dict[str, Any]:
        while b"\0" not in self._held:
            ready, _, _ = select.select([self._in], [], [], max(end - time.monotonic(), 0))
            if not ready:
                raise TimeoutError("Chromium did not answer")
            data = os.read(self._in, 1 << 20)
            if not data:
                raise EOFError("Chromium ended")
            self._held += data
        text, _, self._held = self._held.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        return message

    def _take(self, event: dict[str, Any]) -> None:
        params = event.get("params", {})
        match event.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(params["request"]["url"])
            case "Runtime.exceptionThrown":
                details = params["exceptionDetails"]
                self.complaints.append(
                    details.get("exception", {}).get("description", details["text"])
                )
            case "Runtime.consoleAPICalled":
                self.complaints.append(f"console.{params['type']}: {params['args']}")
            case "Log.entryAdded":
                self.complaints.append(f"{params['entry']['source']}: {params['entry']['text']}")
            case "Page.loadEventFired":
                self._loaded = True

    def open(self, page: Path | str) -> float:
        """Show a file, or a URL; return the seconds until it was loaded and its script had run."""
        # From elsewhere, since an address with another fragment alone would not be loaded.
        self._go("about:blank")
        self.requests, self.complaints = [], []
        clock = time.monotonic()
        self._go(page.absolute().as_uri() if isinstance(page, Path) else page)
        self.run("0")
        return time.monotonic() - clock

    def _go(self, url: str) -> None:
        self._loaded = False
        self.call("Page.navigate", url=url)
        end = time.monotonic() + _TIMEOUT
        while not self._loaded:
            self._take(self._message(end))

    def run(self, script: str) -> Any:
        """Return the value of an expression in the page."""
        done = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in done:
            raise RuntimeError(done["exceptionDetails"].get("exception", {}).get("description"))
        return done["result"].get("value")

    def settle(self, milliseconds: int = 20) -> None:
        """Return once what was set off has been drawn."""
        self.run(
            "new Promise(done => setTimeout(() => requestAnimationFrame(() => "
            f"requestAnimationFrame(done)), {milliseconds}))"
        )

    def size(self, width: int, height: int, scale: float = 1.0) -> None:
        """Set the size of the window, in CSS pixels; a narrow one is a phone's."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=scale, mobile=width < 600,
        )  # fmt: skip

    def prefer(self, scheme: str) -> None:
        """Set the colours that its user prefers: ``light`` or ``dark``."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def picture(self, path: Path, *, whole: bool = False) -> None:
        """Write a PNG of the window, or of the whole page."""
        taken = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(taken["data"]))

    def pdf(self, path: Path) -> None:
        """Write the page as it is printed."""
        printed = self.call("Page.printToPDF", printBackground=True)
        path.write_bytes(base64.b64decode(printed["data"]))
