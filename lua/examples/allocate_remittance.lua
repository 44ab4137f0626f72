-- One payment settles several invoices. The partner lists them in its metadata as `invoices`, in minor units:
-- "INV-1:60000,INV-2:45000". What is paid is split over them in proportion to what is open, to the last unit, and
-- written into the metadata, where the books of both sides find it.

-- A list of { name, open }; nil when the text is no such list.
local function read_invoices(text)
    local invoices, at = {}, 1
    while at <= #text do
        local _, last, name, open = tb.find(text, "\\G([A-Za-z0-9-]{1,20}):(\\d{1,15})(?:,|$)", at)
        if not last then
            return nil
        end
        invoices[#invoices + 1] = { name = name, open = tonumber(open) }
        at = last + 1
    end
    return #invoices > 0 and invoices or nil
end

local function sum_of(invoices, currency)
    local sum = money.of(0, currency)
    for _, invoice in ipairs(invoices) do
        sum = money.add(sum, money.of(invoice.open, currency))
    end
    return sum
end

return {
    on_request = function(request)
        local listed, paid = tables.get(request, "body", "metadata", "invoices"), tables.get(request, "body", "amount")
        if not listed or not paid then
            return nil
        end
        local invoices = read_invoices(listed)
        if not invoices then
            return decision.deny("bad_invoices", "invoices are listed as NUMBER:AMOUNT,NUMBER:AMOUNT")
        end
        local open = sum_of(invoices, paid.currency)
        if money.compare(paid, open) > 0 then
            return decision.deny("overpaid", "the invoices add up to " .. money.format(open, ","))
        end
        local weights = tables.map(invoices, function(invoice)
            return invoice.open
        end)
        local shares = {}
        for place, part in ipairs(money.split(paid, weights)) do
            shares[place] = ("%s:%.0f"):format(invoices[place].name, part.amount)
        end
        return decision.set({ metadata = { allocated = table.concat(shares, ",") } })
    end,
}
