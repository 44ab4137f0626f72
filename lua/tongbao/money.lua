--- Money as requests carry it: `{ amount = 12345, currency = "CNY" }` is 123.45 yuan. Amounts are whole minor units, so
--- nothing is ever rounded behind your back; two currencies never meet in one operation. No function changes its
--- arguments.

local error, fmod, floor, type, tonumber, tostring = error, math.fmod, math.floor, type, tonumber, tostring
local match, sort, insert, concat = tb.match, table.sort, table.insert, table.concat
local exponent_of = (...).exponent

---@class tongbao.money
local money = {}

---@class tongbao.Money
---@field amount integer # minor units
---@field currency string # ISO 4217 code

local MOST = 2 ^ 53 - 1 -- the largest amount that every JSON reader keeps exactly

local function is_whole(value)
    return type(value) == "number" and value == floor(value) and value >= -MOST and value <= MOST
end

-- Blame is laid on the script's line: `level` counts from the function that calls check.
local function check(value, level)
    if type(value) ~= "table" or not is_whole(value.amount) or type(value.currency) ~= "string" then
        error("money is { amount = whole number of minor units, currency = code }", level + 1)
    end
    return value
end

local function check_pair(a, b)
    check(a, 3)
    check(b, 3)
    if a.currency ~= b.currency then
        error("two currencies: " .. a.currency .. " and " .. b.currency, 3)
    end
end

-- The currency's decimals; nil when there is no such currency.
local function find_exponent(currency)
    return type(currency) == "string" and exponent_of(currency) or nil
end

local function exponent(currency, level)
    local decimals = find_exponent(currency)
    if not decimals then
        error(tostring(currency) .. " is not a currency of ISO 4217", level + 1)
    end
    return decimals
end

local function make(amount, currency, level)
    if not is_whole(amount) then
        error("an amount is a whole number of minor units, at most 9007199254740991", level + 1)
    end
    return { amount = amount + 0, currency = currency } -- no -0, which would be written so
end

--- Money of so many minor units.
---@param amount integer
---@param currency string
---@return tongbao.Money
function money.of(amount, currency)
    exponent(currency, 2)
    local made = make(amount, currency, 2)
    return made
end

--- Read an amount in major units, as ERP systems write it: `money.parse("123.45", "CNY")`. A sign may stand in front;
--- commas may separate thousands. More decimals than the currency has are refused, unless they are zeros.
---@param text any # or what a request carries for it
---@param currency any
---@return tongbao.Money? # nil when the text is no such amount, or there is no such currency
function money.parse(text, currency)
    local decimals = find_exponent(currency)
    if not decimals or type(text) ~= "string" then
        return nil
    end
    local sign, major, minor = match(text, "^([-+]?)(\\d{1,16}|\\d{1,3}(?:,\\d{3}){1,5})(?:\\.(\\d{1,16}))?$")
    if not major then
        return nil
    end
    minor = minor or ""
    local digits = minor .. ("0"):rep(decimals - #minor)
    if match(digits:sub(decimals + 1), "[1-9]") then
        return nil
    end
    local amount = tonumber(tb.replace(major, ",", "") .. digits:sub(1, decimals))
    if amount > MOST then
        return nil
    end
    return { amount = sign == "-" and amount ~= 0 and -amount or amount, currency = currency }
end

--- For people: `"1234.50 CNY"`, `"1000 JPY"`; with a separator of thousands if one is given.
---@param value tongbao.Money
---@param separator? string
---@return string
function money.format(value, separator)
    check(value, 2)
    local decimals = exponent(value.currency, 2)
    local digits = ("%.0f"):format(value.amount < 0 and -value.amount or value.amount + 0)
    digits = ("0"):rep(decimals + 1 - #digits) .. digits
    local major, minor = digits:sub(1, #digits - decimals), digits:sub(#digits - decimals + 1)
    local groups = {}
    while separator and #major > 3 do
        insert(groups, 1, major:sub(-3))
        major = major:sub(1, -4)
    end
    insert(groups, 1, major)
    return (value.amount < 0 and "-" or "") .. concat(groups, separator) .. (decimals > 0 and "." or "") .. minor .. " "
        .. value.currency
end

--- The sum of two amounts of one currency.
---@param a tongbao.Money
---@param b tongbao.Money
---@return tongbao.Money
function money.add(a, b)
    check_pair(a, b)
    local sum = make(a.amount + b.amount, a.currency, 2)
    return sum
end

--- What is left of `a` when `b` is taken away; it may be negative.
---@param a tongbao.Money
---@param b tongbao.Money
---@return tongbao.Money
function money.sub(a, b)
    check_pair(a, b)
    local difference = make(a.amount - b.amount, a.currency, 2)
    return difference
end

--- Below 0 when `a` is less than `b`, 0 when they are equal, above 0 when `a` is more.
---@param a tongbao.Money
---@param b tongbao.Money
---@return integer
function money.compare(a, b)
    check_pair(a, b)
    return a.amount < b.amount and -1 or a.amount > b.amount and 1 or 0
end

-- floor(a * b / c) and what remains, exactly, for 0 <= a < c and 0 <= b <= c <= 2^52: by doubling, for the product may
-- be longer than a number holds.
local function scale(a, b, c)
    if a * b <= MOST then
        local rest = fmod(a * b, c)
        return (a * b - rest) / c, rest
    end
    local whole, rest, bit = 0, 0, 1
    while bit <= b do
        bit = bit * 2
    end
    while bit > 1 do
        bit = bit / 2
        whole, rest = whole * 2, rest * 2
        if rest >= c then
            whole, rest = whole + 1, rest - c
        end
        if b >= bit then
            b, rest = b - bit, rest + a
            if rest >= c then
                whole, rest = whole + 1, rest - c
            end
        end
    end
    return whole, rest
end

local function weigh(weights)
    local sum = 0
    for i = 1, #weights do
        if not is_whole(weights[i]) or weights[i] < 0 then
            error("a weight is a whole number from 0 up", 3)
        end
        sum = sum + weights[i]
    end
    if sum < 1 or sum > 2 ^ 52 then
        error("weights are together from 1 to 4503599627370496", 3)
    end
    return sum
end

--- Split in proportion to weights. No unit is lost or made: what does not come out even goes to the parts with the
--- largest remainders, among equals to the first. `money.split({ amount = 100, currency = "CNY" }, { 1, 1, 1 })` gives
--- 34, 33 and 33. Percentages are splits, too: a fee of 0.38 % is the first part of `money.split(total, { 38, 9962 })`.
---@param total tongbao.Money
---@param weights integer[]
---@return tongbao.Money[]
function money.split(total, weights)
    check(total, 2)
    if type(weights) ~= "table" then
        error("money.split takes a list of weights", 2)
    end
    local sum, sign = weigh(weights), total.amount < 0 and -1 or 1
    local left = total.amount * sign
    local over = fmod(left, sum)
    local each = (left - over) / sum
    local parts, remainders, order = {}, {}, {}
    for i = 1, #weights do
        local share, rest = scale(over, weights[i], sum)
        parts[i], remainders[i], order[i] = each * weights[i] + share, rest, i
        left = left - parts[i]
    end
    sort(order, function(a, b)
        return remainders[a] > remainders[b]
    end)
    for place = 1, left do
        parts[order[place]] = parts[order[place]] + 1
    end
    for i = 1, #parts do
        parts[i] = { amount = parts[i] == 0 and 0 or sign * parts[i], currency = total.currency }
    end
    return parts
end

return money
