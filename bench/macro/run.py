#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Macro benchmark: posternd, Postfix's smtp-sink and the floor program under the same load.

Every figure is taken in one run of this program on one machine. The servers of a scenario run side
by side and take turns: each round loads each of them once, for about the same time. The tables give
medians over the rounds of the server's processor time for a message (user and system, all threads
of the process, the kernel's workers for it included) and of the rate, and ratios within the run.

Server and client are pinned to a core each. Loads are closed (a connection waits for its reply), so
rates say what this client gets from this server, and latencies are not measured here at all. Which
of the two was the limit is shown: "busy" is the share of the time in which the server had its core.
"other" is what everything else but client and server used of the machine: above a few percent, the
figures are disturbed, and the line is marked with "~".

Nothing here is a test: it asserts nothing about time.

Usage: run.py [--build DIR] [--postfix DIR] [--short] [--only REGEX] [--rounds N] [--seconds S]
              [--compare POSTERND] [--scratch DIR] [--json FILE] [--markdown FILE] [--list]
"tools/dev bench macro" builds, fetches Postfix's programs, and passes its arguments on.
"""

import argparse
import json
import os
import platform
import re
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

from mta import children_cpu_seconds, library_path, postfix_prepare, postfix_root

KIB, MIB = 1024, 1024 * 1024
HOSTNAME = "mx.bench.example"
FILES_WANTED = 131072          # descriptors: idle connections, on both sides
CONNECTIONS_MAX = 110000       # what posternd is told to allow
HOLDER_CONNECTIONS = 10000     # by one client process, from an address of its own
SHARD_FILES_SLACK = 1000       # descriptors of a process that are not connections, with a margin
OTHER_DISTURBS = 0.10
SERVER_CORE = 0
CLIENT_CORE = os.cpu_count() - 1
RATE_PROBE_SECONDS = 0.1       # the loads that find out how many messages fill a round


# --- the machine ---------------------------------------------------------------------------------

def cpu_seconds(pid):
    """Processor time of a process so far, ended threads included (nanosecond clock)."""
    return time.clock_gettime((~pid << 3) | 2)


def machine_busy_seconds():
    """Processor time that was not idle, over all cores."""
    with open("/proc/stat", encoding="ascii") as stat:
        ticks = [int(x) for x in stat.readline().split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")


def anonymous_bytes(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * KIB
    raise RuntimeError("no RssAnon")


def raise_file_limit():
    """As many descriptors as are allowed; root may raise the hard limit as well."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in ((FILES_WANTED, max(hard, FILES_WANTED)), (hard, hard)):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, wanted)
            return wanted[0]
        except (ValueError, OSError):
            continue
    return soft


def first_line(command, env=None):
    try:
        done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=10, check=False)
        return (done.stdout or done.stderr).decode(errors="replace").split("\n")[0].strip()
    except OSError as error:
        return str(error)


def file_system_of(path):
    best = ("", "?")
    with open("/proc/mounts", encoding="utf-8") as mounts:
        for line in mounts:
            _, where, kind = line.split()[:3]
            inside = os.path.abspath(path).startswith(where.rstrip("/") + "/") or where == "/"
            if inside and len(where) >= len(best[0]):
                best = (where, kind)
    return best[1]


def compiler_of(build):
    try:
        with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as commands:
            words = json.load(commands)[0]["command"].split()
        return first_line([w for w in words[:2] if w != "ccache"][:1] + ["--version"])
    except (OSError, LookupError, ValueError):
        return "?"


def postfix_version(tools):
    """postconf knows it; unpacked, it needs its libraries beside it."""
    if not tools.postconf:
        return "?"
    root = os.path.dirname(os.path.dirname(os.path.dirname(tools.postconf)))
    line = first_line([tools.postconf, "-d", "mail_version"],
                      {**os.environ, "LD_LIBRARY_PATH": library_path(root)})
    return line.rsplit(" ", 1)[-1] if line.startswith("mail_version = ") else "?"


def describe(tools, args, rounds, seconds):
    with open("/proc/cpuinfo", encoding="ascii") as info:
        model = next((l.split(":", 1)[1].strip() for l in info if l.startswith("model name")), "?")
    with open("/proc/meminfo", encoding="ascii") as info:
        memory = int(info.readline().split()[1]) * KIB
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "cpu": model, "cores": os.cpu_count(), "memory_bytes": memory,
        "kernel": platform.release(), "spool_file_system": file_system_of(tools.scratch),
        "posternd": first_line([tools.posternd, "--version"]),
        "postfix": postfix_version(tools),
        "compiler": compiler_of(tools.build),
        "load_average_at_start": os.getloadavg(),
        "rounds": rounds, "seconds_a_round": seconds, "command": sys.argv,
        "settings": f"one shard on core {SERVER_CORE} (idle table: see its column), client on core "
                    f"{CLIENT_CORE}, loopback; posternd with a configuration of two lines: "
                    f"connections = {CONNECTIONS_MAX} (bounded by the limit of descriptors), and "
                    "one domain that takes every recipient; default rules; a log line a "
                    "transaction, into a file",
        "file_limit": tools.file_limit,
    }


# --- programs -------------------------------------------------------------------------------------

class Tools:
    """Where the programs are."""

    def __init__(self, args, file_limit):
        self.build = os.path.abspath(args.build)
        self.file_limit = file_limit
        self.posternd = self.find("posternd", "server/posternd")
        self.compare = os.path.abspath(args.compare) if args.compare else None
        self.floor = self.find("bench/macro/floor")
        self.blast = self.find("bench/macro/blast")
        postfix = os.path.abspath(args.postfix)
        path = os.path.join(postfix, "bin") + ":/usr/sbin:/usr/bin:/sbin"
        self.source = shutil.which("smtp-source", path=path)
        self.sink = shutil.which("smtp-sink", path=path)
        self.mta_root = postfix_root(postfix)
        self.postconf = shutil.which("postconf",
                                     path=os.path.join(postfix, "usr/sbin") + ":/usr/sbin")
        if not self.source or not self.sink:
            sys.exit("run.py: no smtp-source and smtp-sink: run it through tools/dev bench")
        # The spool must lie on a real file system, which /tmp often is not.
        self.scratch = os.path.abspath(args.scratch or os.path.join(self.build, "bench-scratch"))
        os.makedirs(self.scratch, exist_ok=True)

    def find(self, *names):
        for name in names:
            path = os.path.join(self.build, name)
            if os.path.exists(path):
                return path
        sys.exit(f"run.py: no {names[0]} in {self.build}: run it through tools/dev bench")


def pin(core):
    return lambda: os.sched_setaffinity(0, [core])


class Server:
    """One server under test, pinned to a core, on a port and a scratch folder of its own."""

    def __init__(self, tools, name, shards=1):
        self.tools, self.name, self.shards = tools, name, shards
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.dir = tempfile.mkdtemp(prefix="server-", dir=tools.scratch)
        self.log_path = os.path.join(self.dir, "log")
        os.chmod(self.dir, 0o755)
        self.is_mta = name == "postfix"
        environment = None
        if self.is_mta:  # many processes, on all cores
            command, environment = postfix_prepare(tools.mta_root, self.dir, self.port, HOSTNAME)
        else:
            command = self.command()
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self.dir, env=environment,
                start_new_session=self.is_mta, preexec_fn=None if self.is_mta else pin(SERVER_CORE))
        try:
            self.wait_until_ready()
        except RuntimeError:
            self.stop()
            raise

    def command(self):
        where = f"127.0.0.1:{self.port}"
        kind = self.name.split()[0]
        if kind == "floor":
            return [self.tools.floor, "--listen", where]
        if kind == "smtp-sink":
            user = ["-u", "nobody"] if os.getuid() == 0 else []
            return [self.tools.sink, *user, "-h", HOSTNAME, "-m", "20000", where, "4096"]
        program = self.tools.compare if kind == "compared" else self.tools.posternd
        config = os.path.join(self.dir, "postern.conf")
        with open(config, "w", encoding="ascii") as f:
            f.write(f"limits {{ connections = {CONNECTIONS_MAX}; }}\n"
                    f'domain "{HOSTNAME}" {{ recipients = any; }}\n')
        return [program, "--config", config, "--listen", f"smtp://{where}",
                "--shards", str(self.shards),
                "--spool", os.path.join(self.dir, "spool"), "--hostname", HOSTNAME,
                "--durability", self.name.split()[-1]]

    def wait_until_ready(self, seconds=30):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended: {self.log_end()}")
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=5) as s:
                    s.recv(100)
                    s.sendall(b"QUIT\r\n")
                    s.recv(100)
                    return
            except OSError:
                time.sleep(0.02)
        raise RuntimeError(f"{self.name} does not listen: {self.log_end()}")

    def wait_until_quiet(self, seconds=5):
        """A new spool fills segments ahead of need: that is not what the first load costs."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            before = self.cpu()
            time.sleep(0.05)
            if self.cpu() - before < 0.001:
                return

    def log_end(self):
        with open(self.log_path, "rb") as log:
            return log.read()[-600:].decode(errors="replace")

    def cpu(self):
        own = cpu_seconds(self.process.pid)
        return own + children_cpu_seconds(self.process.pid, cpu_seconds) if self.is_mta else own

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


class Load:
    """What the client does: smtp-source (a command at a time) or blast (pipelined groups)."""

    def __init__(self, sessions=1, bytes_=KIB, rcpts=1, keep=True, client="smtp-source"):
        self.sessions, self.bytes, self.rcpts = sessions, bytes_, rcpts
        self.keep, self.client = keep, client

    def command(self, tools, port, messages):
        if self.client != "smtp-source":
            chain = ["--chain"] if self.client == "chained" else []
            return [tools.blast, "--to", f"127.0.0.1:{port}", "--connections", str(self.sessions),
                    "--messages", str(messages), "--bytes", str(self.bytes), "--recipients",
                    str(self.rcpts), *chain]
        keep = ["-d"] if self.keep else []
        return [tools.source, "-s", str(self.sessions), "-m", str(messages), "-l", str(self.bytes),
                "-r", str(self.rcpts), "-f", "sender@bench.example", "-t", f"rcpt@{HOSTNAME}",
                *keep, f"127.0.0.1:{port}"]

    def messages_for(self, rate, seconds):
        """So many that a round takes about @seconds, and setting up sessions does not matter."""
        least = max(self.sessions * (4 if self.keep else 1), 50 if self.bytes < MIB else 4)
        most = 200000 if self.keep else 3000  # each connection leaves a port in TIME_WAIT
        return int(min(max(rate * seconds, least), most))

    def run(self, tools, server, messages):
        """One sample: messages, seconds, and processor time of server, client and all others."""
        busy, cpu, start = machine_busy_seconds(), server.cpu(), time.monotonic()
        client = subprocess.Popen(self.command(tools, server.port, messages),
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  preexec_fn=pin(CLIENT_CORE))
        output = client.stdout.read()
        _, status, usage = os.wait4(client.pid, 0)
        client.returncode = os.waitstatus_to_exitcode(status)
        client.stdout.close()
        seconds = time.monotonic() - start
        sample = {"messages": messages, "seconds": seconds, "server_cpu": server.cpu() - cpu,
                  "client_cpu": usage.ru_utime + usage.ru_stime}
        sample["other_cpu"] = max(0, machine_busy_seconds() - busy - sample["server_cpu"] -
                                  sample["client_cpu"])
        if client.returncode != 0:
            raise RuntimeError(f"{self.client} against {server.name}: "
                               f"{output.decode(errors='replace')[-300:]} {server.log_end()}")
        return sample


# --- measuring ------------------------------------------------------------------------------------

class Scenario:
    def __init__(self, group, name, servers, load, is_short=False):
        self.group, self.name, self.servers = group, name, servers
        self.load, self.is_short = load, is_short

    def measure(self, tools, rounds, seconds):
        """The servers take turns; returns name -> samples."""
        servers, samples = [], {}
        try:
            for name in self.servers:
                servers.append(Server(tools, name))
            messages = {}
            for server in servers:  # warms up as well: buffers, caches, the first segment
                server.wait_until_quiet()
                count = self.load.messages_for(0, 0)
                for part in (RATE_PROBE_SECONDS / 4, RATE_PROBE_SECONDS, seconds):
                    sample = self.load.run(tools, server, count)
                    count = self.load.messages_for(count / sample["seconds"], part)
                messages[server.name] = count
                samples[server.name] = []
            for _ in range(rounds):
                for server in servers:
                    samples[server.name].append(
                        self.load.run(tools, server, messages[server.name]))
        finally:
            for server in servers:
                server.stop()
        return samples


def summary(scenario, samples):
    """One row a server: medians, and the ratio of processor time to that of the first server."""
    rows = []
    for name, taken in samples.items():
        cpu = [s["server_cpu"] / s["messages"] for s in taken]
        seconds = sum(s["seconds"] for s in taken)
        rows.append({
            "group": scenario.group, "scenario": scenario.name, "server": name,
            "cpu_us": statistics.median(cpu) * 1e6,
            "rate": statistics.median(s["messages"] / s["seconds"] for s in taken),
            "busy": sum(s["server_cpu"] for s in taken) / seconds,
            "other": sum(s["other_cpu"] for s in taken) / seconds,
            "spread": (max(cpu) - min(cpu)) / statistics.median(cpu),
            "bytes": scenario.load.bytes, "samples": taken,
        })
        rows[-1]["mib_s"] = rows[-1]["rate"] * scenario.load.bytes / MIB
    for row in rows:
        row["cpu_ratio"] = row["cpu_us"] / rows[0]["cpu_us"]
        row["rate_ratio"] = row["rate"] / rows[0]["rate"]
        floor = next((r["cpu_us"] for r in rows if r["server"] == "floor"), None)
        row["floor_ratio"] = row["cpu_us"] / floor if floor else None
    return rows


def size_label(bytes_):
    return f"{bytes_ // KIB} KiB" if bytes_ < MIB else f"{bytes_ // MIB} MiB"


def scenarios(has_compare, has_mta):
    compared = ["compared none"] if has_compare else []
    trio = ["smtp-sink", "floor", "posternd none", *compared]
    durable = ["posternd none", "posternd os", "posternd disk",
               *(["compared disk"] if has_compare else [])]
    out = []

    def add(group, name, servers, is_short=False, **load):
        out.append(Scenario(group, name, servers, Load(**load), is_short))

    group = "smtp-source: a command at a time, nothing stored"
    for sessions in (1, 16, 100, 1000):
        add(group, f"1 KiB, {sessions} kept", trio, sessions in (1, 16, 100), sessions=sessions)
    for sessions in (1, 16, 100):
        add(group, f"1 KiB, {sessions}, a connection each", trio, sessions == 16,
            sessions=sessions, keep=False)
    for rcpts in (10, 100):
        add(group, f"1 KiB, {rcpts} recipients, 16 kept", trio, rcpts == 10, sessions=16,
            rcpts=rcpts)
    for bytes_ in (10 * KIB, 100 * KIB, MIB, 10 * MIB):
        add(group, f"{size_label(bytes_)}, 4 kept", trio, bytes_ == MIB, sessions=4, bytes_=bytes_)
    group = "pipelined: two round trips a message, nothing stored"
    for sessions in (1, 16, 100, 1000):
        add(group, f"1 KiB, {sessions} kept", trio, sessions == 16, sessions=sessions,
            client="pipelined")
    for rcpts in (10, 100):
        add(group, f"1 KiB, {rcpts} recipients, 16 kept", trio, sessions=16, rcpts=rcpts,
            client="pipelined")
    for bytes_ in (MIB, 10 * MIB):
        add(group, f"{size_label(bytes_)}, 4 kept", trio, bytes_ == 10 * MIB, sessions=4,
            bytes_=bytes_, client="pipelined")
    group = "pipelined: one round trip a message (the next commands follow the dot), nothing stored"
    add(group, "1 KiB, 16 kept", trio, sessions=16, client="chained")
    group = "durability: none, os (page cache), disk (synced)"
    for sessions in (1, 16, 100, 1000):
        add(group, f"1 KiB, {sessions} kept", durable, sessions in (16, 100), sessions=sessions)
    add(group, "1 KiB, 100 recipients, 16 kept", durable, sessions=16, rcpts=100)
    for bytes_ in (10 * KIB, 100 * KIB, MIB, 10 * MIB):
        add(group, f"{size_label(bytes_)}, 16 kept", durable, sessions=16, bytes_=bytes_)
    add(group, "1 KiB, 100 kept, pipelined", durable, sessions=100, client="pipelined")
    if has_mta:
        group = "a whole mail server: Postfix on all cores (queue files synced, then discarded)"
        for sessions in (1, 16, 100):
            add(group, f"1 KiB, {sessions} kept", ["postfix", "posternd disk"], sessions == 100,
                sessions=sessions)
    return out


# --- idle connections -----------------------------------------------------------------------------

class Holder:
    """A process that holds connections which have said EHLO and wait, from its own address."""

    def __init__(self, port, count, address):
        ready_out, ready_in = os.pipe()
        release_out, self.release = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.release)
            held = self.connect(port, count, address)
            os.write(ready_in, str(len(held)).encode())
            os.close(ready_in)
            os.read(release_out, 1)
            os._exit(0)
        os.close(ready_in)
        os.close(release_out)
        self.count = int(os.read(ready_out, 100) or b"0")
        os.close(ready_out)

    @staticmethod
    def connect(port, count, address):
        held = []
        try:
            for _ in range(count):
                s = socket.socket()
                s.bind((address, 0))
                s.connect(("127.0.0.1", port))
                s.recv(512)
                s.sendall(b"EHLO idle.example\r\n")
                s.recv(2048)
                held.append(s)
        except OSError as error:
            print(f"idle: {len(held)} of {count} connections: {error}", file=sys.stderr)
        return held

    def stop(self):
        os.write(self.release, b"x")  # closing would not do: later holders have inherited it
        os.close(self.release)
        os.waitpid(self.pid, 0)


def idle_row(tools, shards, count, rounds, seconds):
    """Memory of the server process with idle connections, and a load beside them."""
    load = Load(sessions=16, client="pipelined")
    server, holders = Server(tools, "posternd none", shards), []
    try:
        server.wait_until_quiet()
        load.run(tools, server, 5000)  # what any load touches once is touched
        before = anonymous_bytes(server.process.pid)
        for i in range(0, count, HOLDER_CONNECTIONS):
            holders.append(Holder(server.port, min(HOLDER_CONNECTIONS, count - i),
                                  f"127.0.{1 + i // HOLDER_CONNECTIONS}.1"))
        after = anonymous_bytes(server.process.pid)
        messages = load.messages_for(20000, seconds)
        samples = [load.run(tools, server, messages) for _ in range(rounds)]
    finally:
        for holder in holders:
            holder.stop()
        server.stop()
    held = sum(holder.count for holder in holders)
    return {"connections": held, "wanted": count, "shards": shards,
            "anonymous_before": before, "anonymous_after": after,
            "bytes_each": (after - before) / held if held else 0, "samples": samples,
            "cpu_us": statistics.median(s["server_cpu"] / s["messages"] for s in samples) * 1e6,
            "rate": statistics.median(s["messages"] / s["seconds"] for s in samples)}


def idle_rows(tools, counts, rounds, seconds):
    """The kernel bounds a shard's file table by the limit of descriptors: as many as needed."""
    room = max(tools.file_limit - SHARD_FILES_SLACK, 1)
    # The port decides which shard a connection falls to: some get more than their part.
    shards = 1 if max(counts) <= room else 2 + max(counts) // room
    rows = []
    for count in (0, *counts):
        rows.append(idle_row(tools, shards, count, rounds, seconds))
        rows[-1]["cpu_ratio"] = rows[-1]["cpu_us"] / rows[0]["cpu_us"]
        print("  ".join(f"{name}: {value}" for name, value in
                        zip(IDLE_COLUMNS, idle_cells(rows[-1]))), flush=True)
    return rows


# --- reports --------------------------------------------------------------------------------------

COLUMNS = ("scenario", "server", "CPU us/msg", "ratio", "to floor", "msg/s", "ratio", "MiB/s",
           "busy",
           "spread", "other")


def cells(row):
    floor = f"{row['floor_ratio']:.2f}" if row["floor_ratio"] else "-"
    mark = "~" if row["other"] > OTHER_DISTURBS else ""
    return (row["scenario"], row["server"], f"{row['cpu_us']:.1f}", f"{row['cpu_ratio']:.2f}",
            floor, f"{row['rate']:.0f}", f"{row['rate_ratio']:.2f}",
            f"{row['mib_s']:.0f}" if row["bytes"] >= 10 * KIB else "-",
            f"{100 * row['busy']:.0f}%", f"{100 * row['spread']:.0f}%",
            f"{mark}{100 * row['other']:.0f}%")


IDLE_COLUMNS = ("idle connections", "shards", "anonymous memory before, KiB", "after, KiB",
                "bytes each",
                "CPU us/msg of 16 working beside them", "ratio", "msg/s")


def idle_cells(row):
    return (str(row["connections"]), str(row["shards"]), str(row["anonymous_before"] // KIB),
            str(row["anonymous_after"] // KIB), f"{row['bytes_each']:.0f}",
            f"{row['cpu_us']:.1f}", f"{row['cpu_ratio']:.2f}", f"{row['rate']:.0f}")


def aligned(values):
    widths = (33, 15, 11, 6, 9, 8, 7, 7, 6, 7, 6)
    left = (0, 1)
    return " ".join(v.ljust(w) if i in left else v.rjust(w)
                    for i, (v, w) in enumerate(zip(values, widths)))


def markdown_table(columns, lines, text_columns):
    rule = ["---" if i < text_columns else "---:" for i in range(len(columns))]
    return "\n".join("| " + " | ".join(line) + " |" for line in (columns, rule, *lines)) + "\n"


def markdown(about, rows, idle):
    out = [f"Measured {about['time']} on {about['cores']} cores of {about['cpu']}, Linux "
           f"{about['kernel']}, {about['compiler']}, {about['posternd']}, "
           f"Postfix {about['postfix']}, spool on {about['spool_file_system']}; "
           f"{about['settings']}. Medians of {about['rounds']} alternating rounds; "
           "ratios are to the first server of each scenario; `busy` is the server's share of its "
           "core, `other` what else ran on the machine.\n"]
    for group in dict.fromkeys(row["group"] for row in rows):
        lines = [cells(row) for row in rows if row["group"] == group]
        out += [f"**{group}**\n", markdown_table(COLUMNS, lines, 2)]
    if idle:
        out += ["**idle connections, and 16 that work beside them (pipelined, 1 KiB)**\n",
                markdown_table(IDLE_COLUMNS, [idle_cells(r) for r in idle], 0)]
    return "\n".join(out)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--build", default="build", help="folder of a release build")
    parser.add_argument("--postfix", default=".deps/postfix", help="where it was unpacked")
    parser.add_argument("--short", action="store_true", help="a few scenarios, under a minute")
    parser.add_argument("--only", default="", help="scenarios ('group: name', 'idle') that match")
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=0, help="of one load in a round")
    parser.add_argument("--compare", default="", help="another posternd, measured beside ours")
    parser.add_argument("--scratch", default="", help="spools; on the file system to be measured")
    parser.add_argument("--json", default="", help="everything, with the raw samples")
    parser.add_argument("--markdown", default="", help="the tables")
    parser.add_argument("--list", action="store_true", help="names of the scenarios")
    return parser.parse_args()


def main():
    args = parse_arguments()
    has_mta = postfix_root(args.postfix) is not None
    if not has_mta:
        print("# Postfix as a server: left out (needs root and the unpacked package)")
    wanted = [s for s in scenarios(bool(args.compare), has_mta)
              if (s.is_short or not args.short) and re.search(args.only, f"{s.group}: {s.name}")]
    if args.list:
        for s in wanted:
            print(f"{s.group}: {s.name}")
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("run.py: ended by a signal"))  # servers too
    tools = Tools(args, raise_file_limit())
    rounds = args.rounds or (3 if args.short else 5)
    seconds = args.seconds or (0.2 if args.short else 0.7)
    about = describe(tools, args, rounds, seconds)
    for key, value in about.items():
        print(f"# {key}: {value}")
    rows, group = [], None
    for scenario in wanted:
        if scenario.group != group:
            group = scenario.group
            print(f"\n== {group}\n{aligned(COLUMNS)}")
        for row in summary(scenario, scenario.measure(tools, rounds, seconds)):
            rows.append(row)
            print(aligned(cells(row)), flush=True)
    idle = []
    if re.search(args.only, "idle"):
        counts = (1, 1000) if args.short else (1, 1000, 20000)
        print("\n== idle connections, and 16 that work beside them (pipelined, 1 KiB)")
        idle = idle_rows(tools, counts, rounds, seconds)
    about["load_average_at_end"] = os.getloadavg()
    print(f"\n# load average at the end: {about['load_average_at_end']}")
    if args.json:
        with open(args.json, "w", encoding="utf-8") as out:
            json.dump({"about": about, "rows": rows, "idle": idle}, out, indent=1)
    if args.markdown:
        with open(args.markdown, "w", encoding="utf-8") as out:
            out.write(markdown(about, rows, idle))


if __name__ == "__main__":
    main()
