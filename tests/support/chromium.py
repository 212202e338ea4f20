"""The real browser driven by hand: mouse, keys, what it asked for, pictures.

It is told what to do through a pipe, by its own protocol: no port, no driver.
"""

import base64
import itertools
import json
import os
import select
import subprocess
import sys
import time

from browser import CHROMIUM, FLAGS

KEYS = {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Home": 36,
        "End": 35, "PageUp": 33, "PageDown": 34, "Delete": 46, "Enter": 13}  # fmt: skip

_BEGIN = """
import os, sys
read, write = (os.dup2(int(fd), 50 + k) for k, fd in enumerate(sys.argv[1:3]))
os.dup2(read, 3), os.dup2(write, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""The browser talks on the descriptors 3 and 4."""


class Page:
    """One page of a browser without a window."""

    def __init__(self, url, folder, size=(1400, 900)):
        read, self._write = os.pipe()
        self._read, write = os.pipe()
        flags = [*FLAGS, "--hide-scrollbars", f"--user-data-dir={folder / 'profile'}",
                 "--remote-debugging-pipe"]  # fmt: skip
        self._process = subprocess.Popen(
            [sys.executable, "-c", _BEGIN, str(read), str(write), CHROMIUM, *flags],
            pass_fds=(read, write), stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(read)
        os.close(write)
        self._ids, self._rest, self.events, self._session = itertools.count(1), b"", [], None
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        found = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = found["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")
        self.resize(*size)
        self.send("Page.navigate", url=url)

    def send(self, method, **params):
        """Call a method of the protocol, and wait for its answer."""
        key = next(self._ids)
        message = {"id": key, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = next((a for a in self._messages(30) if a.get("id") == key), None)
            if answer is not None:
                assert "error" not in answer, answer
                return answer["result"]

    def _messages(self, seconds):
        """What has come, whole messages only; events are kept."""
        ready, _, _ = select.select([self._read], [], [], seconds)
        assert ready, "the browser is silent"
        new = os.read(self._read, 2**20)
        assert new, "the browser has ended"
        *whole, self._rest = (self._rest + new).split(b"\0")
        found = [json.loads(text) for text in whole]
        self.events += [message for message in found if "method" in message]
        return found

    def js(self, code):
        """Value of an expression in the page; a promise is awaited."""
        found = self.send("Runtime.evaluate", expression=code, returnByValue=True,
                          awaitPromise=True)  # fmt: skip
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def until(self, code, seconds=60):
        """Wait until an expression is true, and return its value."""
        end = time.monotonic() + seconds
        while not (value := self.js(code)):
            assert time.monotonic() < end, f"never true: {code}"
            time.sleep(0.03)
        return value

    def resize(self, width, height):
        """The window's size [px]."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=1, mobile=False)  # fmt: skip

    def mouse(self, kind, x, y, **more):
        """``Pressed``, ``Moved`` or ``Released``, at a place of the window."""
        self.send("Input.dispatchMouseEvent", type=f"mouse{kind}", x=x, y=y,
                  **{"button": "left", "clickCount": 1, **more})  # fmt: skip

    def click(self, x, y):
        """A click of the left button; sooner after another it would be a double click."""
        time.sleep(0.5)
        self.mouse("Moved", x, y, button="none")
        self.mouse("Pressed", x, y)
        self.mouse("Released", x, y)

    def drag(self, start, stop, steps=6):
        """Drag from one place to another with the left button."""
        self.mouse("Moved", *start, button="none")
        self.mouse("Pressed", *start)
        for k in range(1, steps + 1):
            part = k / steps
            self.mouse("Moved", *(a + part * (b - a) for a, b in zip(start, stop, strict=True)),
                       buttons=1)  # fmt: skip
        self.mouse("Released", *stop)

    def key(self, key, shift=False):
        """Press and release a key."""
        text = key if len(key) == 1 else ""
        more = {"key": key, "modifiers": 8 * shift, "text": text,
                "windowsVirtualKeyCode": KEYS.get(key, ord(key.upper()[0]))}  # fmt: skip
        self.send("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", **more)
        self.send("Input.dispatchKeyEvent", type="keyUp", **more)

    def write(self, text):
        """Type text where the focus is."""
        self.send("Input.insertText", text=text)

    def picture(self, path):
        """The page as it is seen, as PNG."""
        found = self.send("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(found["data"]))

    def asked(self):
        """Every address that the page asked for."""
        kinds = ("Network.requestWillBeSent", "Network.webSocketCreated")
        asked = [e["params"] for e in self.events if e["method"] in kinds]
        return {p["request"]["url"] if "request" in p else p["url"] for p in asked}

    def complaints(self):
        """What the page wrote to its console as an error."""
        logs = [e["params"]["entry"] for e in self.events if e["method"] == "Log.entryAdded"]
        calls = [e["params"] for e in self.events if e["method"] == "Runtime.consoleAPICalled"]
        calls = [call for call in calls if call["type"] == "error"]
        thrown = [e["params"] for e in self.events if e["method"] == "Runtime.exceptionThrown"]
        return [e for e in logs if e["level"] == "error"] + calls + thrown

    def close(self):
        """End the browser."""
        self._process.terminate()
        self._process.wait(20)
        os.close(self._read)
        os.close(self._write)
