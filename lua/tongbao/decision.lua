--- What a hook returns, and how the answers of several rules become one. Decisions are plain records; these functions
--- only save you from writing them wrongly. A rule is a function that takes what the hook takes and returns a decision,
--- or nothing: that allows.

local error, getmetatable, ipairs, pairs = error, getmetatable, ipairs, pairs
local select, tostring, type = select, tostring, type
local array, match, max, min = tb.array, tb.match, math.max, math.min

---@class tongbao.decision
local decision = {}

---@class tongbao.Deny
---@field code string
---@field detail? string

---@class tongbao.Route
---@field account? string # the account to debit
---@field variant? string
---@field channel? string
---@field adapter? string

---@class tongbao.Limit
---@field name string
---@field quota integer
---@field window_s integer

---@class tongbao.Decision
---@field deny? tongbao.Deny
---@field set? table # a merge patch (RFC 7396)
---@field route? tongbao.Route
---@field limit? tongbao.Limit
---@field approvals? integer
---@field redact? string[]
---@field links? table<string, string>
---@field note? string

---@alias tongbao.Rule fun(first: any, second: any): tongbao.Decision?

-- A decision with a longer text is refused; a name from the request shall not make it one.
local function cut(text)
    return text and match(text, "(?s)^.{0,200}")
end

local function check(value, kind, what)
    if type(value) ~= kind then
        error(what, 3)
    end
end

--- Let it pass. A note is shown in the trace of the request, the first 200 characters of it.
---@param note? string
---@return tongbao.Decision
function decision.allow(note)
    return { note = cut(note) }
end

--- Refuse the request: 403 with `code`, which is the partner's own word, and a sentence that says what to do about it,
--- the first 200 characters of it.
---@param code string # `[a-z][a-z0-9_]*`, at most 40
---@param detail? string
---@return tongbao.Decision
function decision.deny(code, detail)
    check(code, "string", "decision.deny takes a code")
    return { deny = { code = code, detail = cut(detail) } }
end

--- Send the request another way: another account, product variant, channel or bank adapter.
---@param to tongbao.Route
---@return tongbao.Decision
function decision.route(to)
    check(to, "table", "decision.route takes a record")
    return { route = to }
end

--- Set members of the body (on_request) or of the answer (on_response). Records are merged member by member, tb.null
--- takes a member away, everything else is replaced (RFC 7396).
---@param members table
---@return tongbao.Decision
function decision.set(members)
    check(members, "table", "decision.set takes a record")
    return { set = members }
end

--- Count the request against one more limit of the app: `quota` requests in `window_s` seconds. Each name is counted
--- apart; a script uses at most eight of them.
---@param name string # `[a-z][a-z0-9_]*`, at most 15
---@param quota integer
---@param window_s integer # at most a day
---@return tongbao.Decision
function decision.limit(name, quota, window_s)
    check(name, "string", "decision.limit takes a name, a quota and seconds")
    check(quota, "number", "decision.limit takes a name, a quota and seconds")
    check(window_s, "number", "decision.limit takes a name, a quota and seconds")
    return { limit = { name = name, quota = quota, window_s = window_s } }
end

--- Demand that so many people have approved the payment's consent, 1 to 5.
---@param n integer
---@return tongbao.Decision
function decision.approvals(n)
    check(n, "number", "decision.approvals takes a number")
    return { approvals = n }
end

--- Take values out of an answer: JSON pointers such as `"/metadata/cost_centre"`.
---@param ... string
---@return tongbao.Decision
function decision.redact(...)
    return { redact = array({ ... }) }
end

--- Add links to an answer: names and paths.
---@param links table<string, string>
---@return tongbao.Decision
function decision.links(links)
    check(links, "table", "decision.links takes a record")
    return { links = links }
end

-- ---- many into one ----

-- An empty array has the mark of tb.array.
local function is_record(value)
    return type(value) == "table" and #value == 0 and getmetatable(value) == nil
end

-- A record of the members of both; where both have a record, those of its members. The pairs that are still to be
-- merged wait in a list.
local function merge(a, b)
    local merged = {}
    local waiting = { { into = merged, a = a or {}, b = b } }
    while #waiting > 0 do
        local one = waiting[#waiting]
        waiting[#waiting] = nil
        for name, value in pairs(one.a) do
            one.into[name] = value
        end
        for name, value in pairs(one.b) do
            if is_record(value) and is_record(one.a[name]) then
                one.into[name] = {}
                waiting[#waiting + 1] = { into = one.into[name], a = one.a[name], b = value }
            else
                one.into[name] = value
            end
        end
    end
    return merged
end

local function join(a, b)
    local joined = {}
    for _, value in ipairs(a or {}) do
        joined[#joined + 1] = value
    end
    for _, value in ipairs(b) do
        joined[#joined + 1] = value
    end
    return array(joined)
end

local function tighter(a, b)
    if a == nil then
        return b
    end
    if a.name ~= b.name or a.window_s ~= b.window_s then
        error("one decision has one limit, not both " .. a.name .. " and " .. b.name, 4)
    end
    return { name = a.name, quota = min(a.quota, b.quota), window_s = a.window_s }
end

local function told(a, b)
    return cut(a and a .. "; " .. b or b)
end

local COMBINE = {
    set = merge,
    route = merge,
    links = merge,
    redact = join,
    limit = tighter,
    note = told,
    approvals = function(a, b)
        return max(a or 1, b)
    end,
}

local function combine(a, b)
    if b == nil or a.deny then
        return a
    end
    if type(b) ~= "table" then
        error("a rule returns a decision or nothing", 3)
    end
    if b.deny then
        return b
    end
    for name, value in pairs(b) do
        if not COMBINE[name] then
            error("a decision has no member " .. tostring(name), 3)
        end
        a[name] = COMBINE[name](a[name], value)
    end
    return a
end

--- One decision of several. The first denial stands alone. Otherwise what is set, routed and linked is put together,
--- the later ones winning; redactions add up; the most approvals and the lower quota of the same limit hold. nil among
--- them is passed over.
---@param ... tongbao.Decision?
---@return tongbao.Decision
function decision.all(...)
    local made = {}
    for i = 1, select("#", ...) do
        made = combine(made, (select(i, ...)))
    end
    return made
end

--- A hook of several rules, asked in their order until one denies: `on_request = decision.rules({ at_night, payees })`.
---@param rules tongbao.Rule[]
---@return tongbao.Rule
function decision.rules(rules)
    check(rules, "table", "decision.rules takes a list of functions")
    return function(first, second)
        local made = {}
        for _, rule in ipairs(rules) do
            made = combine(made, rule(first, second))
            if made.deny then
                break
            end
        end
        return made
    end
end

return decision
