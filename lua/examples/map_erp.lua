-- The partner's ERP sends its own fields. They become ours here, before the request is checked, so the ERP stays as it
-- is:
--
--     {"BELNR": "5100000123", "HKONT": "acc_…", "LIFNR": "100234", "WRBTR": "1,234.50", "WAERS": "CNY", "SGTXT": "…"}
--
-- The vendor's account comes from the partner's table `vendors`, by the vendor's number.

-- Every field of theirs leaves the body: only ours may remain.
local THEIRS = { "BELNR", "HKONT", "LIFNR", "WRBTR", "WAERS", "SGTXT" }

local function without_theirs()
    local gone = {}
    for _, name in ipairs(THEIRS) do
        gone[name] = tb.null
    end
    return gone
end

return {
    on_request = function(request)
        local document = request.body
        if not tables.get(document, "BELNR") then
            return nil -- it speaks our language already
        end
        local amount = money.parse(document.WRBTR, document.WAERS)
        if not amount then
            return decision.deny("bad_amount", "WRBTR is written like 1,234.50")
        end
        local vendor = tb.lookup("vendors", document.LIFNR)
        if not vendor then
            return decision.deny("unknown_vendor", "vendor " .. document.LIFNR .. " is not in the table vendors")
        end
        return decision.set(tables.merge(without_theirs(), {
            reference = document.BELNR,
            debtor_account = document.HKONT,
            creditor_account = vendor.account,
            amount = amount,
            purpose = tables.get(document, "SGTXT") or "invoice " .. document.BELNR,
            metadata = { vendor = document.LIFNR },
        }))
    end,
}
