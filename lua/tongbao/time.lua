--- The clock on the wall where a rule is meant: every function that needs one takes a zone, and none is assumed. A zone
--- is an offset such as `"+08:00"` or `"Z"`, or the name of a place that keeps one offset all year: Asia/Shanghai,
--- Asia/Hong_Kong, Asia/Macau, Asia/Taipei, Asia/Singapore, Asia/Manila, Asia/Tokyo, Asia/Seoul, Asia/Bangkok,
--- Asia/Jakarta, Asia/Kolkata, Asia/Dubai, UTC. Now is `tb.now()`, the time of the partner's world; it does not move
--- during a call. Instants are milliseconds since 1970-01-01T00:00Z.

local error, floor, min, type, tonumber, tostring = error, math.floor, math.min, type, tonumber, tostring
local match, now = tb.match, tb.now

---@class tongbao.time
local time = {}

---@class tongbao.Clock
---@field year integer
---@field month integer # 1 to 12
---@field day integer # 1 to 31
---@field hour integer # 0 to 23
---@field minute integer
---@field second integer
---@field weekday integer # 1 is Monday, 7 is Sunday

local MINUTE, DAY = 60000, 86400000
local DATE = "%04d-%02d-%02d"

local RFC_3339 = "^(\\d{4}-\\d\\d-\\d\\d)[Tt]([01]\\d|2[0-3]):([0-5]\\d):([0-5]\\d)"
    .. "(?:\\.(\\d{1,9}))?([Zz]|[-+]\\d\\d:\\d\\d)$"

local PLACES = {
    UTC = 0,
    ["Asia/Bangkok"] = 420,
    ["Asia/Dubai"] = 240,
    ["Asia/Hong_Kong"] = 480,
    ["Asia/Jakarta"] = 420,
    ["Asia/Kolkata"] = 330,
    ["Asia/Macau"] = 480,
    ["Asia/Manila"] = 480,
    ["Asia/Seoul"] = 540,
    ["Asia/Shanghai"] = 480,
    ["Asia/Singapore"] = 480,
    ["Asia/Taipei"] = 480,
    ["Asia/Tokyo"] = 540,
}

-- Minutes east of Greenwich; nil when it is no offset.
local function read_offset(text)
    if text == "Z" or text == "z" then
        return 0
    end
    local sign, hours, minutes = match(text, "^([-+])([01]\\d|2[0-3]):([0-5]\\d)$")
    if not sign then
        return nil
    end
    local offset = tonumber(hours) * 60 + tonumber(minutes)
    return sign == "-" and -offset or offset
end

local function offset_of(zone, level)
    local offset = type(zone) == "string" and (PLACES[zone] or read_offset(zone))
    if not offset then
        error("a zone is an offset like \"+08:00\" or a place like \"Asia/Shanghai\", not " .. tostring(zone),
            level + 1)
    end
    return offset
end

-- Days since 1970-01-01 and civil dates: years are counted from March, so that the leap day is their last.
local function days_of(year, month, day)
    year = month > 2 and year or year - 1
    local era = floor(year / 400)
    local of_era = year - era * 400
    local of_year = floor((153 * (month + (month > 2 and -3 or 9)) + 2) / 5) + day - 1
    return era * 146097 + of_era * 365 + floor(of_era / 4) - floor(of_era / 100) + of_year - 719468
end

local function date_of(days)
    days = days + 719468
    local era = floor(days / 146097)
    local of_era = days - era * 146097
    local year = floor((of_era - floor(of_era / 1460) + floor(of_era / 36524) - floor(of_era / 146096)) / 365)
    local of_year = of_era - (365 * year + floor(year / 4) - floor(year / 100))
    local shifted = floor((5 * of_year + 2) / 153)
    local month = shifted < 10 and shifted + 3 or shifted - 9
    local day = of_year - floor((153 * shifted + 2) / 5) + 1
    return year + era * 400 + (month <= 2 and 1 or 0), month, day
end

local function clock_at(ms, offset)
    local days = floor((ms + offset * MINUTE) / DAY)
    local seconds = floor((ms + offset * MINUTE - days * DAY) / 1000)
    local year, month, day = date_of(days)
    return {
        year = year,
        month = month,
        day = day,
        hour = floor(seconds / 3600),
        minute = floor(seconds / 60) % 60,
        second = seconds % 60,
        weekday = (days + 3) % 7 + 1,
    }
end

local function check_instant(ms, level)
    if type(ms) ~= "number" or not (ms >= -62135596800000 and ms <= 253402300799999) then
        error("an instant is milliseconds since 1970, within the years 1 to 9999", level + 1)
    end
    return ms
end

--- What the clock shows at an instant.
---@param ms number
---@param zone string
---@return tongbao.Clock
function time.at(ms, zone)
    local clock = clock_at(check_instant(ms, 2), offset_of(zone, 2))
    return clock
end

--- What the clock shows now.
---@param zone string
---@return tongbao.Clock
function time.now(zone)
    local clock = clock_at(now(), offset_of(zone, 2))
    return clock
end

--- The hour now, 0 to 23.
---@param zone string
---@return integer
function time.hour(zone)
    local offset = offset_of(zone, 2)
    return clock_at(now(), offset).hour
end

--- The day of the week, of a date or, in a zone, of today: 1 is Monday, 7 is Sunday.
---@param of string # `"2026-11-23"` or a zone
---@return integer
function time.weekday(of)
    local days = time.days(of) or floor((now() + offset_of(of, 2) * MINUTE) / DAY)
    return (days + 3) % 7 + 1
end

--- Today's date: `"2026-11-23"`. Dates are texts of this form, so they can be compared with `<`.
---@param zone string
---@return string
function time.date(zone)
    local days = floor((now() + offset_of(zone, 2) * MINUTE) / DAY)
    return DATE:format(date_of(days))
end

local function minutes_of(text)
    local hours, minutes = match(tostring(text), "^([01]\\d|2[0-3]):([0-5]\\d)$")
    if not hours then
        error("a time of day is written \"09:30\" or \"22:00\", not " .. tostring(text), 3)
    end
    return tonumber(hours) * 60 + tonumber(minutes)
end

--- Whether the time of day is now within [from, to). When `to` is earlier than `from`, the span goes over midnight:
--- `time.between("22:00", "06:00", "Asia/Shanghai")`. Equal ends are the whole day.
---@param from string
---@param to string
---@param zone string
---@return boolean
function time.between(from, to, zone)
    local first, last = minutes_of(from), minutes_of(to)
    local clock = clock_at(now(), offset_of(zone, 2))
    local minute = clock.hour * 60 + clock.minute
    if first < last then
        return minute >= first and minute < last
    end
    return minute >= first or minute < last
end

--- Read a date and time as RFC 3339 writes it: `"2026-11-23T09:30:00+08:00"`.
---@param text any # or what a request carries for it
---@return number? # milliseconds since 1970; nil when it is no such time
function time.parse(text)
    local date, hour, minute, second, fraction, zone = match(tostring(text), RFC_3339)
    local offset = date and read_offset(zone)
    local days = offset and time.days(date)
    if not days then
        return nil
    end
    local ms = tonumber(((fraction or "") .. "000"):sub(1, 3))
    return days * DAY + ((tonumber(hour) * 60 + tonumber(minute) - offset) * 60 + tonumber(second)) * 1000 + ms
end

--- Write an instant for people and for RFC 3339: `"2026-11-23T09:30:00+08:00"`.
---@param ms number
---@param zone string
---@return string
function time.format(ms, zone)
    local offset = offset_of(zone, 2)
    local clock = clock_at(check_instant(ms, 2), offset)
    local east = offset < 0 and -offset or offset
    local shown = offset == 0 and "Z"
        or ("%s%02d:%02d"):format(offset < 0 and "-" or "+", floor(east / 60), east % 60)
    return (DATE .. "T%02d:%02d:%02d%s"):format(clock.year, clock.month, clock.day, clock.hour, clock.minute,
        clock.second, shown)
end

--- The number of a date's day since 1970-01-01, for counting: `time.days(due) - time.days(time.date(zone))` days are
--- left.
---@param date any # `"2026-11-23"`, or what a request carries for it
---@return integer? # nil when there is no such date
function time.days(date)
    local year, month, day = match(tostring(date), "^(\\d{4})-(\\d\\d)-(\\d\\d)$")
    if not year then
        return nil
    end
    local days = days_of(tonumber(year), tonumber(month), tonumber(day))
    return DATE:format(date_of(days)) == date and days or nil
end

local function is_whole(value)
    return type(value) == "number" and value == floor(value)
end

--- Another date: so many months later, where a month that is too short ends it, and then so many days; numbers below 0
--- go back. `time.shift("2024-01-31", 0, 1)` is `"2024-02-29"`; a date is the last of its month when the day after,
--- `time.shift(date, 1)`, ends in `-01`.
---@param date string # `"2026-11-23"`
---@param days integer
---@param months? integer
---@return string
function time.shift(date, days, months)
    months = months or 0
    if not time.days(date) or not is_whole(days) or not is_whole(months) then
        error("time.shift takes a date like \"2026-11-23\", a whole number of days and, if wanted, one of months", 2)
    end
    local month = tonumber(date:sub(6, 7)) - 1 + months
    local year = tonumber(date:sub(1, 4)) + floor(month / 12)
    month = month % 12 + 1
    local first = days_of(year, month, 1)
    local day = min(tonumber(date:sub(9)), days_of(year, month + 1, 1) - first)
    local shifted = first + day - 1 + days
    if not (shifted >= -719162 and shifted <= 2932896) then
        error("time.shift stays within the years 1 to 9999", 2)
    end
    return DATE:format(date_of(shifted))
end

return time
