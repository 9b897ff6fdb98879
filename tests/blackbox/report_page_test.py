# SPDX-License-Identifier: Apache-2.0
"""Report pages in a real browser: what is drawn and where, that nothing is asked of the network,
that it can be read in the light and in the dark, on a wide screen and on a narrow one. And the JSON
and CSV forms, read by others than us."""

import csv
import json
import os

import harness
from browser import CONTRAST, NARROW, PLOTS, WIDE, Browser, browser_program, check_plot
from harness import check, check_equal, own_program, run

KINDS = ("empty", "one", "open", "closed", "long", "huge", "hostile")
folder = {}


def reports():
    """The folder with all sample reports, made once."""
    if not folder:
        program = own_program("MAKEREPORT")
        folder["path"] = harness.shared_folder()
        run([program, folder["path"]])
    return folder["path"]


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
        path = reports()
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
    server = case.server(shards=1, arguments=("--durability", "none"))
    page, record = (os.path.join(case.dir, name) for name in ("run.html", "run.json"))
    both = os.path.join(case.dir, "both.html")
    run([load, "--rate", "100/s", "--duration", "4s", "--warmup", "1s", "--recipients", "2",
         "--connections", "50", "--size", "uniform:1000-20000", "--lag-limit", "10s", "--quiet",
         "--html", page, "--json", record, f"smtp://127.0.0.1:{server.smtp[1]}"])
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
    path = reports()
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
