# SPDX-License-Identifier: Apache-2.0
"""A few cells of bench/lab/real_clients.py, whose outcome is known: what Postfix, Exim and
OpenSMTPD do when the replies to the content come late, line by line, or are cut.
docs/real-clients.md has them all. A test that fails with a newer version of a client says that a
fact has changed."""

import sys
from pathlib import Path

import harness
from harness import SLOW, check_equal

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "bench" / "lab"))
import real_clients  # pylint: disable=wrong-import-position

LIMIT = 10 * SLOW  # what comes in time or late does so by a fifth of it
NOTHING = dict.fromkeys(("once", "duplicates", "lost", "bounced", "bounced_and_taken", "retried",
                         "unfinished"), 0)


def check_cells(case, name, **expected):
    """expected: what it comes to in each situation, by its name with _ for blanks."""
    client = next(c for c in real_clients.CLIENTS if c.name == name)
    situations = [s for s in real_clients.SITUATIONS if s.name.replace(" ", "_") in expected]
    check_equal(len(situations), len(expected), "situations")
    limit = LIMIT if client.limit is None else 10  # of those that wait for nothing
    group = real_clients.Group(case, client, situations, limit)
    for cell in group.run():
        wanted = expected[cell["situation"].replace(" ", "_")]
        seen = {key: cell[key] for key in NOTHING}
        check_equal(seen, dict(NOTHING, **wanted), f"{name} / {cell['situation']}")


ALL_ONCE = {"once": 3}
ALL_TWICE = {"duplicates": 3, "retried": 3}


def test_postfix_smtp(case):
    """Every line starts its limit anew (DUP-13); half a reply is none."""
    check_cells(case, "postfix smtp", in_time=ALL_ONCE, late=ALL_TWICE, line_by_line=ALL_ONCE,
                half_a_reply=ALL_TWICE)


def test_postfix_lmtp(case):
    """The replies that came count, the others are tried again (LMTP-20)."""
    check_cells(case, "postfix lmtp", one_by_one=ALL_ONCE, line_by_line=ALL_ONCE,
                cut_after_two={"once": 2, "duplicates": 1, "retried": 1})


def test_exim_smtp(case):
    """All lines of a reply share one limit."""
    check_cells(case, "exim smtp", in_time=ALL_ONCE, line_by_line=ALL_TWICE)


def test_exim_prdr(case):
    """It believes each reply without the final one, against PRDR-29: where the server has committed
    nothing, as it may, two recipients are lost."""
    cell = {"cut_after_two,_forgotten": {"once": 1, "lost": 2, "retried": 1}}
    check_cells(case, "exim prdr", one_by_one=ALL_ONCE, cut_before_final=ALL_TWICE, **cell)


def test_opensmtpd_lmtp(case):
    """Replies that arrive together confuse it: it takes the first, and what it was told of the
    others is lost."""
    check_cells(case, "opensmtpd lmtp", at_once={"once": 1, "duplicates": 3, "retried": 2})


def test_courier_558(case):
    """A 558 that it did not ask for is read as what it is; all of it has one limit, and of a list
    that was cut what had come counts (EXD-15, EXD-16)."""
    rest = {"once": 2, "duplicates": 1, "retried": 1}
    check_cells(case, "courier exdata", at_once=ALL_ONCE, line_by_line=rest, cut_after_two=rest)


harness.main(globals(), seconds=180)
