---@meta
-- Types for lua-language-server: put the folder lua/ into its `workspace.library` and set `runtime.version` to LuaJIT.
-- What the library's functions take and give stands beside them in lua/tongbao; here is what the host gives and takes.

-- ---- what a script returns ----

---@class tongbao.Script
---@field on_request? fun(request: tongbao.Request): tongbao.Decision?
---@field on_response? fun(request: tongbao.Request, response: tongbao.Response): tongbao.Decision?

-- ---- what its hooks are given ----

---@class tongbao.Request
---@field id string
---@field method string
---@field path string
---@field route string # the operation, such as "POST /e-payment/v1/payments"
---@field product string
---@field params table<string, string> # of the path
---@field query table<string, string>
---@field headers table<string, string> # content-type, accept-language and prefer
---@field body? any
---@field partner string
---@field app string
---@field environment "sandbox"|"live"
---@field scopes string[]
---@field consent? string
---@field world_time string # RFC 3339

---@class tongbao.Response
---@field status integer
---@field body any

-- ---- what a test file returns: a list of these ----

---@class tongbao.Test
---@field name string
---@field request? table # what it leaves out is filled in
---@field response? tongbao.Response # makes it a test of on_response
---@field expect? tongbao.Decision # without it, nothing must be decided
---@field expect_error? string # a part of what the failure says
---@field now? string # RFC 3339
---@field tables? table<string, table<string, any>> # for tb.lookup
---@field seed? integer # for tb.random

-- ---- the host's functions ----

---@class tongbao.tb
---@field null userdata # what null is in JSON
tb = {}

---@return number # milliseconds since 1970
function tb.now() end

---@param n integer
---@return integer # 1 to n
function tb.random(n) end

---@generic T
---@param list T[]
---@return T[]
function tb.array(list) end

---@param table string
---@param key string
---@return any
function tb.lookup(table, key) end

---@param text string
---@param pattern string # PCRE2
---@param from? integer
---@return string? ...
function tb.match(text, pattern, from) end

---@param text string
---@param pattern string # PCRE2
---@param from? integer
---@return integer? first
---@return integer? last
---@return string? ...
function tb.find(text, pattern, from) end

---@param text string
---@param pattern string # PCRE2
---@param with string
---@param times? integer
---@return string text
---@return integer replaced
function tb.replace(text, pattern, with, times) end

-- ---- the library ----

---@type tongbao.money
money = {}
---@type tongbao.time
time = {}
---@type tongbao.tables
tables = {}
---@type tongbao.decision
decision = {}
