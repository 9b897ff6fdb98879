# SPDX-License-Identifier: Apache-2.0
"""Python's smtplib: its SMTP and LMTP classes, plain and with what they make of refusals."""

import email.message
import smtplib

import harness
from harness import check, check_equal

CONFIG = """
{listeners}
class "strict" { score_reject = 5; }
domain "mx.test.example" { recipients = ["strict strict", "ann", "bob"]; }
"""


def mail(text="Hello.\n"):
    m = email.message.EmailMessage()
    m["From"] = "sender@client.example"
    m["To"] = "ann@mx.test.example"
    m["Subject"] = "smtplib"
    m["Message-ID"] = "<1@client.example>"
    m.set_content(text)
    return m


def test_smtp(case):
    server = case.server()
    with smtplib.SMTP(*server.smtp, local_hostname="client.example",
                      timeout=harness.STEP_SECONDS) as client:
        client.ehlo_or_helo_if_needed()
        for keyword in ("size", "pipelining", "8bitmime", "chunking", "enhancedstatuscodes", "dsn",
                        "smtputf8", "prdr", "limits"):
            check(client.has_extn(keyword), keyword, "is not offered")
        check_equal(client.send_message(mail()), {})
        check_equal(client.send_message(mail("..\n.\n. dot\n")), {})
        check_equal(client.sendmail("", ["ann@mx.test.example"], b"Subject: null\r\n\r\nx\r\n"), {})
    contents = [m.content for m in server.stored().values()]
    check_equal(len(contents), 3)
    check(any(b"\r\n\r\n..\r\n.\r\n. dot\r\n" in c for c in contents), contents)
    check(any(m.return_path == "" for m in server.stored().values()), "null path")


def test_smtputf8(case):
    server = case.server()
    with smtplib.SMTP(*server.smtp, local_hostname="client.example",
                      timeout=harness.STEP_SECONDS) as client:
        client.send_message(mail("\u00e4\u00f6\u00fc\n"), "s\u00e4nder@client.example",
                            ["\u00e4nn@mx.test.example"])
    (stored,) = server.stored().values()
    check(" with UTF8SMTP " in stored.received, stored.received)
    check_equal(stored.return_path, "s\u00e4nder@client.example")


def test_smtp_refusals(case):
    server = case.server(config=CONFIG)
    with smtplib.SMTP(*server.smtp, timeout=harness.STEP_SECONDS) as client:
        refused = client.send_message(mail(), None, ["ann@mx.test.example", "who@mx.test.example"])
        check_equal(list(refused), ["who@mx.test.example"])
        check_equal(refused["who@mx.test.example"][0], 550)
        try:
            client.send_message(mail(harness.GTUBE.decode()), None, ["strict@mx.test.example"])
            check(False, "GTUBE was not refused")
        except smtplib.SMTPDataError as error:
            check_equal(error.smtp_code, 550)
    check_equal(len(server.spool_list()), 1)


def lmtp(case, where):
    server = case.server(config=CONFIG)
    address = (server.unix, 0) if where == "unix" else server.lmtp
    with smtplib.LMTP(*address, local_hostname="client.example",
                      timeout=harness.STEP_SECONDS) as client:
        check_equal(client.send_message(mail()), {})
        check(not client.has_extn("prdr"), "PRDR over LMTP")
        # smtplib reads one reply to the content, so one recipient at a time.
        check_equal(client.send_message(mail(), None, ["bob@mx.test.example"]), {})
    check_equal(len(server.spool_list()), 2)


def test_lmtp_tcp(case):
    lmtp(case, "tcp")


def test_lmtp_unix(case):
    lmtp(case, "unix")


def test_vrfy_noop_help_rset(case):
    server = case.server()
    with smtplib.SMTP(*server.smtp, timeout=harness.STEP_SECONDS) as client:
        client.ehlo()
        check_equal(client.noop()[0], 250)
        check_equal(client.vrfy("ann@mx.test.example")[0], 252)
        check_equal(client.expn("list")[0], 502)
        check_equal(client.docmd("HELP")[0], 214)
        check_equal(client.rset()[0], 250)
    with smtplib.SMTP(*server.smtp, timeout=harness.STEP_SECONDS) as client:
        check_equal(client.helo("client.example")[0], 250)
        check_equal(client.sendmail("a@b.example", ["ann@mx.test.example"], "x\r\n"), {})
    (stored,) = server.stored().values()
    check(" with SMTP " in stored.received, stored.received)


harness.main(globals())
