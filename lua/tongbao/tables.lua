--- Lists and records. Nothing here changes its arguments; lists that come out are JSON arrays even when they are empty.

local error, ipairs, pairs, select, type = error, ipairs, pairs, select, type
local array, null, sort = tb.array, tb.null, table.sort

---@class tongbao.tables
local tables = {}

local function check(value, kind, what)
    if type(value) ~= kind then
        error(what, 3)
    end
end

--- A list of what the function makes of each value.
---@generic A, B
---@param list A[]
---@param with fun(value: A, place: integer): B
---@return B[]
function tables.map(list, with)
    check(list, "table", "tables.map takes a list and a function")
    check(with, "function", "tables.map takes a list and a function")
    local made = {}
    for place, value in ipairs(list) do
        made[place] = with(value, place)
    end
    return array(made)
end

--- A list of those values for which the function says true, in their order.
---@generic A
---@param list A[]
---@param keep fun(value: A, place: integer): boolean
---@return A[]
function tables.filter(list, keep)
    check(list, "table", "tables.filter takes a list and a function")
    check(keep, "function", "tables.filter takes a list and a function")
    local kept = {}
    for place, value in ipairs(list) do
        if keep(value, place) then
            kept[#kept + 1] = value
        end
    end
    return array(kept)
end

--- The first value for which the function says true, and its place; nil when there is none.
---@generic A
---@param list A[]
---@param wanted fun(value: A): boolean
---@return A?, integer?
function tables.find(list, wanted)
    check(list, "table", "tables.find takes a list and a function")
    check(wanted, "function", "tables.find takes a list and a function")
    for place, value in ipairs(list) do
        if wanted(value) then
            return value, place
        end
    end
    return nil
end

--- Whether a list has a value.
---@param list any[]
---@param value any
---@return boolean
function tables.contains(list, value)
    check(list, "table", "tables.contains takes a list and a value")
    for _, one in ipairs(list) do
        if one == value then
            return true
        end
    end
    return false
end

--- The names of a record, sorted. `pairs` knows no order; this is how to walk a record the same way each time.
---@param record table<string, any>
---@return string[]
function tables.keys(record)
    check(record, "table", "tables.keys takes a record")
    local keys = {}
    for key in pairs(record) do
        check(key, "string", "tables.keys takes a record, whose names are texts")
        keys[#keys + 1] = key
    end
    sort(keys)
    return array(keys)
end

--- One record of all members of several; the later ones win. nil among them is passed over. It does not go into
--- members that are records themselves.
---@param ... table<string, any>?
---@return table<string, any>
function tables.merge(...)
    local merged = {}
    for i = 1, select("#", ...) do
        local record = select(i, ...)
        check(record or merged, "table", "tables.merge takes records")
        for key, value in pairs(record or {}) do
            merged[key] = value
        end
    end
    return merged
end

--- The member at the end of a path; nil as soon as something on the way is missing or null:
--- `tables.get(request, "body", "amount", "currency")`.
---@param value any
---@param ... string|integer
---@return any
function tables.get(value, ...)
    for i = 1, select("#", ...) do
        if type(value) ~= "table" then
            return nil
        end
        value = value[(select(i, ...))]
    end
    if value == null then
        return nil
    end
    return value
end

return tables
