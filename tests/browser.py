"""Chromium without a window, for tests of how a page looks: it is told what to do through a pipe, in its own protocol.

https://chromedevtools.github.io/devtools-protocol/
"""

import base64
import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
         "--disable-dev-shm-usage", "--disable-background-networking", "--remote-debugging-pipe")  # fmt: skip
# Chromium reads what to do from file 3 and answers into file 4; a process starts it that has these two open.
START = """
import os, sys
for number, place in ((int(sys.argv[1]), 3), (int(sys.argv[2]), 4)):
    os.dup2(number, place)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Browser:
    """One window. events: what it told of since a page was opened, each a method and its parameters."""

    def __init__(self, profile):
        orders, self._orders = os.pipe()
        self._answers, answers = os.pipe()
        high = [fcntl.fcntl(each, fcntl.F_DUPFD, 10) for each in (orders, answers)]  # free ones, above 3 and 4
        command = [sys.executable, "-c", START, *map(str, high), CHROMIUM, *FLAGS, f"--user-data-dir={profile}"]
        self._process = subprocess.Popen(
            [*command, "about:blank"], pass_fds=high, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for each in (orders, answers, *high):
            os.close(each)
        self._number, self._read, self.events = 0, b"", []
        self._session = None
        window = next(each for each in self.do("Target.getTargets")["targetInfos"] if each["type"] == "page")
        self._session = self.do("Target.attachToTarget", targetId=window["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.do(f"{domain}.enable")

    def do(self, method, **parameters):
        """Have the browser do something, and return its answer."""
        self._number += 1
        order = {"id": self._number, "method": method, "params": parameters}
        order |= {"sessionId": self._session} if self._session else {}
        os.write(self._orders, json.dumps(order).encode() + b"\0")
        while (message := self._message()).get("id") != self._number:
            self.events.append((message.get("method"), message.get("params")))
        assert "error" not in message, message
        return message["result"]

    def _message(self):
        """Return the next thing that the browser says."""
        while b"\0" not in self._read:
            more = os.read(self._answers, 1 << 20)
            assert more, "the browser ended"
            self._read += more
        message, _, self._read = self._read.partition(b"\0")
        return json.loads(message)

    def open(self, address, width, *, dark=False, media=""):
        """Open a page in a window of this width, and wait until it is there."""
        self.do("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.do("Emulation.setEmulatedMedia", media=media, features=[scheme])
        self.events = []
        self.do("Page.navigate", url=address)
        while "Page.loadEventFired" not in [method for method, _ in self.events]:
            message = self._message()
            self.events.append((message.get("method"), message.get("params")))

    def evaluate(self, expression):
        """Return the value of JavaScript in the page, which its policy does not hold back."""
        result = self.do("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def requests(self):
        """Return the addresses that the page asked for."""
        return [more["request"]["url"] for method, more in self.events if method == "Network.requestWillBeSent"]

    def printed(self):
        """Return the page as PDF, as it is printed."""
        return base64.b64decode(self.do("Page.printToPDF", preferCSSPageSize=True)["data"])

    def picture(self):
        """Return the whole page as PNG."""
        width, height = self.evaluate("[innerWidth, document.documentElement.scrollHeight]")
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        return base64.b64decode(self.do("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)["data"])

    def close(self):
        """End the browser."""
        self._session = None
        with contextlib.suppress(OSError, AssertionError):
            self.do("Browser.close")
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._orders)
        os.close(self._answers)
