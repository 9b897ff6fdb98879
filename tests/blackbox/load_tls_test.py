# SPDX-License-Identifier: Apache-2.0
"""postern-load over TLS: implicit and STARTTLS, resumption, verification."""

import contextlib
import json
import os
import socket
import ssl
import threading

import harness
from harness import check, check_equal, own_program, program, run


class TlsServer:
    """One transaction after the other on each connection; counts what it saw itself."""

    def __init__(self, case, is_starttls):
        self.certificate = os.path.join(case.dir, "certificate.pem")
        key = os.path.join(case.dir, "key.pem")
        run([program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt",
             "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
             "subjectAltName=DNS:localhost", "-keyout", key, "-out", self.certificate])
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.certificate, key)
        self.is_starttls = is_starttls
        self.handshakes = self.resumed = self.messages = 0
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                connection = self.listener.accept()[0]
                threading.Thread(target=self.one, args=(connection,), daemon=True).start()

    def wrap(self, connection):
        connection = self.context.wrap_socket(connection, server_side=True)
        with self.lock:
            self.handshakes += 1
            self.resumed += connection.session_reused
        return connection

    def one(self, connection):
        with contextlib.suppress(OSError), connection:
            if self.is_starttls:
                connection.sendall(b"220 plain\r\n")
                self.talk(connection, b"STAR")
                connection = self.wrap(connection)
            else:
                connection = self.wrap(connection)
                connection.sendall(b"220 secret\r\n")
            self.talk(connection, b"QUIT")
            connection.close()

    def talk(self, connection, last):
        lines = connection.makefile("rb", buffering=1 if last == b"QUIT" else 0)
        for line in lines:
            verb = line[:4].upper()
            if verb == b"DATA":
                connection.sendall(b"354 go\r\n")
                while lines.readline() not in (b".\r\n", b""):
                    pass
                with self.lock:
                    self.messages += 1
            connection.sendall(b"220 go\r\n" if verb == b"STAR" else b"250 2.0.0 ok\r\n")
            if verb == last:
                return

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        harness.close_listener(self.listener, self.thread)


def load(case, url, *arguments, status=0):
    path = os.path.join(case.dir, "report.json")
    run([own_program("POSTERN_LOAD"), "--quiet", "--json", path, "--connections", "3", *arguments,
         url], status=status)
    with open(path, encoding="utf-8") as f:
        return json.load(f)["counters"]


def check_counts(server, counters, count, handshakes):
    check_equal(counters["rcpts"]["accepted"], count)
    check_equal(server.messages, count)
    check_equal(counters["tls_handshakes"], handshakes)
    check_equal(server.handshakes, handshakes)
    check_equal(counters["tls_resumed"], server.resumed)


def test_implicit(case):
    with TlsServer(case, False) as server:
        counters = load(case, f"smtps://127.0.0.1:{server.port}", "--count", "30",
                        "--size", "uniform:500-200k")
        check_counts(server, counters, 30, 3)
        check_equal(server.resumed, 0)


def test_starttls(case):
    with TlsServer(case, True) as server:
        counters = load(case, f"smtp://127.0.0.1:{server.port}", "--count", "30", "--starttls")
        check_counts(server, counters, 30, 3)


def test_resumption(case):
    # The first of the three connections has no ticket, and the others may begin before it has one.
    # Each of those brings two, and each that resumes uses one and brings one before it ends: no
    # other is without.
    for share, low, high in (("1", 37, 39), ("0.5", 5, 35)):
        with TlsServer(case, False) as server:
            counters = load(case, f"smtps://127.0.0.1:{server.port}", "--count", "40", "--reuse",
                            "1", "--tls-resume", share)
            check_counts(server, counters, 40, 40)
            check(low <= server.resumed <= high, share, server.resumed)


def test_verification(case):
    with TlsServer(case, False) as server:
        url = f"smtps://localhost:{server.port}"
        counters = load(case, url, "--count", "3", "--tls-ca", server.certificate)
        check_counts(server, counters, 3, 3)
    with TlsServer(case, False) as other:
        counters = load(case, f"smtps://localhost:{other.port}", "--count", "3", "--tls-ca",
                        "/etc/ssl/certs", status=1)
        check_equal(counters["tls_failed"], 3)
        check_equal(counters["causes"]["tls"], 3)
        check_equal(other.messages, 0)


harness.main(globals())
