#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each rule of tools/tidy.py fires on a file that breaks it, and is quiet on one that does not."""

import importlib.util
import sys
import tempfile
import unittest
from pathlib import Path

TIDY = Path(__file__).resolve().parent.parent / "tools" / "tidy.py"
SPDX = "/* SPDX-License-Identifier: Apache-2.0 */\n"

# A small tree in which every rule has something to look at and nothing to say.
CLEAN = {
    "include/base/slice.h": SPDX + "/* slice_len() - bytes in @s. */\nint slice_len(int s);\n",
    "include/smtp/line.h": SPDX + '#include "base/slice.h"\n'
                           "struct line {\n    int (*next)(int a);\n};\n\n"
                           "/* line_next() - one line.\n * TODAY is no leftover */\n"
                           "__attribute__((warn_unused_result)) int line_next(int s);\n"
                           "void line_end(int s);\n\n"
                           "static inline int line_x(int s)\n{\n    return s;\n}\n",
    "include/io/ring.h": SPDX + "/* ring_go() - turn. */\nvoid ring_go(void);\n",
    "server/base/meson.build": "base = files('slice.c')\n",
    "server/base/slice.c": SPDX + '#include "base/slice.h"\n'
                           'int slice_len(int s)\n{\n    /* strcpy(a, b) */\n'
                           '    const char *t = "malloc(1) \\" sleep(1)";\n'
                           "    return s + (int)t[0] + pool.free(s) + p->read(s);\n}\n",
    "server/io/meson.build": "io = files('ring.c')\n",
    "server/io/ring.c": SPDX + '#include "io/ring.h"\n#include <liburing.h>\n'
                        "void ring_go(void)\n{\n    io_uring_submit(0);\n}\n",
    "server/meson.build": "subdir('base')\nfiles('main.c')\n",
    "server/main.c": SPDX + '#include "io/ring.h"\n#include "smtp/line.h"\n'
                     "#if DEBUG_CHECKS\nint debug;\n#endif\n"
                     "static const int table[] = {\n" + "    1,\n" * 200 + "};\n"
                     "int main(void)\n{\n" + "    debug++;\n" * 67 + "}\n",
    "tests/support/fake.c": SPDX + '#include "fake.h"\n',
    "tests/support/fake.h": SPDX + "/* fake_go() - turn. */\nvoid fake_go(void);\n",
    "tests/support/shown.h": SPDX + "/* shown_go() - turn. */\nvoid shown_go(void);\n",
    "tests/unit/io/meson.build": "files('ring_test.c', '../../support/fake.c')\n",
    "tests/unit/io/ring_test.c": SPDX + '#include "../../support/shown.h"\n',
    "docs/page.md": "# Page\n\n" + "word " * 24 + "\n\n| " + "x " * 99 + "|\n|---|\n\n"
                    "- https://server.example/" + "x" * 120 + "\n\n```\n" + "x " * 99 + "\n```\n",
    "tools/dev": "#!/bin/sh\n# SPDX-License-Identifier: Apache-2.0\n# " + "\u00e9" * 98 + "\n",
}

# rule, file, its text, line of the finding
BROKEN = [
    ("layers", "server/base/slice.c", SPDX + '#include "io/ring.h"\n', 2),
    ("layers", "include/smtp/line.h", SPDX + "\n" + '#include "main.h"\n', 3),
    ("layers", "server/main.c", SPDX + '#include "liburing.h"\n', 2),
    ("banned", "server/main.c", SPDX + "void f(void)\n{\n    strcpy(a, b);\n}\n", 4),
    ("banned", "server/main.c", SPDX + "void f(void)\n{\n    assert(a);\n}\n", 4),
    ("banned", "server/main.c", SPDX + "void f(void)\n{\n    x = strtok (a, b);\n}\n", 4),
    ("banned", "server/base/slice.c", SPDX + "void f(void)\n{\n    p = malloc(3);\n}\n", 4),
    ("banned", "server/base/slice.c", SPDX + "void f(void)\n{\n    t = time(0);\n}\n", 4),
    ("banned", "tests/unit/base/slice_test.c", SPDX + "void f(void)\n{\n    usleep(1);\n}\n", 4),
    ("function-length", "server/main.c",
     SPDX + "static int long_one(\n    int a)\n{\n" + "    a++;\n" * 67 + "}\n", 2),
    ("dead-file", "server/smtp/lost.c", SPDX, 1),
    ("dead-file", "include/smtp/lost.h", SPDX + '#include "smtp/lost.h"\n', 1),
    ("docstring", "include/base/slice.h", SPDX + "\nint slice_len(int s);\n", 3),
    ("docstring", "include/base/slice.h",
     SPDX + "/* About a. */\nint slice_a(int s);\n\n__attribute__((cold)) struct x *slice_b(\n"
     "    int s);\n", 5),
    ("leftover", "server/main.c", SPDX + "/* FIX" + "ME later */\n", 2),
    ("leftover", "tools/dev", "#!/bin/sh\n# SPDX-License-Identifier: Apache-2.0\n# TO" + "DO\n", 3),
    ("spdx", "server/main.c", "int main(void);\n", 1),
    ("spdx", "tools/dev", "#!/bin/sh\ntrue\n", 1),
    ("ring", "server/main.c", SPDX + "void f(void)\n{\n    io_uring_submit(r);\n}\n", 4),
    ("ring", "tools/probe.c", SPDX + "#include <liburing.h>\n", 2),
    ("test-switch", "server/main.c", SPDX + "#ifdef UNIT_TESTING\n#endif\n", 2),
    ("test-switch", "include/io/ring.h", SPDX + "#if defined(RING_SIMULATED)\n#endif\n", 2),
    ("whitespace", "server/meson.build", "files('main.c') \n", 1),
    ("whitespace", "server/meson.build", "\tfiles('main.c')\n", 1),
    ("whitespace", "server/meson.build", "files('main.c')", 1),
    ("line-length", "server/meson.build", "files('main.c')\n" + "#" * 101 + "\n", 2),
    ("line-length", "docs/page.md", CLEAN["docs/page.md"] + "- " + "word " * 24 + "\n", 13),
    ("line-length", "tools/dev", CLEAN["tools/dev"] + "# " + "\u00e9" * 99 + "\n", 4),
]


def load_tidy():
    spec = importlib.util.spec_from_file_location("tidy", TIDY)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


sys.dont_write_bytecode = True
tidy = load_tidy()


def findings_of(files):
    with tempfile.TemporaryDirectory() as root:
        for name, text in files.items():
            path = Path(root) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return tidy.check(root)


class TidyTest(unittest.TestCase):
    def test_clean_tree_is_quiet(self):
        self.assertEqual(findings_of(CLEAN), [])

    def test_each_rule_fires(self):
        for rule, name, text, line in BROKEN:
            with self.subTest(rule=rule, name=name, text=text[-60:]):
                hits = [(f.path, f.line) for f in findings_of({**CLEAN, name: text})
                        if f.rule == rule]
                self.assertEqual(hits, [(name, line)])

    def test_every_rule_has_a_case(self):
        self.assertEqual(len({rule for rule, *_ in BROKEN}), len(tidy.RULES))

    def test_start_up_files_may_allocate(self):
        name = next(iter(tidy.START_UP_FILES))
        folder, stem = name.rsplit("/", 1)
        files = {**CLEAN, name: SPDX + "void f(void)\n{\n    free(p);\n}\n",
                 f"{folder}/meson.build": f"files('slice.c', '{stem}')\n"}
        self.assertEqual(findings_of(files), [])

    def test_every_banned_call_fires(self):
        for name in tidy.BANNED_EVERYWHERE:
            with self.subTest(call=name):
                text = SPDX + "void f(void)\n{\n    " + name + "(a);\n}\n"
                hits = [f for f in findings_of({**CLEAN, "server/main.c": text})
                        if f.rule == "banned"]
                self.assertEqual(len(hits), 1)
                self.assertIn(tidy.BANNED_EVERYWHERE[name], hits[0].text)

    def test_empty_folder_is_an_error(self):
        with self.assertRaises(SystemExit):
            findings_of({"README.md": "nothing here\n"})


if __name__ == "__main__":
    unittest.main()
