local large = { body = { amount = { amount = 1000001, currency = "CNY" } } }
local small = { body = { amount = { amount = 1000000, currency = "CNY" } } }

local function second_approval(at)
    return { approvals = 2, note = "second approval at " .. at }
end

return {
    { name = "a large payment by day needs nobody else", now = "2026-11-23T21:59:59+08:00", request = large },
    {
        name = "at ten in the evening it does",
        now = "2026-11-23T22:00:00+08:00",
        request = large,
        expect = second_approval("2026-11-23T22:00:00+08:00"),
    },
    {
        name = "wherever the clock was read",
        now = "2026-11-23T21:30:00Z",
        request = large,
        expect = second_approval("2026-11-24T05:30:00+08:00"),
    },
    { name = "not any more at six", now = "2026-11-24T06:00:00+08:00", request = large },
    {
        name = "on Sunday at noon it does",
        now = "2026-11-22T12:00:00+08:00",
        request = large,
        expect = second_approval("2026-11-22T12:00:00+08:00"),
    },
    { name = "a small one never does", now = "2026-11-22T23:00:00+08:00", request = small },
    {
        name = "one in other money always does",
        now = "2026-11-22T23:00:00+08:00",
        request = { body = { amount = { amount = 1, currency = "USD" } } },
        expect = second_approval("2026-11-22T23:00:00+08:00"),
    },
    { name = "reading is not paying", now = "2026-11-22T23:00:00+08:00", request = { method = "GET", body = {} } },
}
