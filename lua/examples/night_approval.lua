-- Between ten in the evening and six in the morning, and at weekends, a payment above 10,000.00 needs a second person.

local ZONE = "Asia/Shanghai"
local ALONE_MOST = money.of(1000000, "CNY")

local function is_quiet()
    return time.between("22:00", "06:00", ZONE) or time.weekday(ZONE) >= 6
end

return {
    on_request = function(request)
        local amount = tables.get(request, "body", "amount")
        if request.method ~= "POST" or not amount or not is_quiet() then
            return nil
        end
        if amount.currency == "CNY" and money.compare(amount, ALONE_MOST) <= 0 then
            return nil
        end
        return decision.all(decision.approvals(2), decision.allow("second approval at " .. time.format(tb.now(), ZONE)))
    end,
}
