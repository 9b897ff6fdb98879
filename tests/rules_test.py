#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every rule of the protocol sheets is named by a test, or stands below with the reason
why none can.

Rules are cited as PRDR-7, or a row of them as LMTP-12..17 or OTH-4..OTH-7, where a test shows them:
in the comment of a unit test or a transcript, in the name of a row.
"""

import re
import unittest
from pathlib import Path

TESTS = Path(__file__).resolve().parent
FOLDERS = ("unit", "dialogue", "diff", "fuzz", "sim", "blackbox", "crash")
SUFFIXES = {".c", ".py", ".txt"}
CITATION = re.compile(r"\b([A-Z]+)-(\d+)(?:\.\.(?:\1-)?(\d+))?")

# The sheets and how many rules each has.
RULES = {"PRDR": 40, "DEF": 26, "INL": 6, "EXD": 19, "HOL": 20, "OTH": 18, "LMTP": 26}
# Cited here and there; only that there is such a rule is looked at.
OTHER_RULES = {"CORE": 72, "DUP": 25, "MIL": 23}

NOT_TESTED = {
    "DEF-24": "history: what was asked in the thread",
    "DEF-25": "history: what was answered in the thread",
    "DEF-26": "history: where PRDR and XPRDR1 come from; they are tested as PRDR and OTH-11",
    "INL-3": "what the text of 2004 leaves open; what we do instead is INL-4 and INL-5",
    "EXD-19": "advice to operators; grouping at RCPT time itself is OTH-15",
    "HOL-3": "a comparison with other dialects",
    "HOL-19": "which pacing costs what is measured by the bench; a test does not time",
    "OTH-13": "no text of MULT was found",
    "OTH-14": "the text of SESSION was not obtained",
    "OTH-16": "to accept and bounce needs a queue of notices, which there is not",
    "OTH-17": "what other clients do when told RCPTMAX=1; we offer 100 and more",
    "OTH-18": "a proxy with a transaction for each recipient: there is none",
    "LMTP-4": "advice when not to offer LMTP",
    "LMTP-18": "about proxies and filters of others",
    "LMTP-24": "what Postfix's client does, and what came of it",
}


def citations():
    """{(sheet, number): {file, ...}}"""
    found = {}
    for folder in FOLDERS:
        for path in sorted((TESTS / folder).rglob("*")):
            if path.suffix not in SUFFIXES:
                continue
            for sheet, first, last in CITATION.findall(path.read_text("utf-8", "replace")):
                if sheet not in RULES and sheet not in OTHER_RULES:
                    continue
                for number in range(int(first), int(last or first) + 1):
                    found.setdefault((sheet, number), set()).add(str(path.relative_to(TESTS)))
    return found


class Rules(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cited = citations()

    def test_each_is_cited_or_excused(self):
        excused = {(name.split("-")[0], int(name.split("-")[1])) for name in NOT_TESTED}
        missing = [f"{sheet}-{number}" for sheet, count in RULES.items()
                   for number in range(1, count + 1)
                   if (sheet, number) not in self.cited and (sheet, number) not in excused]
        self.assertEqual(missing, [])

    def test_what_is_excused_is_not_cited(self):
        """Else the reason is no longer true."""
        for name, why in NOT_TESTED.items():
            with self.subTest(rule=name):
                sheet, number = name.split("-")
                self.assertIn(sheet, RULES)
                self.assertLessEqual(int(number), RULES[sheet])
                self.assertGreater(len(why), 20)
                self.assertEqual(self.cited.get((sheet, int(number)), set()), set())

    def test_what_is_cited_is_there(self):
        known = {**RULES, **OTHER_RULES}
        wrong = {f"{sheet}-{number}": files for (sheet, number), files in self.cited.items()
                 if not 1 <= number <= known[sheet]}
        self.assertEqual(wrong, {})

    def test_the_reader(self):
        self.assertEqual(CITATION.findall("LMTP-12..17, OTH-4..OTH-7; PRDR-9."),
                         [("LMTP", "12", "17"), ("OTH", "4", "7"), ("PRDR", "9", "")])


if __name__ == "__main__":
    unittest.main()
