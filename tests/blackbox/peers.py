# SPDX-License-Identifier: Apache-2.0
"""Real mail programs as peers of a test: Postfix, Exim, Dovecot and others from Debian's packages.

    exim = peers.Exim(case, target=("prdr", server.smtp[1])).start()
    exim.submit(["ann@mx.test.example", "bob@mx.test.example"], harness.message())
    exim.wait_deliveries(2)          # [Delivery(recipient, status, code, text, queue_id), ...]

`tools/peers` (called by `tools/dev peers`) fetches them into .deps/peers without installing
anything; a class raises Skip where its peer is absent. A peer runs in namespaces of its own, in the
foreground, on a free loopback port, with its scratch folder mounted as /peer; what it writes
elsewhere is gone when it ends. It is ended with every process that it started.

As a server each class tells what its own log says: counts() is a Counts of messages and recipients
that it took, and of recipients that it refused for good or for now. As a client (target=) its
deliveries() are the outcomes that it logged, one for each recipient and try. The log belongs to
the peer, so ask with wait_counts() and wait_deliveries(): it may be written behind the reply.

What the servers take: everything for mx.test.example, or what stands with the class, except by
local part: unknown* is 550 and, where the peer can, busy* is 450 at RCPT; where the peer decides
about the content for each recipient, refused* is 550 and later* 450 after the content.

By hand, until Ctrl-C or as long as COMMAND runs, in which {port} is replaced:

    python3 tests/blackbox/peers.py exim
    python3 tests/blackbox/peers.py dovecot swaks --protocol LMTP --server 127.0.0.1:{port} ...
"""

import ctypes
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import namedtuple
from pathlib import Path

import harness
from harness import Failure, Skip, check, free_port, wait_until

TOP = Path(__file__).resolve().parent.parent.parent
TOOL = str(TOP / "tools" / "peers")
FOLDER = Path(os.environ.get("PEERS_DIR", TOP / ".deps" / "peers"))
DOMAIN = "mx.test.example"

# Of the server: messages and recipients taken, recipients refused with 5xx and with 4xx.
Counts = namedtuple("Counts", "messages recipients refused deferred")

# Of the client: status is "sent", "deferred" or "failed"; code is that of the reply, or None.
Delivery = namedtuple("Delivery", "recipient status code text queue_id")

_PR_SET_PDEATHSIG = 1


def _end_with_parent():
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def is_there(name):
    """Whether tools/peers has it for this release of Debian."""
    try:
        release = (FOLDER / name / "installed").read_text(encoding="utf-8").split("\n", 1)[0]
        system = Path("/etc/os-release").read_text(encoding="utf-8")
        return f"VERSION_CODENAME={release}\n" in system
    except OSError:
        return False


def version(name, package):
    """The version of a peer's package, as Debian writes it."""
    text = (FOLDER / name / "installed").read_text(encoding="utf-8")
    found = re.search(rf"^{re.escape(package)} (\S+)$", text, re.MULTILINE)
    if found:
        return found.group(1)
    return harness.run(["dpkg-query", "-W", "-f", "${Version}", package])  # this machine's


def reply_code(text):
    found = re.search(r"(?:^|said: |error: )([2-5]\d\d)[ -]", text)
    return int(found.group(1)) if found else None


class Peer:
    """What all have in common. A subclass sets NAME and PACKAGE, writes its configuration with
    write(), and names its program in command_line()."""

    NAME = PACKAGE = None
    LOG = "log"  # below the scratch folder
    SYSLOG = False  # whether it can only log there
    # Begins a dialogue with the port to see that it is ready.
    GREETING = b"220"

    def __init__(self, case, name=None):
        if not is_there(self.NAME):
            raise Skip(f"{self.NAME} is not there (tools/dev peers {self.NAME})")
        if os.geteuid() != 0:
            raise Skip(f"only root can start {self.NAME}")
        self.case = case
        self.name = name or self.NAME
        self.dir = os.path.join(case.dir, self.name)
        os.makedirs(os.path.join(self.dir, "etc"))
        os.chmod(self.dir, 0o755)
        self.port = free_port()
        self.address = ("127.0.0.1", self.port)
        self.process = None
        self.stderr_path = os.path.join(self.dir, self.LOG)
        self.output_path = os.path.join(self.dir, "output")
        self.command = []
        self.syslog = None
        case.servers.append(self)

    @property
    def version(self):
        return version(self.NAME, self.PACKAGE)

    def write(self, path, text):
        """A file of the scratch folder, which the peer sees below /peer."""
        path = os.path.join(self.dir, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)

    def command_line(self):
        """A line for sh, run as root in /peer; it ends with exec of the daemon."""
        raise NotImplementedError

    def start(self):
        if self.SYSLOG:
            self.syslog = Syslog(os.path.join(self.dir, "syslog"), self.stderr_path)
        self.command = [TOOL, "run", self.NAME, self.dir, "/bin/sh", "-euc",
                        "cd /peer; " + self.command_line()]
        with open(self.output_path, "ab") as output:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/",
                preexec_fn=_end_with_parent)
        wait_until(self.is_ready, f"{self.name} answers on port {self.port}",
                   30 + harness.STEP_SECONDS)
        return self

    def is_ready(self):
        if self.process.poll() is not None:
            raise Failure(f"{self.name} ended with {self.process.returncode} at start")
        try:
            with socket.create_connection(self.address, timeout=5) as s:
                seen = s.recv(512)
                if seen.startswith(self.GREETING):
                    s.sendall(b"QUIT\r\n")
                    while s.recv(512):
                        pass
                    return True
                return False
        except OSError:
            return False

    def inside(self, *command, status=0):
        """Runs a program of the peer beside it, in its namespaces; its output."""
        return harness.run(["nsenter", "--target", str(self.init_pid()), "--mount", "--pid",
                            "--root", "/bin/sh", "-c", 'cd /peer; exec "$@"', "sh", *command],
                           status=status)

    def child_pid(self):
        """The first process of the namespace (a shell), as this machine numbers it."""
        pid = self.process.pid
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
            return int(f.read().split()[0])

    def init_pid(self):
        """A process that has the peer's root."""
        pid = self.child_pid()
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
            return int(f.read().split()[0])

    def pids(self):
        """Every process of the peer."""
        found, todo = [], [self.process.pid]
        while todo:
            pid = todo.pop()
            found.append(pid)
            try:
                with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
                    todo.extend(int(p) for p in f.read().split())
            except OSError:
                found.pop()
        return found

    def cpu_seconds(self):
        """Processor time of the peer's processes, those that have ended included."""
        ticks = 0
        for pid in self.pids():
            try:
                with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
                    fields = f.read().rpartition(")")[2].split()
            except OSError:
                continue
            ticks += sum(int(n) for n in fields[11:15])
        return ticks / os.sysconf("SC_CLK_TCK")

    def text(self, since_start=False):  # pylint: disable=unused-argument
        """The log, behind what the program printed."""
        parts = []
        for path in (self.output_path, self.stderr_path):
            if os.path.exists(path):
                with open(path, "rb") as f:
                    parts.append(f.read().decode("utf-8", "replace"))
        return "".join(parts)

    def lines(self):
        return self.text().split("\n")

    def client(self, greet=True, **named):
        return harness.Client(self.address, greet=greet, **named).of(self.case)

    # --- what the log says ---

    def counts(self):
        """Counts of a server."""
        raise NotImplementedError

    def deliveries(self):
        """Each Delivery of a client, in the order of the log."""
        raise NotImplementedError

    def wait_counts(self, seconds=harness.STEP_SECONDS, **wanted):
        """Waits until the log says at least this much, for instance messages=100; the counts."""
        def reached():
            counts = self.counts()
            return counts if all(getattr(counts, k) >= v for k, v in wanted.items()) else None

        return self.wait_log(reached, f"{self.name} counts {wanted}", seconds)

    def check_counts(self, expected, what=""):
        """The log comes to exactly this, each line of which may be written behind the reply."""
        harness.check_equal(self.wait_counts(**expected._asdict()), expected, what)

    def wait_deliveries(self, count, seconds=harness.STEP_SECONDS, **fields):
        """Waits for so many outcomes with these fields (status="sent"); all of them."""
        def reached():
            found = [d for d in self.deliveries()
                     if all(getattr(d, k) == v for k, v in fields.items())]
            return found if len(found) >= count else None

        return self.wait_log(reached, f"{count} outcomes {fields} logged by {self.name}", seconds)

    @staticmethod
    def wait_log(reached, what, seconds):
        """wait_until() that rests longer than it reads: a log may be long."""
        deadline = time.monotonic() + seconds
        while True:
            began = time.monotonic()
            value = reached()
            if value:
                return value
            ended = time.monotonic()
            if ended > deadline:
                raise Failure(f"not within {seconds} s: {what}")
            time.sleep(max(0.05, 3 * (ended - began)))

    def submit(self, recipients, content, sender="sender@client.example"):
        """Gives a client something to deliver, over SMTP to its own port."""
        with self.client() as client:
            client.hello()
            reply = client.deliver(recipients, content, sender=sender)
            check(reply.code == 250, self.name, "does not take the message:", reply)

    # --- the end ---

    def is_alive(self):
        return self.process is not None and self.process.poll() is None

    def stop(self):
        """SIGTERM to the daemon; after a while, and for what is left, SIGKILL."""
        if not self.is_alive():
            return
        try:
            os.kill(self.child_pid(), signal.SIGTERM)
            self.process.wait(5)
        except (OSError, IndexError, subprocess.TimeoutExpired):
            pass
        self.process.kill()  # the namespace goes with it
        self.process.wait()
        if self.syslog is not None:
            self.syslog.end()

    end = stop

    def check_reports(self):
        """Nothing: the program is not ours."""


class Syslog:
    """Takes what a program that runs in /peer sends to /dev/log, and writes it to a file."""

    def __init__(self, path, out):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        self.socket.settimeout(0.2)
        os.chmod(path, 0o666)
        self.is_over = False
        self.out = out
        self.thread = threading.Thread(target=self.take, daemon=True)
        self.thread.start()

    def take(self):
        with open(self.out, "ab", buffering=0) as f:
            while True:
                try:
                    data = self.socket.recv(65536)
                except socket.timeout:
                    if self.is_over:
                        return
                    continue
                f.write(re.sub(rb"^<\d+>", b"", data).rstrip(b"\n\0") + b"\n")

    def end(self):
        self.is_over = True
        self.thread.join()
        self.socket.close()


# --- Postfix ----------------------------------------------------------------------------------


class Postfix(Peer):
    """Takes mail by SMTP on its port. target: None (everything is discarded behind the queue),
    ("smtp", PORT) or ("lmtp", PORT or PATH of a socket below this peer's folder). routes: {domain:
    target} for those that go another way.

    settings: more lines of main.cf, {name: value}; for instance smtp_data_done_timeout,
    lmtp_destination_recipient_limit. A deferred recipient is tried again about each second.
    Bounces go to client.example, which is discarded, and count as nothing."""

    NAME = PACKAGE = "postfix"
    MAIN = {
        "compatibility_level": "3.6",
        "queue_directory": "/peer/queue",
        "data_directory": "/peer/data",
        "command_directory": "/usr/sbin",
        "daemon_directory": "/usr/lib/postfix/sbin",
        "mail_owner": "postfix",
        "setgid_group": "postdrop",
        "maillog_file_prefixes": "/peer",
        "maillog_file": "/peer/log",
        "myhostname": "postfix.test.example",
        "mydestination": "",
        "mynetworks": "127.0.0.0/8",
        "inet_interfaces": "127.0.0.1",
        "inet_protocols": "ipv4",
        "alias_maps": "",
        "alias_database": "",
        "smtp_dns_support_level": "disabled",
        "lmtp_dns_support_level": "disabled",
        "smtp_host_lookup": "native",
        "smtpd_peername_lookup": "no",
        "smtpd_client_connection_count_limit": "0",
        "smtpd_client_connection_rate_limit": "0",
        "smtpd_relay_restrictions": "permit_mynetworks, reject",
        "smtpd_recipient_restrictions":
            "check_recipient_access regexp:/peer/etc/access, permit_mynetworks, reject",
        "smtpd_recipient_limit": "10000",
        "smtpd_error_sleep_time": "0",
        "in_flow_delay": "0",
        "message_size_limit": "0",
        "notify_classes": "",
        "transport_maps": "inline:{client.example=discard:}",
        "minimal_backoff_time": "1s",
        "maximal_backoff_time": "1s",
        "queue_run_delay": "1s",
    }
    MASTER = """
127.0.0.1:{port} inet n - n - {processes} smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 1 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
lmtp unix - - n - - lmtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""
    # Seen by address; the queue takes what is not listed.
    ACCESS = """
/^unknown[^@]*@/ 550 5.1.1 No such user
/^busy[^@]*@/ 450 4.2.1 Busy, come back later
"""

    def __init__(self, case, target=None, settings=None, processes="100", name=None, routes=None):
        super().__init__(case, name)
        transport = "discard:" if target is None else self.transport(*target)
        main = dict(self.MAIN, default_transport=transport, **(settings or {}))
        if routes:
            main["transport_maps"] = "regexp:/peer/etc/transport"
            self.write("etc/transport", "/@client\\.example$/ discard:\n" + "".join(
                f"/@{re.escape(domain)}$/ {self.transport(*to)}\n"
                for domain, to in routes.items()))
        self.write("etc/main.cf", "".join(f"{k} = {v}\n" for k, v in main.items()))
        self.write("etc/master.cf", self.MASTER.format(port=self.port, processes=processes))
        self.write("etc/access", self.ACCESS)

    @staticmethod
    def transport(kind, where):
        inet = f"inet:127.0.0.1:{where}" if kind == "lmtp" else f"[127.0.0.1]:{where}"
        return f"{kind}:" + (inet if isinstance(where, int) else f"unix:/peer/{where}")

    def command_line(self):
        return ("mkdir queue data; chown postfix data;"
                "cp /etc/postfix/postfix-files /etc/postfix/dynamicmaps.cf etc;"
                "exec postfix -c /peer/etc start-fg")

    def counts(self):
        accepted, refused, deferred = {}, 0, 0
        for line in self.lines():
            found = re.search(r"postfix/qmgr\[\d+\]: (\w+): from=<.+>, size=\d+, nrcpt=(\d+) ",
                              line)
            if found:
                accepted[found.group(1)] = int(found.group(2))
            found = re.search(r"postfix/smtpd\[\d+\]: \w+: reject: RCPT from [^:]*: (\d)", line)
            if found:
                refused += found.group(1) == "5"
                deferred += found.group(1) == "4"
        return Counts(len(accepted), sum(accepted.values()), refused, deferred)

    def deliveries(self):
        found = []
        words = {"sent": "sent", "deferred": "deferred", "bounced": "failed", "expired": "failed"}
        bounces = set(re.findall(r"postfix/qmgr\[\d+\]: (\w+): from=<>", self.text()))
        for line in self.lines():
            match = re.search(r"postfix/\w+\[\d+\]: (\w+): to=<([^>]*)>,.* dsn=[\d.]+, "
                              r"status=(\w+) \((.*)\)", line)
            if match and match.group(1) not in bounces:
                queue_id, recipient, status, text = match.groups()
                found.append(Delivery(recipient, words[status], reply_code(text), text, queue_id))
        return found


# --- Exim -------------------------------------------------------------------------------------


class Exim(Peer):
    """Takes mail by SMTP on its port, with PRDR, and decides about each recipient: unknown* and
    busy* at RCPT, refused* and later* after the content where the client asked for PRDR.

    target: None (what it took is discarded, but local parts in kept have a Maildir each below
    mail/), ("smtp", PORT), ("prdr", PORT) or ("lmtp", PORT): what it took is sent there. routes:
    {domain: port} for those that go to another one, in the same way.
    transport: more lines of the transport (final_timeout, max_rcpt, hosts_try_chunking); settings:
    more lines of the main part. A deferred recipient is tried again about each two seconds."""

    NAME = "exim"
    PACKAGE = "exim4-daemon-heavy"
    LOG = "mainlog"
    CONFIG = """
primary_hostname = exim.test.example
spool_directory = /peer/spool
log_file_path = /peer/%slog
log_selector = +smtp_confirmation +received_recipients +incoming_port
write_rejectlog = false
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
tls_advertise_hosts =
host_lookup =
rfc1413_query_timeout = 0s
keep_environment =
prdr_enable = true
smtp_accept_max = 1000
smtp_accept_max_per_connection = 0
smtp_accept_queue_per_connection = 0
smtp_accept_max_nonmail = 1000
smtp_connect_backlog = 500
recipients_max = 10000
message_size_limit = 0
check_spool_space = 0
bounce_return_message = false
ignore_bounce_errors_after = 0s
acl_smtp_rcpt = rcpt
acl_smtp_data_prdr = prdr
acl_smtp_data = data
{settings}

begin acl
rcpt:
  deny local_parts = ^unknown
       message = 550 5.1.1 No such user
  defer local_parts = ^busy
       message = 450 4.2.1 Busy, come back later
  accept
prdr:
  deny condition = ${{if match{{$local_part}}{{^refused}}}}
       message = 550 5.7.1 Not wanted by $local_part
  defer condition = ${{if match{{$local_part}}{{^later}}}}
       message = 450 4.2.0 Not now for $local_part
  accept
data:
  accept

begin routers
{routers}

begin transports
peer:
{transport}

begin retry
* * F,1h,1s
"""
    DISCARD = "  driver = redirect\n  data = :blackhole:\n"
    KEEP = "  driver = accept\n  local_parts = {kept}\n  transport = peer\n"
    SEND = ("  driver = manualroute\n  route_list = {routes}\n  self = send\n"
            "  transport = peer\n")
    MAILDIR = ("  driver = appendfile\n  maildir_format\n  user = mail\n  group = mail\n"
               "  directory = /peer/mail/$local_part_data\n  create_directory\n")

    def __init__(self, case, target=None, kept=(), settings="", transport="", name=None,
                 routes=None):
        super().__init__(case, name)
        self.is_client = target is not None
        last, lines = self.DISCARD, self.MAILDIR
        if self.is_client:
            kind, port = target
            ways = [f"{domain} 127.0.0.1::{to}" for domain, to in (routes or {}).items()]
            last = self.SEND.format(routes="; ".join([*ways, "* 127.0.0.1"]))
            lines = (f"  driver = smtp\n  port = {port}\n  allow_localhost\n  hosts_avoid_tls = *\n"
                     f"  protocol = {'lmtp' if kind == 'lmtp' else 'smtp'}\n"
                     f"  hosts_try_prdr = {'*' if kind == 'prdr' else ''}\n{transport}\n")
        # Bounces end here; all else goes where it was told to.
        routers = "bounces:\n  senders = :\n" + self.DISCARD
        if kept:
            routers += "kept:\n" + self.KEEP.format(kept=" : ".join(kept))
        routers += "all:\n" + last
        self.write("etc/exim4.conf", self.CONFIG.format(
            port=self.port, settings=settings, routers=routers, transport=lines))

    def command_line(self):
        # At its usual place, because another one would cost Exim its privileges.
        return ("mkdir spool mail; chown Debian-exim . spool; chown mail mail;"
                "cp etc/exim4.conf /etc/exim4/exim4.conf;"
                f"exec exim4 -bdf {'-q2s' if self.is_client else ''}")

    def counts(self):
        messages = recipients = refused = deferred = 0
        late = {}  # by message: recipients refused after the content, who are named with it too
        for line in self.lines():
            at_end = re.match(r"\S+ \S+ (\S+) PRDR \S+ ([45])\d\d", line)
            found = re.match(r"\S+ \S+ (\S+) <= (\S+) .* for (.*)$", line)
            if at_end:
                queue_id, digit = at_end.groups()
                late[queue_id] = late.get(queue_id, 0) + 1
                refused += digit == "5"
                deferred += digit == "4"
            elif found and found.group(2) != "<>":
                messages += 1
                recipients += len(found.group(3).split()) - late.get(found.group(1), 0)
            elif " temporarily rejected RCPT " in line:
                deferred += 1
            elif " rejected RCPT " in line:
                refused += 1
        return Counts(messages, recipients, refused, deferred)

    def deliveries(self):
        found = []
        marks = {"=>": "sent", "->": "sent", "==": "deferred", "**": "failed"}
        for line in self.lines():
            match = re.match(r"\S+ \S+ ([\w-]{16,23}) (=>|->|==|\*\*) (\S+) (.*)", line)
            if match and " T=" in match.group(4):
                queue_id, mark, recipient, text = match.groups()
                reply = re.search(r'C="(.*)"', text) or re.search(r": (\d\d\d[ -].*)", text)
                code = reply_code(reply.group(1)) if reply else None
                found.append(Delivery(recipient, marks[mark], code, text, queue_id))
        return found

    def mails(self, user):
        """The files of a user's inbox, if kept: {name: content}."""
        return harness.read_files(os.path.join(self.dir, "mail", user, "new"))


# --- Dovecot ----------------------------------------------------------------------------------


class Dovecot(Peer):
    """LMTP for the users given (local parts), each with a Maildir below mail/; full* may keep
    1 KiB."""

    NAME = "dovecot"
    PACKAGE = "dovecot-lmtpd"
    FULL = "full"
    COMMON = """
base_dir = /run/dovecot-peer
log_path = /peer/log
protocols = lmtp
ssl = no
default_internal_user = dovecot
default_login_user = dovenull
service lmtp {{
  inet_listener lmtp {{
    {listen} = 127.0.0.1
    port = {port}
  }}
  process_limit = 500
  client_limit = 1
}}
service anvil {{
  client_limit = 10000
}}
service stats {{
  client_limit = 10000
}}
auth_username_format = %{{user | username | lower}}
first_valid_uid = 1
"""
    V23 = """
mail_location = maildir:/peer/mail/%n
mail_plugins = quota
plugin {{
  quota = maildir:all
}}
passdb {{
  driver = passwd-file
  args = /peer/etc/users
}}
userdb {{
  driver = passwd-file
  args = /peer/etc/users
}}
"""
    V24 = """
mail_driver = maildir
mail_path = /peer/mail/%{{user | username}}
mail_plugins {{
  quota = yes
}}
quota all {{
  driver = maildir
  storage_grace = 0
}}
passdb passwd-file {{
  passwd_file_path = /peer/etc/users
}}
userdb passwd-file {{
  passwd_file_path = /peer/etc/users
}}
"""

    def __init__(self, case, users=("ann", "bob", "full"), settings="", name=None):
        super().__init__(case, name)
        is_old = re.match(r"1:2\.[0-3]\.", self.version) is not None
        head = "" if is_old else "dovecot_config_version = 2.4.0\ndovecot_storage_version = 2.4.0\n"
        text = head + self.COMMON + (self.V23 if is_old else self.V24)
        if is_old:
            text = text.replace("%{{user | username | lower}}", "%Ln")
        text = text.format(port=self.port, listen="address" if is_old else "listen")
        self.write("etc/dovecot.conf", text + settings)
        quota = "userdb_quota_rule=*:bytes=1024" if is_old else "userdb_quota_storage_size=1024B"
        self.write("etc/users", "".join(
            f"{u}:{{PLAIN}}secret:8:8::/peer/mail/{u}::{quota if u.startswith(self.FULL) else ''}\n"
            for u in users))

    def command_line(self):
        return ("mkdir -p /peer/mail /run/dovecot-peer; chown 8:8 /peer/mail;"
                "exec dovecot -F -c /peer/etc/dovecot.conf")

    def counts(self):
        """From one line for each recipient after the content, with the name of the session and the
        number of the transaction in it. Dovecot does not log what it refuses at RCPT."""
        messages, recipients, refused, deferred = set(), 0, 0, 0
        for line in self.lines():
            found = re.search(r"lmtp\([^)]*\)<\d+><([^>:]*(?::T\d+)?)[^>]*>: \w+: .*?: "
                              r"(saved mail to|save failed to) (.*)", line)
            if found and found.group(2) == "saved mail to":
                recipients += 1
                messages.add(found.group(1))
            elif found and "Quota exceeded" in found.group(3):
                refused += 1
            elif found:
                deferred += 1
        return Counts(len(messages), recipients, refused, deferred)

    def mails(self, user):
        """The files of a user's inbox: {name: content}."""
        return harness.read_files(os.path.join(self.dir, "mail", user, "new"))


# --- OpenSMTPD --------------------------------------------------------------------------------


class OpenSmtpd(Peer):
    """Takes mail by SMTP for mx.test.example and forgets it, or keeps a Maildir for each local part
    below mail/. unknown* is 550 at RCPT.

    target: ("smtp", PORT) or ("lmtp", PORT): what it took is sent there, all recipients together;
    ("mail.lmtp", PORT): by its delivery agent, one at a time. It gives up after 300 seconds of
    silence, which cannot be configured, and tries again after minutes, or at once after retry()."""

    NAME = PACKAGE = "opensmtpd"
    LOG = "output"  # its standard error
    CONFIG = """
smtp max-message-size 1G
listen on 127.0.0.1 port {port} hostname opensmtpd.test.example
table users {{ "@" = "mail" }}
action "take" {action} virtual <users>
action "forget" mda "/bin/cat >/dev/null" virtual <users>
match from any for domain "client.example" action "forget"
{matches}
"""
    SERVER = """
match from any for domain "mx.test.example" rcpt-to regex "^unknown" reject
match from any for domain "mx.test.example" action "take"
"""

    def __init__(self, case, target=None, is_kept=False, routes=None, name=None):
        """routes: {domain: target} where each goes another way."""
        super().__init__(case, name)
        action = 'maildir "/peer/mail/%{rcpt.user}"' if is_kept else 'mda "/bin/cat >/dev/null"'
        matches = self.SERVER
        if target is not None:
            routes = {DOMAIN: target}
        if routes is not None:
            matches = "".join(self.route(i, *item) for i, item in enumerate(routes.items()))
        self.write("etc/smtpd.conf", self.CONFIG.format(port=self.port, action=action,
                                                        matches=matches))

    @staticmethod
    def route(i, domain, target):
        kind, port = target
        action = (f'lmtp "127.0.0.1:{port}" rcpt-to virtual <users>' if kind == "mail.lmtp" else
                  f'relay host "{kind}://127.0.0.1:{port}"')
        return f'action "to{i}" {action}\nmatch from any for domain "{domain}" action "to{i}"\n'

    def retry(self):
        self.inside("smtpctl", "schedule", "all", status=None)

    def command_line(self):
        # Its resolver asks a name server for 127.0.0.1, and for longer than a test waits.
        return ("mkdir mail; chown mail:mail mail; rm -f /etc/resolv.conf;"
                "echo lookup file >/etc/resolv.conf; exec smtpd -d -f etc/smtpd.conf")

    def text(self, since_start=False):
        with open(self.output_path, "rb") as f:
            return f.read().decode("utf-8", "replace")

    def counts(self):
        messages = recipients = refused = deferred = 0
        for line in self.lines():
            found = re.search(r" smtp message .*\bnrcpts?=(\d+)", line)
            if found:
                messages += 1
                recipients += int(found.group(1))
            found = re.search(r' smtp failed-command command="RCPT.* result="(\d)', line)
            if found:
                refused += found.group(1) == "5"
                deferred += found.group(1) == "4"
        return Counts(messages, recipients, refused, deferred)

    def deliveries(self):
        found = []
        words = {"Ok": "sent", "TempFail": "deferred", "PermFail": "failed"}
        for line in self.lines():
            match = re.search(r' m[td]a delivery evpid=(\w+) from=<([^>]*)> to=<([^>]*)> (.*) '
                              r'result="?(\w+)"? stat="?(.*?)"?$', line)
            if match and match.group(2) != "":
                queue_id, _, recipient, _, result, text = match.groups()
                found.append(Delivery(recipient, words[result], reply_code(text), text, queue_id))
        return found


# --- Cyrus ------------------------------------------------------------------------------------


class Cyrus(Peer):
    """LMTP for the users given, each with a mailbox below mail/ of at most quota_kb (0: no
    limit)."""

    NAME = "cyrus"
    PACKAGE = "cyrus-imapd"
    SYSLOG = True
    IMAPD = """
configdirectory: /var/lib/cyrus
partition-default: /peer/mail
defaultpartition: default
proc_path: /run/cyrus/proc
mboxname_lockpath: /run/cyrus/lock
lmtpsocket: /run/cyrus/socket/lmtp
idlesocket: /run/cyrus/socket/idle
notifysocket: /run/cyrus/socket/notify
unixhierarchysep: no
virtdomains: off
defaultdomain: mx.test.example
lmtp_downcase_rcpt: yes
autocreate_post: yes
autocreate_quota: {quota_kb}
autocreate_users: {users}
duplicatesuppression: no
admins: cyrus
sasl_pwcheck_method: alwaystrue
sasl_mech_list: PLAIN
allowplaintext: yes
hashimapspool: true
syslog_prefix: cyrus
{settings}
"""
    MASTER = """
START {{
  recover cmd="/usr/sbin/cyrus ctl_cyrusdb -r"
}}
SERVICES {{
  imap cmd="imapd" listen="/run/cyrus/socket/imap" prefork=0
  lmtp cmd="lmtpd -a" listen="127.0.0.1:{port}" prefork=1 maxchild=100
}}
EVENTS {{
  checkpoint cmd="/usr/sbin/cyrus ctl_cyrusdb -c" period=30
}}
"""

    def __init__(self, case, users=("ann", "bob"), quota_kb=0, settings="", name=None):
        super().__init__(case, name)
        self.write("etc/imapd.conf", self.IMAPD.format(
            settings=settings, quota_kb=quota_kb, users=" ".join(users)))
        self.write("etc/cyrus.conf", self.MASTER.format(port=self.port))

    def command_line(self):
        return ("cp etc/imapd.conf etc/cyrus.conf /etc; mkdir -p /run/cyrus/proc /run/cyrus/lock "
                "/run/cyrus/socket mail; chown -R cyrus:mail /run/cyrus mail;"
                "exec /usr/lib/cyrus/bin/master")

    def counts(self):
        """Recipients delivered, and messages told apart by their Message-ID: a second try with the
        same one is the same message. Cyrus does not log what it refuses."""
        found = re.findall(r" Delivered: (?:.* messageid=)?(<\S*>) ", self.text())
        return Counts(len(set(found)), len(found), 0, 0)

    def mails(self, user):
        """The files of a user's inbox: {name: content}. Newer versions name its folder by a unique
        id, and the mailbox in a file in there."""
        found = {}
        files = harness.read_files(os.path.join(self.dir, "mail"))
        for name, content in files.items():
            folder, _, file = name.rpartition("/")
            header = files.get(folder + "/cyrus.header", b"")
            is_users = folder.endswith("/user/" + user) or re.search(
                rb"\buser." + user.encode() + rb"\b", header)
            if re.fullmatch(r"\d+\.", file) and is_users:
                found[name] = content
        return found


# --- Courier ----------------------------------------------------------------------------------


class Courier(Peer):
    """Takes mail by SMTP for the users given, with XEXDATA. After the content refused* is 550 and
    later* 450: it then answers 558 with a reply for each recipient. Others keep a Maildir each.
    target: ("smtp", PORT): what it took, for anybody, is sent there; it looks for XEXDATA by
    itself. routes: {domain: port} for those that go another way. data_timeout: seconds that it
    waits for the reply to the content."""

    NAME = "courier"
    PACKAGE = "courier-mta"
    SYSLOG = True
    FILTER = """#!/bin/sh
# Called at RCPT and after the content with -D UID/GID -M rcptfilter|smtpfilter and the user's HOME.
user=${HOME##*/}
case $4 in
rcptfilter*) exit 99 ;; # ask me again with the content
esac
cat >/dev/null
case $user in
refused*) echo "550 5.7.1 Not wanted by $user"; exit 1 ;;
later*) echo "450 4.2.0 Not now for $user"; exit 1 ;;
esac
exit 0
"""
    SETUP = """
n=2000
for user in {users}; do
    n=$((n + 1))
    echo "$user:x:$n:$n::/peer/home/$user:/bin/sh" >>/etc/passwd
    echo "$user:x:$n:" >>/etc/group
    mkdir -p home/$user/Maildir/new home/$user/Maildir/cur home/$user/Maildir/tmp
    chown -R $n:$n home/$user
done
chmod 755 etc/filter
cd /etc/courier
echo courier.test.example >me
echo {local} >locals
echo {local} >esmtpacceptmailfor.dir/peer
/usr/lib/courier/makeacceptmailfor
/usr/lib/courier/makealiases
echo /peer/etc/filter >maildropfilter
cp /peer/etc/esmtproutes .
[ -z "{data_timeout}" ] || echo {data_timeout} >esmtptimeoutdata
echo 1 >retryalpha; echo 100 >retrybeta
mkdir -p /run/courier/authdaemon /var/lib/courier/sts
chown -R courier:courier /run/courier /var/lib/courier/sts
set -a
. ./authdaemonrc
/usr/lib/courier/courier-authlib/authdaemond &
(. ./courierd; exec /usr/lib/courier/courier/courierd) &
while [ ! -S /run/courier/authdaemon/socket ]; do sleep 0.05; done
set +u
prefix=/usr exec_prefix=/usr sysconfdir=/etc/courier sbindir=/usr/sbin
. ./esmtpd
BOFHCHECKDNS=0 TARPIT=0 {relay}
exec /usr/sbin/couriertcpd -address=127.0.0.1 -user=courier -group=courier -maxprocs=100 \\
    -maxperc=100 -maxperip=100 -nodnslookup {port} \\
    /usr/sbin/courieresmtpd
"""

    def __init__(self, case, users=("ann", "bob", "refused", "later"), target=None, name=None,
                 routes=None, data_timeout=""):
        super().__init__(case, name)
        self.users, self.data_timeout = users, data_timeout
        ports = dict(routes or {}, **({} if target is None else {"": target[1]}))
        self.is_client = len(ports) > 0
        self.write("etc/filter", self.FILTER)
        self.write("etc/esmtproutes", "".join(f"{domain}:[127.0.0.1],{port}\n"
                                              for domain, port in ports.items()))

    def command_line(self):
        return self.SETUP.format(
            users=" ".join(self.users), port=self.port,
            local="courier.test.example" if self.is_client else DOMAIN,
            data_timeout=self.data_timeout, relay="RELAYCLIENT=" if self.is_client else "")

    def counts(self):
        text = self.text()
        taken = set(re.findall(
            r" courierd: started,id=([\w.]+),from=<\w[^>]*>,.*addr=<([^>]*)>", text))
        refused = re.findall(r" courieresmtpd: error,.*: (?:558[- ]|)([45])\d\d [^:]*$", text,
                             re.MULTILINE)
        return Counts(len({queue_id for queue_id, _ in taken}), len(taken),
                      refused.count("5"), refused.count("4"))

    def deliveries(self):
        found, replies = [], {}
        words = {"success": "sent", "failure": "failed", "deferred": "deferred"}
        for line in self.lines():
            match = re.search(r" courieresmtp: id=([\w.]+),from=<\w[^>]*>,addr=<([^>]*)>(.*)", line)
            if not match:
                continue
            key, rest = match.group(1, 2), match.group(3)
            reply = re.match(r": (.+)", rest)
            status = re.search(r",status: (success|failure|deferred)", rest)
            if reply:
                replies[key] = reply.group(1)
            if status:
                text = replies.pop(key, rest)
                found.append(Delivery(key[1], words[status.group(1)], reply_code(text), text,
                                      key[0]))
        return found

    def mails(self, user):
        """The files of a user's inbox: {name: content}."""
        return harness.read_files(os.path.join(self.dir, "home", user, "Maildir", "new"))


# --- by hand ----------------------------------------------------------------------------------

CLASSES = {c.NAME: c for c in (Postfix, Exim, Dovecot, OpenSmtpd, Cyrus, Courier)}


def main(arguments):
    """NAME [COMMAND ...]: the peer as a server, with what it logs at the end."""
    if not arguments or arguments[0] not in CLASSES:
        print(f"usage: peers.py {'|'.join(CLASSES)} [COMMAND ...]", file=sys.stderr)
        return 2
    case = harness.Case(tempfile.mkdtemp(prefix="postern-peer-"))
    try:
        peer = CLASSES[arguments[0]](case).start()
        print(f"{peer.PACKAGE} {peer.version} on 127.0.0.1:{peer.port}, files in {peer.dir}",
              flush=True)
        if len(arguments) == 1:
            peer.process.wait()
            return 1
        command = [a.replace("{port}", str(peer.port)) for a in arguments[1:]]
        status = subprocess.run(command, check=False).returncode
        print(f"{peer.counts()}, {peer.cpu_seconds():.2f} s of processor time")
        return status
    except KeyboardInterrupt:
        return 130
    except Skip as skip:
        print(skip, file=sys.stderr)
        return harness.SKIP_STATUS
    finally:
        case.end()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
