# SPDX-License-Identifier: Apache-2.0
"""From a reply to the log line, to the spool, to the Received field, and back by Message-ID."""

import os
import re

import harness
from harness import check, check_equal, message

NEEDED = ("time", "level", "event", "shard", "qid", "client", "listener", "helo", "dialect", "from",
          "size", "message_id", "score", "outcome", "durability", "t_envelope", "t_content",
          "t_decide", "t_commit", "t_reply", "t_total", "rcpts", "rcpts_refused", "rcpt")


def test_there_and_back(case):
    server = case.server()
    client = server.client()
    client.hello()
    content = message("trace", message_id="<trace.1@client.example>")
    other = message("trace", message_id="<trace.2@client.example>")
    replies = [client.deliver(["ann@mx.test.example"], c) for c in (content, other)]
    port = client.socket.getsockname()[1]
    client.quit()
    queue_id = replies[0].queue_id
    check(queue_id, "no queue id in", replies[0])
    # The reply's id leads to the log line,
    server.wait_log("transaction", 2)
    (line,) = server.log("transaction", qid=queue_id)
    for name in NEEDED:
        check(name in line, f"no {name} in the log line {line}")
    check_equal(line["from"], "sender@client.example")
    check_equal(line["message_id"], "<trace.1@client.example>")
    check_equal(line["client"], f"127.0.0.1:{port}")
    check_equal(line["helo"], "client.example")
    check_equal(line["size"], str(len(content)))
    check_equal(line["outcome"], "stored")
    check_equal(line["rcpt"][0].split()[:4], ["ann@mx.test.example", "default", "accept", "250"])
    check(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line["time"]), line["time"])
    phases = [float(line[n]) for n in NEEDED if n.startswith("t_") and n != "t_total"]
    check(all(p >= 0 for p in phases) and sum(phases) <= float(line["t_total"]) + 0.01, line)
    # to the spool,
    shown = server.spool_show(queue_id)
    for text in (queue_id, "sender@client.example", "ann@mx.test.example", "client.example",
                 "127.0.0.1", "<trace.1@client.example>"):
        check(text in shown, f"no {text} in\n{shown}")
    # to the Received field,
    stored = server.stored()[queue_id]
    check(f" id {queue_id} " in stored.received, stored.received)
    check_equal(stored.content, content)
    # and back from the message.
    check_equal(server.spool_list("--message-id", "<trace.1@client.example>"), [queue_id])
    check_equal(server.spool_list("--message-id", "<trace.2@client.example>"),
                [replies[1].queue_id])
    (back,) = server.log("transaction", message_id="<trace.1@client.example>")
    check_equal(back["qid"], queue_id)


def test_one_line_a_transaction(case):
    """Refused, aborted and stored ones alike; also with many recipients and strange bytes."""
    server = case.server()
    client = server.client()
    client.hello()
    client.envelope(["ann@mx.test.example"])
    client.data(message(body=b"bare\rCR\r\n"))
    (line,) = server.wait_log("transaction")
    check_equal(line["outcome"], "not_stored")
    check("error" not in line, "refusing is no error:", line)
    check("bare_cr" in line["flags"], line)
    check(re.fullmatch(harness.QUEUE_ID, line["qid"]), line)
    client.envelope(["ann@mx.test.example"])
    client.command("RSET", 250)
    (line,) = server.wait_log("aborted")
    check_equal(line["reason"], "reset")
    many = [f"recipient-{i:04d}@{'d' * 40}.example" for i in range(300)]
    client.envelope(many)
    reply = client.data(message(message_id='<"q u\\"o" =z@client.example>'))[0]

    def logged():
        """Over several lines."""
        found = [r.split()[0] for l in server.log(None, qid=reply.queue_id)
                 for r in l.get("rcpt", [])]
        return found if len(found) >= len(many) else None

    check_equal(harness.wait_until(logged, "a line for every recipient"), many)
    for text in server.text().split("\n"):
        check(re.fullmatch(r"[\x20-\x7e]*", text) and len(text) < 8192, "a log line:", text)
    client.quit()


def test_injection(case):
    """What a client says cannot make a log line or a header field of its own."""
    server = case.server()
    client = server.client()
    client.command("EHLO [tag:\u00e9\"\\ event=transaction]")
    client.command("EHLO x.example\tevent=forged")
    client.command("HELO client.example", 250)
    client.command('MAIL FROM:<"a b=\\"c\\" event=forged"@client.example>', 250)
    client.command("RCPT TO:<ann@mx.test.example>", 250)
    reply = client.data(message(message_id="<a b event=forged qid=x@client.example>"))[0]
    check_equal(reply.code, 250)
    server.wait_log("transaction")
    check_equal([l["event"] for l in server.log() if l["event"] in ("forged", "transaction")],
                ["transaction"])
    stored = server.stored()[reply.queue_id]
    check(stored.content.startswith(b"From: "), stored.content)


def test_log_file(case):
    """The same lines in a file, when that is asked for; standard error has the readiness line."""
    server = case.server(config="""
        log { to = "{dir}/log"; }
        {listeners}
        domain "*" { recipients = any }
        """)
    client = server.client()
    client.hello()
    reply = client.deliver(["ann@mx.test.example"], message())
    path = os.path.join(server.dir, "log")
    harness.wait_until(lambda: server.log("transaction", path=path, qid=reply.queue_id), "log line")
    check_equal([l for l in server.text().split("\n") if l.startswith("time=")], [])
    check(server.log("start", path=path), "no start line")


harness.main(globals())
