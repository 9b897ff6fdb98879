# SPDX-License-Identifier: Apache-2.0
"""Pages of postern-lab in a real browser: maps, curves and ladders are drawn and can be read,
nothing is asked of the network, and names that would be markup are words."""

import json
import os
import re

import harness
from browser import NARROW, PLOTS, WIDE, Browser, check_plot
from harness import check, check_equal, own_program, run

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
pages = {}

# Two numeric settings, one, none; times of chance, arrivals at a rate; and words that are markup.
FILE = r"""
experiment "plane" {
  title = "C & n <b>bold</b>"
  description = "</p><script>document.title = 'ran'</script><img src='http://slipped.example/x'>"
  recipients = [1, 2, 5, 10, 20]
  server { dialect = [lmtp, smtp]; before = 60s; per_recipient = 30s }
  client { limit = [30s, 90s, 300s, 600s, 1200s]; timer = total; tries = 5; retry = 30min }
}
experiment "curves" {
  title = "over the hazard"
  recipients = 10
  messages = 200
  seeds = 3
  server { dialect = [smtp, lmtp, prdr, wrapped-b]; before = 60s; per_recipient = 30s }
  client { limit = never; tries = 20; retry = 30min }
  faults { cut = hazard; hazard = [1e-5, 1e-4, 3e-4, 1e-3]; one_way = 50ms }
}
experiment "words" {
  title = "words"
  recipients = 10
  server {
    dialect = [smtp, lmtp, wrapped-b]; pacing = [stream, buffer]
    before = 60s; per_recipient = 30s
  }
  client { limit = 300s; timer = [reset, total]; tries = 3; retry = 30min }
}
experiment "storm" {
  title = "at a rate"
  recipients = 5
  rate = [0.5/s, 1.1/s]
  messages = 300
  senders = 100
  server { dialect = [smtp, lmtp]; before = 20s; per_recipient = 2s; capacity = 10; slowdown = 1 }
  client { limit = 300s; tries = 4; retry = 15min }
}
"""

# Two modes, and several time scales or one.
SCALES = """
experiment "scales" {
  modes = [sim, live]; time_scale = [1ms, 2ms, 4ms]; recipients = 2
  server { dialect = lmtp; before = 2s; per_recipient = 1s }
  client { limit = 600s; tries = 1 }
}
experiment "one" {
  modes = [sim, live]; time_scale = 2ms; recipients = [1, 2, 3]
  server { dialect = lmtp; before = 2s; per_recipient = 1s }
  client { limit = 600s; tries = 1 }
}
"""

# All maps and ladders: where cells, texts and marks are, in the units of the view box.
MAPS = """(() => [...document.querySelectorAll("svg.heat, svg.ladder")].map(svg => {
  const box = svg.viewBox.baseVal;
  const root = svg.getScreenCTM().inverse();
  const bounds = e => { const b = e.getBoundingClientRect();
    const p = new DOMPoint(b.left, b.top).matrixTransform(root);
    const q = new DOMPoint(b.right, b.bottom).matrixTransform(root); return [p.x, p.y, q.x, q.y]; };
  const named = id => { const e = document.getElementById(id); return e ? e.textContent : null; };
  return {
    kind: svg.getAttribute("class"), role: svg.getAttribute("role"),
    labels: (svg.getAttribute("aria-labelledby") || "").split(" ").map(named),
    view: [box.x, box.y, box.x + box.width, box.y + box.height],
    seen: svg.getBoundingClientRect().width > 0,
    cells: [...svg.querySelectorAll("g")].map(g => ({
      bounds: bounds(g.querySelector("rect")), fill: getComputedStyle(g.querySelector("rect")).fill,
      kind: g.querySelector("rect").getAttribute("class"), marked: !!g.querySelector("path"),
      hover: g.querySelector("title").textContent,
      text: (g.querySelector("text") || {textContent: ""}).textContent,
      ink: g.querySelector("text") ? getComputedStyle(g.querySelector("text")).fill : null})),
    texts: [...svg.querySelectorAll("text")].map(e => ({
      text: e.textContent, bounds: bounds(e), ink: getComputedStyle(e).fill})),
    arrows: svg.querySelectorAll(".arrow").length, lost: svg.querySelectorAll(".arrow.no").length,
    tries: svg.querySelectorAll(".try").length,
  };
}))()"""

# Contrast (WCAG 2) of texts that are no cells with what is behind them; the worst, and where.
CONTRAST = """(() => {
  const parts = c => (c.match(/[\\d.]+/g) || []).map(Number);
  const light = c => { const [r, g, b] = parts(c).map(v => v / 255).map(
      v => v <= 0.03928 ? v / 12.92 : Math.pow((v + 0.055) / 1.055, 2.4));
      return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = e => {
    const rect = e.closest("svg.heat g") && e.closest("g").querySelector("rect");
    if (rect) return getComputedStyle(rect).fill;
    for (; e; e = e.parentElement) {
      const c = getComputedStyle(e).backgroundColor, p = parts(c);
      if (p.length === 3 || p[3] > 0) return c; } return "rgb(255, 255, 255)"; };
  let worst = [99, ""];
  for (const e of document.querySelectorAll("body *")) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
    if (!own || ["title", "desc", "TITLE"].includes(e.tagName)) continue;
    const style = getComputedStyle(e);
    const a = light(e instanceof SVGElement ? style.fill : style.color), b = light(behind(e));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < worst[0]) worst = [ratio, e.outerHTML.slice(0, 120)];
  }
  return worst;
})()"""


# Sentences that are wider than the page.
CUT_OFF = """[...document.querySelectorAll("p, li, caption, figcaption")].filter(
    e => e.getBoundingClientRect().right > innerWidth).map(e => e.textContent.slice(0, 80))"""


def page(name, *arguments):
    """The path of a page made once by postern-lab run."""
    if name not in pages:
        path = os.path.join(harness.shared_folder(), name)
        with open(path + ".conf", "w", encoding="utf-8") as f:
            f.write(FILE)
        source = arguments[0] if arguments and not arguments[0].startswith("-") else path + ".conf"
        rest = arguments[1:] if source != path + ".conf" else arguments
        run([own_program("POSTERN_LAB"), "run", source, "--mode", "sim", "--json", path + ".json",
             "--text", path + ".txt", "--html", path + ".html", *rest])
        pages[name] = path
    return pages[name]


def with_browser(test):
    def wrapped(case):
        browser = Browser(case)
        try:
            test(case, browser)
        finally:
            browser.close()
    return wrapped


def unfold(browser):
    browser.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")


def check_map(shape, name):
    check_equal(shape["role"], "img", name)
    check(len(shape["labels"]) == 2 and all(shape["labels"]), name, shape["labels"])
    left, top, right, bottom = shape["view"]
    for what in shape["cells"] + shape["texts"]:
        box = what["bounds"]
        check(box[0] >= left - 1 and box[1] >= top - 1 and box[2] <= right + 1 and
              box[3] <= bottom + 1, name, "is cut off:", what)
    # No two texts lie on each other.
    texts = [t for t in shape["texts"] if t["text"]]
    for i, a in enumerate(texts):
        for b in texts[i + 1:]:
            over = [min(a["bounds"][2], b["bounds"][2]) - max(a["bounds"][0], b["bounds"][0]),
                    min(a["bounds"][3], b["bounds"][3]) - max(a["bounds"][1], b["bounds"][1])]
            check(over[0] < 1 or over[1] < 4, name, "texts overlap:", a, b)


@with_browser
def test_pictures_are_drawn(case, browser):
    browser.show(page("sample") + ".html")
    unfold(browser)
    maps = browser.evaluate(MAPS)
    for shape in maps:
        check(shape["seen"], shape["labels"], "is not seen")
        check_map(shape, shape["labels"][0])
    # A map for each dialect, five by five.
    planes = [m for m in maps if m["labels"][0].startswith("Copies too many, all tries: dialect")]
    check_equal([m["labels"][0] for m in planes],
                [f"Copies too many, all tries: dialect = {d}" for d in ("lmtp", "smtp")])
    check_equal([len(m["cells"]) for m in planes], [25, 25])
    with open(page("sample") + ".json", encoding="utf-8") as f:
        result = json.load(f)
    # Every cell says what the result says.
    experiment = result["experiments"][0]
    names = [axis["name"].split(".")[-1] for axis in experiment["axes"]]
    for at, point in enumerate(experiment["points"]):
        words = [axis["values"][at]["text"] for axis, at in zip(experiment["axes"], point["at"])]
        words = dict(zip(names, words))
        shape = planes[("lmtp", "smtp").index(words["dialect"])]
        copies = point["summary"]["sim"]["copies_total"]["mean"]
        found = [c for c in shape["cells"]
                 if re.match(f"recipients = {words['recipients']}, limit = {words['limit']}:|"
                             f"limit = {words['limit']}, recipients = {words['recipients']}:",
                             c["hover"])]
        check_equal(len(found), 1, words)
        check(f": {copies:.0f} copies a message" in found[0]["hover"], copies, found[0])
        check_equal(found[0]["text"], f"{copies:.0f}", words)
        check_equal(found[0]["kind"] == "h0", copies == 0, words)
        check_equal(found[0]["marked"], point["summary"]["sim"]["livelock"]["mean"] == 1, words)
    check(len({c["fill"] for m in planes for c in m["cells"]}) >= 4, "all have the same colour")


@with_browser
def test_curves_have_bands(case, browser):
    browser.show(page("sample") + ".html")
    unfold(browser)
    plots = browser.evaluate(PLOTS)
    for plot in plots:
        check_plot(plot, plot["labels"][0])
    copies = [p for p in plots if p["labels"][0] == "Copies too many, all tries"]
    check_equal(len(copies), 1)
    lines = [s for s in copies[0]["shapes"] if s["kind"].startswith("line")]
    bands = [s for s in copies[0]["shapes"] if s["kind"].startswith("band")]
    check(len(lines) >= 3 and len(bands) >= 2, lines, bands)
    for band in bands:
        own = [l for l in lines if l["kind"].split()[1] == band["kind"].split()[1]]
        check_equal(len(own), 1)
        check(band["bounds"][1] <= own[0]["bounds"][1] + 0.5 and band["length"] > 300, band, own)
    # Over time: queues of the two rates, and four lines for each point.
    queues = [p for p in plots if p["labels"][0].startswith("At the server")]
    check_equal(len(queues), 2)
    flows = [p for p in plots if p["labels"][0].startswith("Messages and copies a minute")]
    check_equal([len([s for s in p["shapes"] if s["kind"].startswith("line")]) for p in flows],
                [4] * 4)


@with_browser
def test_ladder(case, browser):
    one = page("ladder", os.path.join(ROOT, "bench", "lab", "classic.conf"),
               "--only", "classic", "--where", "server.dialect=lmtp", "--where",
               "server.pacing=stream", "--where", "server.vanished=run", "--where",
               "client.timer=total", "--ladder", "0")
    browser.show(one + ".html")
    unfold(browser)
    ladders = [m for m in browser.evaluate(MAPS) if m["kind"] == "ladder"]
    check_equal(len(ladders), 1)
    check_map(ladders[0], "ladder")
    check_equal(ladders[0]["tries"], 2)
    texts = [t["text"] for t in ladders[0]["texts"]]
    for words in ("gives up", "commits recipient 10", "recipient 8: accepted",
                  "recipient 9: not known", "300.000 s", "2100.000 s", "client", "server"):
        check(words in texts, words, texts)
    check(ladders[0]["arrows"] > 30, ladders[0]["arrows"])
    said = browser.evaluate("document.body.innerText")
    check("recipient 9: not known" in said, "the list does not say it")


@with_browser
def test_markup_is_words_and_nothing_is_fetched(case, browser):
    path = page("sample") + ".html"
    browser.show(path)
    unfold(browser)
    browser.evaluate("document.body.getBoundingClientRect().height")
    check_equal(browser.asked(), ["file://" + path])
    check(not [l for l in browser.proxy.lines if "example" in l], browser.proxy.lines)
    check_equal(browser.evaluate("document.scripts.length"), 0)
    check_equal(browser.evaluate("document.images.length"), 0)
    check(browser.evaluate("document.title") != "ran", "a script ran")
    check(not browser.has_dialog(), "a dialog")
    words = browser.evaluate("document.body.innerText")
    check("C & n <b>bold</b>" in words, words[:2000])
    check("<script>document.title = 'ran'</script>" in words, words[:2000])


def test_pictures_are_of_a_mode_that_the_lists_are_about(case):
    """What the simulation makes of several time scales is always the same."""
    path = os.path.join(case.dir, "scales")
    with open(path + ".conf", "w", encoding="utf-8") as f:
        f.write(SCALES)
    run([own_program("POSTERN_LAB"), "run", path + ".conf", "--html", path + ".html",
         "--text", os.devnull, "--tolerate"])
    with open(path + ".html", encoding="utf-8") as f:
        parts = re.split('<section class="card" id="e[01]">', f.read())
    of = [set(re.findall("As run by ([a-z-]+)[.]</figcaption>", part)) for part in parts]
    check_equal(of, [set(), {"live"}, {"sim"}])
    with open(page("sample") + ".html", encoding="utf-8") as f:
        check("As run by" not in f.read(), "there is only one mode")


def test_results_of_strangers(case):
    """A result that was read back may say anything in its words."""
    with open(page("sample") + ".json", encoding="utf-8") as f:
        text = f.read()
    hostile = "<script>alert(1)</script>\"'&"
    words = json.loads(text)
    for name in ("version", "kernel", "cpu", "command", "started", "path"):
        words[name] = hostile
    words["modes"][0]["note"] = hostile
    for experiment in words["experiments"]:
        experiment["title"] = experiment["description"] = hostile
        for axis in experiment["axes"]:
            axis["values"][0]["text"] = hostile
        for fixed in experiment["fixed"]:
            fixed["text"] = hostile
    path = os.path.join(case.dir, "hostile.json")
    with open(path, "w", encoding="utf-8") as f:
        json.dump(words, f)
    run([own_program("POSTERN_LAB"), "show", path, "--html", path + ".html", "--text", os.devnull])
    with open(path + ".html", encoding="utf-8") as f:
        made = f.read()
    check("<script" not in made, "markup got through")
    check(made.count("&#60;script&#62;") > 20, "the words are gone")


@with_browser
def test_light_dark_wide_narrow(case, browser):
    path = page("sample") + ".html"
    grounds = set()
    for size in (WIDE, NARROW):
        for scheme in ("light", "dark"):
            browser.show(path, size, scheme)
            unfold(browser)
            ratio, where = browser.evaluate(CONTRAST)
            check(ratio >= 4.5, scheme, f"contrast {ratio:.2f} at {where}")
            width = browser.evaluate("document.documentElement.scrollWidth")
            check(width <= size[0], size, f"is {width} wide")
            cut = browser.evaluate(CUT_OFF)
            check(not cut, size, "can be read only by scrolling:", cut)
            grounds.add(browser.evaluate("getComputedStyle(document.body).backgroundColor"))
    check_equal(len(grounds), 2, "backgrounds of light and dark")


harness.main(globals())
