-- What the debtor reads: the partner's template, filled in. Its table `texts` has one template for each language, such
-- as "Invoice $1 over $2 is due in $3 days"; the language is what the request's Accept-Language asks for first.

local ZONE = "Asia/Shanghai"

local function language_of(request)
    return tb.match(request.headers["accept-language"] or "", "^[a-z]{2}") or "en"
end

local function days_left(due)
    local day = time.days(due)
    return day and day - time.days(time.date(ZONE))
end

-- Places of the template become values; a value with a dollar in it is only text.
local function fill(template, values)
    local parts, at = {}, 1
    local from, to, place = tb.find(template, "\\$([1-9])")
    while from do
        parts[#parts + 1] = template:sub(at, from - 1) .. tostring(values[tonumber(place)] or "")
        at = to + 1
        from, to, place = tb.find(template, "\\$([1-9])", at)
    end
    return table.concat(parts) .. template:sub(at)
end

return {
    on_request = function(request)
        local metadata, amount = tables.get(request, "body", "metadata"), tables.get(request, "body", "amount")
        local left = metadata and days_left(metadata.due)
        if not left or not amount or tables.get(request, "body", "purpose") then
            return nil
        end
        local template = tb.lookup("texts", language_of(request)) or tb.lookup("texts", "en")
        if not template then
            return nil
        end
        return decision.set({ purpose = fill(template, { request.body.reference, money.format(amount, ","), left }) })
    end,
}
