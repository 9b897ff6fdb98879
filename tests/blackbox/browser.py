# SPDX-License-Identifier: Apache-2.0
"""A real browser for tests that look at pages: driven over the pipes of its DevTools protocol, with
a proxy that notes whatever is asked of the network. JavaScript given to it there runs beside the
page, whose own policy forbids scripts."""

import fcntl
import json
import os
import select
import socket
import subprocess
import sys
import threading
import time

import harness
from harness import Skip, check, check_equal

WIDE = (1160, 900)
NARROW = (390, 800)


def browser_program():
    for name in ("chromium", "chromium-browser", "google-chrome"):
        try:
            return harness.program(name)
        except Skip:
            pass
    raise Skip("chromium is not installed")


class Proxy:
    """Notes the first line of whatever is asked of the network, and answers nothing."""

    def __init__(self):
        self.lines = []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                try:
                    self.lines.append(connection.recv(4096).split(b"\r\n")[0].decode("latin-1"))
                except OSError:
                    pass

    def close(self):
        harness.close_listener(self.socket, self.thread)


def high_pipe():
    """A pipe whose numbers are out of the way of 3 and 4."""
    ends = os.pipe()
    high = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends]
    for end in ends:
        os.close(end)
    return high


class Browser:
    def __init__(self, case):
        to_read, self.to_write = high_pipe()
        self.from_read, from_write = high_pipe()
        self.proxy = Proxy()
        self.number = 0
        self.pending = b""
        self.events = []
        self.loader = None  # of the page that is shown
        self.old_loaders = set()

        # The browser reads from 3 and writes to 4.
        pipes = (f"import os, sys; os.dup2({to_read}, 3); os.dup2({from_write}, 4); "
                 "os.execv(sys.argv[1], sys.argv[1:])")
        command = [sys.executable, "-c", pipes, browser_program(), "--headless", "--no-sandbox",
                   "--disable-gpu",
                   "--disable-dev-shm-usage", "--disable-background-networking",
                   "--disable-component-update", "--disable-sync", "--no-first-run",
                   "--disable-default-apps", "--hide-scrollbars",
                   f"--user-data-dir={os.path.join(case.dir, 'browser')}",
                   f"--proxy-server=http://127.0.0.1:{self.proxy.port}",
                   "--proxy-bypass-list=<-loopback>", "--remote-debugging-pipe", "about:blank"]
        with open(os.path.join(case.dir, "browser.log"), "wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, pass_fds=(to_read, from_write),
                                            env=dict(os.environ, HOME=case.dir))
        os.close(to_read)
        os.close(from_write)
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target,
                                 flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime"):
            self.page(f"{domain}.enable")
        self.page("Page.setLifecycleEventsEnabled", enabled=True)

    def receive(self):
        deadline = time.monotonic() + 60 * harness.SLOW
        while b"\0" not in self.pending:
            check(time.monotonic() < deadline, "the browser does not answer")
            if select.select([self.from_read], [], [], 1)[0]:
                data = os.read(self.from_read, 1 << 20)
                check(data, "the browser has ended")
                self.pending += data
        message, self.pending = self.pending.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, session=None, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.to_write, data):]
        while True:
            answer = self.receive()
            if answer.get("id") == self.number:
                check("error" not in answer, method, answer)
                return answer["result"]
            self.events.append(answer)

    def page(self, method, **params):
        return self.call(method, session=self.session, **params)

    def show(self, path, size=WIDE, scheme="light"):
        """Opens a page and waits until it is loaded; what it asked for is in self.asked()."""
        self.page("Emulation.setDeviceMetricsOverride", width=size[0], height=size[1],
                  deviceScaleFactor=1, mobile=False)
        self.page("Emulation.setEmulatedMedia",
                  features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.events = []
        self.old_loaders.add(self.loader)
        self.loader = self.page("Page.navigate", url="file://" + path)["loaderId"]
        while not any(self.is_loaded(e) for e in self.events):
            self.events.append(self.receive())

    def is_loaded(self, event):
        """Of this page: what is told of the one before it may come late."""
        return (event.get("method") == "Page.lifecycleEvent" and
                event["params"]["name"] == "load" and
                event["params"]["loaderId"] == self.loader)

    def asked(self):
        return [e["params"]["request"]["url"] for e in self.events
                if e.get("method") == "Network.requestWillBeSent" and
                e["params"]["loaderId"] not in self.old_loaders]

    def has_dialog(self):
        return any(e.get("method") == "Page.javascriptDialogOpening" for e in self.events)

    def evaluate(self, script):
        answer = self.page("Runtime.evaluate", expression=script, returnByValue=True)
        check("exceptionDetails" not in answer, answer)
        return answer["result"].get("value")

    def close(self):
        try:
            self.call("Browser.close")
            self.process.wait(30 * harness.SLOW)
        except (harness.Failure, OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        self.proxy.close()
        os.close(self.to_write)
        os.close(self.from_read)


# All plots: the place of each shape and text, in the units of the view box.
PLOTS = """(() => [...document.querySelectorAll("svg.plot")].map(svg => {
  const box = svg.viewBox.baseVal, place = svg.getBoundingClientRect();
  const bounds = e => { const b = e.getBBox(); return [b.x, b.y, b.x + b.width, b.y + b.height]; };
  const named = id => { const e = document.getElementById(id); return e ? e.textContent : null; };
  return {
    view: [box.x, box.y, box.x + box.width, box.y + box.height],
    width: place.width, height: place.height, role: svg.getAttribute("role"),
    labels: (svg.getAttribute("aria-labelledby") || "").split(" ").map(named),
    shapes: [...svg.querySelectorAll("path, rect, circle")].map(e => ({
      kind: e.getAttribute("class"), tag: e.tagName, bounds: bounds(e),
      length: e.getTotalLength(), stroke: getComputedStyle(e).stroke,
      fill: getComputedStyle(e).fill, legend: e.getBBox().y < 20})),
    texts: [...svg.querySelectorAll("text")].map(e => ({text: e.textContent, bounds: bounds(e)})),
  };
}))()"""

# Contrast (WCAG 2) of every text with what is behind it; the worst, and where.
CONTRAST = """(() => {
  const parts = c => (c.match(/[\\d.]+/g) || []).map(Number);
  const light = c => { const [r, g, b] = parts(c).map(v => v / 255).map(
      v => v <= 0.03928 ? v / 12.92 : Math.pow((v + 0.055) / 1.055, 2.4));
      return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = e => { for (; e; e = e.parentElement) {
      const c = getComputedStyle(e).backgroundColor, p = parts(c);
      if (p.length === 3 || p[3] > 0) return c; } return "rgb(255, 255, 255)"; };
  let worst = [99, ""];
  for (const e of document.querySelectorAll("body *")) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
    if (!own || ["TITLE", "DESC", "title", "desc"].includes(e.tagName)) continue;
    const style = getComputedStyle(e);
    const a = light(e instanceof SVGElement ? style.fill : style.color), b = light(behind(e));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < worst[0]) worst = [ratio, e.outerHTML.slice(0, 120)];
  }
  return worst;
})()"""

def inside(inner, outer, slack=0.6):
    return (inner[0] >= outer[0] - slack and inner[1] >= outer[1] - slack and
            inner[2] <= outer[2] + slack and inner[3] <= outer[3] + slack)


def check_plot(plot, name):
    check_equal(plot["role"], "img", name)
    check_equal(len(plot["labels"]), 2, name)
    check(all(plot["labels"]), name, "title and description", plot["labels"])
    check(plot["width"] > 250 and plot["height"] > 80, name, "is too small", plot["width"])
    for shape in plot["shapes"]:
        check(inside(shape["bounds"], plot["view"]), name, "is drawn outside:", shape)
    for text in plot["texts"]:
        check(not text["text"] or inside(text["bounds"], plot["view"], 1), name, "cuts off", text)
