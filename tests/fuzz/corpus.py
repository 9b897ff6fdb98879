#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Seeds for a fuzz target of the protocol, out of the dialogue transcripts.

usage: corpus.py TARGET OUTDIR TRANSCRIPT...

TARGET is session, client, command, param, path or reply; what precedes the text in each seed is
described at the head of TARGET_fuzz.c.
"""

import hashlib
import pathlib
import re
import sys

HELLO = (b"220 mx\r\n\xff250-mx\r\n250-PIPELINING\r\n250-SIZE\r\n250-CHUNKING\r\n250-PRDR\r\n"
         b"250-ADAT\r\n250-DEFERRALS\r\n250-INLINE-DSN\r\n250-XEXDATA\r\n250-XPRDR1\r\n"
         b"250-XRCPT250\r\n250 XRCPT250B\r\n")


def unescape(text):
    """The bytes that a line of a transcript stands for (see dialogue_test.c)."""
    text = re.sub(r"\\\((\d+),(.*?)\)", lambda m: m[2] * min(int(m[1]), 50), text)
    simple = {"r": b"\r", "n": b"\n", "t": b"\t", "\\": b"\\"}
    out = b""
    at = 0
    while at < len(text):
        if text[at] != "\\":
            out += text[at].encode()
            at += 1
        elif text[at + 1] == "x":
            out += bytes([int(text[at + 2 : at + 4], 16)])
            at += 4
        else:
            out += simple[text[at + 1]]
            at += 2
    return out


def lines_of(path):
    """(tag, bytes) of each line; "H" stands for what dialogue_test.c makes of it."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("="):
            yield "=", line.encode()
        elif re.match(r"(C\+?|S|H|SKIP):", line):
            tag, _, text = line.partition(":")
            yield tag, unescape(text.removeprefix(" ")) + (b"" if tag == "C+" else b"\r\n")


def session_seeds(lines):
    """Configuration, random seed, then all that the client says."""
    flags = 0
    for tag, text in lines:
        if tag == "=":
            flags |= (b"lmtp" in text) | (b"size_max" in text) << 2 | (b"normalize" in text) << 7
    said = b"".join(text for tag, text in lines if tag in ("C", "C+", "H"))
    yield bytes([flags, 0]) + b"\x01" * 8 + said


def client_seeds(lines):
    """Configuration, then the replies, with a cut before each."""
    lmtp = any(tag == "=" and b"lmtp" in text for tag, text in lines)
    said = b""
    for tag, text in lines:
        if tag == "H":
            said += HELLO
        elif tag in ("S", "SKIP"):
            said += b"\xff" + (text if tag == "S" else b"250 2.0.0 ok\r\n")
    for flags in (0b000, 0b010, 0b1010, 0b110100):
        for dialect in (0, 1, 2, 4, 8, 16, 32, 64, 128):
            yield bytes([flags | lmtp, dialect]) + said


def command_seeds(lines):
    """Step, then command lines."""
    yield b"\x05" + b"".join(text for tag, text in lines if tag in ("C", "C+", "H"))


def reply_seeds(lines):
    """Status, flags, then one line."""
    for tag, text in lines:
        if tag == "S":
            yield b"\x05\x03" + text[:-2]


def arguments(lines):
    """What stands behind MAIL FROM: and RCPT TO:."""
    for tag, text in lines:
        match = re.match(rb"(?:MAIL FROM|RCPT TO): *(.*)\r\n", text, re.IGNORECASE | re.DOTALL)
        if tag in ("C", "C+") and match:
            yield match[1]


def path_seeds(lines):
    """Only the text."""
    return arguments(lines)


def param_seeds(lines):
    """Offers, then the parameters."""
    for text in arguments(lines):
        if text.partition(b"> ")[2]:
            yield b"\xff\xff " + text.partition(b"> ")[2]


SEEDS = {
    "client": client_seeds,
    "command": command_seeds,
    "param": param_seeds,
    "path": path_seeds,
    "reply": reply_seeds,
    "session": session_seeds,
}


def main():
    """Write the seeds of one target; equal ones are one file."""
    if len(sys.argv) < 4 or sys.argv[1] not in SEEDS:
        sys.exit(__doc__)
    out = pathlib.Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    for name in map(pathlib.Path, sys.argv[3:]):
        for seed in SEEDS[sys.argv[1]](list(lines_of(name))):
            (out / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)


if __name__ == "__main__":
    main()
