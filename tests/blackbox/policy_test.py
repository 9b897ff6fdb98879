# SPDX-License-Identifier: Apache-2.0
"""Domains, recipients and classes; a strict recipient, a lax postmaster and one with a small limit
in one transaction, in each dialect; what is held, and given free by the operator."""

import os
import re

import harness
from harness import GTUBE, check, check_equal, message

CONFIG = """
recipient_delimiter = "+";
{listeners}
listener "one" { address = "smtp+unix:{dir}/one.sock"; mixed = one-class; }
listener "refuse" { address = "smtp+unix:{dir}/refuse.sock"; on_refusal = refuse; }
listener "wrapped" { address = "smtp+unix:{dir}/wrapped.sock"; offer = [all]; }
rules = "rules";
class "strict" { score_reject = 5; score_defer = 2; reject_reply = "550 5.7.1 Not wanted here"; }
class "postmaster" { score_reject = off; }
class "small" { size_max = 10kb; size_reply = "552 5.2.3 At most 10 KB here"; }
class "gone" { action = reject; act_at = rcpt; reject_reply = "550 5.1.6 Moved away"; }
class "later" { action = defer; }
class "hole" { action = discard; }
class "held" { action = quarantine; }
class "long" { flags_reject = [long_line, high]; }
domain "mx.test.example" {
    recipients = ["strict strict", "small small", "gone gone", "later later", "hole hole",
                  "held held", "long long", "ann", "file:users"];
}
domain "any.example" { recipients = any; class = strict; }
domain "*.sub.example" { recipients = any; }
"""
RULES = b"""
GTUBE  any     1000  "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
prize  header  2.5   /^subject:.*\\bprize\\b/im
"""
STRICT, POSTMASTER, SMALL = ("strict@mx.test.example", "postmaster@mx.test.example",
                             "small@mx.test.example")
BIG = b"filler of the message\r\n" * 1000


def policy_server(case, **named):
    server = case.server(config=CONFIG, start=False, **named)
    with open(os.path.join(server.dir, "rules"), "wb") as f:
        f.write(RULES)
    with open(os.path.join(server.dir, "users"), "wb") as f:
        f.write(b"# users\nfile1\nfile2 small\n")
    return server.start()


def codes(replies):
    return [(r.code, r.enhanced) for r in replies]


def recipients_in(server, queue_id):
    return re.findall(r"[a-z0-9+]+@[a-z.]+\.example", server.spool_show(queue_id))


def test_domains_and_recipients(case):
    server = policy_server(case)
    client = server.client()
    client.hello()
    client.command("MAIL FROM:<sender@client.example>", 250)
    rows = [
        ("ann@mx.test.example", 250, "2.1.5"), ("ANN@MX.test.EXAMPLE", 250, "2.1.5"),
        ("ann+tag@mx.test.example", 250, "2.1.5"), ("file1@mx.test.example", 250, "2.1.5"),
        ("nobody@mx.test.example", 550, "5.1.1"), ("ann@elsewhere.example", 550, "5.7.1"),
        ("ann@sub.example", 550, "5.7.1"), ("ann@a.sub.example", 250, "2.1.5"),
        ("whoever@any.example", 250, "2.1.5"), ("gone@mx.test.example", 550, "5.1.6"),
        ("postmaster@mx.test.example", 250, "2.1.5"), ("PostMaster@any.example", 250, "2.1.5"),
        ("postmaster@elsewhere.example", 550, "5.7.1"),
    ]
    for address, code, enhanced in rows:
        reply = client.command(f"RCPT TO:<{address}>")
        check_equal((reply.code, reply.enhanced), (code, enhanced), address)
    reply = client.command("RCPT TO:<postmaster>")  # CORE-7
    check_equal(reply.code, 250)
    reply = client.command("RCPT TO:<PostMaster>")
    check_equal(reply.code, 250)
    reply = client.command("RCPT TO:<@relay.example,@b.example:ann@mx.test.example>")
    check_equal(reply.code, 250, "source route")
    check_equal(client.command("RCPT TO:<ann>").code, 501)
    refused = server.wait_log("rcpt_refused", 6)
    check_equal([r["code"] for r in refused], ["550"] * 5 + ["501"])


def test_declared_size(case):
    """CORE-20: 552 at RCPT where the class's limit is below the declared size."""
    server = policy_server(case)
    client = server.client()
    client.hello()
    client.command("MAIL FROM:<sender@client.example> SIZE=20000", 250)
    check_equal(client.command(f"RCPT TO:<{SMALL}>").code, 552)
    check_equal(client.command(f"RCPT TO:<{STRICT}>").code, 250)
    client.command("RSET", 250)
    check_equal(client.command("MAIL FROM:<s@client.example> SIZE=99999999999").code, 552)


def test_prdr(case):
    server = policy_server(case)
    client = server.client()
    client.hello()
    client.envelope([STRICT, POSTMASTER, SMALL], params="PRDR")
    replies = client.data(message(body=GTUBE + b"\r\n" + BIG), 5)
    check_equal([r.code for r in replies], [353, 550, 250, 552, 250])
    check("Not wanted here" in replies[1].text and "10 KB" in replies[3].text, replies)
    queue_id = replies[4].queue_id
    check_equal(set(recipients_in(server, queue_id)) & {STRICT, POSTMASTER, SMALL}, {POSTMASTER})
    (line,) = server.wait_log("transaction")
    check_equal(line["qid"], queue_id)
    check_equal(line["rules"], "GTUBE")
    check_equal(line["score"], "1000.00")
    words = [r.split() for r in line["rcpt"]]
    check_equal([w[:4] for w in words],
                [[STRICT, "strict", "reject", "550"], [POSTMASTER, "postmaster", "accept", "250"],
                 [SMALL, "small", "reject", "552"]])
    client.quit()
    check_equal(len(server.stored()), 1)


def test_deferrals(case):
    """DEF-5, DEF-6, DEF-10: 352 and a line for those whose class looks at content, 250 and no line
    for the others; the block after DATA and after BDAT LAST."""
    server = policy_server(case)
    client = server.client()
    client.hello()
    for send in (client.data, client.bdat):
        replies = client.envelope([STRICT, POSTMASTER, SMALL, "gone@mx.test.example"],
                                  params="DEFERRALS", rcpt_codes=(250, 352, 550))
        check_equal([r.code for r in replies], [352, 250, 352, 550])
        replies = send(message(body=GTUBE + b"\r\n" + BIG), 4)
        check_equal([r.code for r in replies], [353, 550, 552, 250])
        queue_id = replies[3].queue_id
        check_equal(set(recipients_in(server, queue_id)) & {STRICT, POSTMASTER, SMALL},
                    {POSTMASTER})
    client.envelope([STRICT, POSTMASTER], params="DEFERRALS", rcpt_codes=(250, 352))
    check_equal([r.code for r in client.data(message())], [250])  # DEF-9
    check_equal(client.command("MAIL FROM:<a@b.example> DEFERRALS PRDR").code, 501)
    client.envelope([STRICT, POSTMASTER])  # unasked never 352
    client.command("RSET", 250)
    client.quit()
    check_equal([line["dialect"] for line in server.wait_log("transaction", 3)], ["deferrals"] * 3)
    check_equal(len(server.stored()), 3)


def test_exdata(case):
    """EXD-2, EXD-8, EXD-9, EXD-10: one reply 558, a line for each; plain 2xx when all accept."""
    server = policy_server(case)
    client = server.client()
    client.hello()
    for params in ("EXDATA", "XEXDATA"):
        client.envelope([POSTMASTER, STRICT, SMALL], params=params)
        (reply,) = client.data(message(body=GTUBE + b"\r\n" + BIG))
        check_equal(reply.code, 558)
        check_equal([line[:9] for line in reply.lines], ["250 2.0.0", "550 5.7.1", "552 5.2.3"])
        check_equal(set(recipients_in(server, reply.queue_id)) & {STRICT, POSTMASTER, SMALL},
                    {POSTMASTER})
    client.envelope([POSTMASTER, STRICT], params="EXDATA")
    check_equal([r.code for r in client.data(message())], [250])
    client.envelope([POSTMASTER, STRICT])  # EXD-4: unasked never 558
    check_equal([r.code for r in client.data(message(body=GTUBE + b"\r\n"))], [250])
    client.quit()


def test_xrcpt250(case):
    """HOL-4, HOL-5: where it is offered."""
    server = policy_server(case)
    client = server.client()
    check("XRCPT250" not in client.hello().text, "offered without being asked for")
    check_equal(client.command("MAIL FROM:<a@b.example> XRCPT250").code, 555)
    client.quit()
    client = harness.Client(os.path.join(server.dir, "wrapped.sock")).of(case)
    check("XRCPT250" in client.hello().text, "is not offered")
    client.envelope([STRICT, POSTMASTER, SMALL], params="XRCPT250")
    (reply,) = client.data(message(body=GTUBE + b"\r\n" + BIG))
    check_equal((reply.code, reply.lines[0], reply.lines[-1]), (250, "2.0.0 +RCPT 3", "2.0.0 +END"))
    check_equal([line[:9] for line in reply.lines[1:-1]], ["550 5.7.1", "250 2.0.0", "552 5.2.3"])
    client.quit()
    check_equal(len(server.stored()), 1)


def test_other_dialects(case):
    """INL-2, OTH-11, OTH-4..OTH-8: where they are offered; what is stored is who was told 2xx."""
    server = policy_server(case)
    path = os.path.join(server.dir, "wrapped.sock")
    content = message(body=GTUBE + b"\r\n" + BIG)
    client = harness.Client(path).of(case)
    client.hello()
    client.envelope([STRICT, POSTMASTER, SMALL], params="INLINE-DSN", rcpt_codes=(250, 352))
    check_equal([r.code for r in client.data(content, 4)], [353, 550, 552, 250])
    client.envelope([STRICT, POSTMASTER, SMALL], params="XPRDR1")
    check_equal([r.code for r in client.data(content, 4)], [550, 250, 552, 250])
    client.command("MAIL FROM:<sender@client.example>", 250)
    client.command("ADAT 3", 354)
    client.send(harness.stuffed(content))
    check_equal(client.reply().code, 355)
    codes = [client.command(f"DRCP TO:<{r}>").code for r in (STRICT, POSTMASTER, SMALL)]
    check_equal(codes, [550, 250, 552])
    queue_id = client.command("ERCP 1", 250).queue_id
    check_equal(set(recipients_in(server, queue_id)) & {STRICT, POSTMASTER, SMALL}, {POSTMASTER})
    client.command("MAIL FROM:<sender@client.example>", 250)
    client.command("ADAT", 354)
    client.send(harness.stuffed(content))
    check_equal(client.reply().code, 355)
    client.command(f"DRCP TO:<{POSTMASTER}>", 250)
    client.command("ERCP 2", 554)  # other counts: nobody gets it
    client.command("MAIL FROM:<sender@client.example>", 250)
    client.command("ADAT", 354)
    client.send(b"bare\nLF\r\n.\r\n")
    check_equal(client.reply().code, 554)
    client.quit()
    check_equal(len(server.stored()), 3)


def test_prdr_not_asked(case):
    """PRDR-40: no 353 to a client that did not ask; again not after RSET."""
    server = policy_server(case)
    client = server.client()
    client.hello()
    client.envelope([STRICT, POSTMASTER], params="PRDR")
    client.command("RSET", 250)
    client.envelope([STRICT, POSTMASTER])
    check_equal([r.code for r in client.data(message(body=GTUBE + b"\r\n"))], [250])
    client.quit()


def test_lmtp(case):
    server = policy_server(case)
    for client in (server.lmtp_client(), server.lmtp_client(is_unix=True)):
        client.hello("LHLO")
        client.envelope([STRICT, POSTMASTER, SMALL, STRICT, POSTMASTER])
        replies = client.data(message(body=GTUBE + b"\r\n" + BIG), 5)
        check_equal([r.code for r in replies], [550, 250, 552, 550, 250])
        check_equal(replies[1].queue_id, replies[4].queue_id)
        seen = [a for a in recipients_in(server, replies[1].queue_id)
                if a in (STRICT, POSTMASTER, SMALL)]
        check(STRICT not in seen and SMALL not in seen and seen.count(POSTMASTER) >= 2, seen)
        client.quit()
    check_equal(len(server.spool_list()), 2)


def test_lmtp_bdat_and_failures(case):
    """LMTP-8, LMTP-12: one reply a recipient, whatever happened; 503 without recipients."""
    server = policy_server(case)
    client = server.lmtp_client()
    client.hello("LHLO")
    client.envelope([POSTMASTER, SMALL])
    check_equal([r.code for r in client.bdat(message(body=BIG), 2, chunk=4096)], [250, 552])
    client.envelope([POSTMASTER, SMALL])
    client.command("DATA", 354)
    client.send(b"Subject: x\r\n\r\nbare\nLF\r\n.\r\n")
    check_equal([client.reply().code for _ in range(2)], [550, 550])
    client.command("MAIL FROM:<a@b.example>", 250)
    client.command("RCPT TO:<nobody@mx.test.example>", 550)
    client.command("DATA", 503)
    client.send(b"BDAT 3 LAST\r\nabcNOOP\r\n")  # LMTP-8: no reply to BDAT LAST
    check_equal(client.reply().code, 250)
    check_equal(client.command("EHLO client.example").code, 500)  # LMTP-1
    client.quit()
    check_equal(len(server.spool_list()), 1)


def test_plain_quarantine_and_requeue(case):
    """worst: a refusal beside an acceptance is held for the operator, who gives it free."""
    server = policy_server(case)
    client = server.client()
    client.hello()
    content = message(body=GTUBE + b"\r\n")
    reply = client.deliver([STRICT, POSTMASTER], content)
    check_equal(reply.code, 250)
    (line,) = server.wait_log("transaction")
    check_equal(line["mixed"], "true")
    check_equal([r.split()[2] for r in line["rcpt"]], ["quarantine", "accept"])
    queue_id = reply.queue_id
    check("held" in server.spool_show(queue_id), server.spool_show(queue_id))
    check_equal(server.counters()["recipients_held_total"], 1)
    # By its class.
    held = client.deliver(["held@mx.test.example"], message())
    check_equal(held.code, 250)
    check_equal(server.spool_list("--held"), [queue_id, held.queue_id])
    server.ctl("spool", "requeue", queue_id, "--spool", server.spool)
    check_equal(server.spool_list("--held"), [held.queue_id])
    server.ctl("spool", "delete", held.queue_id, "--spool", server.spool)
    check_equal(server.spool_list(), [queue_id])
    client.quit()
    server.stop()
    server.start()
    check_equal(server.spool_list(), [queue_id], "after a restart")
    check_equal(server.spool_list("--held"), [], "after a restart")
    check_equal(server.stored()[queue_id].content, content)


def test_plain_defer_and_refuse(case):
    server = policy_server(case)
    client = server.client()
    client.hello()
    # worst: any temporary failure defers all.
    reply = client.deliver([POSTMASTER, "later@mx.test.example"], message())
    check_equal((reply.code, reply.enhanced), (451, "4.7.1"))
    reply = client.deliver([POSTMASTER, STRICT], message(subject="a prize"))
    check_equal(reply.code, 451, "score_defer")
    reply = client.deliver([STRICT], message(body=GTUBE + b"\r\n"))
    check_equal((reply.code, reply.enhanced), (550, "5.7.1"))
    check("Not wanted here" in reply.text, reply)
    check_equal(server.spool_list(), [])
    # on_refusal = refuse
    client = harness.Client(os.path.join(server.dir, "refuse.sock")).of(case)
    client.hello()
    reply = client.deliver([STRICT, POSTMASTER], message(body=GTUBE + b"\r\n"))
    check_equal(reply.code, 550)
    check_equal(server.spool_list(), [])


def test_one_class(case):
    server = policy_server(case)
    client = harness.Client(os.path.join(server.dir, "one.sock")).of(case)
    client.hello()
    client.command("MAIL FROM:<sender@client.example>", 250)
    client.command(f"RCPT TO:<{STRICT}>", 250)
    reply = client.command(f"RCPT TO:<{POSTMASTER}>", 452)
    check_equal(reply.enhanced, "4.5.3")
    client.command("RCPT TO:<other@any.example>", 250)  # the same class
    check_equal(client.command("RCPT TO:<nobody@mx.test.example>").code, 550)
    check_equal(client.data(message(body=GTUBE + b"\r\n"))[0].code, 550)
    check_equal(client.deliver([POSTMASTER], message(body=GTUBE + b"\r\n")).code, 250)
    # With replies per recipient there is no need to separate them.
    client.envelope([STRICT, POSTMASTER], params="PRDR")
    check_equal([r.code for r in client.data(message(body=GTUBE + b"\r\n"), 4)],
                [353, 550, 250, 250])
    client.quit()


def test_discard(case):
    server = policy_server(case)
    client = server.client()
    client.hello()
    check_equal(client.deliver(["hole@mx.test.example"], message()).code, 250)
    check_equal(server.spool_list(), [])
    check_equal(server.counters()["recipients_discarded_total"], 1)
    client.quit()


def test_flags(case):
    server = policy_server(case)
    client = server.lmtp_client()
    client.hello("LHLO")
    to = ["long@mx.test.example", "ann@mx.test.example"]
    for body, wanted in ((b"x" * 998 + b"\r\n", [250, 250]), (b"x" * 999 + b"\r\n", [554, 250]),
                         (b"\xe4\r\n", [550, 250])):
        client.envelope(to)
        check_equal([r.code for r in client.data(message(body=body), 2)], wanted, body[:5])
    client.quit()


def test_loop(case):
    """CORE-53: a whole-message refusal at 100 Received fields."""
    server = policy_server(case)
    client = server.client()
    client.hello()
    field = b"Received: from a.example by b.example; Fri, 02 Jan 2026 03:04:05 +0000\r\n"
    check_equal(client.deliver([POSTMASTER], field * 99 + message()).code, 250)
    reply = client.deliver([POSTMASTER], field * 101 + message())
    check_equal((reply.code, reply.enhanced), (554, "5.4.6"))


def test_map(case):
    """Recipients in an LMDB map made by posternctl map build."""
    users = os.path.join(case.dir, "users.txt")
    path = os.path.join(case.dir, "users.lmdb")
    with open(users, "w", encoding="ascii") as f:
        f.writelines(f"user{i} {'small' if i % 2 else 'default'}\n" for i in range(20000))
    harness.ctl("map", "build", "--from", users, "--to", path)
    server = case.server(config=f"""
        {{listeners}}
        class "small" {{ size_max = 10kb; }}
        domain "mx.test.example" {{ recipients = ["lmdb:{path}"]; }}
        """)
    client = server.lmtp_client()
    client.hello("LHLO")
    client.envelope(["user0@mx.test.example", "USER19999@mx.test.example"])
    check_equal([r.code for r in client.data(message(body=BIG), 2)], [250, 552])
    client.command("MAIL FROM:<a@b.example>", 250)
    client.command("RCPT TO:<user20000@mx.test.example>", 550)
    client.quit()


harness.main(globals())
