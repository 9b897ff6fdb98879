#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""When do replies leave, in how many segments, and what does it cost? The old argument, measured.

Holzer wanted every reply sent as soon as it exists, leaving it to Nagle's algorithm to join them;
Finch wanted one send for all of them (HOL-19). This runs posternd with pacing = batch, tick and
eager, tcp_nodelay = yes and no, and commit_replies = split and linked, under replies.c: LMTP, PRDR
and, as the base, plain SMTP, with 1, 10 and 100 recipients. Over PRDR the first of several
recipients refuses the content, so that there is a block of replies.

Two servers run side by side, one for each commit_replies, with a listener for each of the rest. All
cells take turns, for a short time in each round; figures are medians over the rounds:
  segments   with reply bytes, from the server, for one message
  server us  processor time of the server for one message, the kernel's workers for it included
  first, last us   from the client's last byte to his reading of the first and the last reply
Server and client have a core each; "other" is what everything else used of the machine.

Nothing here is a test: it asserts nothing about time.

Usage: replies.py [--build DIR] [--short] [--rounds N] [--ms N] [--connections N]
                  [--durability WHAT]
                  [--spread MS] [--only REGEX] [--scratch DIR] [--json FILE] [--markdown FILE]
"tools/dev bench replies" builds, and passes its arguments on.
"""

import argparse
import itertools
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

from run import (CLIENT_CORE, SERVER_CORE, cpu_seconds, file_system_of, first_line,
                 machine_busy_seconds)

PACINGS = ("batch", "tick", "eager")
NODELAYS = ("yes", "no")
COMMITS = ("split", "linked")
DIALECTS = ("smtp", "lmtp", "prdr")
RECIPIENTS = (1, 10, 100)
FIELDS = ("segments", "cpu_us", "first_us", "last_us", "last_p99_us")
OTHER_DISTURBS = 0.10
SPREAD_STEPS = 10


def free_ports(count):
    """Ports that nobody has; all are held until the last is known, so that they differ."""
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def classes_text(spread_ms):
    """Classes, and who is in which: with a spread, verdicts come one by one until it is over."""
    late = "action = reject; act_at = content;"
    if spread_ms == 0:
        return [f'class "late" {{ {late} }}',
                'domain "mx.bench.example" { recipients = ["r0@mx.bench.example", any]; }',
                'domain "prdr.bench.example" { recipients = ["r0@prdr.bench.example late", any]; }']
    lines = [f'class "late" {{ {late} delay = {spread_ms // SPREAD_STEPS}ms; }}']
    for step in range(SPREAD_STEPS):
        delay = (step + 1) * spread_ms // SPREAD_STEPS
        lines.append(f'class "after{step}" {{ delay = {delay}ms; }}')
    for name in ("mx", "prdr"):
        listed = [f'"r{i}@{name}.bench.example after{i % SPREAD_STEPS}"'
                  for i in range(max(RECIPIENTS) + 1)]
        if name == "prdr":
            listed[0] = '"r0@prdr.bench.example late"'
        lines.append(f'domain "{name}.bench.example" {{ recipients = [{", ".join(listed)}]; }}')
    return lines


def config_text(spool, commit, args, ports):
    lines = ["hostname = mx.bench.example;", "shards = 1;",
             f"spool {{ dir = {spool}; durability = {args.durability}; "
             f"commit_replies = {commit}; }}",
             *classes_text(args.spread)]
    order = "delay_order = concurrent; " if args.spread > 0 else ""
    for (protocol, pacing, nodelay), port in ports.items():
        lines.append(f'listener "{protocol}-{pacing}-{nodelay}" {{ '
                     f'address = "{protocol}://127.0.0.1:{port}"; pacing = {pacing}; '
                     f'tcp_nodelay = {nodelay}; {order}}}')
    return "\n".join(lines) + "\n"


class Server:
    """One posternd on the server's core, with a listener for each pacing and tcp_nodelay."""

    def __init__(self, args, folder, commit):
        self.folder = os.path.join(folder, commit)
        os.mkdir(self.folder)
        names = list(itertools.product(("smtp", "lmtp"), PACINGS, NODELAYS))
        self.ports = dict(zip(names, free_ports(len(names))))
        path = os.path.join(self.folder, "postern.conf")
        spool = os.path.join(self.folder, "spool")
        with open(path, "w", encoding="utf-8") as out:
            out.write(config_text(spool, commit, args, self.ports))
        with open(os.path.join(self.folder, "log"), "wb") as log:
            self.process = subprocess.Popen(
                [os.path.join(args.build, "server/posternd"), "--config", path], stderr=log,
                preexec_fn=lambda: os.sched_setaffinity(0, {SERVER_CORE}))
        for port in self.ports.values():
            self.await_port(port)

    def await_port(self, port):
        for _ in range(500):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                return
            except ConnectionRefusedError:
                time.sleep(0.02)
            if self.process.poll() is not None:
                break
        with open(os.path.join(self.folder, "log"), encoding="utf-8", errors="replace") as log:
            raise RuntimeError(f"posternd does not listen: {log.read()[-500:]}")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=60)


def measure(args, server, cell):
    dialect, recipients, pacing, nodelay, _ = cell
    port = server.ports["lmtp" if dialect == "lmtp" else "smtp", pacing, nodelay]
    command = [os.path.join(args.build, "bench/macro/replies"), str(port),
               str(server.process.pid), dialect, str(recipients), str(args.connections),
               str(args.ms)]
    busy, start = machine_busy_seconds(), time.monotonic()
    cpu = cpu_seconds(server.process.pid)
    child = resource_seconds()
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True,
                          preexec_fn=lambda: os.sched_setaffinity(0, {CLIENT_CORE}))
    elapsed = time.monotonic() - start
    ours = cpu_seconds(server.process.pid) - cpu + resource_seconds() - child
    result = json.loads(done.stdout)
    result["other"] = max(0.0, (machine_busy_seconds() - busy - ours) / elapsed / os.cpu_count())
    return result


def resource_seconds():
    times = os.times()
    return times.children_user + times.children_system


def run_all(args, servers, cells):
    samples = {cell: [] for cell in cells}
    for number in range(args.rounds):
        for cell in cells:
            samples[cell].append(measure(args, servers[cell[4]], cell))
        print(f"round {number + 1} of {args.rounds}", file=sys.stderr)
    return samples


def medians(runs):
    return {field: statistics.median(run[field] for run in runs) for field in FIELDS}


def table(args, samples, describe):
    out = [f"{describe}", "",
           "| dialect | rcpts | pacing | nodelay | replies | segments | server us | first us "
           "| last us | last p99 us |", "|---|---|---|---|---|---|---|---|---|---|"]
    for cell, runs in samples.items():
        dialect, recipients, pacing, nodelay, commit = cell
        m = medians(runs)
        out.append(f"| {dialect} | {recipients} | {pacing} | {nodelay} | {commit} | "
                   f"{m['segments']:.2f} | {m['cpu_us']:.1f} | {m['first_us']:.0f} | "
                   f"{m['last_us']:.0f} | {m['last_p99_us']:.0f} |")
    return "\n".join(out) + "\n" + ratios(samples)


def ratios(samples):
    """linked to split, and Nagle's algorithm on to off, each over the cells that differ in it."""
    out = [""]
    for name, index, one, other in (("linked / split", 4, "linked", "split"),
                                    ("tcp_nodelay no / yes", 3, "no", "yes"),
                                    ("eager / tick", 2, "eager", "tick"),
                                    ("batch / tick", 2, "batch", "tick")):
        pairs = [(cell, cell[:index] + (other,) + cell[index + 1:]) for cell in samples
                 if cell[index] == one]
        pairs = [(a, b) for a, b in pairs if b in samples]
        if not pairs:
            continue
        words = []
        for field, title in (("cpu_us", "server time"), ("last_us", "last reply"),
                             ("segments", "segments")):
            found = sorted(medians(samples[a])[field] / medians(samples[b])[field]
                           for a, b in pairs if medians(samples[b])[field] > 0)
            words.append(f"{title} {found[len(found) // 2]:.2f} "
                         f"({found[0]:.2f} to {found[-1]:.2f})")
        out.append(f"{name}, median and range over {len(pairs)} pairs of cells: " +
                   ", ".join(words))
    return "\n".join(out) + "\n"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--build", default="build")
    parser.add_argument("--short", action="store_true", help="one round of 50 ms a cell")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ms", type=int, default=200, help="of one cell in one round")
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--spread", type=int, default=0, metavar="MS",
                        help="verdicts come one by one in ten steps, the last after so long")
    parser.add_argument("--durability", default="disk", choices=("disk", "os", "none"))
    parser.add_argument("--only", default="",
                        help="cells whose name matches, as lmtp/10/eager/no/linked")
    parser.add_argument("--scratch", default=None,
                        help="where the spools are (default: a new folder here)")
    parser.add_argument("--json", default=None, help="all samples")
    parser.add_argument("--markdown", default=None, help="the table, as it is printed")
    args = parser.parse_args()
    if args.short:
        args.rounds, args.ms = 1, 50
    return args


def main():
    args = arguments()
    cells = [cell for cell in itertools.product(DIALECTS, RECIPIENTS, PACINGS, NODELAYS, COMMITS)
             if re.search(args.only, "/".join(map(str, cell)))]
    folder = tempfile.mkdtemp(prefix="replies-", dir=args.scratch or os.getcwd())
    servers = {}
    try:
        for commit in COMMITS:
            servers[commit] = Server(args, folder, commit)
        load = os.getloadavg()[0]
        samples = run_all(args, servers, cells)
        others = [run["other"] for runs in samples.values() for run in runs]
        disturbed = sum(other > OTHER_DISTURBS for other in others)
        describe = (f"{args.rounds} rounds of {args.ms} ms a cell, "
                    f"{args.connections} connection(s), verdicts spread over {args.spread} ms, "
                    f"durability {args.durability} on {file_system_of(folder)}, "
                    f"Linux {os.uname().release}, {os.cpu_count()} cores, "
                    f"load average {load:.2f} at the start, "
                    f"{disturbed} of {len(others)} samples with more than {OTHER_DISTURBS:.0%} of "
                    f"the machine used by others (median {statistics.median(others):.0%}), "
                    f"{first_line([os.path.join(args.build, 'server/posternd'), '--version'])}")
        text = table(args, samples, describe)
        print(text)
        if args.markdown:
            with open(args.markdown, "w", encoding="utf-8") as out:
                out.write(text)
        if args.json:
            with open(args.json, "w", encoding="utf-8") as out:
                json.dump({"settings": describe, "samples": {"/".join(map(str, cell)): runs
                                                             for cell, runs in samples.items()}},
                          out)
    finally:
        for server in servers.values():
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
