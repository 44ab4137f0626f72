-- Asks for each namespace of the library while its text is read, so that making its state takes them all in.
local MOST, LATE = money.of(5000000, "CNY"), time.parse("2026-01-01T22:00:00Z")
local get, deny = tables.get, decision.deny

return {
    on_request = function(request)
        local amount = get(request, "body", "amount")
        if amount and money.compare(amount, MOST) > 0 and time.parse(request.world_time) > LATE then
            return deny("above_limit", "at most " .. money.format(MOST))
        end
    end,
}
