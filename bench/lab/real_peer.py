#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One real mail program as the client or the server of a run of postern-lab, which calls this by
itself (modes real-client and real-server). It brings the program up with tests/blackbox/peers.py
and writes what postern-lab reads: as a client an attempts file made from the program's log, as a
server an arrivals file made from its mailboxes.

    real_peer.py check NAME
    real_peer.py client NAME --dialect D --port P --limit S --retry S --tries N --recipients N
                        --messages N --size N --run HEX --attempts FILE
    real_peer.py server NAME --recipients N --arrivals FILE

A client ends when all of its recipients are settled or have been tried so often; a server prints
"ready PORT" and ends by SIGTERM. Status 77: the program is not there.

What a log does not tell is not made up: a try begins when the one before was logged, and the first
one when the message was handed over; replies are not counted.
"""

import argparse
import math
import os
import re
import signal
import sys
import tempfile
import time
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(TOP / "tests" / "blackbox"))

import harness  # pylint: disable=wrong-import-position
import peers  # pylint: disable=wrong-import-position

DOMAIN = peers.DOMAIN
ATTEMPTS_HEAD = ("#seq\tattempt\trcpt\taddress\tplanned_us\tstart_us\tend_us\tfate\tcode\tenhanced"
                 "\tphase\tcause\tsent\tk\tn\tnext\n")
ARRIVALS_HEAD = ("#postern-arrivals 1\n#run\tseq\trcpt\taddress\ttime_us\tbytes\thash\tcode"
                 "\tdelivered\tconn\ttxn\tvia\n")
SETTLE_SECONDS = 3  # a mailbox that has not grown for so long is complete


def now_us():
    return int(time.time() * 1e6)


# --- clients --------------------------------------------------------------------------------------


def seconds(value):
    """As the programs read times; they know whole seconds."""
    return f"{max(1, math.ceil(value - 1e-6))}s"


def make_client(case, options):
    kind, target = options.name, (options.dialect, options.port)
    if kind in ("postfix", "postfix-deadline"):
        pause = seconds(options.retry)
        d = options.dialect
        return peers.Postfix(case, target=target, settings={
            f"{d}_data_done_timeout": seconds(options.limit),
            f"{d}_per_request_deadline": "yes" if kind == "postfix-deadline" else "no",
            f"{d}_connection_cache_on_demand": "no",
            f"{d}_destination_recipient_limit": "1000",
            # Each message is tried, whatever became of the others.
            f"{d}_destination_concurrency_failed_cohort_limit": "0",
            "minimal_backoff_time": pause, "maximal_backoff_time": pause})
    if kind == "exim":
        return peers.Exim(case, target=target,
                          transport=f"  final_timeout = {seconds(options.limit)}\n"
                          "  max_rcpt = 1000\n  connection_max_messages = 1\n")
    if kind == "opensmtpd":
        return peers.OpenSmtpd(case, target=target)
    raise SystemExit(f"{kind} is no client that is known here")


def content(options, seq):
    """A message of the size that was asked for, with an identity that the server finds."""
    head = harness.message(message_id=f"<pl.{int(options.run, 16):016x}.{seq}@client.example>",
                           body=b"")
    line = b"x" * 70 + b"\r\n"
    return head + line * max(1, (options.size - len(head)) // len(line))


def outcome(d):
    """fate, code, cause and how much was sent, of one outcome in a log."""
    text = d.text.lower()
    if d.status == "sent":
        return "accepted", d.code or 250, "reply", "all"
    if d.status == "failed":
        return "refused", d.code or 550, "reply", "all"
    if d.code:
        return "deferred", d.code, "reply", "all"
    if re.search(r"connect to|connection refused|unreachable|no route", text):
        return "unknown", None, "connect", "none"
    if re.search(r"time.?out|timed out", text):
        return "unknown", None, "timeout", "all"
    return "unknown", None, "lost", "all"


class Tries:
    """What a client's log has told so far."""

    def __init__(self, options):
        self.options = options
        self.began = {}    # address of a message's recipient: when the next try began at the latest
        self.lines = []    # of the attempts file, but for the last column
        self.count = {}    # (seq, rcpt): tries that were logged
        self.settled = set()
        self.message = {}  # queue id: sequence number
        self.logged = 0

    def is_over(self):
        wanted = self.options.messages * self.options.recipients
        done = [key for key, count in self.count.items()
                if key in self.settled or count >= self.options.tries]
        return len(done) == wanted

    def take(self, delivery, seq, planned):
        rcpt = int(re.match(r"r(\d+)@", delivery.recipient).group(1))
        key = (seq, rcpt)
        attempt = self.count.get(key, 0)
        if key in self.settled or attempt >= self.options.tries:
            return  # one more than there should be; the server has refused it
        fate, code, cause, sent = outcome(delivery)
        end = now_us()
        self.count[key] = attempt + 1
        if fate in ("accepted", "refused"):
            self.settled.add(key)
        start = self.began.get(key, planned)
        self.began[key] = end
        is_last = key in self.settled or attempt + 1 >= self.options.tries
        self.lines.append((seq, attempt, rcpt, "\t".join(str(x) for x in (
            seq, attempt, rcpt, delivery.recipient, planned, start, end, fate, code or "-", "-",
            "done",
            cause, sent, 0, "-", "end" if is_last else "retry"))))

    def write(self):
        with open(self.options.attempts, "w", encoding="ascii") as f:
            f.write(f"#postern-attempts 1 run={int(self.options.run, 16):016x}\n" + ATTEMPTS_HEAD)
            f.writelines(line + "\n" for *_, line in sorted(self.lines))


def run_client(case, options):
    peer = make_client(case, options).start()
    tries = Tries(options)
    rcpts = [f"r{i}@{DOMAIN}" for i in range(options.recipients)]
    planned, by_queue_id = [], {}
    for seq in range(options.messages):
        planned.append(now_us())
        peer.submit(rcpts, content(options, seq))
    print("submitted", flush=True)
    while not tries.is_over():
        harness.check(peer.is_alive(), options.name, "has ended")
        found = peer.deliveries()
        for d in found[tries.logged:]:
            if d.recipient not in rcpts:
                continue
            name = message_key(options.name, d)
            if name not in by_queue_id:
                by_queue_id[name] = sequence_of(peer, options, name)
            tries.take(d, by_queue_id[name], planned[by_queue_id[name]])
        tries.logged = len(found)
        if hasattr(peer, "retry") and tries.count and options.tries > 1:
            peer.retry()
        time.sleep(0.05)
    peer.stop()
    tries.write()
    return 0


def message_key(name, delivery):
    """OpenSMTPD numbers recipients: the first half is the message's."""
    return delivery.queue_id[:8] if name == "opensmtpd" else delivery.queue_id


def sequence_of(peer, options, queue_id):
    """The sequence number of the message that the queue calls so. OpenSMTPD logs no Message-ID, but
    messages in the order in which they came."""
    run = int(options.run, 16)
    if options.name == "opensmtpd":
        return re.findall(r" smtp message msgid=(\w+)", peer.text()).index(queue_id)
    for line in peer.lines():
        match = re.search(rf"<?pl\.{run:016x}\.(\d+)@", line)
        if match and queue_id in line:
            return int(match.group(1))
    raise harness.Failure(f"no Message-ID in the log for {queue_id}")


# --- servers --------------------------------------------------------------------------------------


def make_server(case, options):
    users = [f"r{i}" for i in range(options.recipients)]
    if options.name == "exim":
        return peers.Exim(case, kept=users), users
    if options.name == "dovecot":
        return peers.Dovecot(case, users=users), users
    if options.name == "cyrus":
        return peers.Cyrus(case, users=users), users
    raise SystemExit(f"{options.name} is no server that is known here")


def identity_of(mail):
    found = re.search(rb"^message-id:\s*<pl\.([0-9a-f]{16})\.(\d+)@", mail, re.I | re.M)
    return (found.group(1).decode(), found.group(2).decode()) if found else ("-", "-")


def arrivals(peer, users):
    """Lines of an arrivals file. Which connection brought a copy no mailbox tells, nor when."""
    lines = []
    for rcpt, user in enumerate(users):
        for _, mail in sorted(peer.mails(user).items()):
            run, seq = identity_of(mail)
            lines.append("\t".join((run, seq, str(rcpt), f"{user}@{DOMAIN}", str(now_us()),
                                    str(len(mail)), "-", "-", "-", "0", "0", "maildir")))
    return lines


def run_server(case, options):
    peer, users = make_server(case, options)
    peer.start()
    signal.signal(signal.SIGTERM, lambda *_: None)
    print(f"ready {peer.port}", flush=True)
    signal.sigwait([signal.SIGTERM])
    lines, since = arrivals(peer, users), time.monotonic()
    while time.monotonic() - since < SETTLE_SECONDS:
        time.sleep(0.2)
        again = arrivals(peer, users)
        if len(again) != len(lines):
            lines, since = again, time.monotonic()
    peer.stop()
    with open(options.arrivals, "w", encoding="utf-8") as f:
        f.write(ARRIVALS_HEAD)
        f.writelines(line + "\n" for line in lines)
    return 0


def check(options):
    name = options.name.removesuffix("-deadline")
    if not peers.is_there(name):
        print(f"{name} is not there (tools/dev peers {name})")
        return harness.SKIP_STATUS
    if os.geteuid() != 0:
        print(f"only root can start {name}")
        return harness.SKIP_STATUS
    return 0


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("what", choices=("check", "client", "server"))
    parser.add_argument("name")
    parser.add_argument("--dialect", choices=("smtp", "lmtp", "prdr"), default="smtp")
    for name in ("port", "tries", "recipients", "messages", "size"):
        parser.add_argument("--" + name, type=int, default=1)
    for name in ("limit", "retry"):
        parser.add_argument("--" + name, type=float, default=1)
    for name in ("run", "attempts", "arrivals"):
        parser.add_argument("--" + name)
    options = parser.parse_args(arguments)
    status = check(options)
    if options.what == "check" or status != 0:
        return status
    case = harness.Case(tempfile.mkdtemp(prefix="postern-peer-"))
    try:
        return run_client(case, options) if options.what == "client" else run_server(case, options)
    except harness.Skip as skip:
        print(skip)
        return harness.SKIP_STATUS
    except harness.Failure as failure:
        print(f"{failure}\n{case.tail()}")
        return 1
    finally:
        case.end()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
