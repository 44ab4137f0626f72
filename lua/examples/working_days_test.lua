local calendar = {
    ["2026"] = {
        off = { "2026-10-01", "2026-10-02", "2026-10-05", "2026-10-06", "2026-10-07", "2026-12-31" },
        work = { "2026-10-10" },
    },
    ["2027"] = { off = { "2027-01-01" } },
}
local payment = { body = { amount = { amount = 100, currency = "CNY" } } }

local function booked(date)
    return { approvals = 2, set = { metadata = { booked = date } } }
end

return {
    {
        name = "a working day needs nobody else",
        now = "2026-09-30T23:59:59+08:00",
        tables = { calendar = calendar },
        request = payment,
    },
    {
        name = "a holiday ends with the next working day",
        now = "2026-10-01T00:00:00+08:00",
        tables = { calendar = calendar },
        request = payment,
        expect = booked("2026-10-08"),
    },
    {
        name = "a Saturday that is worked is a working day",
        now = "2026-10-10T10:00:00+08:00",
        tables = { calendar = calendar },
        request = payment,
    },
    {
        name = "the Sunday after it is not",
        now = "2026-10-11T10:00:00+08:00",
        tables = { calendar = calendar },
        request = payment,
        expect = booked("2026-10-12"),
    },
    {
        name = "the turn of the year asks both calendars",
        now = "2026-12-31T12:00:00+08:00",
        tables = { calendar = calendar },
        request = payment,
        expect = booked("2027-01-04"),
    },
    {
        name = "without a calendar there are weekends",
        now = "2028-02-26T12:00:00+08:00",
        request = payment,
        expect = booked("2028-02-28"),
    },
    {
        name = "a calendar without an end is a mistake",
        now = "2026-01-03T12:00:00+08:00",
        tables = { calendar = { ["2026"] = { off = tables.map({ 5, 6, 7, 8, 9, 12, 13, 14, 15, 16, 19 }, function(day)
            return ("2026-01-%02d"):format(day)
        end) } } },
        request = payment,
        expect_error = "no working day from 2026-01-03",
    },
    {
        name = "reading is not paying",
        now = "2026-10-01T10:00:00+08:00",
        tables = { calendar = calendar },
        request = { method = "GET", body = {} },
    },
}
