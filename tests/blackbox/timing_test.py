# SPDX-License-Identifier: Apache-2.0
"""Decisions that take time, in the real server: replies that stream, what a kill leaves of a
message that is half decided, the reply budget, clients who leave, and replies in doubt."""

import harness
from harness import check, check_equal, message, stuffed, wait_until

CONFIG = """
{listeners}
client "hasty" { helo = "hasty.*"; reply_budget = BUDGET; }
class "soon" { delay = 50ms; }
class "never" { delay = 1h; }
domain "mx.test.example" {
    recipients = ["ann soon", "bob soon", "cid", "eve never"];
}
""".replace("BUDGET", f"{3 * harness.SLOW}s")


def rcpts(*names):
    return [f"{n}@mx.test.example" for n in names]


def begin(client, word, names, params=""):
    client.hello(word)
    client.envelope(rcpts(*names), params=params)
    client.command("DATA", 354)
    client.send(stuffed(message()))


def recipients_of(server, queue_id):
    """{name: state}, as posternctl shows them."""
    lines = [l.split() for l in server.spool_show(queue_id).splitlines() if l.startswith("rcpt: ")]
    return {l[1].strip("<>").split("@")[0]: l[2] for l in lines}


def test_kill_leaves_who_was_answered(case):
    server = case.server(config=CONFIG)
    client = server.lmtp_client()
    begin(client, "LHLO", ("ann", "cid", "bob", "eve"))
    replies = [client.expect(250) for _ in range(3)]
    queue_id = replies[0].queue_id
    check(all(r.queue_id == queue_id for r in replies), replies)
    server.kill()
    check_equal(server.spool_list(), [queue_id])
    check_equal(recipients_of(server, queue_id),
                {"ann": "active", "cid": "active", "bob": "active", "eve": "waiting"})
    server.start()
    check_equal(server.spool_list(), [queue_id])
    server.stop()


def test_kill_leaves_nothing_before_the_last_reply(case):
    server = case.server(config=CONFIG)
    client = server.client()
    begin(client, "EHLO", ("ann", "bob", "eve"), params="PRDR")
    client.expect(353)
    for _ in range(2):
        check_equal(client.expect(250).text, "2.0.0 accepted")
    server.kill()
    check_equal(server.spool_list(), [])


def test_budget(case):
    server = case.server(config=CONFIG)
    client = server.lmtp_client()
    client.command("LHLO hasty.example", 250)
    client.envelope(rcpts("ann", "eve", "bob"))
    replies = client.data(message(), count=3)
    check_equal([r.code for r in replies], [250, 451, 451])
    check_equal(replies[1].enhanced, "4.4.7")
    client.quit()
    (line,) = server.wait_log("reply_budget_ended")
    check_equal((line["waiting_for"], line["rcpts_undecided"]), ("decision", "2"))
    check_equal(server.counters()["reply_budgets_ended_total"], 1)
    (queue_id,) = server.spool_list()
    check_equal(recipients_of(server, queue_id),
                {"ann": "active", "eve": "waiting", "bob": "waiting"})
    server.stop()


def test_vanished(case):
    server = case.server(config=CONFIG)
    for leave in ("close", "reset"):
        client = server.client()
        begin(client, "EHLO", ("eve",))
        getattr(client, leave)()
    lines = server.wait_log("aborted", count=2)
    check(all(l["reason"] == "connection lost" for l in lines), lines)
    check_equal([l["size"] for l in lines], [str(len(message()))] * 2)
    check_equal(server.spool_list(), [])
    server.stop()


def test_doubt(case):
    server = case.server(config=CONFIG)
    with server.client() as sure:
        sure.hello()
        known = sure.deliver(rcpts("cid"), message()).queue_id
        sure.quit()
    client = server.client()
    client.hello()
    client.envelope(rcpts("cid"))
    client.command("DATA", 354)
    client.send(stuffed(message()) + b"QUIT\r\n")
    unknown = client.expect(250).queue_id
    client.expect(221)
    client.close()
    (line,) = server.wait_log("reply_in_doubt")
    check_equal(line["qid"], unknown)
    wait_until(lambda: "\nreply: in_doubt\n" in server.spool_show(unknown), "the note in the spool")
    check("\nreply: -\n" in server.spool_show(known), server.spool_show(known))
    counters = server.counters()
    check_equal((counters["replies_known_read_total"], counters["replies_in_doubt_total"]), (1, 1))
    server.stop()


harness.main(globals())
