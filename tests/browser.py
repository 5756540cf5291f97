"""Chromium without a window, driven over pipes by its own protocol, for the tests of pages."""

import base64
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SWITCHES = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--hide-scrollbars", "--remote-debugging-pipe"),
)
PATIENCE = 60  # seconds


class Page:
    """One page of a browser with an empty profile in `profile`; `said` is what it logged."""

    def __init__(self, profile: Path) -> None:
        assert CHROMIUM is not None
        # The protocol is spoken on descriptors 3 and 4, which Popen may need for itself: a shell names them.
        (theirs, self.to), (self.back, other) = os.pipe(), os.pipe()
        named = f'exec "$@" 3</dev/fd/{theirs} 4>/dev/fd/{other}'
        chromium = [CHROMIUM, *SWITCHES, f"--user-data-dir={profile}", "about:blank"]
        self.process = subprocess.Popen(
            ["sh", "-c", named, "sh", *chromium],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(theirs, other),
        )
        os.close(theirs)
        os.close(other)
        self.unread, self.number, self.session = b"", 0, None
        self.said: list[dict[str, Any]] = []
        targets = self.call("Target.getTargets")["targetInfos"]
        target = next(one["targetId"] for one in targets if one["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> "Page":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE)
        os.close(self.to)
        os.close(self.back)

    def open(self, file: Path, width: int, height: int, dark: bool = False) -> None:
        """Loads `file` from the disk as a screen of `width` x `height` shows it."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", features=scheme)
        self.call("Page.navigate", url=file.as_uri())
        self._until(lambda: any(one.get("method") == "Page.loadEventFired" for one in self.said))
        self.said = [one for one in self.said if one.get("method") != "Page.loadEventFired"]

    def run(self, script: str) -> Any:
        """What `script` evaluates to in the page; an AssertionError where it throws."""
        answer = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def press(self, key: str, code: int, text: str = "") -> None:
        """A key pressed and released where the focus is."""
        about = {"key": key, "windowsVirtualKeyCode": code, "text": text}
        self.call("Input.dispatchKeyEvent", type="keyDown", **about)
        self.call("Input.dispatchKeyEvent", type="keyUp", **about)

    def picture(self, file: Path, whole: bool = False) -> None:
        """A PNG of what the screen shows, or of the whole page."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        file.write_bytes(base64.b64decode(shot["data"]))

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol and its result."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        found: list[dict[str, Any]] = []

        def answered() -> bool:
            found.extend(one for one in self.said if one.get("id") == self.number)
            return bool(found)

        self._until(answered)
        self.said.remove(found[0])
        assert "error" not in found[0], found[0]
        result: dict[str, Any] = found[0]["result"]
        return result

    def _until(self, done: Any) -> None:
        end = time.monotonic() + PATIENCE
        while not done():
            left = end - time.monotonic()
            assert select.select([self.back], [], [], max(0, left))[0], "Chromium is silent"
            piece = os.read(self.back, 1 << 20)
            assert piece, "Chromium has ended"
            *messages, self.unread = (self.unread + piece).split(b"\0")
            self.said += map(json.loads, messages)
