#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds many connections on one machine at once: as many processes of postern-load and postern-sink
as the limit of descriptors asks for, all servers on one address and port, and clients from several
source addresses in 127.0.0.0/8. One source address has ports for 28,232 connections to a server
(Linux's default range), and for 64,512 at most; several have so many each.

Each connection carries one message, and is then kept until all of them are there. They are counted
on both sides, by the kernel and by the programs themselves:

- the kernel: established sockets in /proc/net/tcp, by side and by source address;
- postern-sink: its counters (SIGUSR1), read while the connections are open;
- postern-load: its JSON report.

Everything happens in a network namespace of its own, so nothing else is counted, ports are all
free, and nothing remains. Exit status: 0 when all counts are N, 1 when not, 77 where no namespace
can be made.

Usage: connections.py [--build DIR] [--sources K] [--ports LOW-HIGH] [--files N]
                      [--patience SECONDS] [N]
"""

import argparse
import collections
import fcntl
import json
import os
import re
import resource
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

SKIP_STATUS = 77
TARGET, PORT = "127.0.0.1", 2525  # in a namespace of its own every port is free
PER_SOURCE = 20000             # a source takes so many, when --sources does not say otherwise
FILES_WANTED = 131072
FILES_SLACK = 200              # of a process: what is not a connection
SERVER_FILL = 0.85             # the kernel gives connections to servers by hash: some get more
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
ESTABLISHED = "01"
OPEN_COUNTER = "connections open"  # the last that SIGUSR1 prints


# --- the namespace ------------------------------------------------------------------------------

def enter_namespace(arguments):
    """Runs this program again in a network namespace; does not return."""
    command = ["unshare", "--net"] + ([] if os.geteuid() == 0 else ["--user", "--map-root-user"])
    try:
        done = subprocess.run([*command, "true"], stderr=subprocess.PIPE, check=False)
        why = done.stderr.decode(errors="replace").strip() if done.returncode != 0 else ""
    except OSError as error:
        why = str(error)
    if why:
        print(f"connections: no network namespace can be made here: {why}", file=sys.stderr)
        sys.exit(SKIP_STATUS)
    os.execvp(command[0], [*command, sys.executable, os.path.abspath(__file__), "--inside",
                           *arguments])


def set_up_namespace(ports):
    """Loopback up; ports for outgoing connections as asked for."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        request = fcntl.ioctl(s, SIOCGIFFLAGS, struct.pack("16sH14x", b"lo", 0))
        flags = struct.unpack_from("16sH", request)[1]
        fcntl.ioctl(s, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | IFF_UP))
    if ports:
        with open("/proc/sys/net/ipv4/ip_local_port_range", "w", encoding="ascii") as f:
            f.write(ports.replace("-", " "))


def port_range():
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as f:
        low, high = map(int, f.read().split())
    return low, high


def sockets_in_use():
    """TCP sockets of this namespace, of both sides, listening ones too."""
    with open("/proc/net/sockstat", encoding="ascii") as f:
        return int(re.search(r"^TCP: inuse (\d+)", f.read(), re.MULTILINE).group(1))


def established():
    """(connections by source address, the server's side's count), as the kernel lists them."""
    sources, server_count = collections.Counter(), 0
    end = f":{PORT:04X}"
    with open("/proc/net/tcp", encoding="ascii") as f:
        next(f)
        for line in f:
            _, local, remote, state = line.split(maxsplit=4)[:4]
            if state != ESTABLISHED:
                continue
            if local.endswith(end):
                server_count += 1
            elif remote.endswith(end):
                address = struct.pack("=I", int(local[:8], 16))
                sources[socket.inet_ntoa(address)] += 1
    return sources, server_count


# --- programs -----------------------------------------------------------------------------------

class Program:
    """One process, with its output in a file."""

    def __init__(self, folder, name, command, files):
        self.name = name
        self.is_told = False
        self.path = os.path.join(folder, name)
        with open(self.path, "wb") as out:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, files)))

    def text(self):
        with open(self.path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def has_ended(self):
        return self.process.poll() is not None

    def wait_for(self, word, seconds=60):
        """The text, once @word stands in it."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.has_ended():
            text = self.text()
            if word in text:
                return text
            time.sleep(0.02)
        sys.exit(f"connections: {self.name} did not say {word!r}:\n{self.text()[-2000:]}")

    def resident_bytes(self):
        try:
            with open(f"/proc/{self.process.pid}/status", encoding="ascii") as f:
                return int(re.search(r"VmRSS:\s+(\d+) kB", f.read()).group(1)) * 1024
        except (OSError, AttributeError):
            return 0

    def tell(self):
        """It is to end; told once, since a second time would mean at once."""
        if not self.is_told and not self.has_ended():
            self.process.send_signal(signal.SIGTERM)
        self.is_told = True

    def end(self, seconds=120):
        self.tell()
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Sink(Program):
    """A server; all of them share one port (two threads each make it shareable)."""

    def __init__(self, folder, idx, program, files):
        super().__init__(folder, f"sink-{idx}",
                         [program, "--listen", f"smtp://{TARGET}:{PORT}", "--workers", "2",
                          "--conns", str(files), "--idle", "24h"], files)

    def counters(self):
        """What SIGUSR1 prints."""
        start = len(self.text())
        self.process.send_signal(signal.SIGUSR1)
        end = time.monotonic() + 30
        while time.monotonic() < end:
            found = dict(re.findall(r"^  (\S.*?) +(\d+)\n", self.text()[start:], re.MULTILINE))
            if OPEN_COUNTER in found:
                return {name: int(value) for name, value in found.items()}
            time.sleep(0.02)
        return {}


class Client(Program):
    """A generator with @count connections; each sends one message and then thinks."""

    def __init__(self, folder, idx, program, count, sources, files):
        self.count = count
        self.json_path = os.path.join(folder, f"load-{idx}.json")
        super().__init__(folder, f"load-{idx}",
                         [program, f"smtp://{TARGET}:{PORT}", "--connections", str(count),
                          "--preconnect", "--count", str(2 * count), "--think", "24h", "--quiet",
                          "--source", sources, "--json", self.json_path], files)

    def counters(self):
        """Of the report that it wrote at its end."""
        try:
            with open(self.json_path, encoding="utf-8") as f:
                return json.load(f)["counters"]
        except (OSError, ValueError, KeyError):
            return {}


# --- the run ------------------------------------------------------------------------------------

def parts(total, most):
    """@total in parts as even as may be, none above @most."""
    count = -(-total // most)
    return [total // count + (i < total % count) for i in range(count)]


def wait_for_all(wanted, patience, clients, sinks):
    """Until both sides' sockets are there, or none has come for a while."""
    listening = sockets_in_use()
    seen, changed_at = 0, time.monotonic()
    while True:
        count = sockets_in_use() - listening
        messages = sum(s.counters().get("messages", 0) for s in sinks)
        if count >= 2 * wanted and messages >= wanted:
            return
        if count + messages > seen:
            seen, changed_at = count + messages, time.monotonic()
        if time.monotonic() - changed_at > patience:
            return
        if any(p.has_ended() for p in clients + sinks):
            return
        time.sleep(0.1)


def show(name, values):
    print(f"  {name:<22} " + ", ".join(f"{value} {what}" for value, what in values))


def measure(args, folder, sinks, clients):
    """Starts everything, counts, ends it; whether all counts are as wanted."""
    files = args.files
    sources = f"127.0.1.1-127.0.1.{args.sources}"
    low, high = port_range()
    for i in range(len(parts(args.count, int((files - FILES_SLACK) * SERVER_FILL)))):
        sinks.append(Sink(folder, i, args.sink, files))
        sinks[i].wait_for("postern-sink: ready\n")
    client_parts = parts(args.count, files - FILES_SLACK)
    print(f"{args.count} connections from {sources} to {TARGET}:{PORT}: {len(client_parts)} "
          f"postern-load, {len(sinks)} postern-sink, {files} descriptors each; ports {low}-{high} "
          f"({high - low + 1} a source)", flush=True)
    began = time.monotonic()
    for i, count in enumerate(client_parts):
        clients.append(Client(folder, i, args.load, count, sources, files))
    wait_for_all(args.count, args.patience, clients, sinks)
    seconds = time.monotonic() - began
    by_source, server_sockets = established()
    counters = [s.counters() for s in sinks]
    memory = [sum(p.resident_bytes() for p in group) for group in (clients, sinks)]
    for client in clients:
        client.tell()
    for client in clients:
        client.end()
    reports = [c.counters() for c in clients]
    for sink in sinks:
        sink.end()

    counts = [
        ("clients, kernel", [(sum(by_source.values()), "established")]),
        ("servers, kernel", [(server_sockets, "established")]),
        ("servers, counters", [(sum(c.get(OPEN_COUNTER, 0) for c in counters), "open"),
                               (sum(c.get("messages", 0) for c in counters), "messages")]),
        ("clients, reports", [(sum(r.get("connects", 0) for r in reports), "made"),
                              (sum(r.get("messages_accepted", 0) for r in reports),
                               "messages accepted")]),
    ]
    for name, values in counts:
        show(name, values)
    for source in sorted(by_source, key=socket.inet_aton):
        show(f"from {source}", [(by_source[source], "established")])
    failed = sum(r.get("connects_failed", 0) + r.get("connects_refused", 0) for r in reports)
    show("failed", [(failed, "to connect"), (sum(r.get("resets", 0) for r in reports), "reset")])
    print(f"  counted after {seconds:.1f} s; resident memory: clients {memory[0] >> 20} MiB, "
          f"servers {memory[1] >> 20} MiB")
    return all(value == args.count for _, values in counts for value, _ in values)


def find(build, *names):
    for name in names:
        path = os.path.join(build, name)
        if os.access(path, os.X_OK):
            return os.path.abspath(path)
    sys.exit(f"connections.py: no {names[0]} in {build}: run it through tools/dev connections")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("count", nargs="?", type=int, default=70000, metavar="N")
    parser.add_argument("--build", default="build", help="folder of a build")
    parser.add_argument("--sources", type=int, default=0, help="how many addresses to connect from")
    parser.add_argument("--ports", default="", help="LOW-HIGH: ports of outgoing connections")
    parser.add_argument("--files", type=int, default=0, help="descriptors of a process")
    parser.add_argument("--patience", type=float, default=20, metavar="SECONDS",
                        help="how long to wait when no connection comes any more")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.count < 1 or not 0 <= args.sources <= 254:
        parser.error("N is at least 1, and sources are at most 254")
    if args.ports and not re.fullmatch(r"\d+-\d+", args.ports):
        parser.error("--ports LOW-HIGH")
    args.sources = args.sources or args.count // PER_SOURCE + 1
    return args


def file_limit(asked):
    """As many descriptors as are allowed; root may raise the hard limit as well."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if asked:
        return min(asked, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE,
                           (max(hard, FILES_WANTED), max(hard, FILES_WANTED)))
        return FILES_WANTED
    except (ValueError, OSError):
        return hard


def main():
    args = parse_arguments()
    if not args.inside:
        enter_namespace(sys.argv[1:])
    set_up_namespace(args.ports)
    args.load = find(args.build, "tools/load/postern-load", "postern-load")
    args.sink = find(args.build, "tools/sink/postern-sink", "postern-sink")
    args.files = file_limit(args.files)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("connections.py: ended by a signal"))
    sinks, clients = [], []
    with tempfile.TemporaryDirectory(prefix="postern-connections-") as folder:
        try:
            is_reached = measure(args, folder, sinks, clients)
            if not is_reached:
                for program in clients:
                    print(f"--- {program.name}\n{program.text()[-600:]}", file=sys.stderr)
        finally:
            for program in clients + sinks:
                program.end(10)
    print(f"connections: {args.count} {'held at once' if is_reached else 'NOT REACHED'}")
    sys.exit(0 if is_reached else 1)


if __name__ == "__main__":
    main()
