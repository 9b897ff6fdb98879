# SPDX-License-Identifier: Apache-2.0
"""The process: one for each spool, reload, log file, counters, drain, notification."""

import os
import re
import signal
import socket
import time

import harness
from harness import check, check_equal, message, wait_until

CONFIG = """
rules = "{dir}/rules";
log {{ to = {log}; }}
limits {{ drain = {drain}; }}
{{listeners}}
class "strict" {{ score_reject = 5; }}
domain "mx.test.example" {{ recipients = [{recipients}]; class = strict; }}
"""


def config(log="stderr", drain="120s", recipients='"ann"'):
    return CONFIG.format(dir="{dir}", log=log, drain=drain, recipients=recipients)


def rules(server, text):
    with open(os.path.join(server.dir, "rules"), "w", encoding="ascii") as f:
        f.write(text)


def configured(case, environment=None, **named):
    server = case.server(config=config(**named), start=False, environment=environment)
    rules(server, 'first  body  10  "first words"\n')
    return server.start()


def reload(server, expected="reloaded", path=None):
    before = len(server.log(expected, path=path))
    os.kill(server.pid, signal.SIGHUP)
    return wait_until(lambda: server.log(expected, path=path)[before:], expected)[0]


def test_second_process_on_the_spool(case):
    first = case.server()
    second = case.server(spool=first.spool, name="second", start=False)
    second.launch()
    check_equal(second.wait_end(), 1)
    check(str(first.pid) in second.text(), "the pid of the first is not in", second.text())
    client = first.client()
    client.hello()
    check_equal(client.deliver(["ann@mx.test.example"], message()).code, 250)
    first.stop()
    second.start()  # now it may
    check_equal(len(second.spool_list()), 1)


def test_reload_policy_and_rules(case):
    server = configured(case)
    client = server.client()
    client.hello()
    client.envelope(["ann@mx.test.example"])  # a transaction in progress
    other = server.lmtp_client()
    other.hello("LHLO")
    other.envelope(["ann@mx.test.example"])
    other.command("DATA", 354)
    other.send(b"Subject: in progress\r\n\r\nsecond ")
    server.write_config(config(recipients='"ann", "bob"'))
    rules(server, 'second  body  10  "second words"\n')
    reload(server)
    # It began under the old rules and policy, and ends under them.
    other.send(b"words\r\n.\r\n")
    check_equal(other.reply().code, 250)
    check_equal(client.command("RCPT TO:<bob@mx.test.example>").code, 550)
    client.data(message())
    # The next ones know the new.
    check_equal(client.deliver(["bob@mx.test.example"], message(body=b"first words\r\n")).code, 250)
    check_equal(client.deliver(["ann@mx.test.example"], message(body=b"second words\r\n")).code,
                550)
    other.envelope(["bob@mx.test.example"])
    check_equal(other.data(message(body=b"second words\r\n"))[0].code, 550)
    check_equal(server.counters()["reloads_total"], 2, "one for each shard")
    client.quit()
    other.quit()


def test_bad_reload(case):
    """Refused with its reason, file and line; the old one stays."""
    server = configured(case)
    client = server.client()
    client.hello()
    server.write_config(config().replace('score_reject', 'score_rejekt'))
    reason = reload(server, "reload_failed")["reason"]
    check(re.search(r"postern\.conf:\d+: .*score_rejekt", reason), reason)
    server.write_config(config())
    rules(server, 'good  body  1  "x"\nbad  body  1  /(/\n')
    reason = reload(server, "reload_failed")["reason"]
    check("rules:2: " in reason, reason)
    os.unlink(os.path.join(server.dir, "rules"))
    check("rules" in reload(server, "reload_failed")["reason"], "no reason")
    check_equal(client.deliver(["ann@mx.test.example"], message(body=b"first words\r\n")).code, 550)
    check_equal(client.deliver(["ann@mx.test.example"], message()).code, 250)
    client.quit()


def test_reload_needs_restart(case):
    server = configured(case)
    server.write_config(config(drain="10s"))
    check_equal(reload(server, "reload_needs_restart")["settings"], "limits.drain")


def test_log_reopened(case):
    server = configured(case, log='"{dir}/log"')
    path, rotated = os.path.join(server.dir, "log"), os.path.join(server.dir, "log.1")
    client = server.client()
    client.hello()
    first = client.deliver(["ann@mx.test.example"], message()).queue_id
    wait_until(lambda: server.log("transaction", path=path, qid=first), "the first line")
    os.rename(path, rotated)
    second = client.deliver(["ann@mx.test.example"], message()).queue_id
    wait_until(lambda: server.log("transaction", path=rotated, qid=second), "the second line")
    os.kill(server.pid, signal.SIGHUP)
    wait_until(lambda: os.path.exists(path) and server.log("reloaded", path=path), "a new file")
    third = client.deliver(["ann@mx.test.example"], message()).queue_id
    wait_until(lambda: server.log("transaction", path=path, qid=third), "the third line")
    check(not server.log("transaction", path=rotated, qid=third), "also in the old file")
    client.quit()


def test_counters(case):
    server = configured(case)
    zero = server.counters()
    used = {k for k, v in zero.items() if v != 0 and not k.startswith("ring_")}
    check_equal(used, set(), "counters of a server that has not done anything")
    client = server.client()
    client.hello()
    client.envelope(["ann@mx.test.example"])
    client.command("RCPT TO:<bob@mx.test.example>", 550)
    client.data(message())
    client.command("NONSENSE", 500)
    client.deliver(["ann@mx.test.example"], message(body=b"first words\r\n"))
    client.envelope(["ann@mx.test.example"])
    client.command("RSET", 250)
    now = server.counters()
    for name, value in {"connections_accepted_total": 1, "connections_open": 1,
                        "transactions_started_total": 3, "transactions_stored_total": 1,
                        "transactions_refused_total": 1, "transactions_aborted_total": 1,
                        "recipients_accepted_total": 1, "recipients_refused_total": 1,
                        "bad_commands_total": 1, "rule_hits_total": 1}.items():
        check_equal(now[name], value, name)
    replies = dict(re.findall(r'^postern_replies_total\{code="\d+",status="(\w+)"\} (\d+)$',
                              server.text(), re.MULTILINE))
    check_equal((replies["greeting"], replies["no_such_user"], replies["unknown_command"]),
                ("1", "1", "1"))
    client.quit()
    server.wait_counter("connections_open", lambda n: n == 0)


def test_drain(case):
    """SIGTERM: what is in progress is finished, what is idle gets 421, nobody new comes in."""
    server = configured(case)
    busy, idle, lmtp = server.client(), server.client(), server.lmtp_client()
    busy.hello()
    idle.hello()
    lmtp.hello("LHLO")
    busy.envelope(["ann@mx.test.example"])
    busy.command("DATA", 354)
    busy.send(b"Subject: drain\r\n\r\nhalf")
    lmtp.envelope(["ann@mx.test.example"])
    server.terminate()
    check_equal(idle.reply().code, 421)
    check(idle.is_closed(), "idle session")
    check(server.is_alive(), "ended with a transaction in progress")
    try:
        late = harness.Client(server.smtp, greet=False).of(case)
        said = late.rest()  # a shard may have greeted before it was told
        check(said == b"" or b"421 " in said, "a new client was served:", said)
    except OSError:
        pass
    busy.send(b" and half\r\n.\r\n")
    reply = busy.expect(250)
    check(busy.rest()[:4] == b"421 ", "no 421 behind the last reply")
    check_equal([r.code for r in lmtp.data(message())], [250])
    check(lmtp.rest()[:4] == b"421 ", "no 421 behind the last reply")
    check_equal(server.wait_end(), 0)
    check(reply.queue_id in server.stored(), "not in the spool")
    check_equal(len(server.spool_list()), 2)
    check(server.log("stop"), "no line that says why")


def test_drain_has_an_end(case):
    server = configured(case, drain="2s")
    client = server.client()
    client.hello()
    client.envelope(["ann@mx.test.example"])
    client.command("DATA", 354)
    client.send(b"Subject: never ended\r\n\r\n")
    began = time.monotonic()
    server.terminate()
    check_equal(server.wait_end(), 0)
    check(time.monotonic() - began > 1.5, "ended before the time for it")
    check_equal(client.rest()[:3], b"421")
    check_equal(server.spool_list(), [])


def test_interrupt(case):
    server = configured(case)
    os.kill(server.pid, signal.SIGINT)
    check_equal(server.wait_end(), 0)


def notifications(s, count):
    return [s.recv(4096).decode() for _ in range(count)]


def notify(case, name):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.settimeout(harness.STEP_SECONDS)
    s.bind(("\0" + name[1:]) if name.startswith("@") else name)
    server = configured(case, environment={"NOTIFY_SOCKET": name})
    (ready,) = notifications(s, 1)
    check(ready.startswith("READY=1\n"), ready)
    reload(server)
    reloading, ready = notifications(s, 2)
    check(re.match(r"RELOADING=1\nMONOTONIC_USEC=\d+", reloading), reloading)
    check(ready.startswith("READY=1\n"), ready)
    server.stop()
    (stopping,) = notifications(s, 1)
    check(stopping.startswith("STOPPING=1\n"), stopping)
    s.close()


def test_notify_path(case):
    notify(case, os.path.join(case.dir, "notify"))


def test_notify_abstract(case):
    notify(case, f"@postern-test-notify-{os.getpid()}")


harness.main(globals())
