-- Small payments go by the instant network, large ones by the gross settlement system, and what is in between by the
-- batch of the evening, which costs least.

local INSTANT_MOST = money.of(5000000, "CNY") -- 50,000.00: the most the instant network takes
local BATCH_MOST = money.of(100000000, "CNY") -- 1,000,000.00

return {
    on_request = function(request)
        if request.route ~= "POST /e-payment/v1/payments" then
            return nil
        end
        local amount = request.body.amount
        if amount.currency ~= "CNY" then
            return decision.route({ channel = "cross-border" })
        elseif money.compare(amount, INSTANT_MOST) <= 0 then
            return decision.route({ channel = "instant" })
        elseif money.compare(amount, BATCH_MOST) <= 0 then
            return decision.route({ channel = "batch" })
        end
        return decision.route({ channel = "gross" })
    end,
}
