#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Manual pages and completions say what the programs, the configuration and the script
language say.

The programs are those that POSTERND, POSTERNCTL, POSTERN_LOAD, POSTERN_SINK, POSTERN_LAB and
POSTERN_PROBE name.
What is not installed here (man, mandoc, zsh) is not asked.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MAN = ROOT / "tools/man"
BASH = ROOT / "tools/completion/postern.bash"
ZSH = ROOT / "tools/completion/_postern"
PROGRAMS = {name: os.environ.get(name.upper().replace("-", "_"), name)
            for name in ("posternd", "posternctl", "postern-load", "postern-sink", "postern-lab",
                         "postern-probe")}
PAGES = {"posternd": "posternd.8", "posternctl": "posternctl.1", "postern-load": "postern-load.1",
         "postern-sink": "postern-sink.1", "postern-lab": "postern-lab.1",
         "postern-probe": "postern-probe.1"}
SPOOL_VERBS = ("list", "show", "verify", "export", "delete", "requeue")
MAP_VERBS = ("build", "query", "dump")
COMMANDS = ([("posternd",), ("posternctl",), ("posternctl", "spool"), ("posternctl", "map"),
             ("postern-load",), ("postern-sink",), ("postern-lab",), ("postern-lab", "ledger"),
             ("postern-lab", "run"), ("postern-lab", "show"),
             ("postern-probe",)] +
            [("posternctl", "spool", verb) for verb in SPOOL_VERBS] +
            [("posternctl", "map", verb) for verb in MAP_VERBS])
COLUMNS, LINES = 80, 50
OPTION = re.compile(r"(?<![\w-])(--[a-z][a-z-]*|-[A-Za-z])(?![\w-])")
SCRIPT_POINTS = ("connect", "helo", "mail", "rcpt", "data", "dot", "each", "quit")


def run(*words, **more):
    return subprocess.run([PROGRAMS.get(words[0], words[0]), *words[1:]], capture_output=True,
                          text=True, timeout=60, stdin=subprocess.DEVNULL, check=False, **more)


def help_of(*command):
    result = run(*command, "--help")
    assert result.returncode == 0 and result.stdout, (command, result)
    return result.stdout


def help_options(*command):
    return set(OPTION.findall(help_of(*command)))


def page(name):
    return (MAN / name).read_text(encoding="utf-8")


def part(text, macro, title):
    """The lines below '.Sh title' or '.Ss title', up to the next heading of that rank."""
    ends = r"\n\.Sh |\n\.Ss |\Z" if macro == "Ss" else r"\n\.Sh |\Z"
    found = re.search(rf"^\.{macro} {re.escape(title)}\n(.*?)(?={ends})", text, re.M | re.S)
    assert found, title
    return found[1]


def page_options(text):
    return {"-" + name for line in re.findall(r"^\.It (?:Fl .*)$", text, re.M)
            for name in re.findall(r"\bFl (-?[A-Za-z][a-z-]*)", line)}


def displays(text):
    """What stands between '.Bd -literal' and '.Ed', as it is printed."""
    found = re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed$", text, re.M | re.S)
    return [block.replace("\\e", "\\") for block in found]


def bash_offers(line):
    """What the completion says when the cursor stands behind @line."""
    script = ('source "$1"; COMP_LINE=$2; COMP_POINT=${#2}; read -ra COMP_WORDS <<<"$2"; '
              'case $2 in *" ") COMP_WORDS+=("") ;; esac; COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); '
              '_postern "${COMP_WORDS[0]}" "${COMP_WORDS[COMP_CWORD]}"; '
              'printf "%s\\n" "${COMPREPLY[@]}"')
    result = run("bash", "--norc", "-c", script, "bash", str(BASH), line)
    assert result.returncode == 0 and not result.stderr, (line, result)
    return set(result.stdout.split())


def zsh_options(start, end=r"\n}\n"):
    """Options in the piece of the zsh completion between two patterns."""
    text = ZSH.read_text(encoding="utf-8")
    found = re.search(start + r"(.*?)(?=" + end + ")", text, re.S)
    assert found, start
    names = re.findall(r"'\*?(--[a-z-]+)\[", found[1])
    for group in re.findall(r"\{([a-zA-Z,-]+)\}['\"]", found[1]):
        names += group.split(",")
    if "$common" in found[1]:
        names += ["--spool", "--help"]
    return set(names)


class Help(unittest.TestCase):
    def test_fits_a_screen(self):
        for command in COMMANDS:
            with self.subTest(command=command):
                lines = help_of(*command).splitlines()
                self.assertLessEqual(len(lines), LINES)
                self.assertLessEqual(max(map(len, lines)), COLUMNS)


class Options(unittest.TestCase):
    """--help, manual page, bash and zsh name the same options."""

    def compare(self, command, in_page, in_bash, in_zsh, extra=()):
        in_help = help_options(*command)
        self.assertTrue(in_help)
        self.assertEqual(in_help - in_page, set(), "in --help, not in the page")
        for option in in_page - in_help - set(extra):  # --help has no room for all
            said = run(*command, option)
            self.assertNotRegex(said.stdout + said.stderr, "not an option|unrecognized|understood")
        self.assertEqual(in_bash, in_page, "bash and the page")
        self.assertEqual(in_zsh, in_page, "zsh and the page")

    def test_of_posternd(self):
        self.compare(("posternd",), page_options(page("posternd.8")), bash_offers("posternd -"),
                     zsh_options(r"_postern_posternd\(\)"))

    def test_of_load(self):
        self.compare(("postern-load",), page_options(page("postern-load.1")),
                     bash_offers("postern-load -"), zsh_options(r"_postern_load\(\)"))

    def test_of_sink(self):
        self.compare(("postern-sink",), page_options(page("postern-sink.1")),
                     bash_offers("postern-sink -"), zsh_options(r"_postern_sink\(\)"))

    def test_of_lab(self):
        text = page("postern-lab.1")
        shared = page_options(part(text, "Ss", "run and show")) | {"--help"}
        own = {"run": page_options(part(text, "Ss", "run")) | shared, "show": shared,
               "ledger": page_options(part(text, "Ss", "ledger")) | {"--help"}}
        for verb, options in own.items():
            with self.subTest(verb=verb):
                self.compare(("postern-lab", verb), options, bash_offers(f"postern-lab {verb} -"),
                             zsh_options(rf"_postern_lab_{verb}\(\)"))
        self.assertEqual(help_options("postern-lab") - own["ledger"], {"--version"})
        self.assertEqual(bash_offers("postern-lab -"), {"--help", "--version"})

    def test_of_probe(self):
        self.compare(("postern-probe",), page_options(page("postern-probe.1")),
                     bash_offers("postern-probe -"), zsh_options(r"_postern_probe\(\)"))

    def test_of_spool_verbs(self):
        text = page("posternctl.1")
        self.assertIn(".Fl -spool Ar DIR\n", text)
        self.assertIn(".Fl -help\n", text)
        for verb in SPOOL_VERBS:
            with self.subTest(verb=verb):
                own = page_options(part(text, "Ss", f"spool {verb}")) | {"--spool", "--help"}
                self.compare(("posternctl", "spool", verb), own,
                             bash_offers(f"posternctl spool {verb} -"),
                             zsh_options(rf"'spool {verb}'[^\n]*\)", ";;") if verb != "requeue"
                             else zsh_options(r"'spool requeue'\)", ";;"))

    def test_of_map_verbs(self):
        text = page("posternctl.1")
        own = page_options(part(text, "Ss", "map build")) | {"--help"}
        self.compare(("posternctl", "map", "build"), own, bash_offers("posternctl map build -"),
                     zsh_options(r"'map build'\)", ";;"))
        for verb in ("query", "dump"):
            self.assertEqual(bash_offers(f"posternctl map {verb} -"), {"--help"})
            self.assertIn(f"posternctl map {verb} ", help_of("posternctl", "map"))
            part(text, "Ss", f"map {verb}")

    def test_defaults(self):
        pattern = re.compile(r"(--[a-z-]+) \S+ +(?:(?!--)[^\[(\n])*?[\[(](\w+)[\])](?:  |$)", re.M)
        for program, least in (("postern-load", 14), ("postern-sink", 5), ("postern-probe", 5)):
            found = pattern.findall(help_of(program))
            self.assertGreaterEqual(len(found), least)
            text = page(PAGES[program])
            for option, value in found:
                with self.subTest(program=program, option=option):
                    item = re.search(rf"^\.It [^\n]*Fl {option[1:]}\b(?!-)(.*?)^\.(?:It Fl|El)",
                                     text,
                                     re.M | re.S)
                    self.assertRegex(item[1], rf"Default: {re.escape(value)}\.\n")


class Completion(unittest.TestCase):
    def test_bash_offers_words(self):
        for line, offers in (
                ("posternd --durability ", {"disk", "os", "none"}),
                ("posternd --scan=avx", {"avx2", "avx512"}),
                ("posternctl ", {"spool", "map", "--help", "--version"}),
                ("posternctl spool ", {*SPOOL_VERBS, "--help"}),
                ("posternctl map ", {*MAP_VERBS, "--help"}),
                ("posternctl spool export --format m", {"mbox", "maildir"}),
                ("postern-load --body text --body e", {"empty-lines"}),
                ("postern-load c", {"compare"}),
                ("postern-load --shape p", {"poisson"}),
                ("postern-load --rate ", set()),
                ("postern-sink --no-offer P", {"PIPELINING", "PRDR"}),
                ("postern-probe --only L", {"LMTP"}),
                ("postern-probe lm", {"lmtp://", "lmtp+unix:"}),
                ("postern-lab ", {"run", "show", "ledger", "--help", "--version"}),
                ("postern-lab ledger --list ", {"lost", "duplicated", "ghost"}),
                ("postern-lab ledger --arrived sink:a s", {"sink:", "spool:"})):
            with self.subTest(line=line):
                self.assertEqual(bash_offers(line), offers)

    def test_bash_offers_paths_behind_a_colon(self):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "arrived.txt").touch()
            line = f"postern-lab ledger --arrived sink:{folder}/arr"
            self.assertEqual(bash_offers(line), {f"{folder}/arrived.txt"})

    def test_script_points(self):
        self.assertEqual(bash_offers("postern-sink --rule "), set(SCRIPT_POINTS))
        self.assertIn("points='(" + " ".join(SCRIPT_POINTS) + ")'", ZSH.read_text("utf-8"))

    def test_syntax(self):
        self.assertEqual(run("bash", "-n", str(BASH)).stderr, "")
        if shutil.which("zsh"):
            self.assertEqual(run("zsh", "-n", str(ZSH)).stderr, "")
        first = ZSH.read_text("utf-8").split("\n", 1)[0]
        self.assertEqual(first, "#compdef " + " ".join(PROGRAMS))


def settings_of_example():
    """(section, name) -> "type, range; default: ..." """
    settings, section, lines = {}, "top", (ROOT / "server/postern.conf.example").read_text(
        "utf-8").splitlines()
    for at, line in enumerate(lines):
        opens = re.match(r'([a-z]+)(?: "[^"]*")? \{', line)
        section = opens[1] if opens else "top" if line == "}" else section
        found = re.match(r"( *)# ([a-z_]+): (.*)", line)
        if not found:
            continue
        spec = found[3]
        while not re.search(r"(default: [^;]+?|must be given)(; reloaded on SIGHUP)?$", spec) or \
                spec.endswith(" reloaded on"):
            at += 1
            spec += " " + lines[at].strip("# ")
        settings[section, found[2]] = spec
    return settings


def settings_of_page():
    settings, titles = {}, {"The server as a whole": "top"}
    for title in re.findall(r"^\.Ss (.*)$", part(page("postern.conf.5"), "Sh", "SETTINGS"), re.M):
        section = titles.get(title, title.split()[-1])
        text = part(page("postern.conf.5"), "Ss", title)
        for name, spec, meaning in re.findall(
                r"^\.It Ic (\S+)\n(.*?)\n\.br\n(.*?)(?=\n\.It|\n\.El)", text, re.M | re.S):
            assert len(meaning) > 10, name
            settings[section, name] = spec.replace("\n", " ")
    return settings


class Configuration(unittest.TestCase):
    def test_every_setting_with_unit_range_and_default(self):
        example = settings_of_example()
        self.assertGreater(len(example), 40)
        self.assertEqual(settings_of_page(), example)

    def test_example_is_good(self):
        example = displays(part(page("postern.conf.5"), "Sh", "EXAMPLES"))[0]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "postern.conf"
            path.write_text(example, "utf-8")
            result = run("posternd", "--config", str(path), "--check")
            self.assertEqual(result.returncode, 0, result.stderr)

    def test_example_of_rules_is_good(self):
        example = displays(part(page("posternd.8"), "Sh", "EXAMPLES"))[-1]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "postern.rules"
            path.write_text(example, "utf-8")
            result = run("posternd", "--listen", "smtp://127.0.0.1:2525", "--rules", str(path),
                         "--check")
            self.assertEqual(result.returncode, 0, result.stderr)


class Experiments(unittest.TestCase):
    def test_every_setting_with_type_range_and_default(self):
        lines = run("postern-lab", "run", "--settings").stdout.splitlines()
        told = {}
        for line, _ in zip(lines[::2], lines[1::2]):
            name, spec = line.split(": ", 1)
            told[tuple(name.rpartition(".")[::2])] = spec
        self.assertGreater(len(told), 40)
        text = page("postern-lab-experiment.5")
        titles = {"The experiment as a whole": ""}
        found = {}
        for title in re.findall(r"^\.Ss (.*)$", part(text, "Sh", "SETTINGS"), re.M):
            section = titles.get(title, title.split()[-1])
            for name, spec, meaning in re.findall(
                    r"^\.It Ic (\S+)\n(.*?)\n\.br\n(.*?)(?=\n\.It|\n\.El)", part(text, "Ss", title),
                    re.M | re.S):
                self.assertGreater(len(meaning), 10, name)
                found[section, name] = spec.replace("\n", " ").replace(r"\(dq", '"')
        self.assertEqual(found, told)

    def test_examples_are_good(self):
        examples = displays(part(page("postern-lab-experiment.5"), "Sh", "EXAMPLES"))
        self.assertGreaterEqual(len(examples), 2)
        for example in examples:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "x.conf"
                path.write_text(example, "utf-8")
                result = run("postern-lab", "run", str(path), "--check")
                self.assertEqual(result.returncode, 0, result.stderr)


def points_of(expression):
    """A mask as script_parse.c writes it."""
    masks = {name.upper(): 1 << i for i, name in enumerate(SCRIPT_POINTS)}
    everywhere = (1 << len(SCRIPT_POINTS)) - 1
    in_txn = sum(masks[name] for name in ("MAIL", "RCPT", "DATA", "DOT", "EACH"))
    text = re.sub(r"AT\((\w+)\)", lambda m: str(masks[m[1]]), expression)
    text = text.replace("ANYWHERE", str(everywhere)).replace("IN_TXN", str(in_txn))
    assert re.fullmatch(r"[0-9 |&~]+", text), expression
    mask = eval(text)  # digits and operators only
    return [name for i, name in enumerate(SCRIPT_POINTS) if mask >> i & 1]


class Script(unittest.TestCase):
    source = (ROOT / "tools/sink/script_parse.c").read_text("utf-8")
    text = page("postern-sink-script.5")

    def table(self, name):
        return re.search(rf"{name}\[\] = \{{(.*?)\n?\}};", self.source, re.S)[1]

    def items(self, title):
        """Word -> (all of its head, the points where it may stand)."""
        found = re.findall(r"^\.It (Ic (\S+)[^\n]*)\n(.*?)(?=\n\.It|\n\.El)",
                           part(self.text, "Sh", title), re.M | re.S)
        return {word: (head, re.search(r"^At: (.*)\.$", body, re.M)) for head, word, body in found}

    def compare(self, title, table):
        rows = re.findall(r'\{"([a-z-]+)",\s*\w+,\s*([^,}]+)', self.table(table))
        items = self.items(title)
        self.assertEqual(set(items), {name for name, _ in rows})
        for name, mask in rows:
            with self.subTest(word=name):
                at = points_of(mask)
                said = "all points" if len(at) == len(SCRIPT_POINTS) else ", ".join(at)
                self.assertEqual(items[name][1][1], said)

    def test_points(self):
        self.assertEqual(tuple(re.findall(r'"(\w+)"', self.table("point_names"))), SCRIPT_POINTS)
        self.assertEqual(tuple(self.items("POINTS")), SCRIPT_POINTS)

    def test_conditions(self):
        self.compare("CONDITIONS", "cond_rows")

    def test_actions(self):
        self.compare("ACTIONS", "action_rows")
        for action, table in (("commit", "commits"), ("gone", "gones"), ("pacing", "pacings"),
                              ("decide", "decides"), ("order", "orders"), ("mixed", "mixeds"),
                              ("scan", "scans")):
            head = self.items("ACTIONS")[action][0]
            self.assertEqual(re.findall(r"Cm (\w+)", head),
                             re.findall(r'"(\w+)"', self.table(table)))

    def test_examples_are_good(self):
        rules = [line for line in displays(self.text)[0].splitlines() if not line.startswith("#")]
        self.assertGreater(len(rules), 8)
        for rule in rules:
            with self.subTest(rule=rule):
                said = run("postern-sink", "--rule", rule).stderr
                self.assertEqual(said, "postern-sink: --listen is missing\n")

    def test_help_names_all(self):
        said = help_of("postern-sink")
        for word in (*SCRIPT_POINTS, *self.items("CONDITIONS"), *self.items("ACTIONS")):
            self.assertRegex(said, rf"(?<![\w-]){word}(?![\w-])")


class Pages(unittest.TestCase):
    def test_all_are_installed(self):
        said = (MAN / "meson.build").read_text("utf-8")
        pages = {path.name for path in MAN.iterdir()} - {"meson.build"}
        self.assertEqual(set(re.findall(r"'(\S+\.\d)'", said)), pages)
        self.assertEqual(set(PAGES.values()), {name for name in pages if not name.endswith(".5")})

    def test_sections(self):
        for path in MAN.glob("*.[158]"):
            with self.subTest(page=path.name):
                titles = re.findall(r"^\.Sh (.*)$", path.read_text("utf-8"), re.M)
                wanted = ["NAME", "DESCRIPTION", "EXAMPLES", "SEE ALSO"]
                if not path.name.endswith(".5"):
                    wanted += ["SYNOPSIS", "OPTIONS", "EXIT STATUS"]
                if path.name == "posternctl.1":  # they stand with their verbs
                    wanted.remove("OPTIONS")
                self.assertLessEqual(set(wanted), set(titles))

    def test_references(self):
        own = {path.name for path in MAN.glob("*.[158]")}
        for path in MAN.glob("*.[158]"):
            for name, section in re.findall(r"^\.Xr (\S+) (\d)", path.read_text("utf-8"), re.M):
                self.assertTrue(f"{name}.{section}" in own or name == "systemd", (path.name, name))

    @unittest.skipUnless(shutil.which("man"), "man is not installed")
    def test_man_has_no_warning(self):
        for path in MAN.glob("*.[158]"):
            with self.subTest(page=path.name):
                result = run("man", "--warnings", "-E", "UTF-8", "-l", str(path),
                             env={**os.environ, "MANWIDTH": "80", "MANPAGER": "cat"})
                self.assertEqual((result.returncode, result.stderr), (0, ""))
                self.assertIn("NAME", result.stdout)

    @unittest.skipUnless(shutil.which("mandoc"), "mandoc is not installed")
    def test_mandoc_has_no_warning(self):
        for path in MAN.glob("*.[158]"):
            with self.subTest(page=path.name):
                self.assertEqual(run("mandoc", "-T", "lint", "-W", "warning", str(path)).stdout, "")


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    unittest.main(verbosity=1)
