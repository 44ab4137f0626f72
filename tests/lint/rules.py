"""The rules. Each takes the files of a tree and yields `path:line: what is wrong`. A rule's docstring is
what it promises; `bad` is the smallest tree that breaks it, so that test_lint.py can show it goes red: each of its files
alone, unless the rule is about the `whole`."""

import json
import os
import re
import subprocess
import tempfile

from source import ROOT, File, functions, name_of

RULES = []


def rule(bad, whole=False):
    def register(check):
        check.whole = whole
        check.bad = [File(path, text) for path, text in bad.items()]
        RULES.append(check)
        return check

    return register


def at(file, offset, what):
    return f"{file.path}:{file.line_of(offset)}: {what}"


# ---- what may include what ----

FLOORS = {
    "include": 0, "base": 1,
    "config": 2, "crypto": 2, "runtime": 2, "schema": 2, "http/guard": 2,
    "http": 3, "limit": 3, "lua": 3, "process": 3, "store": 3,
    "http/outbound": 4, "ledger": 4, "product": 4,
    "outbox": 5,
    "oauth": 6, "oauth/client": 7, "oauth/token": 8, "oauth/user": 8,
    "consent": 9, "oauth/page": 9, "oauth/request": 9,
    "directory": 10, "gateway": 10, "oauth/endpoint": 10, "oauth/interaction": 10,
    "hooks": 11, "oauth/registration": 11, "gateway/stage": 12, "worker": 13, "cli": 14, "tools/docgen": 14,
}
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^">]+)[">]', re.M)


def includes(file):
    for match in INCLUDE.finditer(file.without_comments):
        yield match.start(), match.group(1), match.group(2)


def room_of(name):
    """The room of a header, by the name it is included under."""
    return "include" if name.startswith("tongbao/") else name.rpartition("/")[0]


@rule(bad={"core/base/x.c": '#include "store/pool.h"\n', "core/oauth/token/x.c": '#include "oauth/request/par.h"\n',
           "core/attic/x.c": "int x;\n"})
def imports_go_down_only(files):
    """A room of core/ stands on a floor, and includes its own headers and those of rooms on lower floors."""
    for file in files:
        if not file.is_c or file.room is None:
            continue
        if file.room not in FLOORS:
            yield at(file, 0, f"the room {file.room} stands on no floor")
            continue
        for offset, kind, name in includes(file):
            other = room_of(name)
            if kind == '"' and other not in ("", file.room) and FLOORS.get(other, 99) >= FLOORS[file.room]:
                yield at(file, offset, f"{file.room} (floor {FLOORS[file.room]}) includes {name}")


ROOM_FILES_MOST = 40


@rule(bad={f"core/base/x{i}.c": "int x;\n" for i in range(ROOM_FILES_MOST + 1)}, whole=True)
def rooms_tell_one_story(files):
    """A room has at most forty files, its SQL beside."""
    rooms = {}
    for file in files:
        if file.room is not None and file.ext in (".c", ".h", ".def", ".S"):
            rooms.setdefault(file.room, []).append(file)
    for room, members in sorted(rooms.items()):
        if len(members) > ROOM_FILES_MOST:
            yield at(members[-1], 0, f"{room} has {len(members)} files")


@rule(bad={"core/gateway/stage/pipeline.c": '    {"admit", tb_stage_admit},\n', "core/gateway/stage/door.c": "tb_err tb_stage_admit(void)\n{\n}\n"},
      whole=True)
def a_stage_has_a_file_of_its_name(files):
    """Each row of the pipeline is one function, in the file that bears the row's name."""
    for pipeline in (f for f in files if f.path == "core/gateway/stage/pipeline.c"):
        for match in re.finditer(r'\{"([\w:]+)", (tb_stage_\w+)\}', pipeline.text):
            name = match[1].replace(":", "_") + ".c"
            if not any(f.path.endswith("/" + name) and f.room in ("gateway/stage", "hooks")
                       and re.search(rf"^tb_err .*\b{match[2]}\(", f.code, re.M) for f in files):
                yield at(pipeline, match.start(), f"no {name} defines {match[2]}")


# The room whose sql/ makes a schema.
SCHEMAS = {"tb": "store", "bank": "ledger", "event": "outbox", "oauth": "oauth", "consent": "consent", "directory": "directory",
           "script": "hooks"}
OBJECT = re.compile(r"\b(%s)\.[a-z_]+" % "|".join(SCHEMAS))
IN_SQL = re.compile(r"\b(?:from|join|into|update|exists|perform|call)\s+%s|%s\(" % (OBJECT.pattern, OBJECT.pattern))
LITERALS = re.compile(r'"(?:\\.|[^"\\\n])*"(?:\s*"(?:\\.|[^"\\\n])*")*')


def named_schemas(file):
    """(offset, what is named, schema) of each object of a schema that SQL of the file names."""
    if file.ext == ".sql":
        for match in OBJECT.finditer(sql_code(file.text)):
            yield match.start(), match[0], match[1]
    else:
        for literal in LITERALS.finditer(file.without_comments):
            for match in IN_SQL.finditer(literal[0]):
                yield literal.start(), match[0], match[1] or match[2]


@rule(bad={"core/oauth/sql/0001_x.sql": "select consent.open();\n", "core/limit/x.c": 'const char *q = "select from bank.quota";\n'})
def sql_goes_down_only(files):
    """SQL of a room of core/, in sql/ or in its C, names schemas of its own or of rooms on lower floors."""
    for file in files:
        if file.room not in FLOORS or file.ext not in (".sql", ".c", ".h") or file.room in ("lua", "tools/docgen"):
            continue
        for offset, what, schema in named_schemas(file):
            owner = SCHEMAS[schema]
            if owner != file.room and FLOORS[owner] >= FLOORS[file.room]:
                yield at(file, offset, f"{file.room} (floor {FLOORS[file.room]}) names {what}, of {owner}")


DECLARED = re.compile(r'\.name = "([a-z_-]+)"')


def declared_names(files):
    """What products declare: their folders and names, and the types of consents. `example` is what new products are made from."""
    names = set()
    for file in files:
        folder = re.match(r"plugins/(\w+)/\w+\.c$", file.path)
        if folder and not file.path.rpartition("/")[2].startswith("test_"):
            names |= {folder[1], *DECLARED.findall(file.without_comments)}
    return names - {"example"}


@rule(bad={"plugins/e_toll/e_toll.c": 'TB_PLUGIN = {.name = "e-toll"};\n' 'struct tb_detail_type t[] = {{.name = "passage"}};\n',
           "core/gateway/stage/x.c": 'static bool f(struct tb_str type)\n{\n    return tb_str_eq(type, TB_STR("passage"));\n}\n'}, whole=True)
def core_knows_no_product(files):
    """Neither code nor SQL of core/ names a product of plugins/ or a type of consent that one declares; examples in help texts may."""
    names = "|".join(sorted(map(re.escape, declared_names(files)), key=len, reverse=True))
    if not names:
        return
    quoted = re.compile(  # in quotes, but no member of JSON; in a scope; a schema and its function
        rf"""(?<=["'|])(?:{names})(?=\\?["'|:])(?!\\?":)|(?<![\w.-])(?:{names})(?=:(?:read|write)|\.[a-z_]+\()""")
    for file in files:
        if not file.path.startswith("core/") or file.room in ("cli", "include", "tools/docgen") or file.ext not in (".c", ".h", ".def", ".sql"):
            continue
        code = re.sub(r"--[^\n]*", "", file.text) if file.ext == ".sql" else file.without_comments
        for match in quoted.finditer(code):
            yield at(file, match.start(), f"{match[0]} is a product's")


@rule(bad={"core/base/x.c": "struct a *f(char *at)\n{\n    return (struct a *)(at - offsetof(struct a, b));\n}\n",
           "core/http/x.c": "void *f(void *at)\n{\n    return H2O_STRUCT_FROM_MEMBER(struct a, b, at);\n}\n"})
def there_is_one_container_of(files):
    """The struct around a member is found by TB_CONTAINER."""
    for file in files:
        if file.is_c and file.path != "core/include/tongbao/types.h":
            for match in re.finditer(r"-\s*offsetof\(|\bH2O_STRUCT_FROM_MEMBER\b|\bcontainer_of\b", file.code):
                yield at(file, match.start(), match[0] + " is TB_CONTAINER")


@rule(bad={"core/base/x.c": "size_t f(int x)\n{\n    return sizeof x;\n}\n", "core/base/y.c": "enum { N = sizeof(a) / sizeof((a)[0]) };\n"})
def sizes_are_written_one_way(files):
    """`sizeof(x)`, and TB_COUNT for the elements of an array."""
    for file in files:
        if file.is_c and file.path != "core/include/tongbao/types.h":
            for match in re.finditer(r"\bsizeof [^(]|\bsizeof\(([\w.>-]+)\)\s*/\s*sizeof\(\(?\1\)?\[0\]\)", file.code):
                yield at(file, match.start(), "sizeof(x), or TB_COUNT")


@rule(bad={"core/base/x.c": "int a;\n\n/* Connections */\n\nint b;\n"})
def sections_are_headed_one_way(files):
    """A comment between two empty lines heads a section: `/* ---- connections ---- */`."""
    for file in files:
        if file.is_c:
            for match in re.finditer(r"(?<=\n\n)/\* (?!---- .* ---- \*/)[^*\n]+\*/(?=\n\n)", file.text):
                yield at(file, match.start(), match[0])


LIBRARIES = [
    (r"h2o(/|\.h)", lambda f: f.room in ("runtime", "http", "http/guard")),
    (r"libpq-fe\.h|postgres", lambda f: f.room == "store"),
    (r"(lua|lualib|lauxlib|luajit)[\w.-]*\.h|luajit", lambda f: f.room == "lua"),
    (r"openssl/", lambda f: f.room == "crypto" or re.match(r"core/http/tls\w*\.[ch]$", f.path)),
    (r"sodium(/|\.h)", lambda f: f.room == "crypto"),
    (r"jwt\.h", lambda f: f.room == "crypto"),
    (r"curl/", lambda f: f.room == "http/outbound"),
    (r"yaml\.h", lambda f: f.room == "config"),
    (r"pcre2\.h", lambda f: f.room in ("schema", "lua")),
    (r"cmocka\.h", lambda f: False),
]


@rule(bad={"core/gateway/x.c": "#include <libpq-fe.h>\n", "plugins/p/x.c": "#include <openssl/evp.h>\n"})
def each_library_stays_in_its_room(files):
    """h2o in runtime and http, libpq in store, Lua in script, OpenSSL in crypto and http/tls*.c, and so on."""
    for file in files:
        if not file.is_c or not file.in_service:
            continue
        for offset, kind, name in includes(file):
            for pattern, allowed in LIBRARIES:
                if kind == "<" and re.match(pattern, name) and not allowed(file):
                    yield at(file, offset, f"{name} does not belong here")


@rule(bad={"plugins/p/p.c": '#include "base/arena.h"\n', "core/include/tongbao/x.h": "#include <h2o.h>\n"})
def a_plugin_sees_the_sdk_and_nothing_else(files):
    """Plugins include <tongbao/…>, jansson, the C library and their own headers; so do the SDK's headers."""
    plain = re.compile(r"(tongbao/[\w.]+|jansson\.h|(?:std\w+|string|inttypes|limits|ctype|errno|math|assert)\.h)$")
    for file in files:
        if not file.is_c or not file.in_service or not file.path.startswith(("plugins/", "core/include/")):
            continue
        for offset, kind, name in includes(file):
            if kind == "<" and not plain.match(name) or kind == '"' and "/" in name:
                yield at(file, offset, f"includes {name}")


# ---- functions that are not used ----

def calls(file, names):
    pattern = re.compile(r"(?<![\w.>])(" + "|".join(names) + r")\s*\(")
    for match in pattern.finditer(file.code):
        yield match.start(), match.group(1)


BANNED = ("atoi atol atoll atof strtok sprintf vsprintf strcpy stpcpy strcat strncat gets localtime gmtime ctime "
          "asctime strerror rand srand random drand48 alloca system popen tmpnam mktemp").split()


@rule(bad={"core/base/x.c": "int f(const char *s)\n{\n    return atoi(s);\n}\n",
           "plugins/p/x.c": "void f(char *to)\n{\n    strcpy(to, \"x\");\n}\n"})
def banned_functions_are_not_called(files):
    """Functions without bounds, with static buffers, with a shell behind them, or without entropy."""
    for file in files:
        if file.is_c and file.in_service:
            for offset, name in calls(file, BANNED):
                yield at(file, offset, f"{name} is banned")


@rule(bad={"core/store/x.c": "void *f(void)\n{\n    return malloc(8);\n}\n"})
def only_base_allocates(files):
    """malloc and its kin are called in core/base alone."""
    kin = "malloc calloc realloc reallocarray strdup strndup asprintf vasprintf aligned_alloc".split()
    for file in files:
        fake = "core/include/tongbao/fake.h"  # the host of a plugin's unit tests, which has no core below it
        if file.is_c and file.in_service and file.room != "base" and file.path != fake:
            for offset, name in calls(file, kin):
                yield at(file, offset, f"{name} outside core/base")


@rule(bad={"core/http/x.c": "int f(void)\n{\n    return setjmp(here);\n}\n"})
def only_the_runtime_jumps(files):
    """setjmp, longjmp and contexts belong to core/runtime."""
    kin = "setjmp sigsetjmp longjmp siglongjmp swapcontext makecontext getcontext setcontext".split()
    for file in files:
        if file.is_c and file.in_service and file.room != "runtime":
            for offset, name in calls(file, kin):
                yield at(file, offset, f"{name} outside core/runtime")


@rule(bad={"core/gateway/x.c": "void f(void)\n{\n    printf(\"x\");\n}\n"})
def only_the_command_line_prints(files):
    """printf and its kin write to standard streams in core/cli and core/process alone."""
    kin = "printf vprintf fprintf vfprintf puts fputs putchar perror".split()
    tools = re.compile(r"core/tools/docgen/")  # programs of the build that write generated pages
    for file in files:
        if file.is_c and file.in_service and file.room not in ("cli", "process") and not tools.match(file.path):
            for offset, name in calls(file, kin):
                yield at(file, offset, f"{name} outside core/cli and core/process")


# ---- time ----

CLOCKS = "time gettimeofday clock_gettime clock ftime timespec_get".split()


@rule(bad={"core/ledger/x.c": "long f(void)\n{\n    return (long)time(NULL);\n}\n"})
def clocks_are_read_in_one_place(files):
    """Only base/time.c and runtime/loop.c read a clock; business code asks tb_now(req)."""
    for file in files:
        places = ("core/base/time.c", "core/runtime/loop.c")
        if file.is_c and file.in_service and file.path not in places:
            for offset, name in calls(file, CLOCKS):
                yield at(file, offset, f"{name}(): ask tb_now(req), tb_wall_ms() or tb_monotonic_ms()")


SQL_CLOCK = re.compile(
    r"\b(now|clock_timestamp|statement_timestamp|transaction_timestamp|timeofday)\s*\(|"
    r"\b(current_timestamp|current_date|current_time|localtimestamp|localtime)\b", re.I)


def sql_code(text):
    """SQL without comments and without text literals (function bodies in $$ stay)."""
    return re.sub(r"--[^\n]*|/\*.*?\*/|'(?:''|[^'])*'", lambda m: re.sub(r"[^\n]", " ", m.group(0)), text, flags=re.S)


@rule(bad={"core/ledger/sql/0001_x.sql": "select now();\n", "plugins/p/x.c": 'const char *q = "select now()";\n'})
def sql_gets_the_time_in_the_call(files):
    """No SQL of ours reads the server's clock: the world's time is an argument."""
    for file in files:
        if not file.in_service:
            continue
        if file.ext == ".sql":
            for match in SQL_CLOCK.finditer(sql_code(file.text)):
                yield at(file, match.start(), f"{match.group(0).strip()}: take the time as an argument")
        elif file.is_c and file.room not in ("base", "config", "runtime", "include"):
            for literal in re.finditer(r'"(?:\\.|[^"\\\n])*"', file.without_comments):
                match = SQL_CLOCK.search(literal.group(0))
                if match and re.search(r"\b(select|insert|update|values|set)\b", literal.group(0), re.I):
                    yield at(file, literal.start(), f"{match.group(0)} in SQL: take the time as an argument")


# ---- waiting ----

MARKED = re.compile(r"\bTB_SUSPENDS\b")


def marked_functions(files):
    """Functions that a prototype or a definition marks with TB_SUSPENDS: names everybody sees, and for each
    path the static ones."""
    public, static = set(), {}
    for file in files:
        for match in re.finditer(r"^(?:[A-Za-z_][^;{}#]*)(?=;|\n\{)", file.code, re.M):
            head = match.group(0)
            name = name_of(head) if MARKED.search(head) and "(" in head else None
            if name is None:
                continue
            if file.ext == ".c" and re.match(r"static\b", head):
                static.setdefault(file.path, set()).add(name)
            else:
                public.add(name)
    return public, static


ENTRY = re.compile(
    r"\.(?:handler|run|main|job|work|health)\s*=\s*(\w+)|"
    r"\b(?:tb_fiber_start|tb_run_to_end|tb_run_detached)\s*\(\s*[^,;]+,\s*(?:[^,;]+,\s*)?(\w+)\s*,|"
    r"\b(?:ROUTE|JOB|STAGE)\w*\([^;]*?\b(\w+)\s*[,)]")


def fiber_entries(file):
    """Functions that begin on a fiber of their own, because a table or a start says so."""
    found = set()
    for match in ENTRY.finditer(file.code):
        found.update(name for name in match.groups() if name)
    return found


@rule(bad={"core/ledger/x.c": "tb_err TB_SUSPENDS tb_slow(struct tb_req *req);\n\n"
                            "static tb_err quick(struct tb_req *req)\n{\n    return tb_slow(req);\n}\n"})
def who_calls_what_waits_is_marked(files):
    """A caller of a TB_SUSPENDS function is marked itself, or is where a fiber begins."""
    files = [f for f in files if f.is_c and f.in_service]
    public, static = marked_functions(files)
    for file in files:
        waits = public | static.get(file.path, set())
        pattern = re.compile(r"(?<![\w.>])(" + "|".join(sorted(waits | {"tb_query"})) + r")\s*\(")
        entries = fiber_entries(file)
        for function in functions(file):
            if function.name in waits or function.name in entries:
                continue
            match = pattern.search(function.body)
            if match:
                yield at(file, function.body_start + match.start(),
                         f"{function.name} calls {match.group(1)}, which waits, but is not TB_SUSPENDS")


@rule(bad={"core/ledger/x.c": "void TB_SUSPENDS f(struct tb_req *req)\n{\n    static char buffer[8];\n    use(buffer, req);\n}\n"})
def nothing_static_is_held_over_a_wait(files):
    """A function that waits has no static buffer: another fiber would write into it."""
    for file in files:
        if not file.is_c or not file.in_service:
            continue
        for function in functions(file):
            if MARKED.search(function.head):
                match = re.search(r"^\s+static\s+(?!const\b)[^;(]*;", function.body, re.M)
                if match:
                    yield at(file, function.body_start + match.start(), f"{function.name} has a static variable")


# ---- looks ----

@rule(bad={"core/base/x.c": "int f( int a ){return a;}\n"})
def code_is_formatted(files):
    """clang-format (the distribution's) has nothing to change."""
    with tempfile.TemporaryDirectory() as scratch:
        here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", ".clang-format")
        os.symlink(os.path.abspath(here), os.path.join(scratch, ".clang-format"))
        paths = {}
        for file in files:
            if not file.is_c:
                continue
            path = os.path.join(scratch, file.path)  # the name matters: x.c has its own x.h first
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as out:
                out.write(file.text)
            paths[path] = file.path
        if not paths:
            return
        done = subprocess.run(["clang-format", "--dry-run", *paths], capture_output=True, text=True, check=False)
        seen = set()
        for path, line in re.findall(r"^(\S+?):(\d+):\d+: warning: code should be", done.stderr, re.M):
            if path not in seen:
                seen.add(path)
                yield f"{paths[path]}:{line}: clang-format would change this"


@rule(bad={"core/base/x.c": "/* x */\n" + "\n" * 600})
def files_are_short(files):
    """A C file has at most 600 lines."""
    for file in files:
        if file.is_c and file.text.count("\n") > 600:
            yield f"{file.path}:1: {file.text.count(chr(10))} lines, at most 600"


@rule(bad={"core/base/x.c": "void f(void)\n{\n" + "    g();\n" * 70 + "}\n"})
def functions_fit_a_screen(files):
    """A function of the core or of a product has at most 70 lines."""
    for file in files:
        if file.is_c and file.in_service:
            for function in functions(file):
                if function.lines > 70:
                    yield at(file, function.start, f"{function.name} has {function.lines} lines, at most 70")


@rule(bad={"core/base/x.c": "#include <stdio.h>\n"})
def files_say_what_they_are_for(files):
    """Every C, SQL, Python and shell file of ours begins with a comment or docstring; a .c file may leave that
    to its header."""
    paths = {file.path for file in files}
    start = {".c": "/*", ".h": "/*", ".sql": ("--", "/*"), ".py": ('"""', "#"), ".sh": "#"}
    for file in files:
        text = re.sub(r"\A#!.*\n", "", file.text)
        if file.ext == ".c" and file.path[:-2] + ".h" in paths:
            continue
        if file.ext in start and text.strip() and not text.startswith(start[file.ext]):
            yield f"{file.path}:1: no comment at the head"


@rule(bad={"docs/x.md": "TO" "DO: write this\n", "core/base/x.c": "/* works for" " now */\n"})
def nothing_is_put_off(files):
    """No marks for work that was put off: what is not done is not there."""
    marks = re.compile(r"\b(TO" r"DO|FIX" r"ME|HA" r"CK)\b|\bfor" r" now\b")
    for file in files:
        if file.ext in (".c", ".h", ".S", ".sql", ".py", ".sh", ".md", ".def", ".lua", ".txt", ".cmake", ""):
            for match in marks.finditer(file.text):
                yield at(file, match.start(), match.group(0))


@rule(bad={"core/base/x.c": "/* x */\nint a; \n", "tests/x.py": "if a:\n\tb()\n"})
def blanks_are_clean(files):
    """No tabs, no blanks at the end of a line, a newline at the end of the file."""
    kinds = (".c", ".h", ".sql", ".py", ".sh", ".def", ".md", ".lua", ".cmake", ".yaml")
    for file in files:
        if file.ext not in kinds or not file.text:
            continue
        match = re.search(r"\t|[ \t]+$", file.text, re.M)
        if match and not (file.ext == ".md" and "\t" not in match.group(0)):
            yield at(file, match.start(), "a tab, or blanks at the end of the line")
        if not file.text.endswith("\n"):
            yield f"{file.path}:{file.text.count(chr(10)) + 1}: no newline at the end"


def editor_settings(text):
    """What .editorconfig says of each kind of files: its sections (`*.{c,h}` is one for each) without the comments."""
    sections, kinds = {}, []
    for line in text.splitlines():
        if header := re.fullmatch(r"\[(.+)\]", line):
            inner = re.fullmatch(r"(.*)\{(.+)\}(.*)", header[1])
            kinds = [inner[1] + one + inner[3] for one in inner[2].split(",")] if inner else [header[1]]
        elif setting := re.fullmatch(r"(\w+) = (.+)", line):
            for kind in kinds:
                sections.setdefault(kind, {})[setting[1]] = setting[2]
    return sections


@rule(bad={".editorconfig": "root = true\n\n[*]\nindent_size = 8\n"})
def editors_do_what_is_checked(files):
    """.editorconfig has the width and the columns of .clang-format, blanks for tabs, clean ends of lines and a newline at the end
    of each file."""
    with open(os.path.join(ROOT, ".clang-format"), encoding="utf-8") as opened:
        style = dict(re.findall(r"^(\w+): (\w+)$", opened.read(), re.M))
    wanted = {"indent_style": "space", "indent_size": style["IndentWidth"], "trim_trailing_whitespace": "true",
              "insert_final_newline": "true", "max_line_length": style["ColumnLimit"]}
    for file in files:
        if file.path != ".editorconfig":
            continue
        sections = editor_settings(file.text)
        for kind in ("*.c", "*.h"):
            says = {**sections.get("*", {}), **sections.get(kind, {})}
            for key, value in wanted.items():
                if says.get(key) != value:
                    yield f"{file.path}:1: {kind} should have {key} = {value}"
        for key in ("indent_style", "trim_trailing_whitespace", "insert_final_newline"):
            if sections.get("*", {}).get(key) != wanted[key]:
                yield f"{file.path}:1: all files should have {key} = {wanted[key]}"


@rule(bad={"sandbox/x": "#!/usr/bin/env bash\nrm -rf $1/*\n"})
def shell_scripts_pass_shellcheck(files):
    """shellcheck has nothing to say about any shell script."""
    with tempfile.TemporaryDirectory() as scratch:
        for file in files:
            if not re.match(r"#!.*\b(ba)?sh\b|# shellcheck shell", file.text) and file.ext != ".sh":
                continue
            real = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", file.path)
            if not os.path.exists(real):
                real = os.path.join(scratch, "script")
                with open(real, "w", encoding="utf-8") as out:
                    out.write(file.text)
            done = subprocess.run(["shellcheck", "-x", "-P", "SCRIPTDIR", "-f", "gcc", real],
                                  capture_output=True, text=True, check=False)
            for line in done.stdout.splitlines():
                match = re.match(r".*?:(\d+):\d+: (.*)", line)
                if match:
                    yield f"{file.path}:{match.group(1)}: {match.group(2)}"


@rule(bad={"docs/x.md": "see /wo" "rk/main/x\n"})
def the_tree_speaks_of_itself_alone(files):
    """No paths of a machine it was written on, and nothing of how it was written."""
    marks = re.compile(r"/wo" r"rk/|/tmp/te" r"am|\bsub" r"agent\b")
    for file in files:
        for match in marks.finditer(file.text):
            yield at(file, match.start(), match.group(0))


# ---- words for people ----

@rule(bad={"core/include/tongbao/errors.def": 'TB_ERROR(X, 400, "x", false, "No.", "Yes.")\n',
           "core/oauth/oauth_errors.def": 'TB_OAUTH_ERROR(Y, 400, "y", false, "No.", "Yes.")\n',
           "plugins/p/p.c": 'TB_ERROR_DEFINE(Z, 400, "z", false, "No.", "Yes.")\n'})
def errors_have_words_in_chinese(files):
    """Every error has a row with its title and remedy in Chinese: errors_zh.def for errors.def, oauth_errors_zh.def for
    oauth_errors.def, a table of struct tb_error_words in the product that defines it."""
    texts = {file.path: file.text for file in files}
    errors = {"core/include/tongbao/errors.def": r"^TB_ERROR\((\w+)", "core/oauth/oauth_errors.def": r'^TB_OAUTH_ERROR\(\w+, \d+, ("\w+")'}
    words = "".join(file.text for file in files if file.path.startswith(("core/", "plugins/")) and file.is_c)
    for file in files:
        known = texts.get(file.path.replace(".def", "_zh.def"), "")
        for match in re.finditer(errors.get(file.path, r"(?!)"), file.text, re.M):
            if not re.search(rf"_ZH\({match[1]},", known):
                yield at(file, match.start(), f"{match[1]} has no row in {os.path.basename(file.path).replace('.def', '_zh.def')}")
        if file.in_service and file.is_c:
            for match in re.finditer(r'^TB_ERROR_DEFINE\(\w+, \d+, ("\w+")', file.text, re.M):
                if not re.search(rf'{{{match[1]}, "zh", ', words):
                    yield at(file, match.start(), f"{match[1]} has no row in a table of struct tb_error_words")


def subschemas(value, path=""):
    if isinstance(value, dict):
        yield path, value
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from subschemas(inner, f"{path}/{key}")


@rule(bad={"schemas/x/a.json": '{"type": "string", "pattern": "^a$"}', "schemas/x/b.json": '{"pattern": "^a$", "description": "Only a."}'})
def patterns_speak_in_words(files):
    """Beside each `pattern` of a schema stands a `description` that completes the sentence "must be ...": what a client reads that
    does not meet it. What the value means stands in `title`."""
    for file in files:
        if not re.match(r"schemas/.*\.json", file.path):
            continue
        for path, schema in subschemas(json.loads(file.text)):
            if not isinstance(schema.get("pattern"), str):
                continue
            words = schema.get("description", "")
            if not re.match(r"[a-z`0-9]|an? [A-Z]", words) or words.endswith("."):
                yield f"{file.path}:1: {path}: its description does not say what it must be"
