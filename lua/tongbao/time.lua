--- The clock on the wall where a rule is meant: every function that needs one takes a zone, and none is assumed. A zone
--- is an offset such as `"+08:00"` or `"Z"`, or the name of a place that keeps one offset all year: Asia/Shanghai,
--- Asia/Hong_Kong, Asia/Macau, Asia/Taipei, Asia/Singapore, Asia/Manila, Asia/Tokyo, Asia/Seoul, Asia/Bangkok,
--- Asia/Jakarta, Asia/Kolkata, Asia/Dubai, UTC. Now is `tb.now()`, the time of the partner's world; it does not move
--- during a call. Instants are milliseconds since 1970-01-01T00:00Z.

local error, floor, type, tonumber, tostring = error, math.floor, type, tonumber, tostring
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
        error("a zone is an offset like \"+08:00\" or a place like \"Asia/Shanghai\"", level + 1)
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

--- The day of the week now: 1 is Monday, 7 is Sunday.
---@param zone string
---@return integer
function time.weekday(zone)
    local offset = offset_of(zone, 2)
    return clock_at(now(), offset).weekday
end

--- Today's date: `"2026-11-23"`.
---@param zone string
---@return string
function time.date(zone)
    local clock = clock_at(now(), offset_of(zone, 2))
    return ("%04d-%02d-%02d"):format(clock.year, clock.month, clock.day)
end

local function minutes_of(text)
    local hours, minutes = match(tostring(text), "^([01]\\d|2[0-3]):([0-5]\\d)$")
    if not hours then
        error("a time of day is written \"22:00\"", 3)
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
---@param text string
---@return number? # milliseconds since 1970; nil when it is no such time
function time.parse(text)
    if type(text) ~= "string" then
        error("time.parse takes a text", 2)
    end
    local date, hour, minute, second, fraction, zone = match(text, RFC_3339)
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
    return ("%04d-%02d-%02dT%02d:%02d:%02d%s"):format(clock.year, clock.month, clock.day, clock.hour, clock.minute,
        clock.second, shown)
end

--- The number of a date's day since 1970-01-01, for counting: `time.days(due) - time.days(time.date(zone))` days are
--- left.
---@param date string # `"2026-11-23"`
---@return integer? # nil when there is no such date
function time.days(date)
    local year, month, day = match(tostring(date), "^(\\d{4})-(\\d\\d)-(\\d\\d)$")
    if not year then
        return nil
    end
    year, month, day = tonumber(year), tonumber(month), tonumber(day)
    local days = days_of(year, month, day)
    local year_again, month_again, day_again = date_of(days)
    if year ~= year_again or month ~= month_again or day ~= day_again then
        return nil
    end
    return days
end

return time
