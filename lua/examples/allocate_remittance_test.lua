local function remittance(amount, invoices)
    return { body = { amount = { amount = amount, currency = "CNY" }, metadata = { invoices = invoices } } }
end

local function allocated(shares)
    return { set = { metadata = { allocated = shares } } }
end

return {
    {
        name = "a full payment settles every invoice",
        request = remittance(105000, "INV-1:60000,INV-2:45000"),
        expect = allocated("INV-1:60000,INV-2:45000"),
    },
    {
        name = "a part is spread in proportion, to the last fen",
        request = remittance(100, "A:1,B:1,C:198"),
        expect = allocated("A:1,B:0,C:99"),
    },
    {
        name = "what is left over goes to the largest remainders",
        request = remittance(100, "A:100,B:100,C:100"),
        expect = allocated("A:34,B:33,C:33"),
    },
    {
        name = "more than is open is refused",
        request = remittance(105001, "INV-1:60000,INV-2:45000"),
        expect = { deny = { code = "overpaid", detail = "the invoices add up to 1,050.00 CNY" } },
    },
    {
        name = "a list that is none is refused",
        request = remittance(1, "INV-1=60000"),
        expect = { deny = { code = "bad_invoices", detail = "invoices are listed as NUMBER:AMOUNT,NUMBER:AMOUNT" } },
    },
    { name = "a payment without invoices is left alone", request = { body = { metadata = { order = "7" } } } },
}
