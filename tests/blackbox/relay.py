# SPDX-License-Identifier: Apache-2.0
"""A relay between a client and a server, which sees and changes what they say to each other."""

import socket
import threading

import harness


class Relay:
    """Passes lines on between clients of its port and the server at the given one. A subclass has
    its own ask() or answer()."""

    def __init__(self, case, port):
        self.server_port = port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        thread = threading.Thread(target=self.accept, daemon=True)
        thread.start()
        case.cleanups.append(lambda: harness.close_listener(self.listener, thread))

    def ask(self, line):
        """What becomes of a line of the client."""
        return line

    def answer(self, line):
        """What becomes of a line of the server; None: both connections end in front of it."""
        return line

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.server_port))
            for work in ((self.pass_commands, client, server), (self.pass_replies, server, client)):
                threading.Thread(target=work[0], args=work[1:], daemon=True).start()

    def pass_commands(self, client, server):
        try:
            with client.makefile("rb") as lines:
                for line in lines:
                    server.sendall(self.ask(line))
            server.shutdown(socket.SHUT_WR)  # the client's own end, behind QUIT: it still reads
        except OSError:
            pass

    def pass_replies(self, server, client):
        try:
            with server.makefile("rb") as lines:
                for line in lines:
                    changed = self.answer(line)
                    if changed is None:
                        break
                    client.sendall(changed)
        except OSError:
            pass
        for s in (server, client):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
