# SPDX-License-Identifier: Apache-2.0
"""A file system without room, and a limit on file size: 452 4.3.1, nothing acknowledged is lost,
and mail is taken again once there is room. Mounting a small tmpfs needs root."""

import os
import resource
import subprocess

import harness
from harness import check, check_equal, message, program, run

BODY = (b"0123456789abcdef" * 60 + b"\r\n") * 100  # 96 KiB
CONFIG = """
spool { segment_size = 1mb; reserve = 1mb; }
{listeners}
domain "*" { recipients = any }
"""


def small_disk(case, size="24m"):
    if os.geteuid() != 0:
        raise harness.Skip("mounting needs root")
    folder = os.path.join(case.dir, "disk")
    os.mkdir(folder)
    done = subprocess.run([program("mount"), "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder],
                          stderr=subprocess.PIPE, check=False)
    if done.returncode != 0:
        raise harness.Skip(f"cannot mount: {done.stderr.decode().strip()}")
    case.cleanups.append(lambda: run([program("umount"), "-l", folder], status=None))
    return os.path.join(folder, "spool")


def fill_up(client, contents, limit=1000):
    """Delivers until that is refused; the refusal."""
    for i in range(limit):
        content = message(f"number {i}", BODY)
        reply = client.command(f"MAIL FROM:<sender@client.example> SIZE={len(content)}")
        if reply.code == 250:
            client.command("RCPT TO:<ann@mx.test.example>", 250)
            reply = client.command("DATA")
            if reply.code == 354:
                client.send(harness.stuffed(content))
                reply = client.reply()
        if reply.code != 250:
            client.command("RSET", 250)
            return reply
        contents[reply.queue_id] = content
    raise harness.Failure("it was never full")


def check_contents(server, contents):
    check_equal({q: m.content for q, m in server.stored().items()}, contents)


def test_tmpfs(case):
    spool = small_disk(case)
    server = case.server(config=CONFIG, spool=spool, shards=1)
    client = server.client()
    client.hello()
    contents = {}
    reply = fill_up(client, contents)
    check_equal((reply.code, reply.enhanced), (452, "4.3.1"), "when it is full")
    check(len(contents) >= 20, f"only {len(contents)} messages fitted")
    # Full for good, for a client that declares no size too, and for LMTP: a reply each.
    reply = None
    client.command("MAIL FROM:<sender@client.example>")
    client.command("RSET", 250)
    lmtp = server.lmtp_client()
    lmtp.hello("LHLO")
    reply = lmtp.command("MAIL FROM:<sender@client.example>")
    if reply.code == 250:
        for _ in range(3):
            lmtp.command("RCPT TO:<ann@mx.test.example>", 250)
        reply = lmtp.command("DATA")
        if reply.code == 354:
            lmtp.send(harness.stuffed(message("x", BODY * 20)))
            replies = [lmtp.reply() for _ in range(3)]
            check_equal([(r.code, r.enhanced) for r in replies], [(452, "4.3.1")] * 3)
        else:
            check_equal(reply.code, 452)
    else:
        check_equal(reply.code, 452)
    check_contents(server, contents)
    # What was accepted can be finished: deleting makes room, and mail is taken again.
    gone = list(contents)
    server.ctl("spool", "delete", *gone, "--spool", server.spool)
    check_equal(server.spool_list(), [])
    contents.clear()
    server.stop()
    server.start()
    client = server.client()
    client.hello()
    reply = client.deliver(["ann@mx.test.example"], message("again", BODY))
    check_equal(reply.code, 250, "after room was made")
    contents[reply.queue_id] = message("again", BODY)
    fill_up(client, contents)
    server.kill()
    server.start()
    check_contents(server, contents)
    server.stop()


def test_tmpfs_full_from_outside(case):
    """Somebody else fills the file system."""
    spool = small_disk(case, "32m")
    server = case.server(config=CONFIG, spool=spool, shards=1)
    client = server.client()
    client.hello()
    contents = {}
    for i in range(3):
        content = message(f"number {i}", BODY)
        contents[client.deliver(["ann@mx.test.example"], content).queue_id] = content
    hog = os.path.join(os.path.dirname(spool), "hog")
    with open(hog, "wb", buffering=0) as f:
        try:
            while True:
                f.write(b"x" * 65536)
        except OSError:
            pass
    reply = fill_up(client, contents)
    check_equal(reply.code, 452, reply)
    os.unlink(hog)

    def taken():
        reply = client.command("MAIL FROM:<sender@client.example>")
        client.command("RSET", 250)
        return reply.code == 250

    harness.wait_until(taken, "mail is taken again, without a restart")
    content = message("again", BODY)
    contents[client.deliver(["ann@mx.test.example"], content).queue_id] = content
    check_contents(server, contents)
    server.stop()


def test_no_room_at_start(case):
    """A clear refusal to start, or one that answers 452; never a crash."""
    spool = small_disk(case, "512k")
    server = case.server(config=CONFIG, spool=spool, shards=1, start=False)
    server.launch()
    harness.wait_until(lambda: not server.is_alive() or "postern: ready" in server.text(), "an end")
    if server.is_alive():
        client = server.client()
        client.hello()
        check_equal(client.command("MAIL FROM:<a@b.example> SIZE=100000").code, 452)
        server.stop()
    else:
        check_equal(server.process.returncode, 1)
        check("posternd: " in server.text(), "no reason")


def test_file_size_limit(case):
    """RLIMIT_FSIZE below the size of a segment: no SIGXFSZ, a refusal with its reason."""
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (600 * 1024, 600 * 1024))

    server = case.server(config=CONFIG, shards=1, preexec=limit, start=False)
    server.launch()
    harness.wait_until(lambda: not server.is_alive() or "postern: ready" in server.text(), "an end")
    if not server.is_alive():
        check_equal(server.process.returncode, 1, "exit status")
        check("posternd: " in server.text(), "no reason")
        return
    client = server.client()
    client.hello()
    contents = {}
    reply = fill_up(client, contents)
    check(reply.code in (451, 452), reply)
    server.stop()
    check_contents(server, contents)


def test_file_size_limit_later(case):
    """The limit falls below the end of a segment that is in use: the write fails, what was in that
    group is refused (451), what was acknowledged before stays."""
    server = case.server(config=CONFIG, shards=1)
    client = server.client()
    client.hello()
    contents = {}
    for i in range(2):
        content = message(f"number {i}", BODY)
        contents[client.deliver(["ann@mx.test.example"], content).queue_id] = content
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (400 * 1024, 400 * 1024))
    try:
        reply = fill_up(client, contents, 200)
        check(reply.code in (451, 452), reply)
    except harness.Closed:
        pass  # neither stored nor certain not to be: no reply is right as well
    check(server.is_alive(), "the server is gone")
    client.close()
    server.stop()
    check_contents(server, contents)
    server.start()
    check_contents(server, contents)


harness.main(globals())
