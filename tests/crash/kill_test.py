# SPDX-License-Identifier: Apache-2.0
"""kill -9 under load, again and again. After each restart every recipient that was acknowledged is
in the spool, once for each acknowledgement, with the bytes that were sent; nobody that was refused
is, and no message of which nothing was accepted.

    kill_test.py [--rounds N] [--durability disk|os|both] [--seed N]

Several connections send SMTP, PRDR, DEFERRALS, EXDATA and LMTP over DATA and BDAT, to recipients
whose classes accept, refuse, defer and discard. Each message has a number of its own; what was
heard about it decides what must be there:

    acknowledged   the recipient got 2xx that counts: LMTP and EXDATA, its own reply (LMTP-10,
                   LMTP-20, EXD-12); PRDR and DEFERRALS, its own reply and the final one (PRDR-29,
                   DEF-17); SMTP, the one reply
    refused        the content was answered for it, with 4xx or 5xx
    open           no answer was heard before the crash: it may be there or not, but only whole

The process is killed and the machine is not, so this shows that what is acknowledged was written
and can be recovered; that it was synced as well is shown on a simulated disk."""

import argparse
import json
import os
import random
import re
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "blackbox"))

# pylint: disable=wrong-import-position
import harness
from harness import check, check_equal

CONFIG = """
spool {{ segment_size = 4mb; durability = {durability}; }}
{{listeners}}
class "strict" {{ score_reject = 5; }}
class "small" {{ size_max = 8kb; }}
class "later" {{ action = defer; }}
class "hole" {{ action = discard; }}
class "lax" {{ score_reject = off; }}
domain "mx.test.example" {{
    recipients = ["strict strict", "small small", "later later", "hole hole", any]; class = lax;
}}
"""
CONNECTIONS = 8
NAMES = ("strict", "small", "later", "hole", "ann", "bob", "cid")


class Sent:
    """A message, and what was heard about each of its recipients."""

    def __init__(self, number, recipients, content):
        self.number = number
        self.recipients = recipients
        self.content = content
        self.acknowledged = set()
        self.refused = set()
        self.queue_ids = set()

    def note(self, recipient, reply):
        if reply.code // 100 == 2:
            self.acknowledged.add(recipient)
            if reply.queue_id:
                self.queue_ids.add(reply.queue_id)
        else:
            self.refused.add(recipient)


class Worker(threading.Thread):
    """One connection after another, until the server is gone."""

    def __init__(self, server, seed, first_number):
        super().__init__()
        self.server = server
        self.random = random.Random(seed)
        self.number = first_number
        self.sent = []
        self.error = None
        self.is_over = False

    def run(self):
        try:
            while not self.is_over:
                self.session()
        except (harness.Closed, OSError):
            pass  # the server was killed
        except Exception as error:  # pylint: disable=broad-except
            self.error = error

    def session(self):
        kind = self.random.choice(("SMTP", "PRDR", "DEFERRALS", "EXDATA", "LMTP", "UNIX"))
        address = {"LMTP": self.server.lmtp, "UNIX": self.server.unix}.get(kind, self.server.smtp)
        is_lmtp = kind in ("LMTP", "UNIX")
        client = harness.Client(address)
        try:
            client.hello("LHLO" if is_lmtp else "EHLO")
            for _ in range(self.random.choice((1, 5, 50))):
                self.transaction(client, kind, is_lmtp)
                if self.is_over:
                    break
            client.quit()
        finally:
            client.close()

    def make(self, kind):
        """A message. In plain SMTP one reply must speak for all, so all are of one mind there."""
        self.number += 1
        names = self.random.sample(NAMES, self.random.choice((1, 1, 3, 7)))
        if kind == "SMTP":
            names = self.random.choice((["ann", "bob", "cid"], ["ann"], ["strict"], ["later"]))
        header = f"X-Number: {self.number}"
        size = self.random.choice((1, 100, 3000, 3000, 20000, 100000))
        body = b"%08x" % self.random.getrandbits(32) * (size // 8 + 1) + b"\r\n"
        if self.random.random() < 0.3:
            body += harness.GTUBE + b"\r\n"
        content = harness.message(f"number {self.number}", body, header=[header])
        recipients = [f"{name}@mx.test.example" for name in names]
        self.sent.append(Sent(self.number, recipients, content))
        return self.sent[-1]

    def transaction(self, client, kind, is_lmtp):
        sent = self.make(kind)
        param = f" {kind}" if kind in ("PRDR", "DEFERRALS", "EXDATA") else ""
        lines = [f"MAIL FROM:<sender@client.example>{param}"]
        lines += [f"RCPT TO:<{r}>" for r in sent.recipients]
        client.send("".join(line + "\r\n" for line in lines).encode())
        codes = (250, 352) if kind == "DEFERRALS" else (250,)
        answered = [client.expect(*codes).code for _ in lines][1:]
        if self.random.random() < 0.05:
            client.command("RSET", 250)
            sent.refused = set(sent.recipients)
            return
        if self.random.random() < 0.5:
            client.command("DATA", 354)
            client.send(harness.stuffed(sent.content))
        else:
            half = self.random.randrange(len(sent.content))
            client.send(b"BDAT %d\r\n" % half + sent.content[:half])
            client.expect(250)
            rest = sent.content[half:]
            client.send(b"BDAT %d LAST\r\n" % len(rest) + rest)
        if is_lmtp:
            for recipient in sent.recipients:
                sent.note(recipient, client.reply())
            return
        first = client.reply()
        if first.code == 558:  # EXD-12: each has his own
            check_equal(len(first.lines), len(sent.recipients))
            for recipient, line in zip(sent.recipients, first.lines):
                sent.note(recipient, harness.Reply(int(line[:3]), [line[4:]]))
            return
        if first.code != 353:
            for recipient in sent.recipients:
                sent.note(recipient, first)
            return
        own = [client.reply() if kind == "PRDR" or code == 352 else None for code in answered]
        final = client.reply()
        replies = [reply or final for reply in own]  # DEF-15: without a line it is the last reply
        for recipient, reply in zip(sent.recipients, replies):
            sent.note(recipient, reply if final.code // 100 == 2 else final)


class Books:
    """Everything that was sent in all rounds, against the spool."""

    def __init__(self, server):
        self.server = server
        self.sent = {}
        self.checked = {}  # queue id -> number: what earlier rounds have found, never to change
        self.deleted = set()  # numbers of messages that the operator has removed since

    def add(self, worker):
        for sent in worker.sent:
            check(sent.number not in self.sent, "number used twice")
            self.sent[sent.number] = sent

    def thin_out(self, rng):
        """Deletes half of the messages: durable when the command has ended (and so later audits
        look at a bounded number)."""
        queue_ids = rng.sample(sorted(self.checked), len(self.checked) // 2)
        for i in range(0, len(queue_ids), 500):
            harness.ctl("spool", "delete", "--spool", self.server.spool, *queue_ids[i:i + 500])
        for queue_id in queue_ids:
            number = self.checked.pop(queue_id)
            self.deleted.add(number)
            del self.sent[number]

    def audit(self):
        stored = self.server.stored()
        by_number = {}
        for queue_id, item in stored.items():
            number = int(re.search(rb"^X-Number: (\d+)\r$", item.content, re.MULTILINE).group(1))
            check(number not in by_number, f"message {number} is stored twice")
            check(number not in self.deleted, f"message {number} was deleted, and is there")
            by_number[number] = queue_id
        shown = {}
        queue_ids = list(stored)
        for i in range(0, len(queue_ids), 200):
            shown.update(show_many(self.server.spool, queue_ids[i:i + 200]))
        for number, sent in self.sent.items():
            self.audit_one(sent, stored.get(by_number.get(number)), shown)
        unknown = set(by_number) - set(self.sent)
        check(not unknown, "messages that nobody sent:", unknown)
        for queue_id, number in self.checked.items():
            check_equal(by_number.get(number), queue_id, f"message {number} of an earlier round")
        self.checked.update({queue_id: number for number, queue_id in by_number.items()})
        return len(stored)

    def audit_one(self, sent, stored, shown):
        owed = {r for r in sent.acknowledged if not r.startswith("hole@")}
        if stored is None:
            check(not owed, f"message {sent.number} is lost; acknowledged for {owed}")
            return
        what = f"message {sent.number}, {stored.queue_id}"
        check(stored.content == sent.content, f"{what}: content differs "
              f"({len(stored.content)} bytes, {len(sent.content)} sent)")
        check(not sent.queue_ids or sent.queue_ids == {stored.queue_id}, what, sent.queue_ids)
        present = set(shown[stored.queue_id])
        check(owed <= present, f"{what}: {owed - present} missing")
        check(not present & sent.refused, f"{what}: {present & sent.refused} were refused")
        check(present <= set(sent.recipients), what, present)
        check("hole@mx.test.example" not in present, f"{what}: discarded and stored")


def show_many(spool, queue_ids):
    """{queue id: {address: state}}."""
    text = harness.ctl("spool", "show", "--json", "--spool", spool, *queue_ids)
    found = {}
    for line in text.splitlines():
        item = json.loads(line)
        found[item["qid"]] = {r["address"]: r["state"] for r in item["rcpts"]}
    return found


def one_round(server, books, rng, round_number):
    workers = [Worker(server, rng.getrandbits(64), (round_number * CONNECTIONS + i) * 100000)
               for i in range(CONNECTIONS)]
    for worker in workers:
        worker.start()
    time.sleep(rng.uniform(0.1, 0.9))
    server.kill()
    for worker in workers:
        worker.is_over = True
        worker.join(harness.STEP_SECONDS * 2)
        check(not worker.is_alive(), "a client hangs")
        if worker.error is not None:
            raise worker.error
        books.add(worker)
    if rng.random() < 0.5:
        books.audit()  # as the crash left it
    while rng.random() < 0.4:  # killed again while it recovers
        server.launch()
        time.sleep(rng.uniform(0, 0.1))
        server.kill()
    server.start()
    count = books.audit()
    acknowledged = sum(len(s.acknowledged) for s in books.sent.values())
    refused = sum(len(s.refused) for s in books.sent.values())
    print(f"round {round_number}: {len(books.sent)} sent, {count} stored, {acknowledged} "
          f"recipients acknowledged, {refused} refused", flush=True)
    if count > 1000:
        books.thin_out(rng)


def kill_loop(case, durability, rounds, seed):
    print(f"durability {durability}, {rounds} rounds, seed {seed}", flush=True)
    rng = random.Random(seed)
    server = case.server(config=CONFIG.format(durability=durability))
    books = Books(server)
    for round_number in range(rounds):
        one_round(server, books, rng, round_number)
    count = books.audit()
    check(count > 0, "nothing was ever stored")
    harness.ctl("spool", "verify", "--spool", server.spool)
    # And a restart that was asked for changes nothing.
    server.stop()
    check_equal(books.audit(), count)
    server.start()
    check_equal(books.audit(), count)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--durability", choices=("disk", "os", "both"), default="both")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    options = parser.parse_args()
    sys.argv = sys.argv[:1]
    wanted = ("disk", "os") if options.durability == "both" else (options.durability,)
    tests = {f"test_{name}": lambda case, name=name: kill_loop(case, name, options.rounds,
                                                               options.seed) for name in wanted}
    harness.main(tests, seconds=60 + 30 * options.rounds)


main()
