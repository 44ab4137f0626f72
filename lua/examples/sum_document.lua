-- The partner's ERP sends a document with its lines; what is paid is their sum:
--
--     {"document": {"number": "D-17", "currency": "CNY"}, "payer": {"account": "acc_…"}, "payee": {"account": "acc_…"},
--      "lines": [{"text": "纸", "net": "1,000.00", "tax": "130.00"}, …]}
--
-- The document's members leave the body, the payment's own come instead. A line that cannot be read is named.

local PURPOSE = "(?s)^.{0,140}" -- as much as a payment's purpose holds

-- The sum of a field of all lines; nil and the first line without such an amount.
local function sum_of(lines, field, currency)
    local sum = nil
    for place, line in ipairs(lines) do
        local amount = money.parse(tables.get(line, field), currency)
        if not amount then
            return nil, place
        end
        sum = sum and money.add(sum, amount) or amount
    end
    return sum, 1
end

return {
    on_request = function(request)
        local body = request.body
        local number, lines = tables.get(body, "document", "number"), tables.get(body, "lines")
        if not number or not lines then
            return nil -- it is a payment already
        end
        local currency = tables.get(body, "document", "currency")
        local net, bad_net = sum_of(lines, "net", currency)
        local tax, bad_tax = sum_of(lines, "tax", currency)
        if not net or not tax then
            local place = net and bad_tax or bad_net
            return decision.deny("bad_line", ("line %d has no net and tax like 1,234.50"):format(place))
        end
        local texts = tables.map(lines, function(line)
            return tables.get(line, "text") or "-"
        end)
        return decision.set({
            document = tb.null,
            lines = tb.null,
            payer = tb.null,
            payee = tb.null,
            reference = number,
            debtor_account = tables.get(body, "payer", "account"),
            creditor_account = tables.get(body, "payee", "account"),
            amount = money.add(net, tax),
            purpose = tb.match(table.concat(texts, "; "), PURPOSE),
            metadata = { lines = tostring(#lines), tax = money.format(tax) },
        })
    end,
}
