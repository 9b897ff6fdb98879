# SPDX-License-Identifier: Apache-2.0
"""When replies leave: pacing, tcp_nodelay and commit_replies over real sockets, and a client who
does not read beside others who do."""

import itertools
import socket
import struct

import harness
from harness import check, check_equal

PACINGS = ("tick", "batch", "eager")
NODELAYS = ("yes", "no")
COMMITS = ("split", "linked")
RECIPIENTS = [f"r{i}@mx.test.example" for i in range(10)]
NOOPS = 20000
DATA_SEGS_IN = 152  # offset in struct tcp_info


def segments(client):
    info = client.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    return struct.unpack_from("=I", info, DATA_SEGS_IN)[0] if len(info) >= 156 else None


def start(case, commit):
    """A server with an LMTP listener for each pacing and tcp_nodelay.

    {(pacing, nodelay): address}"""
    ports = {pair: harness.free_port() for pair in itertools.product(PACINGS, NODELAYS)}
    listeners = "".join(
        f'listener "{pacing}-{nodelay}" {{ address = "lmtp://127.0.0.1:{port}"; '
        f'pacing = {pacing}; tcp_nodelay = {nodelay}; }}\n'
        for (pacing, nodelay), port in ports.items())
    config = (f"spool {{ commit_replies = {commit}; }}\n{listeners}"
              'class "strict" { action = reject; act_at = content; }\n'
              'domain "mx.test.example" { recipients = ["r3@mx.test.example strict", any]; }\n')
    server = case.server(config=config, name=commit, shards=1)
    return server, {pair: ("127.0.0.1", port) for pair, port in ports.items()}


def deliver(case, address, number):
    """One message with a refusal among its recipients: the segments that its replies came in."""
    client = harness.Client.of(harness.Client(address), case)
    client.hello("LHLO")
    client.envelope(RECIPIENTS)
    client.command("DATA", 354)
    before = segments(client)
    client.send(harness.stuffed(harness.message(f"number {number}",
                                                message_id=f"<{number}@client.example>")))
    codes = [client.reply().code for _ in RECIPIENTS]
    check_equal(codes, [550 if i == 3 else 250 for i in range(len(RECIPIENTS))])
    after = segments(client)
    client.quit()
    return after - before if before is not None else None


def test_segments(case):
    for commit in COMMITS:
        server, addresses = start(case, commit)
        for number, (pair, address) in enumerate(addresses.items()):
            seen = deliver(case, address, number)
            if seen is None:
                continue
            pacing, nodelay = pair
            # The refused one is the fourth: the first reply waits for the store, so all leave then.
            limits = {"tick": (1, 1), "batch": (1, 1), "eager": (2, len(RECIPIENTS))}[pacing]
            check(limits[0] <= seen <= limits[1], commit, pacing, nodelay, seen, "segments")
        check_equal(len(server.stored()), len(addresses))
        server.stop()


def test_client_who_does_not_read(case):
    for commit in COMMITS:
        server, addresses = start(case, commit)
        mute = {}
        for pair, address in addresses.items():
            client = mute[pair] = harness.Client.of(harness.Client(address), case)
            client.hello("LHLO")
            client.socket.setblocking(False)
            left = b"NOOP\r\n" * NOOPS
            try:
                while left:
                    left = left[client.socket.send(left):]
            except BlockingIOError:
                pass
            mute[pair] = (client, left)
        for number, address in enumerate(addresses.values()):
            deliver(case, address, number)
        for client, left in mute.values():
            client.socket.setblocking(True)
            client.socket.settimeout(harness.STEP_SECONDS)
            replies = 0
            while replies < NOOPS:
                if left:
                    left = left[client.socket.send(left[:6000]):]
                client.expect(250)
                replies += 1
                if not left and replies % 1000 == 0:
                    check(replies <= NOOPS, "more replies than commands")
            client.quit()
        check_equal(len(server.stored()), len(addresses))
        server.stop()


harness.main(globals())
