#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a message costs the load generator: postern-load and Postfix's smtp-source, with the same
pattern, against the same sinks.

Every figure is taken in one run of this program on one machine; the clients of a pattern take
turns. The table gives medians over the rounds of the client's processor time for a message (user
and system, all its threads), what one core of it could therefore offer, and the processor time of
the sink for the same messages. "to floor" is the client's time over that of the floor program,
which is what receiving and answering alone costs.

What a client does once (starting, making its connections) is measured with one message a session
and taken off, for all alike.

Sink and client are pinned to a core each, and loads are closed, so that rates are those of the
pair. "offers" is the reciprocal of the client's processor time: what one core of it could do, were
the sink fast enough. "other" is what everything else used of the machine: above a few percent the
figures are disturbed, and the line is marked with "~".

Nothing here is a test: it asserts nothing about time.

Usage: load.py [--build DIR] [--postfix DIR] [--short] [--only REGEX] [--rounds N] [--seconds S]
               [--json FILE] [--markdown FILE]
"""

import argparse
import json
import os
import re
import signal
import statistics
import sys

import run

KIB = 1024
COLUMNS = ("pattern", "sink", "client", "CPU us/msg", "offers msg/s", "to smtp-source",
           "sink CPU us/msg", "to floor", "msg/s", "busy", "spread", "other")
WIDTHS = (27, 10, 22, 10, 12, 14, 15, 8, 8, 5, 6, 6)
# name, and how commands are grouped; smtp-source and "none" wait for each reply.
CLIENTS = ("smtp-source", "postern-load none", "postern-load envelope", "postern-load full")


class Pattern(run.Load):
    """The same messages by each client."""

    def __init__(self, is_lmtp=False, **named):
        super().__init__(**named)
        self.is_lmtp = is_lmtp
        # Postfix's sink speaks LMTP only when it is told to; the floor answers whatever comes.
        self.sinks = ("floor",) if is_lmtp else ("smtp-sink", "floor")

    def command(self, tools, port, messages):
        if self.client == "smtp-source":
            command = super().command(tools, port, messages)
            return command[:1] + ["-L"] + command[1:] if self.is_lmtp else command
        scheme = "lmtp" if self.is_lmtp else "smtp"
        return [tools.load, f"{scheme}://127.0.0.1:{port}", "--connections", str(self.sessions),
                "--count", str(messages), "--size", str(self.bytes), "--recipients",
                str(self.rcpts), "--reuse", "0" if self.keep else "1", "--from",
                "sender@bench.example", "--to", f"rcpt%i@{run.HOSTNAME}", "--pipelining",
                self.client.split()[-1], "--quiet"]

    def sample(self, client, tools, server, messages):
        self.client = client
        return self.run(tools, server, messages)


PATTERNS = (
    ("1 KiB, 1 kept", Pattern(sessions=1), False),
    ("1 KiB, 16 kept", Pattern(sessions=16), True),
    ("1 KiB, 100 kept", Pattern(sessions=100), False),
    ("1 KiB, 10 rcpts, 16 kept", Pattern(sessions=16, rcpts=10), True),
    ("1 KiB, 16, a conn. each", Pattern(sessions=16, keep=False), False),
    ("1 KiB, LMTP, 16 kept", Pattern(is_lmtp=True, sessions=16), False),
    ("100 KiB, 4 kept", Pattern(sessions=4, bytes_=100 * KIB), False),
    ("100 KiB, 4, a conn. each", Pattern(sessions=4, bytes_=100 * KIB, keep=False), False),
)


def measure(tools, pattern, rounds, seconds):
    """{(sink, client): samples}; everything takes turns."""
    samples, messages, once = {}, {}, {}
    servers = [run.Server(tools, name) for name in pattern.sinks]
    try:
        pairs = [(s, c) for s in servers for c in CLIENTS]
        for server, client in pairs:
            probe = pattern.sample(client, tools, server, pattern.messages_for(2000, 0.3))
            rate = probe["messages"] / probe["seconds"]
            messages[server.name, client] = pattern.messages_for(rate, seconds)
            samples[server.name, client] = []
            once[server.name, client] = min(
                (pattern.sample(client, tools, server, pattern.sessions) for _ in range(3)),
                key=lambda s: s["client_cpu"])
        for _ in range(rounds):
            for server, client in pairs:
                key = server.name, client
                samples[key].append(pattern.sample(client, tools, server, messages[key]))
    finally:
        for server in servers:
            server.stop()
    for key, taken in samples.items():
        for sample in taken:
            for name in ("messages", "client_cpu", "server_cpu"):
                sample[name] -= once[key][name]
    return samples


def median(taken, value):
    return statistics.median(value(s) for s in taken)


def summary(name, samples):
    rows = []
    for (sink, client), taken in samples.items():
        cpu = [s["client_cpu"] / s["messages"] for s in taken]
        seconds = sum(s["seconds"] for s in taken)
        rows.append({
            "pattern": name, "sink": sink, "client": client, "samples": taken,
            "cpu_us": statistics.median(cpu) * 1e6,
            "sink_cpu_us": median(taken, lambda s: s["server_cpu"] / s["messages"]) * 1e6,
            "rate": median(taken, lambda s: s["messages"] / s["seconds"]),
            "busy": sum(s["client_cpu"] for s in taken) / seconds,
            "other": sum(s["other_cpu"] for s in taken) / seconds,
            "spread": (max(cpu) - min(cpu)) / statistics.median(cpu)})
    for row in rows:
        source = next(r for r in rows if r["sink"] == row["sink"] and r["client"] == "smtp-source")
        row["source_ratio"] = source["cpu_us"] / row["cpu_us"]
        row["floor_ratio"] = row["cpu_us"] / row["sink_cpu_us"] if row["sink"] == "floor" else None
    return rows


def cells(row):
    mark = "~" if row["other"] > run.OTHER_DISTURBS else ""
    return (row["pattern"], row["sink"], row["client"], f"{row['cpu_us']:.1f}",
            f"{1e6 / row['cpu_us']:.0f}", f"{row['source_ratio']:.2f} x",
            f"{row['sink_cpu_us']:.1f}",
            f"{row['floor_ratio']:.2f}" if row["floor_ratio"] else "-", f"{row['rate']:.0f}",
            f"{100 * row['busy']:.0f}%", f"{100 * row['spread']:.0f}%",
            f"{mark}{100 * row['other']:.0f}%")


def aligned(values):
    return " ".join(v.ljust(w) if i < 3 else v.rjust(w)
                    for i, (v, w) in enumerate(zip(values, WIDTHS)))


def describe(tools, args, rounds, seconds):
    about = run.describe(tools, args, rounds, seconds)
    for name in ("spool_file_system", "posternd", "file_limit"):
        del about[name]
    about["postern-load"] = run.first_line([tools.load, "--version"])
    about["settings"] = (f"sink on core {run.SERVER_CORE}, client on core {run.CLIENT_CORE}, "
                         "loopback, closed loop; nothing is stored")
    return about


def markdown(about, rows):
    head = (f"Measured {about['time']} on {about['cores']} cores of {about['cpu']}, Linux "
            f"{about['kernel']}, {about['compiler']}, {about['postern-load']}, Postfix "
            f"{about['postfix']}; {about['settings']}. Medians of {about['rounds']} alternating "
            "rounds.\n\n")
    return head + run.markdown_table(COLUMNS, [cells(row) for row in rows], 3)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--build", default="build", help="folder of a release build")
    parser.add_argument("--postfix", default=".deps/postfix", help="where it was unpacked")
    parser.add_argument("--short", action="store_true", help="two patterns, under a minute")
    parser.add_argument("--only", default="", help="patterns that match")
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=0, help="of one load in a round")
    parser.add_argument("--json", default="", help="everything, with the raw samples")
    parser.add_argument("--markdown", default="", help="the table")
    args = parser.parse_args()
    args.compare = args.scratch = ""
    return args


def main():
    args = parse_arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("load.py: ended by a signal"))
    tools = run.Tools(args, run.raise_file_limit())
    tools.load = tools.find("postern-load", "tools/load/postern-load")
    rounds = args.rounds or (3 if args.short else 5)
    seconds = args.seconds or (0.5 if args.short else 1)
    about = describe(tools, args, rounds, seconds)
    for key, value in about.items():
        print(f"# {key}: {value}")
    print(aligned(COLUMNS))
    rows = []
    for name, pattern, is_short in PATTERNS:
        if not re.search(args.only, name) or (args.short and not is_short):
            continue
        for row in summary(name, measure(tools, pattern, rounds, seconds)):
            rows.append(row)
            print(aligned(cells(row)), flush=True)
    about["load_average_at_end"] = os.getloadavg()
    print(f"# load average at the end: {about['load_average_at_end']}")
    if args.json:
        with open(args.json, "w", encoding="utf-8") as out:
            json.dump({"about": about, "rows": rows}, out, indent=1)
    if args.markdown:
        with open(args.markdown, "w", encoding="utf-8") as out:
            out.write(markdown(about, rows))


if __name__ == "__main__":
    main()
