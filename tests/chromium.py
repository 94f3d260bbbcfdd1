"""A headless Chromium for tests, spoken to over two pipes in its own protocol: no driver is installed for it."""

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PATIENCE = 60  # seconds; a first start on a busy machine takes ten
# Of its own accord it would look for updates, accounts and devices.
SWITCHES = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    "--force-device-scale-factor=1",
    "--remote-debugging-pipe",
)
# Puts two of its files where Chromium looks for them, 3 and 4, and becomes Chromium.
LAUNCH = """
import fcntl, os, sys
ends = [fcntl.fcntl(int(end), fcntl.F_DUPFD, 5) for end in sys.argv[1:3]]
os.dup2(ends[0], 3), os.dup2(ends[1], 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


def path() -> str | None:
    """Where Chromium is, if it is anywhere."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Browser:
    """A running Chromium, with a profile of its own in `folder`."""

    def __init__(self, folder: Path):
        found = path()
        assert found is not None
        told, self._in = os.pipe()
        self._out, tells = os.pipe()
        arguments = [found, *SWITCHES, f"--user-data-dir={folder}", "about:blank"]
        self._process = subprocess.Popen(
            [sys.executable, "-c", LAUNCH, str(told), str(tells), *arguments],
            pass_fds=(told, tells),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(told), os.close(tells)
        self._buffer, self._number = b"", 0
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """What a method of the protocol answers; events that come before are kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self._in, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._number:
            self.events.append(answer)
        assert "error" not in answer, (method, answer["error"])
        return answer["result"]

    def wait(self, method: str, session: str) -> None:
        """Wait for an event."""
        while not any(e.get("method") == method and e.get("sessionId") == session for e in self.events):
            self.events.append(self._next())

    def _next(self) -> dict[str, Any]:
        until = time.monotonic() + PATIENCE
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._out], [], [], max(0.0, until - time.monotonic()))
            assert ready, f"Chromium has said nothing for {PATIENCE} seconds"
            some = os.read(self._out, 1 << 20)
            assert some, "Chromium has ended"
            self._buffer += some
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def page(self, url: str, *, width: int = 800, height: int = 900, dark: bool = False) -> "Page":
        """A page, loaded."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        return Page(self, target, session).show(url, width, height, dark)

    def close(self) -> None:
        """End Chromium."""
        self._process.terminate()
        self._process.wait(PATIENCE)
        for end in (self._in, self._out):
            os.close(end)


class Page:
    """A tab."""

    def __init__(self, browser: Browser, target: str, session: str):
        self._browser, self._target, self.session = browser, target, session

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """What a method of the protocol answers for this tab."""
        return self._browser.call(method, self.session, **params)

    def show(self, url: str, width: int, height: int, dark: bool) -> "Page":
        """Go to an address."""
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.resize(width, height)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", media="screen", features=[scheme])
        self.call("Page.navigate", url=url)
        self._browser.wait("Page.loadEventFired", self.session)
        return self

    def resize(self, width: int, height: int) -> None:
        """Make the window another size."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def run(self, code: str) -> Any:
        """The value of an expression in the page."""
        found = self.call("Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def press(self, key: str, times: int = 1) -> None:
        """Press a key."""
        for _ in range(times):
            for kind in ("keyDown", "keyUp"):
                text = {"text": "\r"} if key == "Enter" and kind == "keyDown" else {}
                code = {
                    "ArrowLeft": 37,
                    "ArrowUp": 38,
                    "ArrowRight": 39,
                    "ArrowDown": 40,
                    "Tab": 9,
                    "Enter": 13,
                }
                self.call(
                    "Input.dispatchKeyEvent",
                    type=kind,
                    key=key,
                    code=key,
                    windowsVirtualKeyCode=code[key],
                    **text,
                )

    def type(self, id: str, text: str) -> None:
        """Type into a field, in place of what is there, and press Enter."""
        self.run(f"document.getElementById({id!r}).select()")
        self.call("Input.insertText", text=text)
        self.press("Enter")

    def answered(self) -> None:
        """Wait until the sliders of a report have been answered in full."""
        self.run(
            "new Promise(done => { const page = document.documentElement.dataset, look = () => "
            "page.asked === page.answered ? done() : setTimeout(look, 10); setTimeout(look, 0); })"
        )

    def picture(self, file: Path, *, whole: bool = True) -> None:
        """Write the page as an image."""
        found = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        if whole:
            size = self.call("Page.getLayoutMetrics")["cssContentSize"]
            clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
            found = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        file.write_bytes(base64.b64decode(found["data"]))

    def printed(self) -> bytes:
        """The page as a PDF."""
        self.call("Emulation.setEmulatedMedia", media="", features=[])
        return base64.b64decode(self.call("Page.printToPDF", printBackground=False)["data"])

    def own(self, method: str) -> list[dict[str, Any]]:
        """The events of this tab of one kind."""
        kept = [e for e in self._browser.events if e.get("sessionId") == self.session]
        return [e["params"] for e in kept if e["method"] == method]

    @property
    def requests(self) -> list[str]:
        """The addresses asked for; what is written in the page itself is none."""
        asked = [e["request"]["url"] for e in self.own("Network.requestWillBeSent")]
        return [url for url in asked if not url.startswith("data:")]

    @property
    def complaints(self) -> list[dict[str, Any]]:
        """What the console shows of errors, warnings and refusals."""
        kinds = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
        return [event for kind in kinds for event in self.own(kind)]

    def close(self) -> None:
        """Close the tab."""
        self._browser.call("Target.closeTarget", targetId=self._target)
