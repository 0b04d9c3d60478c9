"""A real Chromium, spoken to over a pipe in the DevTools protocol: https://chromedevtools.github.io/devtools-protocol/."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

# Seconds that one answer may take on a busy machine.
_PATIENCE = 90.0
_DOWN = {"Enter": ("Enter", 13, "\r"), "Escape": ("Escape", 27, ""), "Tab": ("Tab", 9, "")}


class Browser:
    """One browser with one page, and everything that the page asked for, complained of, or said aloud."""

    def __init__(self, write: int, read: int) -> None:
        self._write, self._read = write, read
        self._buffer = b""
        self._last = 0
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log", "Accessibility"):
            self.call(f"{domain}.enable")

    _session: str | None = None

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the protocol and return its result. Raise RuntimeError for an error."""
        self._last += 1
        message: dict[str, Any] = {"id": self._last, "method": method, "params": params}
        if self._session and not method.startswith("Target."):
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            response = self._next(_PATIENCE)
            if response.get("id") != self._last:
                self.events.append(response)
            elif "error" in response:
                raise RuntimeError(f"{method}: {response['error']}")
            else:
                return dict(response["result"])

    def _next(self, patience: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], patience)
            if not ready:
                raise TimeoutError("the browser did not answer")
            chunk = os.read(self._read, 1 << 20)
            if not chunk:
                raise EOFError("the browser has gone")
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\0")
        return dict(json.loads(line))

    def open(self, path: Path, fragment: str = "") -> None:
        """Open a file and wait until it is loaded."""
        self.events.clear()
        self.call("Page.navigate", url=path.as_uri() + fragment)
        self.until(lambda: self.run("document.readyState") == "complete" and "about:" not in self.run("location.href"))

    def run(self, script: str) -> Any:
        """Return the value of an expression in the page. Raise RuntimeError where it throws."""
        response = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in response:
            raise RuntimeError(response["exceptionDetails"])
        return response["result"].get("value")

    def until(self, done: Any) -> None:
        """Wait until an expression is true."""
        end = time.monotonic() + _PATIENCE
        while not done():
            assert time.monotonic() < end, "it never came to be so"
            time.sleep(0.05)

    def type(self, text: str) -> None:
        """Type a text where the focus is."""
        self.call("Input.insertText", text=text)

    def press(self, key: str) -> None:
        """Press a key."""
        name, code, text = _DOWN[key] if key in _DOWN else (key, ord(key.upper()), key)
        shared = {"key": name, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **shared)
        self.call("Input.dispatchKeyEvent", type="keyUp", **shared)

    def click(self, selector: str) -> None:
        """Click with the mouse in the middle of an element, after bringing it into view."""
        found = f"document.querySelector({json.dumps(selector)})"
        self.run(f"{found}.scrollIntoView({{block: 'center'}})")
        box = self.run(f"(r => [r.x + r.width / 2, r.y + r.height / 2])({found}.getBoundingClientRect())")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)

    def window(self, width: int, height: int, *, scheme: str = "light", media: str = "") -> None:
        """Set the size of the window, and whether it is light, dark, or paper."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", media=media, features=features)

    def picture(self, path: Path, *, whole: bool = False) -> None:
        """Return a screenshot of the window, or of the whole page."""
        response = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(response["data"]))

    def pdf(self) -> bytes:
        """Return the page as it is printed."""
        return base64.b64decode(self.call("Page.printToPDF", printBackground=False)["data"])

    def observation(self, method: str) -> list[dict[str, Any]]:
        """Return the events of a kind since the page was opened."""
        return [event["params"] for event in self.events if event.get("method") == method]


def requests(browser: Browser) -> list[str]:
    """Return the addresses that the page asked for, its own excepted."""
    found = [event["request"]["url"] for event in browser.observation("Network.requestWillBeSent")]
    return [url for url in found if not url.startswith("file:")]


def complaints(browser: Browser) -> list[str]:
    """Return the console's errors, violations of the Content-Security-Policy, exceptions and dialogs."""
    logged = [event["entry"]["text"] for event in browser.observation("Log.entryAdded")]
    thrown = [str(event["exceptionDetails"]) for event in browser.observation("Runtime.exceptionThrown")]
    return logged + thrown + [event["message"] for event in browser.observation("Page.javascriptDialogOpening")]


@contextmanager
def chromium(profile: Path) -> Iterator[Browser]:
    """Provide a headless Chromium with a profile of its own."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert program, "no Chromium on PATH: make parts installs it"
    low, write = os.pipe()
    read, high = os.pipe()
    theirs, others = (fcntl.fcntl(end, fcntl.F_DUPFD, 20) for end in (low, high))
    os.close(low)
    os.close(high)
    command = [
        program,
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--no-first-run",
        "--remote-debugging-pipe",
        f"--user-data-dir={profile}",
        "about:blank",
    ]
    wrapped = ["bash", "-c", f'exec "$@" 3<&{theirs} 4>&{others} {theirs}<&- {others}>&-', "chromium", *command]
    process = subprocess.Popen(
        wrapped, pass_fds=(theirs, others), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    os.close(theirs)
    os.close(others)
    try:
        browser = Browser(write, read)
        yield browser
        browser.call("Target.getTargets")
    finally:
        os.close(write)
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()
        os.close(read)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Provide a browser for the tests of a module."""
    with chromium(tmp_path_factory.mktemp("chromium")) as made:
        yield made
