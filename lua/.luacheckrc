-- What a script finds, and nothing else: `luacheck --config lua/.luacheckrc night.lua` before you push it.
std = {
    read_globals = {
        "assert", "error", "getmetatable", "ipairs", "next", "pairs", "pcall", "select", "setmetatable", "tonumber",
        "tostring", "type", "unpack", "xpcall",
        math = { fields = { "abs", "ceil", "floor", "fmod", "huge", "max", "min" } },
        string = { fields = { "byte", "char", "find", "format", "len", "lower", "rep", "reverse", "sub", "upper" } },
        table = { fields = { "concat", "insert", "remove", "sort" } },
        tb = { fields = { "array", "find", "lookup", "match", "now", "null", "random", "replace" } },
        money = { fields = { "add", "compare", "format", "of", "parse", "split", "sub" } },
        time = { fields = { "at", "between", "date", "days", "format", "hour", "now", "parse", "shift", "weekday" } },
        tables = { fields = { "contains", "filter", "find", "get", "keys", "map", "merge" } },
        decision = {
            fields = {
                "all", "allow", "approvals", "deny", "limit", "links", "redact", "route", "rules", "set",
            },
        },
    },
}
max_line_length = 120
cache = false

files["**/types/*.lua"] = { globals = { "tb", "money", "time", "tables", "decision" }, ignore = { "212" } }
