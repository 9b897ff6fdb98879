# SPDX-License-Identifier: Apache-2.0
"""postern-lab with mail programs of other people as clients and as servers, with and without a wire
between."""

import os

import harness
import peers
from harness import check, check_equal
from labtool import Result, lab, table, write

# Whole seconds, as Postfix knows them: C is 4 s, and all replies are there after 7.2 s.
REAL_CLIENT = """
experiment "real-client" {
  recipients = 10; time_scale = SCALE
  server { dialect = [smtp, lmtp]; before = 60s; per_recipient = 30s }
  client { like = postfix; limit = 200s; tries = 2; retry = 500s }
}
experiment "real-not" {
  time_scale = SCALE
  server { dialect = smtp; before = 60s; vanished = [run, stop] }
  client "wrong" { like = postfix; limit = 211s }
  client "none" { limit = 200s }
}
""".replace("SCALE", f"{20 * harness.SLOW}ms")
REAL_SERVER = """
experiment "real-server" {
  recipients = 3; messages = 3
  server { program = dovecot; dialect = lmtp; vanished = run }
  client { tries = 2; retry = 100s }
  faults { cut = [none, after-replies]; cut_replies = 1 }
}
experiment "real-not" {
  server { program = [dovecot, postern-sink]; dialect = lmtp; before = [0s, 10s] }
}
"""
# Whole seconds, as Postfix knows them, and resets, as TCP does.
WIRE = """
experiment "real" {
  recipients = 5; messages = 12; time_scale = SCALE; modes = [sim, real-client]
  server { dialect = lmtp; vanished = run; before = 60s; per_recipient = 10s }
  client { like = postfix; limit = 300s; tries = 2; retry = 500s }
  faults { cut = hazard; hazard = 0.01/s; one_way = 10s }
}
""".replace("SCALE", f"{10 * harness.SLOW}ms")


def needs_peer(name):
    if not peers.is_there(name) or os.geteuid() != 0:
        raise harness.Skip(f"{name} is not there, or this is not root")


def test_real_client(case):
    needs_peer("postfix")
    path = write(case, "real.conf", REAL_CLIENT)
    rows = {r["server.dialect"]: r
            for r in table(path, "--mode", "real-client", "--only", "real-client")}
    for dialect, copies in (("smtp", 10), ("lmtp", 0)):
        row = rows[dialect]
        check_equal(int(row["copies_first_try"]), copies, row)
        check_equal(int(row["copies_excess"]), copies, row)
        check_equal(int(row["livelocks"]), copies > 0, row)
        check_equal(int(row["tries"]), 2 if copies > 0 else 1, row)
    text = lab("run", path, "--mode", "real-client", "--only", "real-not")
    check("2 of 4 points: client.like is not postfix" in text, text)
    check("1 of 4 points: the limit is not a whole number of real seconds" in text, text)
    check("1 of 4 points: postfix sends QUIT behind the content" in text, text)


def test_real_server(case):
    needs_peer("dovecot")
    path = write(case, "real.conf", REAL_SERVER)
    rows = table(path, "--mode", "real-server", "--only", "real-server")
    found = {r["faults.cut"]: r for r in rows}
    check_equal([r["lost"] for r in rows], ["0", "0"], rows)
    check_equal(found["none"]["copies_excess"], "0", rows)
    # Who leaves behind one of three replies, and again behind one of two, leaves two copies too
    # many of a message, where the server has not seen him go.
    check(0 < int(found["after-replies"]["copies_excess"]) <= 6, rows)
    text = lab("run", path, "--mode", "real-server", "--only", "real-not")
    check("1 of 4 points: how long dovecot works cannot be set" in text, text)
    check("2 of 4 points: server.program is none of exim, dovecot, cyrus" in text, text)


def test_wire_before_a_real_client(case):
    """Whatever the client is: the try is the same, and so is what it could read."""
    needs_peer("postfix")
    r = Result(case, WIRE)
    (sim, live), = r.pairs()
    by_sim, by_live = r.first_tries(sim), r.first_tries(live)
    check_equal(sorted(by_sim), sorted(by_live))
    check(3 < len([seq for seq, (count, _) in by_sim.items() if count < 5]) < 12, by_sim)
    for seq, (count, _) in by_sim.items():
        other, ends = by_live[seq]
        check(abs(other - count) <= 1 + r.late_s / 10, seq, by_sim, by_live)
        check_equal(ends, {("lost", str(other), "5")} if other < 5 else set(), seq)
    check_equal(live["lost"], "0")


harness.main(globals(), seconds=300)
