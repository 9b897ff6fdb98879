#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Seeds for session_fuzz out of the dialogue transcripts: corpus.py TRANSCRIPT... OUTDIR"""
import pathlib
import re
import sys


def unescape(text):
    """The bytes that a C: line stands for (see dialogue_test.c)."""
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


def seed(path):
    """Configuration, random seed and everything that the client says."""
    flags = 0
    said = b""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("="):
            flags |= ("lmtp" in line) | ("size_max" in line) << 2 | ("normalize" in line) << 7
        elif line.startswith(("C:", "H:")):
            said += unescape(line[2:].removeprefix(" ")) + b"\r\n"
        elif line.startswith("C+:"):
            said += unescape(line[3:].removeprefix(" "))
    return bytes([flags, 0]) + b"\x01" * 8 + said


def main():
    """Write one seed for each transcript."""
    out = pathlib.Path(sys.argv[-1])
    out.mkdir(parents=True, exist_ok=True)
    for name in map(pathlib.Path, sys.argv[1:-1]):
        (out / name.stem).write_bytes(seed(name))


if __name__ == "__main__":
    main()
