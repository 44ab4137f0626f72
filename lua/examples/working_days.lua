-- On a day when nobody works, a payment needs a second person, and its metadata names the day it will be booked. The
-- partner's table `calendar` has one entry a year, such as "2026": {"off": ["2026-10-01"], "work": ["2026-10-10"]}:
-- holidays, and the weekends that are worked instead of them. A year without an entry has its weekends only.

local ZONE = "Asia/Shanghai"
local LONGEST = 15 -- no holiday has as many days

-- `years` keeps what was looked up during the call.
local function is_working_day(date, years)
    local year = date:sub(1, 4)
    years[year] = years[year] or tb.lookup("calendar", year) or {}
    if tables.contains(years[year].off or {}, date) then
        return false
    end
    return time.weekday(date) <= 5 or tables.contains(years[year].work or {}, date)
end

local function working_day_from(date)
    local years = {}
    for ahead = 0, LONGEST do
        local day = time.shift(date, ahead)
        if is_working_day(day, years) then
            return day
        end
    end
    error("the calendar has no working day from " .. date)
end

return {
    on_request = function(request)
        if request.method ~= "POST" or not tables.get(request, "body", "amount") then
            return nil
        end
        local today = time.date(ZONE)
        local booked = working_day_from(today)
        if booked == today then
            return nil
        end
        return decision.all(decision.approvals(2), decision.set({ metadata = { booked = booked } }))
    end,
}
