"""The tree as the lint sees it: files with their text, and C code without comments and literals."""

import os
import re
import subprocess
from functools import cached_property

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class File:
    """One file of the tree; `path` is relative to the root."""

    def __init__(self, path, text):
        self.path = path
        self.text = text

    @property
    def ext(self):
        return os.path.splitext(self.path)[1]

    @property
    def is_c(self):
        return self.ext in (".c", ".h")

    @property
    def room(self):
        """The room of core/ it belongs to, or None."""
        parts = self.path.split("/")
        if parts[0] != "core" or len(parts) < 3:
            return None
        parts = parts[1:-1]
        return parts[0] if parts[0] == "include" or parts[-1] in ("sql", "lua") and len(parts) == 2 else "/".join(parts)

    @property
    def in_service(self):
        """Whether it is part of what runs: the core or a product, but for a product's own tests."""
        return bool(re.match(r"core/|plugins/(?!.*\btest_)", self.path))

    def line_of(self, offset):
        return self.text.count("\n", 0, offset) + 1

    @cached_property
    def code(self):
        """The text with comments, literals and preprocessor lines blanked; offsets stay."""
        return blank(self.text, keep_directives=False)

    @cached_property
    def without_comments(self):
        return blank(self.text, keep_directives=True, keep_literals=True)


TOKEN = re.compile(
    r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'"
    r"|^[ \t]*#(?:[^\n\\]|\\.|\\\n)*",
    re.S | re.M,
)


def blank(text, keep_directives=False, keep_literals=False):
    def replace(match):
        token = match.group(0)
        if token[0] in "\"'" and keep_literals:
            return token
        if token.lstrip().startswith("#") and keep_directives:
            return token
        return re.sub(r"[^\n]", " ", token)

    return TOKEN.sub(replace, text)


class Function:
    """A function definition found in C code."""

    def __init__(self, file, name, head, start, body_start, end):
        self.file = file
        self.name = name
        self.head = head
        self.start = start
        self.body = file.code[body_start:end]
        self.body_start = body_start
        self.lines = file.text.count("\n", start, end) + 1


HEAD = re.compile(r"^(?P<head>[A-Za-z_][^;{}#]*?\b(?P<name>\w+)\s*\([^;{}]*\)[^;{}()=]*)\n\{", re.M)


def functions(file):
    """The definitions in a C file: K&R style puts their braces alone in column 0."""
    found = []
    for match in HEAD.finditer(file.code):
        end = file.code.find("\n}", match.end())
        if end < 0:
            continue
        head = match.group("head")
        name = name_of(head)
        if name is not None:
            found.append(Function(file, name, head, match.start(), match.end(), end + 2))
    return found


def name_of(head):
    """The function's name: the word before the first parenthesis that is not a macro's."""
    for match in re.finditer(r"\b(\w+)\s*\(", head):
        if not re.fullmatch(r"TB_[A-Z_]+|__attribute__|_\w+", match.group(1)):
            return match.group(1)
    return None


def tree():
    """Every text file git knows of or would add."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True,
    ).stdout.decode()
    files = []
    for path in sorted(set(listed.split("\0")) - {""}):
        full = os.path.join(ROOT, path)
        if not os.path.isfile(full) or os.path.islink(full):
            continue
        try:
            with open(full, encoding="utf-8") as opened:
                files.append(File(path, opened.read()))
        except UnicodeDecodeError:
            pass  # a binary, such as a corpus of the fuzzer
    return files
