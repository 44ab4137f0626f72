-- Money goes to payees of the partner's table `payees` only: {"acc_…": {"name": "…", "most": 5000000}}, where `most` is
-- the most that one payment may be, in minor units, and may be left out. In answers the payee's account is hidden from
-- those who need not know it.

return {
    on_request = function(request)
        local account = tables.get(request, "body", "creditor_account")
        if request.method ~= "POST" or not account then
            return nil
        end
        local payee = tb.lookup("payees", account)
        if not payee then
            return decision.deny("unknown_payee", "ask your treasury to enter " .. account)
        end
        local amount, most = tables.get(request, "body", "amount"), tables.get(payee, "most")
        if amount and most and amount.amount > most then
            local shown = money.format(money.of(most, amount.currency), ",")
            return decision.deny("above_payee_limit", payee.name .. " gets at most " .. shown)
        end
        return decision.allow("payee " .. payee.name)
    end,

    on_response = function(request)
        if tables.contains(request.scopes, "treasury:read") then
            return nil
        end
        return decision.redact("/metadata/cost_centre", "/data/*/metadata/cost_centre")
    end,
}
