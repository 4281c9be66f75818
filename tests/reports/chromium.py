"""A headless Chromium driven over its DevTools protocol, for tests of pages: nothing but the browser is needed."""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from websockets.sync.client import connect

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
MISSING = "no Chromium here (Debian: apt-get install chromium): the report's page is not tested in a browser"


def find() -> str | None:
    """The path of a browser, if there is one."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """One browser with one page; a context manager, whose end ends the browser."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.messages: list[str] = []
        """Console errors and warnings, exceptions, refused requests."""
        self.requests: list[str] = []
        """Addresses that the page asked for."""
        self._number = 0
        self.stack = contextlib.ExitStack()

    def __enter__(self) -> Browser:
        path = find()
        assert path is not None, MISSING
        options = (
            *("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage"),
            *("--remote-debugging-port=0", f"--user-data-dir={self.folder}", "--disable-background-networking"),
        )
        self.process = subprocess.Popen(
            [path, *options, "about:blank"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        try:
            address = self._address()
            self.socket = self.stack.enter_context(connect(address, max_size=None, open_timeout=30))
            targets = self.call("Target.getTargets")["targetInfos"]
            target = next(t["targetId"] for t in targets if t["type"] == "page")
            self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Page", "Runtime", "Log", "Network"):
                self.call(f"{domain}.enable")
            self.call(
                "Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=0, uploadThroughput=0
            )
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        assert self.process.stderr is not None
        self.process.stderr.close()

    def _address(self) -> str:
        """What the browser prints first."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if b"DevTools listening on " in line:
                return line.decode().split("listening on ")[1].strip()
        raise AssertionError("Chromium ended before it listened")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if hasattr(self, "session"):
            message["sessionId"] = self.session
        self.socket.send(json.dumps(message))
        while True:
            answer = json.loads(self.socket.recv(timeout=60))
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]
            self._notice(answer)

    def _notice(self, event: dict[str, Any]) -> None:
        told = event.get("params", {})
        match event.get("method"):
            case "Runtime.consoleAPICalled" if told["type"] in ("error", "warning", "assert"):
                self.messages.append(f"{told['type']}: {[a.get('value', a.get('description')) for a in told['args']]}")
            case "Runtime.exceptionThrown":
                details = told["exceptionDetails"]
                self.messages.append(f"exception: {details.get('exception', {}).get('description', details['text'])}")
            case "Log.entryAdded" if told["entry"]["level"] in ("error", "warning"):
                self.messages.append(f"log: {told['entry']['text']}")
            case "Network.requestWillBeSent":
                self.requests.append(told["request"]["url"])

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression; promises are waited for."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"].get("exception", {}).get("description")
        return found["result"].get("value")

    def wait(self, condition: str, seconds: float = 30) -> None:
        """Until a JavaScript expression is true."""
        end = time.monotonic() + seconds
        while not self.run(condition):
            assert time.monotonic() < end, f"never became true: {condition}; {self.messages}"
            time.sleep(0.05)

    def size(self, width: int, height: int, scale: float = 1, mobile: bool = False) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=mobile
        )

    def prefer(self, theme: str) -> None:
        """Let the system ask for a light or dark page."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])

    def open(self, path: Path) -> None:
        self.call("Page.navigate", url=path.resolve().as_uri())
        self.wait("document.readyState === 'complete' && document.querySelector('#main') !== null")

    def move(self, x: float, y: float) -> None:
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def press(self, key: str) -> None:
        codes = {"Tab": 9, "Enter": 13}
        more = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=codes[key], **more)

    def screenshot(self, path: Path, full: bool = False) -> None:
        picture = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=full)["data"]
        path.write_bytes(base64.b64decode(picture))
