-- Twenty lines as partners write them: an amount, the payees they know, the hour, and a word for the trace.
local EACH_MOST, NIGHT_MOST = 100000000, 5000000
local PAYEES = { acc_1 = "rent", acc_2 = "power", acc_3 = "wages", acc_4 = "tax" }
local NIGHT = { ["22"] = true, ["23"] = true, ["00"] = true, ["01"] = true, ["02"] = true, ["03"] = true }

return {
    on_request = function(request)
        local body, night = request.body or {}, NIGHT[request.world_time:sub(12, 13)]
        local amount = body.amount and body.amount.amount or 0
        if amount > EACH_MOST then
            return { deny = { code = "above_limit", detail = "at most 1,000,000.00" } }
        elseif night and amount > NIGHT_MOST then
            return { deny = { code = "night", detail = "at most 50,000.00 at night" } }
        end
        local payee = PAYEES[body.creditor_account]
        local note = payee and ("for " .. payee) or "a payee we do not know"
        return { note = night and note .. ", at night" or note }
    end,
}
