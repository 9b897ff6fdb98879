# SPDX-License-Identifier: Apache-2.0
"""Report pages in a real browser: what is drawn and where, that nothing is asked of the network,
that it can be read in the light and in the dark, on a wide screen and on a narrow one. And the JSON
and CSV forms, read by others than us.

The browser is driven over the pipes of its DevTools protocol; JavaScript given to it there runs
beside the page, whose own policy forbids scripts."""

import csv
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
from harness import Skip, check, check_equal, own_program, run

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
        threading.Thread(target=self.serve, daemon=True).start()

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
        self.socket.close()


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

        # The browser reads from 3 and writes to 4.
        pipes = (f"import os, sys; os.dup2({to_read}, 3); os.dup2({from_write}, 4); "
                 "os.execv(sys.argv[1], sys.argv[1:])")
        command = [sys.executable, "-c", pipes, browser_program(), "--headless", "--no-sandbox", "--disable-gpu",
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
        self.page("Page.navigate", url="file://" + path)
        while not any(e.get("method") == "Page.loadEventFired" for e in self.events):
            self.events.append(self.receive())

    def asked(self):
        return [e["params"]["request"]["url"] for e in self.events
                if e.get("method") == "Network.requestWillBeSent"]

    def has_dialog(self):
        return any(e.get("method") == "Page.javascriptDialogOpening" for e in self.events)

    def evaluate(self, script):
        answer = self.page("Runtime.evaluate", expression=script, returnByValue=True)
        check("exceptionDetails" not in answer, answer)
        return answer["result"].get("value")

    def close(self):
        try:
            self.call("Browser.close")
            self.process.wait(30)
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

KINDS = ("empty", "one", "open", "closed", "long", "huge", "hostile")
folder = {}


def reports(case):
    """The folder with all sample reports, made once."""
    if not folder:
        program = own_program("MAKEREPORT")
        folder["path"] = os.path.join(os.path.dirname(case.dir), "reports")
        os.makedirs(folder["path"], exist_ok=True)
        run([program, folder["path"]])
    return folder["path"]


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


def drawn(plot, kind):
    """The data's paths of this class, without their samples in the legend."""
    return [s for s in plot["shapes"] if s["kind"] == kind and s["tag"] == "path" and
            not s["legend"] or s["kind"] == kind and s["tag"] == "path" and s["length"] > 60]


def check_drawn(plot, *kinds):
    for kind in kinds:
        paths = drawn(plot, kind)
        check_equal(len(paths), 1, f"{plot['labels'][0]}: {kind}")
        check(paths[0]["length"] > 300, plot["labels"][0], kind, "is too short", paths[0])
        paint = paths[0]["fill" if kind.startswith("fill") else "stroke"]
        check(paint.startswith("rgb"), plot["labels"][0], kind, "is not painted:", paint)


def with_browser(test):
    def wrapped(case):
        path = reports(case)
        browser = Browser(case)
        try:
            test(path, browser)
        finally:
            browser.close()
    return wrapped


@with_browser
def test_plots_are_drawn(path, browser):
    browser.show(os.path.join(path, "open.html"))
    plots = browser.evaluate(PLOTS)
    check_equal([p["labels"][0] for p in plots],
                ["Latency by percentile", "Latency over time", "Rate over time", "Message sizes"])
    for plot in plots:
        check_plot(plot, "open: " + plot["labels"][0])
    check_drawn(plots[0], "line c1", "line c2")
    check_drawn(plots[1], "line c1", "line c4", "line c8")
    check_drawn(plots[2], "fill c3", "fill c4", "fill c5", "fill c6")
    check_drawn(plots[3], "fill c1")
    # The stall of a second shows: planned rises to the top of the plot, actual does not.
    planned, actual = (drawn(plots[0], k)[0]["bounds"] for k in ("line c1", "line c2"))
    check(planned[1] < actual[1] - 20, "the stall does not show", planned, actual)

    browser.show(os.path.join(path, "open-compared.html"))
    plots = browser.evaluate(PLOTS)
    check_equal(len(plots), 3)
    for plot in plots:
        check_plot(plot, "compared: " + plot["labels"][0])
    check_drawn(plots[0], "line c1", "line c2")
    check_drawn(plots[1], "line c7", "line c1", "line c4 dash", "line c2")
    check_drawn(plots[2], "line c1", "line c2")


@with_browser
def test_every_kind_of_run(path, browser):
    for kind in KINDS:
        for page in (f"{kind}.html", f"{kind}-compared.html"):
            browser.show(os.path.join(path, page))
            for plot in browser.evaluate(PLOTS):
                check_plot(plot, f"{page}: {plot['labels'][0]}")
            check_equal(browser.evaluate("document.scripts.length"), 0, page)
            check_equal(browser.evaluate("document.images.length"), 0, page)
            check(not browser.has_dialog(), page, "ran a script")
            words = browser.evaluate("document.body.innerText")
            check(("NOT A RESULT" in words) == (kind == "hostile"), page, "verdict")
    browser.show(os.path.join(path, "hostile.html"))
    said = browser.evaluate("document.body.innerText")
    check("</script><script>alert(1)</script>" in said, "what the server said is not shown")


@with_browser
def test_nothing_is_fetched(path, browser):
    for kind in ("open", "hostile", "hostile-compared", "empty"):
        page = os.path.join(path, kind + ".html")
        browser.show(page)
        # What would be asked late, is asked by then.
        browser.evaluate("document.body.getBoundingClientRect().height")
        check_equal(browser.asked(), ["file://" + page], kind)
    check(not [l for l in browser.proxy.lines if "example" in l], browser.proxy.lines)

    # That this test would see it.
    control = os.path.join(path, "control.html")
    with open(control, "w", encoding="utf-8") as f:
        f.write('<!DOCTYPE html><img src="http://control.example/picture">')
    browser.show(control)
    check("http://control.example/picture" in browser.asked(), browser.asked())
    harness.wait_until(lambda: any("control.example" in l for l in browser.proxy.lines),
                       "the proxy is asked")
    # And that the policy of the page holds even if something slipped through.
    with open(os.path.join(path, "open.html"), encoding="utf-8") as f:
        text = f.read()
    with open(control, "w", encoding="utf-8") as f:
        f.write(text.replace("<h1>", '<img src="http://slipped.example/x"><script>'
                                     "document.title = 'ran'</script><h1>", 1))
    browser.show(control)
    check(browser.evaluate("document.title") != "ran", "a script ran")
    check(not any("slipped.example" in l for l in browser.proxy.lines), browser.proxy.lines)


@with_browser
def test_light_dark_wide_narrow(path, browser):
    grounds = set()
    for page in ("open.html", "hostile.html", "open-compared.html"):
        for size in (WIDE, NARROW):
            for scheme in ("light", "dark"):
                browser.show(os.path.join(path, page), size, scheme)
                ratio, where = browser.evaluate(CONTRAST)
                check(ratio >= 4.5, page, scheme, f"contrast {ratio:.2f} at {where}")
                width = browser.evaluate("document.documentElement.scrollWidth")
                check(width <= size[0], page, size, f"is {width} wide")
                grounds.add(browser.evaluate("getComputedStyle(document.body).backgroundColor"))
    check_equal(len(grounds), 2, "backgrounds of light and dark")


def test_a_real_run(case):
    """postern-load against posternd: its page, and the page that compares it with itself."""
    load = own_program("POSTERN_LOAD")
    browser_program()
    server = case.server(shards=1)
    page, record = (os.path.join(case.dir, name) for name in ("run.html", "run.json"))
    both = os.path.join(case.dir, "both.html")
    run([load, "--rate", "100/s", "--duration", "4s", "--warmup", "1s", "--recipients", "2",
         "--size", "uniform:1000-20000", "--lag-limit", "10s", "--quiet", "--html", page,
         "--json", record, f"smtp://127.0.0.1:{server.smtp[1]}"])
    run([load, "compare", record, record, both])
    with open(record, encoding="utf-8") as f:
        finished = json.load(f)["counters"]["finished"]
    browser = Browser(case)
    try:
        browser.show(page)
        check_equal(browser.asked(), ["file://" + page])
        plots = browser.evaluate(PLOTS)
        for plot in plots:
            check_plot(plot, "real run: " + plot["labels"][0])
        check_drawn(plots[0], "line c1", "line c2")
        check_drawn(plots[1], "line c1", "line c4", "line c8")
        check_drawn(plots[2], "fill c3")
        check_drawn(plots[3], "fill c1")
        words = browser.evaluate("document.body.innerText")
        check(f"{harness.HOSTNAME} ESMTP" in words, "the greeting is not there")
        check(f"{2 * finished} of {2 * finished}" in words, "not all were accepted:", words)
        check("NOT A RESULT" not in words, words[:600])
        browser.show(both)
        plots = browser.evaluate(PLOTS)
        check_drawn(plots[0], "line c1", "line c2")
        check("None." in browser.evaluate("document.body.innerText"), "differences with itself")
    finally:
        browser.close()


def test_json_and_csv_are_read_by_others(case):
    path = reports(case)
    for kind in KINDS:
        with open(os.path.join(path, kind + ".json"), encoding="utf-8") as f:
            report = json.load(f)
        with open(os.path.join(path, kind + ".csv"), encoding="utf-8", newline="") as f:
            rows = list(csv.DictReader(f))
        columns = report["series"]["columns"]
        check_equal(len(rows), len(report["series"]["rows"]), kind)
        for seen, expected in zip(rows, report["series"]["rows"]):
            check_equal([int(seen[c]) for c in columns], expected, kind)
        for name, clocks in report["latency_ns"].items():
            for clock, hist in clocks.items():
                check_equal(sum(count for _, count in hist["buckets"]), hist["count"],
                            f"{kind}: {name} {clock}")
        if kind in ("open", "closed", "long"):
            whole = report["latency_ns"]["transaction"]
            check_equal(whole["planned"]["count"], report["counters"]["finished"], kind)
            check(whole["planned"]["p99.99"] >= whole["actual"]["p99.99"], kind)


harness.main(globals())
