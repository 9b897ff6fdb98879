# SPDX-License-Identifier: Apache-2.0
"""Postfix as a whole mail server, from the unpacked package, in a folder of its own.

Nothing is installed and no account is made: the queue belongs to two accounts that every Debian has
and that are unused (list, staff). It accepts for one domain, syncs its queue files as it always
does, and hands every message to its discard transport. Its master process insists on being root.
"""

import glob
import grp
import os
import pwd

OWNER, GROUP = "list", "staff"
QUEUES = ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming",
          "private",
          "saved", "trace")

MAIN = """\
compatibility_level = 3.6
queue_directory = {dir}/queue
data_directory = {dir}/data
command_directory = {root}/usr/sbin
daemon_directory = {root}/usr/lib/postfix/sbin
shlib_directory = {root}/usr/lib/postfix
meta_directory = {dir}/etc
mail_owner = {owner}
setgid_group = {group}
import_environment = MAIL_CONFIG LD_LIBRARY_PATH
export_environment = MAIL_CONFIG LD_LIBRARY_PATH
myhostname = {hostname}
mydestination = {hostname}
local_recipient_maps =
local_transport = discard:
default_transport = discard:
alias_maps =
alias_database =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_peername_lookup = no
smtpd_tls_security_level = none
maillog_file = {dir}/maillog
maillog_file_prefixes = {dir}
"""

MASTER = """\
127.0.0.1:{port} inet n - n - 100 smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""


def postfix_root(folder):
    """Where the whole package can be run from, or None."""
    if os.getuid() != 0 or not os.path.exists(os.path.join(folder, "usr/lib/postfix/sbin/master")):
        return None
    try:
        pwd.getpwnam(OWNER)
        grp.getgrnam(GROUP)
    except KeyError:
        return None
    return os.path.abspath(folder)


def library_path(root):
    return ":".join([os.path.join(root, "usr/lib/postfix"),
                     *glob.glob(os.path.join(root, "usr/lib/*-linux-gnu"))])


def postfix_prepare(root, folder, port, hostname):
    """Makes configuration and queue below @folder; returns the server's command and environment."""
    owner, group = pwd.getpwnam(OWNER).pw_uid, grp.getgrnam(GROUP).gr_gid
    for name in ("etc", "queue", "queue/pid"):
        os.makedirs(os.path.join(folder, name), mode=0o755)
    for name in ("data", *(f"queue/{q}" for q in QUEUES)):
        os.mkdir(os.path.join(folder, name), 0o700)
        os.chown(os.path.join(folder, name), owner, -1)
    for name, mode in (("public", 0o710), ("maildrop", 0o730)):
        path = os.path.join(folder, "queue", name)
        os.mkdir(path)
        os.chown(path, owner, group)
        os.chmod(path, mode)
    values = {"dir": folder, "root": root, "owner": OWNER, "group": GROUP, "hostname": hostname,
              "port": port}
    for name, text in (("main.cf", MAIN), ("master.cf", MASTER)):
        with open(os.path.join(folder, "etc", name), "w", encoding="ascii") as f:
            f.write(text.format(**values))
    etc = os.path.join(folder, "etc")
    return ([os.path.join(root, "usr/lib/postfix/sbin/master"), "-c", etc, "-d"],
            {**os.environ, "MAIL_CONFIG": etc, "LD_LIBRARY_PATH": library_path(root)})


def children_cpu_seconds(pid, cpu_seconds):
    """Processor time of the children of a process: those that live, and those that have ended."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    total = (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as children:
        for child in children.read().split():
            try:
                total += cpu_seconds(int(child))
            except OSError:
                pass  # it ended meanwhile
    return total
