# SPDX-License-Identifier: Apache-2.0
"""Postfix's smtp-source, an independent client: many messages, sessions and recipients over SMTP
and LMTP; the spool and the counters must agree with what it was told to send."""

import harness
from harness import check, check_equal, program, run


def source(case, server, *arguments, is_lmtp=False, where=None):
    address = where or f"inet:127.0.0.1:{(server.lmtp if is_lmtp else server.smtp)[1]}"
    command = [program("smtp-source"), *(["-L"] if is_lmtp else []), *arguments,
               "-f", "sender@client.example", "-t", "ann@mx.test.example", "-M", "client.example",
               address]
    case.note(run(command, seconds=200 * harness.SLOW))


def check_counts(server, messages, recipients=1):
    lines = server.wait_log("transaction", messages)
    counters = server.counters()
    case = f"{messages} messages, {recipients} recipients"
    check_equal(counters["transactions_started_total"], messages, case)
    check_equal(counters["transactions_stored_total"], messages, case)
    check_equal(counters["recipients_accepted_total"], messages * recipients, case)
    check_equal(len(server.spool_list()), messages, case)
    for name in ("transactions_refused_total", "transactions_aborted_total", "pool_empty_total",
                 "log_lines_dropped_total", "bad_commands_total", "stale_events_total"):
        check_equal(counters[name], 0, name)
    check_equal(len(lines), messages, "log lines")
    check_equal(len({line["qid"] for line in lines}), messages, "queue ids")
    server.wait_counter("connections_open", lambda n: n == 0)


def test_smtp(case):
    server = case.server()
    source(case, server, "-m", "400", "-s", "20", "-l", "1024")
    check_counts(server, 400)
    server.stop()
    check_equal(len(server.spool_list()), 400, "after the end")


def test_smtp_connection_kept(case):
    server = case.server()
    source(case, server, "-d", "-m", "400", "-s", "10", "-l", "4000")
    check_counts(server, 400)


def test_smtp_many_recipients(case):
    server = case.server()
    source(case, server, "-m", "20", "-s", "5", "-r", "100", "-l", "10240")
    check_counts(server, 20, 100)


def test_smtp_big(case):
    server = case.server()
    source(case, server, "-m", "16", "-s", "4", "-l", str(2 << 20))
    check_counts(server, 16)
    for stored in server.stored().values():
        check(len(stored.content) >= 2 << 20, "size", len(stored.content))


def test_lmtp(case):
    server = case.server()
    source(case, server, "-d", "-m", "200", "-s", "10", "-r", "10", is_lmtp=True)
    check_counts(server, 200, 10)


def test_lmtp_unix(case):
    server = case.server()
    source(case, server, "-m", "100", "-s", "10", "-r", "3", is_lmtp=True,
           where=f"unix:{server.unix}")
    check_counts(server, 100, 3)


def test_smtp_refused_recipients(case):
    """Everything refused at RCPT: nothing in the spool, and the session goes on."""
    server = case.server(config='{listeners}\ndomain "served.example" { recipients = any }\n')
    try:
        source(case, server, "-m", "5", "-s", "1")
        check(False, "smtp-source takes no refusal for success")
    except harness.Failure as failure:
        check("550" in str(failure), failure)
    check_equal(server.spool_list(), [])


harness.main(globals())
