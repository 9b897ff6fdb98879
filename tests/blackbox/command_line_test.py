# SPDX-License-Identifier: Apache-2.0
"""The command line of posternd: what it accepts, refuses (with which exit status and reason) and
prints, and what each option does. 64 is for bad arguments, 78 for a bad configuration or rules."""

import contextlib
import os
import re
import socket
import subprocess

import harness
from harness import check, check_equal, own_program, run

CONFIG = '{listeners}\ndomain "mx.test.example" { recipients = any }\n'


def posternd(*arguments, status=0):
    return run([own_program("POSTERND"), *arguments], status=status, seconds=30 * harness.SLOW)


def refused(case, *arguments, status=78, reason="", **named):
    """The server must end at once; what it says."""
    server = case.server(start=False, arguments=arguments, **named)
    server.launch()
    check_equal(server.wait_end(30 * harness.SLOW), status, f"exit status with {arguments}")
    text = server.text()
    check(reason in text, f"{reason!r} is not in {text!r}")
    check("postern: ready" not in text, "ready all the same")
    server.check_reports()
    return text


def test_help_version_features(case):
    text = posternd("--help")
    for option in ("--config", "--listen", "--spool", "--durability", "--shards", "--scan",
                   "--hostname", "--rules", "--check", "--print-features"):
        check(option in text, option, "is not in --help")
    check(re.fullmatch(r"posternd \d+\.\d+\.\d+\n", posternd("--version")), "--version")
    text = posternd("--print-features")
    check("io_uring" in text.lower() or "ring" in text.lower(), text)
    check(len(text.splitlines()) >= 5, text)


def test_bad_arguments(case):
    for arguments in (["--no-such-option"], ["--spool"], ["word"], ["--listen"]):
        posternd(*arguments, status=64)


def test_refused_values(case):
    for option, value, status in (
            ("--durability", "paper", 64), ("--shards", "0", 64), ("--shards", "many", 64),
            ("--scan", "mmx", 64), ("--hostname", "not a name", 64),
            ("--listen", "http://127.0.0.1:80", 64), ("--listen", "smtp://127.0.0.1", 64),
            ("--listen", "smtp://mx.example.org:25", 64),
            ("--listen", "smtp://127.0.0.1:99999", 64),
            ("--rules", "/nonexistent/rules", 64), ("--config", "/nonexistent/postern.conf", 78)):
        reason = option if status == 64 else value + ": "
        refused(case, option, value, status=status, reason=reason,
                name=f"server{len(case.servers)}")


def test_lmtp_on_port_25(case):
    """LMTP-2, with and without a configuration."""
    for i, url in enumerate(("lmtp://127.0.0.1:25", "lmtp://[::1]:25")):
        refused(case, "--listen", url, status=64, reason="port 25", name=f"a{i}")
        refused(case, "--listen", url, status=64, reason="port 25", config=CONFIG, name=f"b{i}")
    text = refused(case, config='listener "x" {\n address = "lmtp://127.0.0.1:25"\n}\n'
                   'domain "*" { }\n', name="c", reason="port 25")
    check(re.search(r"postern\.conf:2: ", text), "no line in", text)


def test_only_loopback_without_configuration(case):
    for i, url in enumerate(("smtp://0.0.0.0:{}", "smtp://[::]:{}", "smtp://192.0.2.1:{}",
                             "lmtp://10.0.0.1:{}", "smtp://[2001:db8::1]:{}")):
        refused(case, "--listen", url.format(harness.free_port()), status=64, reason="--config",
                name=f"a{i}")
    port = harness.free_port()
    server = case.server(config=CONFIG, arguments=("--listen", f"smtp://0.0.0.0:{port}"), name="b")
    with harness.Client(("127.0.0.1", port)) as client:
        client.quit()
    server.stop()


def test_every_recipient_without_configuration(case):
    server = case.server()
    client = server.client()
    client.hello()
    check_equal(client.deliver(["any@where.example", "x@y.example"], harness.message()).code, 250)


def test_ipv6_loopback(case):
    port = harness.free_port()
    server = case.server(arguments=("--listen", f"smtp://[::1]:{port}"), start=False)
    try:
        probe = socket.socket(socket.AF_INET6)
        probe.bind(("::1", port))
        probe.close()
    except OSError as error:
        raise harness.Skip(f"no IPv6 loopback: {error}") from error
    server.start()
    with socket.create_connection(("::1", port), 10) as s:
        check(s.recv(100).startswith(b"220 "), "greeting over IPv6")


def test_hostname(case):
    server = case.server(hostname="other.name.example")
    check(server.client().greeting.text.startswith("other.name.example "), "greeting")


def test_shards(case):
    for shards in ("1", "3", "auto"):
        server = case.server(shards=shards, name=f"s{shards}")
        threads = set()
        for task in os.listdir(f"/proc/{server.pid}/task"):
            with contextlib.suppress(OSError):  # the kernel's own for io_uring come and go
                with open(f"/proc/{server.pid}/task/{task}/comm", encoding="ascii") as f:
                    threads.add(f.read().strip())
        count = len([t for t in threads if t.startswith("shard-")])
        expected = len(os.sched_getaffinity(0)) if shards == "auto" else int(shards)
        check_equal(count, expected, f"--shards {shards}")
        check_equal(server.log("start")[0]["shards"], str(expected))
        server.stop()


def test_durability(case):
    """Each by name in the start line and in every transaction's; none stores nothing."""
    for name in ("disk", "os", "none"):
        server = case.server(arguments=("--durability", name), name=name)
        check_equal(server.log("start")[0]["durability"], name)
        client = server.client()
        client.hello()
        check_equal(client.deliver(["ann@mx.test.example"], harness.message()).code, 250)
        check_equal(server.wait_log("transaction")[0]["durability"], name)
        server.stop()
        if name == "none":
            check(not [f for f in os.listdir(server.spool) if f.endswith(".seg")], "segments")
        else:
            check_equal(len(server.spool_list()), 1, name)


def test_scan(case):
    usable = 0
    for isa in ("scalar", "sse42", "avx2", "avx512", "neon"):
        server = case.server(arguments=("--scan", isa), start=False, name=isa)
        server.launch()
        harness.wait_until(lambda s=server: not s.is_alive() or "postern: ready" in s.text(), isa,
                           60 * harness.SLOW)
        if not server.is_alive():
            check_equal(server.process.returncode, 78, isa)
            check("no such instructions" in server.text(), server.text())
            continue
        usable += 1
        check(isa[:3] in server.log("start")[0]["scan"].replace(".", ""), server.log("start"))
        client = server.client()
        client.hello()
        check_equal(client.deliver(["ann@mx.test.example"], harness.message(
            body=b"x" * 70 + b"\r\n" + harness.GTUBE + b"\r\n")).code, 550)
        server.stop()
    check(usable >= 1, "not even scalar")


def test_rules(case):
    path = os.path.join(case.dir, "rules")
    with open(path, "wb") as f:
        f.write(b"mine  body  20  \"the magic words\"\n")
    server = case.server(arguments=("--rules", path), name="good")
    client = server.client()
    client.hello()
    check_equal(client.deliver(["a@b.example"], harness.message(body=b"the magic words\r\n")).code,
                550)
    check_equal(client.deliver(["a@b.example"], harness.message(body=harness.GTUBE)).code, 250)
    with open(path, "wb") as f:
        f.write(b"good  body  20  \"words\"\n\nbad  body  1  /unbalanced(/\n")
    text = refused(case, "--rules", path, name="bad")
    check(f"{path}:3: " in text, "no file and line in", text)


def test_check(case):
    """--check prints what is in force, in a form that loads to the same."""
    server = case.server(config=CONFIG, start=False)
    done = subprocess.run([own_program("POSTERND"), "--config", server.config_path, "--check"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
                          timeout=60 * harness.SLOW)
    check_equal((done.returncode, done.stderr), (0, b""))
    text = done.stdout.decode()
    check(f"smtp://127.0.0.1:{server.smtp[1]}" in text and "durability = disk;" in text, text)
    second = os.path.join(case.dir, "effective.conf")
    with open(second, "w", encoding="utf-8") as f:
        f.write(text)
    again = posternd("--config", second, "--check")
    check_equal(again.split("\n", 1)[1], text.split("\n", 1)[1], "the effective configuration")
    check(not os.listdir(server.spool), "--check has touched the spool")
    # What the options change is in it.
    text = posternd("--config", server.config_path, "--check", "--durability", "os",
                    "--listen", "smtp://127.0.0.1:2626")
    check("durability = os;" in text and "smtp://127.0.0.1:2626" in text, text)
    check(str(server.smtp[1]) not in text, "--listen does not replace the configured listeners")


def test_check_refuses(case):
    """Errors name file and line."""
    path = os.path.join(case.dir, "bad.conf")
    rows = [
        ('listener "a" { address = "smtp://127.0.0.1:2525" }\ndomain "x.example" {}\nfoo = 1\n',
         3, "foo"),
        ('listener "a" {\n  address = "smtp://127.0.0.1:2525"\n  size_max = lots\n}\n', 3,
         "size_max"),
        ('listener "a" { address = "smtp://127.0.0.1:1" }\nclass "c" {\n score_reject = x }\n', 3,
         "score_reject"),
        ('listener "a" { address = "smtp://127.0.0.1:1" }\ndomain "x.example" {\n'
         '  recipients = ["ann nosuchclass"]\n}\n', 3, "nosuchclass"),
        ('listener "a" { address = "smtp://127.0.0.1:1" }\ndomain "x.example" {\n'
         '  recipients = ["file:missing"]\n}\n', 3, "missing"),
        ('listener "a" { address = "smtp://127.0.0.1:1" \n', None, ""),
        ('listener "a" { address = "smtp://127.0.0.1:1" }\n', None, "domain"),
        ('domain "x.example" { }\n', None, "listener"),
    ]
    for text, line, word in rows:
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        said = posternd("--config", path, "--check", status=78)
        place = f"{path}:{line}: " if line else path
        check(place in said and word in said, f"{place!r}, {word!r} not in {said!r}")


def test_example_configuration(case):
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "server",
                        "postern.conf.example")
    text = posternd("--config", path, "--check")
    check('domain "example.org"' in text, text)


def test_address_in_use(case):
    first = case.server(shards=1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        text = refused(case, "--listen", f"smtp://127.0.0.1:{taken.getsockname()[1]}", status=1,
                       name="second")
        check("bind" in text, text)
    refused(case, "--listen", f"lmtp+unix:{first.unix}", status=1, name="third")
    first.lmtp_client(is_unix=True).quit()


def test_stale_unix_socket(case):
    server = case.server()
    server.kill()
    check(os.path.exists(server.unix), "the socket of the process that was killed")
    server.start()
    server.lmtp_client(is_unix=True).quit()


harness.main(globals())
