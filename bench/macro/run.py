#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Macro benchmark: posternd, Postfix smtp-sink and the floor program under the same smtp-source.

Every figure is taken in one run of this program on one machine: the servers take turns under the
same load, and the table prints server processor time (user + system, of the whole process) for each
message beside the rate, as medians over the rounds, with ratios to the anchor. Server and client are
pinned to a core each. Nothing here is a test: it asserts nothing about time.

Usage: run.py --build BUILD_DIR --postfix DIR [--short] [--only REGEX] [--rounds N] [--json FILE]
DIR is where Postfix's smtp-source and smtp-sink were unpacked ("tools/dev bench" does all this).
"""

import argparse
import json
import os
import platform
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

KIB, MIB = 1024, 1024 * 1024


def cpu_seconds(pid):
    """Processor time of a process so far, ended threads included (nanosecond clock)."""
    return time.clock_gettime((~pid << 3) | 2)


def rss_bytes(pid, field="RssAnon"):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        for line in status:
            if line.startswith(field + ":"):
                return int(line.split()[1]) * KIB
    return 0


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for_port(port, process, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"server ended with {process.returncode}")
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as s:
                s.recv(100)
                return
        except OSError:
            time.sleep(0.02)
    raise RuntimeError("server does not listen")


class Tools:
    def __init__(self, build, postfix):
        self.build = build
        self.posternd = os.path.join(build, "posternd")
        self.floor = os.path.join(build, "bench", "macro", "floor")
        root = postfix
        self.env = dict(os.environ)
        self.source = shutil.which("smtp-source", path="/usr/sbin:/usr/bin:/sbin")
        self.sink = shutil.which("smtp-sink", path="/usr/sbin:/usr/bin:/sbin")
        if root and os.path.exists(os.path.join(root, "usr/sbin/smtp-source")):
            self.source = os.path.join(root, "usr/sbin/smtp-source")
            self.sink = os.path.join(root, "usr/sbin/smtp-sink")
            self.env["LD_LIBRARY_PATH"] = os.path.join(root, "usr/lib/postfix")
        if not self.source:
            sys.exit("run.py: no smtp-source: run it through tools/dev bench")


class Server:
    """One server under test, pinned to core 0, on a port and a scratch folder of its own."""

    def __init__(self, tools, kind, durability="none", shards=1, extra=()):
        self.kind, self.durability = kind, durability
        self.port = free_port()
        self.dir = tempfile.mkdtemp(prefix="postern-bench-", dir=os.environ.get("BENCH_DIR"))
        if kind == "posternd":
            command = [tools.posternd, "--listen", f"smtp://127.0.0.1:{self.port}", "--spool",
                       os.path.join(self.dir, "spool"), "--durability", durability,
                       "--shards", str(shards), "--hostname", "mx.bench.example", *extra]
        elif kind == "floor":
            command = [tools.floor, "--listen", f"127.0.0.1:{self.port}"]
        else:
            user = ["-u", "nobody"] if os.getuid() == 0 else []
            command = [tools.sink, *user, "-h", "mx.bench.example",
                       f"127.0.0.1:{self.port}", "4096"]
        self.log = open(os.path.join(self.dir, "log"), "wb")
        cores = [0] if shards == 1 else list(range(os.cpu_count()))
        self.process = subprocess.Popen(
            command, env=tools.env, stdout=self.log, stderr=self.log, cwd=self.dir,
            preexec_fn=lambda: os.sched_setaffinity(0, cores))
        wait_for_port(self.port, self.process)

    def cpu(self):
        return cpu_seconds(self.process.pid)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
        shutil.rmtree(self.dir, ignore_errors=True)


def source(tools, port, messages, sessions, bytes_, rcpts, keep):
    command = [tools.source, "-s", str(sessions), "-m", str(messages), "-l", str(bytes_), "-r",
               str(rcpts), "-f", "sender@bench.example", "-t", "rcpt@mx.bench.example"]
    if keep:
        command.append("-d")
    command.append(f"127.0.0.1:{port}")
    start = time.monotonic()
    done = subprocess.run(command, env=tools.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=300, check=False,
                          preexec_fn=lambda: os.sched_setaffinity(0, [os.cpu_count() - 1]))
    if done.returncode != 0:
        raise RuntimeError("smtp-source: " + done.stdout.decode(errors="replace")[-400:])
    return time.monotonic() - start


def pipelined(port, messages, bytes_, depth=1):
    """A client of our own that pipelines: MAIL, RCPT and DATA in one segment (two round trips)."""
    head = b"MAIL FROM:<sender@bench.example>\r\nRCPT TO:<rcpt@mx.bench.example>\r\nDATA\r\n"
    line = b"x" * 62 + b"\r\n"
    body = b"Subject: bench\r\n\r\n" + line * max(0, (bytes_ - 18) // 64) + b".\r\n"
    os.sched_setaffinity(0, [os.cpu_count() - 1])
    start = time.monotonic()
    with socket.create_connection(("127.0.0.1", port)) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        s.recv(4096)
        s.sendall(b"EHLO client.example\r\n")
        s.recv(4096)
        for _ in range(messages):
            s.sendall(head)
            got = b""
            while b"354" not in got:
                got += s.recv(4096)
            s.sendall(body)
            if not s.recv(4096).startswith(b"250"):
                raise RuntimeError("message was not accepted")
        s.sendall(b"QUIT\r\n")
        s.recv(4096)
    return time.monotonic() - start


def measure(tools, servers, load, messages, rounds):
    """Servers take turns; returns name -> list of (cpu seconds a message, messages a second)."""
    results = {name: [] for name in servers}
    for round_idx in range(rounds + 1):
        for name, make in servers.items():
            server = make()
            try:
                load(server.port, max(1, messages // 10))  # warm up: buffers, caches, first segment
                before = server.cpu()
                seconds = load(server.port, messages)
                used = server.cpu() - before
            finally:
                server.stop()
            if round_idx > 0:
                results[name].append((used / messages, messages / seconds))
    return results


def row(name, results, anchor):
    base = statistics.median(r[0] for r in results[anchor]) if anchor in results else None
    out = []
    for server, samples in results.items():
        cpu = statistics.median(s[0] for s in samples)
        rate = statistics.median(s[1] for s in samples)
        spread = (max(s[0] for s in samples) - min(s[0] for s in samples)) / cpu if cpu else 0
        out.append({"scenario": name, "server": server, "cpu_us": cpu * 1e6, "rate": rate,
                    "cpu_spread": spread, "ratio": cpu / base if base else None,
                    "samples": samples})
    return out


def idle_memory(tools, counts):
    """Memory of the server process with so many connections that have said EHLO and wait."""
    rows = []
    for count in counts:
        server = Server(tools, "posternd", "none")
        socks = []
        try:
            empty = rss_bytes(server.process.pid)
            for i in range(count):
                s = socket.socket()
                s.bind((f"127.0.{1 + i // 20000}.1", 0))
                s.connect(("127.0.0.1", server.port))
                socks.append(s)
            for s in socks:
                s.recv(512)
                s.sendall(b"EHLO idle.example\r\n")
            for s in socks:
                s.recv(2048)
            full = rss_bytes(server.process.pid)
            rows.append({"connections": count, "rss_before": empty, "rss_after": full,
                         "bytes_each": (full - empty) / count})
        finally:
            for s in socks:
                s.close()
            server.stop()
    return rows


def scenarios(tools, short):
    """(name, servers, load, messages): servers by name, the first is the anchor."""
    def us(**kw):
        return lambda: Server(tools, "posternd", **kw)

    def sink():
        return Server(tools, "sink")

    def floor():
        return Server(tools, "floor")

    scale = 0.05 if short else 1
    out = []

    def add(name, servers, messages, sessions=1, bytes_=KIB, rcpts=1, keep=True):
        n = max(sessions, int(messages * scale), 4)
        out.append((name, servers, lambda port, m: source(tools, port, max(m, sessions), sessions,
                                                          bytes_, rcpts, keep), n))

    trio = {"smtp-sink": sink, "floor": floor, "posternd none": us()}
    for sessions in (1, 16, 100, 1000):
        add(f"1 KiB, {sessions} kept connections", trio, 30000, sessions)
    add("1 KiB, a connection each, 16 at a time", trio, 20000, 16, keep=False)
    for rcpts in (10, 100):
        add(f"1 KiB, {rcpts} recipients, 16 connections", trio, 100000 // (rcpts + 3), 16,
            rcpts=rcpts)
    for bytes_, n in ((10 * KIB, 20000), (100 * KIB, 6000), (MIB, 1500), (10 * MIB, 150)):
        label = f"{bytes_ // KIB} KiB" if bytes_ < MIB else f"{bytes_ // MIB} MiB"
        add(f"{label}, 4 connections", trio, n, 4, bytes_)
    durable = {"posternd none": us(), "posternd os": us(durability="os"),
               "posternd disk": us(durability="disk")}
    for sessions in (1, 16, 100, 1000):
        add(f"durability, 1 KiB, {sessions} connections", durable, 3000 * min(sessions, 10),
            sessions)
    for bytes_, n in ((100 * KIB, 3000), (MIB, 400), (10 * MIB, 40)):
        add(f"durability, {bytes_ // KIB} KiB, 16 connections", durable, max(n, 32), 16, bytes_)
    n = max(int(20000 * scale), 100)
    out.append(("1 KiB, 1 connection, pipelined client",
                {"smtp-sink": sink, "floor": floor, "posternd none": us()},
                lambda port, m: pipelined(port, m, KIB), n))
    return out


def describe():
    with open("/proc/cpuinfo", encoding="ascii") as info:
        model = next((l.split(":", 1)[1].strip() for l in info if l.startswith("model name")), "?")
    return {"cpu": model, "cores": os.cpu_count(), "kernel": platform.release(),
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build")
    parser.add_argument("--postfix", default=".deps/postfix")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--json", default="")
    args = parser.parse_args()
    tools = Tools(os.path.abspath(args.build), os.path.abspath(args.postfix))
    rounds = args.rounds or (1 if args.short else 3)
    about = describe()
    about["command"] = sys.argv
    print(f"# {about['cpu']}, {about['cores']} cores, Linux {about['kernel']}, {about['time']}")
    print("# server on core 0, client on the last core; medians of", rounds, "rounds after one more")
    print(f"{'scenario':44} {'server':16} {'CPU us/msg':>11} {'ratio':>6} {'msg/s':>9} {'spread':>7}")
    rows = []
    for name, servers, load, messages in scenarios(tools, args.short):
        if args.only and not re.search(args.only, name):
            continue
        results = measure(tools, servers, load, messages, rounds)
        for r in row(name, results, next(iter(servers))):
            rows.append(r)
            ratio = f"{r['ratio']:.2f}" if r["ratio"] is not None else "-"
            print(f"{r['scenario']:44} {r['server']:16} {r['cpu_us']:11.2f} {ratio:>6} "
                  f"{r['rate']:9.0f} {100 * r['cpu_spread']:6.0f}%", flush=True)
    idle = []
    if not args.only or re.search(args.only, "idle"):
        idle = idle_memory(tools, (1, 100) if args.short else (1, 1000, 18000))
        for r in idle:
            print(f"idle: {r['connections']:6} connections, RssAnon {r['rss_before'] // KIB} -> "
                  f"{r['rss_after'] // KIB} KiB, {r['bytes_each']:.0f} bytes each")
    if args.json:
        with open(args.json, "w", encoding="utf-8") as out:
            json.dump({"about": about, "rows": rows, "idle": idle}, out, indent=1)


if __name__ == "__main__":
    main()
