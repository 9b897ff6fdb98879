# SPDX-License-Identifier: Apache-2.0
"""The wire between the programs of a live run: cuts at random times, delays, slow links and black
holes do there what they do in the simulation, try by try, and what cannot be is not run."""

import glob
import os
import re
import signal
import subprocess

import harness
from harness import check, check_equal
from labtool import Result, lab

SCALE = f"{5 * harness.SLOW}ms"
HAZARD = """
experiment "hazard" {
  recipients = 5; messages = 60; time_scale = SCALE; modes = [sim, live]
  server { program = [postern-sink, posternd]; dialect = lmtp; before = 60s; per_recipient = 30s }
  client { limit = never; tries = 2; retry = 10s }
  faults { cut = hazard; hazard = 0.004/s; one_way = 5s }
}
""".replace("SCALE", SCALE)
# The replies are 20 s and more away from the limit, on both sides: 100 ms.
DELAY = """
experiment "delay" {
  recipients = 5; messages = 3; time_scale = SCALE; modes = [sim, live]
  server { dialect = [smtp, lmtp, prdr]; before = 60s; per_recipient = 30s }
  client { limit = 110s; tries = 2; retry = 10s }
  faults { one_way = [0s, 20s] }
}
""".replace("SCALE", SCALE)
SLOW_LINK = """
experiment "slow" {
  recipients = 5; messages = 3; message_size = 4000; time_scale = SCALE; modes = [sim, live]
  server { dialect = lmtp; before = 10s; per_recipient = 1s }
  client { limit = [50s, 200s]; tries = 2; retry = 10s }
  faults { cut = [none, slow]; bytes_per_second = 50b }
}
""".replace("SCALE", SCALE)
BLACK_HOLE = """
experiment "hole" {
  recipients = 3; messages = 40; time_scale = SCALE; modes = [sim, live]
  server { dialect = [lmtp, prdr]; vanished = stop; before = 10s; per_recipient = 1s }
  client { limit = 120s; tries = 2; retry = 10s }
  faults { cut = black-hole; black_hole = 40% }
}
""".replace("SCALE", SCALE)
# What postern-sink cuts by itself, and the wire where the network is long: the same.
REPLIES = """
experiment "replies" {
  recipients = 6; messages = 2; time_scale = SCALE; modes = [sim, live]
  server { dialect = [lmtp, prdr]; before = 10s; per_recipient = 30s }
  client { limit = 600s; tries = 2; retry = 250s }
  faults { cut = after-replies; cut_replies = [0, 4]; first_try_only = yes; one_way = [0s, 3s] }
}
""".replace("SCALE", SCALE)
# Breaks come before the server looks (50 s) or while its reply is on its way (to 150 s), and often
# one of each: then the only copy is the second try's.
SPOOL = """
experiment "spool" {
  recipients = 2; messages = 60; time_scale = SCALE; modes = [sim, live]
  server { program = posternd; dialect = smtp; vanished = stop; before = 50s }
  client { limit = never; tries = 2; retry = 10s }
  faults { cut = hazard; hazard = 0.01/s; one_way = 100s }
}
""".replace("SCALE", SCALE)
NOT = """
experiment "not" {
  modes = live
  message_size = [4kb, 1mb]
  client { limit = [never, 10s] }
  faults { cut = black-hole; one_way = [0s, 1s] }
}
"""


def test_hazard_breaks_the_same_tries_as_in_the_simulation(case):
    """And at the same time: what was drawn is the message's and the try's. Only where a break and a
    reply are nearer to each other than the programs were late may one more be read, or less."""
    r = Result(case, HAZARD, "--ladder", "3")
    for sim, live in r.pairs():
        by_sim, by_live = r.first_tries(sim), r.first_tries(live)
        check_equal(sorted(by_sim), sorted(by_live))
        broken = [seq for seq, (count, _) in by_sim.items() if count < 5]
        check(20 < len(broken) < 50, len(broken))
        check(len({by_sim[seq][0] for seq in broken}) >= 4, by_sim)
        same = 0
        for seq, (count, _) in by_sim.items():
            other, other_ends = by_live[seq]
            check(abs(other - count) <= 1 + r.late_s / 30, seq, count, other, r.text)
            same += other == count
            check_equal(other_ends, {("lost", str(other), "5")} if other < 5 else set(), seq)
        if r.late_s < 5:
            check(same > 50, same, r.text)
        check_equal(live["lost"], "0")
    check(re.search(r"connection cut, behind \d answer", r.text), r.text)


def test_delay(case):
    r = Result(case, DELAY)
    found = {(row["server.dialect"], row["faults.one_way"]): row for row in r.live}
    for sim, live in r.pairs():
        if r.late_s < 15:
            check_equal(live["copies_first_try"], sim["copies_first_try"], r.text)
            check_equal(live["livelocks"], sim["livelocks"], r.text)
    # 90 s and 30 s are in time, and a reply after 130 s is not; by SMTP nothing ever is. The
    # opening line of PRDR comes at once, so its first reply is waited for from there.
    if r.late_s < 15:
        copies = {key: int(row["copies_first_try"]) for key, row in found.items()}
        check_equal(copies, {("lmtp", "0s"): 0, ("lmtp", "20s"): 15, ("smtp", "0s"): 15,
                             ("smtp", "20s"): 15, ("prdr", "0s"): 0, ("prdr", "20s"): 0})


def test_slow_link(case):
    """The content takes 80 s, and as the client's system takes it at once, the client waits all the
    time: its first reply comes after 90 s, and without the link after 11 s."""
    r = Result(case, SLOW_LINK)
    if r.late_s < 30:
        for sim, live in r.pairs():
            check_equal(live["copies_first_try"], sim["copies_first_try"], r.text)
        found = {(row["faults.cut"], row["client.limit"]): int(row["copies_first_try"])
                 for row in r.live}
        check_equal(found, {("none", "50s"): 0, ("none", "200s"): 0, ("slow", "50s"): 15,
                            ("slow", "200s"): 0})


def test_black_hole(case):
    r = Result(case, BLACK_HOLE)
    for sim, live in r.pairs():
        check(int(sim["copies_first_try"]) > 0)
        if r.late_s < 50:
            for name in ("copies_first_try", "copies_excess", "tries", "livelocks"):
                check_equal(live[name], sim[name], r.text)


def test_cuts_behind_replies(case):
    r = Result(case, REPLIES)
    for sim, live in r.pairs():
        if r.late_s < 15:
            check_equal(live["copies_first_try"], sim["copies_first_try"], r.text)
    copies = {int(row["copies_first_try"]) for row in r.live}
    check(r.late_s >= 15 or copies == {12, 4}, copies)


def test_copies_of_a_spool_are_of_their_tries(case):
    r = Result(case, SPOOL)
    (sim, live), = r.pairs()
    # Pairs that are there after all tries, and by the simulation not by the first one.
    later = int(sim["gave_up"]) - int(sim["copies_first_try"])
    check(later > 10, later)
    if r.late_s < 5:
        check(abs(int(live["copies_first_try"]) - int(sim["copies_first_try"])) <= 6, r.text)


def test_what_cannot_be_is_told(case):
    path = os.path.join(case.dir, "not.conf")
    with open(path, "w", encoding="utf-8") as f:
        f.write(NOT)
    text = lab("run", path, "--where", "client.limit=never")
    check("4 of 4 points: a client without a limit never leaves a black hole" in text, text)
    text = lab("run", path, "--where", "message_size=1mb", "--where", "client.limit=10s", "--where",
               "faults.one_way=1s")
    check(re.search(r"1 of 1 points: how much of more than 48 KB a system takes", text), text)


def test_nothing_is_left_behind(case):
    """Neither by a run to its end nor by Ctrl-C in the midst of it."""
    path, scratch = (os.path.join(case.dir, n) for n in ("e.conf", "scratch"))
    os.mkdir(scratch)
    with open(path, "w", encoding="utf-8") as f:
        f.write(HAZARD)
    command = [harness.own_program("POSTERN_LAB"), "run", path, "--mode", "live"]
    for is_stopped in (False, True):
        with subprocess.Popen(command, env=dict(os.environ, TMPDIR=scratch), text=True,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as lab_process:
            if is_stopped:
                harness.wait_until(lambda: glob.glob(scratch + "/*/attempts-0"),
                                   "a sender has begun")
                lab_process.send_signal(signal.SIGINT)
            error = lab_process.stderr.read()
            check_equal(lab_process.wait(), 3 if is_stopped else 0, error)
        check_equal(os.listdir(scratch), [])


harness.main(globals())
