-- What a subsidiary's app reads of the group's payments: no cost centres, no numbers of cards and accounts in the text,
-- and a link to the refunds. The partner's table `subsidiaries` has the apps: {"app_…": {"name": "Wei Trading"}}.

-- Long numbers but for their last four digits.
local function masked(text)
    return (tb.replace(text, "\\d+(?=\\d{4}(?!\\d))", "****"))
end

local function view_of_one(payment)
    local made = decision.all(
        decision.redact("/metadata/cost_centre", "/consent"),
        decision.links({ refunds = "/e-payment/v1/payments/" .. payment.id .. "/refunds" })
    )
    if payment.purpose then
        return decision.all(made, decision.set({ purpose = masked(payment.purpose) }))
    end
    return made
end

return {
    on_response = function(request, response)
        if request.product ~= "e-payment" or not tb.lookup("subsidiaries", request.app) then
            return nil
        end
        local object = tables.get(response, "body", "object")
        if object == "list" then
            return decision.redact("/data/*/metadata/cost_centre", "/data/*/consent", "/data/*/purpose")
        end
        return object == "payment" and view_of_one(response.body) or nil
    end,
}
