# SPDX-License-Identifier: Apache-2.0
"""swaks: plain SMTP, PRDR with three recipients and three answers, LMTP over TCP and over a unix
socket, pipelining, attachments."""

import base64
import os
import re
import shlex

import harness
from harness import check, check_equal, program, run

# A strict recipient, one with a small limit, and everybody else.
CONFIG = """
{listeners}
class "strict" { score_reject = 5; reject_reply = "550 5.7.1 Not wanted here"; }
class "small" { size_max = 10kb; size_reply = "552 5.2.3 At most 10 KB here"; }
class "lax" { score_reject = off; }
domain "mx.test.example" { recipients = ["strict strict", "small small", any]; class = lax; }
"""


def swaks(case, server, *arguments, status=0):
    command = [program("swaks"), "--from", "sender@client.example", "--helo", "client.example",
               "--timeout", str(harness.STEP_SECONDS)]
    if "--socket" not in arguments:
        port = server.lmtp[1] if "LMTP" in arguments else server.smtp[1]
        command += ["--server", "127.0.0.1", "--port", str(port)]
    text = run(command + list(arguments), status=status)
    case.note(text)
    return text


def replies(text):
    """Everything that the server said, as swaks prints it: '<-' and '<**' lines."""
    return re.findall(r"^<(?:-|\*\*|~)\s+(.*)$", text, re.MULTILINE)


def after_content(text):
    """The replies to the content: those behind its end."""
    return replies(text[text.index("\n -> .\n"):])


def test_plain(case):
    server = case.server()
    text = swaks(case, server, "--to", "ann@mx.test.example")
    lines = replies(text)
    check(lines[0].startswith("220 mx.test.example ESMTP"), lines[0])
    queue_id = re.search(rf"stored as ({harness.QUEUE_ID})", text).group(1)
    check_equal(server.spool_list(), [queue_id])
    stored = server.stored()[queue_id]
    check_equal(stored.return_path, "sender@client.example")
    check("This is a test mailing" in stored.content.decode(), stored.content)
    check("ann@mx.test.example" in server.spool_show(queue_id), "show does not name the recipient")


def test_several_recipients_and_sizes(case):
    server = case.server()
    body = "line of text\\n" * 6000
    text = swaks(case, server, "--to", "ann@mx.test.example,bob@mx.test.example", "--body", body)
    check_equal(len(server.spool_list()), 1)
    check_equal(len(after_content(text)), 2, "one reply to the content and one to QUIT")
    (stored,) = server.stored().values()
    check_equal(stored.content.count(b"line of text\r\n"), 6000)


def test_prdr_three_recipients_three_answers(case):
    server = case.server(config=CONFIG)
    to = "strict@mx.test.example,small@mx.test.example,lax@mx.test.example"
    body = harness.GTUBE.decode() + "\\n" + "filler of the message\\n" * 1000
    text = swaks(case, server, "--prdr", "--to", to, "--body", body)
    check("PRDR" in text, "PRDR is not offered")
    lines = after_content(text)
    codes = [line[:9] for line in lines]
    check_equal(codes[0][:4], "353 ", text)
    check_equal(codes[1:4], ["550 5.7.1", "552 5.2.3", "250 2.0.0"], text)
    check_equal(codes[4][:3], "250", "the final reply")
    check("Not wanted here" in lines[1] and "At most 10 KB here" in lines[2], lines)
    (stored,) = server.stored().values()
    check(stored.queue_id in lines[3] and stored.queue_id in lines[4], lines)
    shown = server.spool_show(stored.queue_id)
    check("lax@mx.test.example" in shown, shown)
    check("strict@" not in shown and "small@" not in shown, "refused and stored:", shown)
    (line,) = server.wait_log("transaction")
    check_equal(line["dialect"].lower(), "prdr")
    check_equal(len(line["rcpt"]), 3)


def test_readme(case):
    """What README.md shows: "tools/dev run" uses server/demo.conf."""
    top = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    with open(os.path.join(top, "README.md"), encoding="utf-8") as f:
        shown = re.search(r"```\n\$ swaks (.*?)\n===(.*?)\n\$ build/posternctl (.*?)```", f.read(),
                          re.DOTALL)
    server = case.server(start=False, arguments=(
        "--config", os.path.join(top, "server", "demo.conf")))
    server.start()
    words = shlex.split(shown.group(1).replace("\\\n", " "))
    check_equal(words[:3], ["--server", "127.0.0.1:2525", "--prdr"])
    words[1] = f"127.0.0.1:{server.smtp[1]}"
    text = run([program("swaks"), *words], cwd=top)
    case.note(text)

    def steady(lines):
        """Without names, numbers and times, which are others every time."""
        lines = [l for l in lines.split("\n") if l.startswith(("<", " ->"))]
        lines = [re.sub(harness.QUEUE_ID, "QID", l) for l in lines]
        lines = [re.sub(r"\d+ lines sent", "N lines sent", l) for l in lines]
        return [l.replace("mx.example.org", harness.HOSTNAME) for l in lines]

    check_equal(steady(text), steady(shown.group(2)), "README.md is not what happens")
    shown_rcpt = re.findall(r"^rcpt: .*$", shown.group(3), re.MULTILINE)
    (stored,) = server.stored().values()
    told = server.spool_show(stored.queue_id)
    check_equal(re.findall(r"^rcpt: .*$", told, re.MULTILINE), shown_rcpt)
    shown_keys = re.findall(r"^(\w+): ", shown.group(3).split("\n\n")[0], re.MULTILINE)
    check_equal(re.findall(r"^(\w+): ", told.split("\n\n")[0], re.MULTILINE), shown_keys)


def test_prdr_all_accepted(case):
    server = case.server()
    text = swaks(case, server, "--prdr", "--to", "a@mx.test.example,b@mx.test.example")
    codes = [line[:3] for line in after_content(text)]
    check(codes in (["353", "250", "250", "250", "221"], ["250", "221"]), codes)
    check_equal(len(server.spool_list()), 1)


def test_prdr_all_refused(case):
    server = case.server(config=CONFIG)
    text = swaks(case, server, "--prdr", "--to", "strict@mx.test.example,strict@mx.test.example",
                 "--body", harness.GTUBE.decode(), status=26)
    codes = [line[:3] for line in after_content(text)]
    check(codes in (["353", "550", "550", "550", "221"], ["550", "221"]), codes)
    check_equal(server.spool_list(), [])


def lmtp(case, *where):
    server = case.server(config=CONFIG)
    where = [server.unix if w == "SOCKET" else w for w in where]
    to = "strict@mx.test.example,lax@mx.test.example,lax@mx.test.example"
    # swaks calls the transaction failed when a recipient was refused.
    text = swaks(case, server, "--protocol", "LMTP", *where, "--to", to, "--body",
                 harness.GTUBE.decode(), status=(0, 26))
    check_equal([line[:3] for line in after_content(text)][:3], ["550", "250", "250"], text)
    (stored,) = server.stored().values()
    check(" with LMTP " in stored.received, stored.received)
    check_equal(server.spool_show(stored.queue_id).count("lax@mx.test.example") >= 2, True)


def test_lmtp_tcp(case):
    lmtp(case)


def test_lmtp_unix(case):
    lmtp(case, "--socket", "SOCKET")


def test_pipeline(case):
    server = case.server()
    text = swaks(case, server, "--pipeline", "--to",
                 ",".join(f"r{i}@mx.test.example" for i in range(20)))
    check_equal(len(re.findall(r"2\.1\.5 recipient ok", text)), 20)
    check_equal(len(server.spool_list()), 1)


def test_attachments(case):
    server = case.server()
    path = os.path.join(case.dir, "attachment.bin")
    data = bytes(range(256)) * 2000
    with open(path, "wb") as f:
        f.write(data)
    swaks(case, server, "--to", "ann@mx.test.example", "--attach", "@" + path)
    (stored,) = server.stored().values()
    check(base64.encodebytes(data)[:60] in stored.content.replace(b"\r\n", b"\n"),
          "the attachment is not in what was stored")


def test_bad_recipient(case):
    server = case.server(config=CONFIG)
    text = swaks(case, server, "--to", "who@elsewhere.example", status=24)
    check("550 5.7.1" in text, text)
    check_equal(server.spool_list(), [])


harness.main(globals())
