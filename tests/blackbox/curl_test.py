# SPDX-License-Identifier: Apache-2.0
"""curl as an SMTP client."""

import os

import harness
from harness import check, check_equal, program, run


def curl(case, server, path, recipients, status=0):
    command = [program("curl"), "--silent", "--show-error", "--verbose", "--max-time",
               str(60 * harness.SLOW),
               "--url", f"smtp://127.0.0.1:{server.smtp[1]}/client.example",
               "--mail-from", "sender@client.example", "--upload-file", path]
    for recipient in recipients:
        command += ["--mail-rcpt", recipient]
    text = run(command, status=status)
    case.note(text)
    return text


def write(case, data):
    path = os.path.join(case.dir, "message")
    with open(path, "wb") as f:
        f.write(data)
    return path


def test_messages(case):
    server = case.server()
    small = harness.message("curl", b".\r\n..\r\nHello from curl.\r\n")
    big = harness.message("curl", b"0123456789abcdef" * 60 + b"\r\n") \
        + (b"0123456789abcdef" * 60 + b"\r\n") * 5000
    curl(case, server, write(case, small), ["ann@mx.test.example", "bob@mx.test.example"])
    curl(case, server, write(case, big), ["ann@mx.test.example"])
    contents = sorted((m.content for m in server.stored().values()), key=len)
    check_equal(contents, [small, big])


def test_refused(case):
    server = case.server(config='{listeners}\ndomain "mx.test.example" { recipients = any }\n')
    path = write(case, harness.message("curl", harness.GTUBE + b"\r\n"))
    text = curl(case, server, path, ["ann@mx.test.example"], status=(8, 55, 56))
    check("550 5.7.1" in text, text)
    text = curl(case, server, path, ["ann@elsewhere.example"], status=55)
    check("550 5.7.1" in text, text)
    check_equal(server.spool_list(), [])


harness.main(globals())
