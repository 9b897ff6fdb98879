# SPDX-License-Identifier: Apache-2.0
"""postern-lab as the tests of it call it, and what comes of a run."""

import csv
import io
import json
import os

import harness
from harness import check_equal


def lab(*arguments, status=0, **named):
    return harness.run([harness.own_program("POSTERN_LAB"), *arguments], status=status, **named)


def table(*arguments, **named):
    return list(csv.DictReader(io.StringIO(lab("run", *arguments, "--csv", "-", **named))))


def write(case, name, text):
    path = os.path.join(case.dir, name)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    return path


class Result:
    """Both modes of one experiment: rows of the CSV, and how late the programs were, in seconds of
    the model. That nothing contradicts the theory is what the exit status says."""

    def __init__(self, case, text, *arguments):
        self.folder = os.path.join(case.dir, "ledgers")
        path, result, table = (os.path.join(case.dir, n) for n in ("e.conf", "r.json", "r.csv"))
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        self.text = lab("run", path, "--jobs", "8", "--json", result, "--csv", table, "--text", "-",
                        "--ledger", self.folder, *arguments)
        with open(result, encoding="utf-8") as f:
            self.late_s = json.load(f)["modes"][1]["precision_ns"] / 1e9
        with open(table, encoding="utf-8") as f:
            rows = list(csv.DictReader(f))
        self.sim = [r for r in rows if r["mode"] == "sim"]
        self.live = [r for r in rows if r["mode"] != "sim"]
        check_equal(len(self.sim), len(self.live), self.text)

    def pairs(self):
        """(simulated, live) of each point."""
        by_point = {r["point"]: r for r in self.sim}
        return [(by_point[r["point"]], r) for r in self.live]

    def first_tries(self, row):
        """What read_of_first_tries() finds of this run."""
        stem = f"{row['experiment']}-{int(row['point']):05}-{row['mode']}-{row['seed']}"
        return read_of_first_tries(f"{self.folder}/{stem}.attempts")


def read_of_first_tries(path):
    """{sequence number: (recipients whose reply was read, how the others ended)} of first tries;
    how: (cause, k, n)."""
    found = {}
    with open(path, encoding="utf-8") as f:
        lines = [line for line in f if not line.startswith("#postern")]
    for row in csv.DictReader(io.StringIO("".join(lines).lstrip("#")), delimiter="\t"):
        if int(row["attempt"]) == 0:
            count, ends = found.setdefault(int(row["seq"]), (0, set()))
            is_read = row["fate"] == "accepted"
            if not is_read:
                ends.add((row["cause"], row["k"], row["n"]))
            found[int(row["seq"])] = (count + is_read, ends)
    return found
