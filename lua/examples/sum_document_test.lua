local function document(lines, currency)
    return {
        body = {
            document = { number = "D-17", currency = currency or "CNY" },
            payer = { account = "acc_payer" },
            payee = { account = "acc_payee" },
            lines = tb.array(lines),
        },
    }
end

local function payment(members)
    return {
        set = tables.merge({
            document = tb.null,
            lines = tb.null,
            payer = tb.null,
            payee = tb.null,
            reference = "D-17",
            debtor_account = "acc_payer",
            creditor_account = "acc_payee",
        }, members),
    }
end

local function bad_line(place)
    return { deny = { code = "bad_line", detail = ("line %d has no net and tax like 1,234.50"):format(place) } }
end

return {
    {
        name = "the lines add up to the last fen",
        request = document({
            { text = "纸", net = "1,000.00", tax = "130.00" },
            { text = "墨", net = "0.10", tax = "0.01" },
            { net = "0.20", tax = "0.02" },
        }),
        expect = payment({
            amount = { amount = 113033, currency = "CNY" },
            purpose = "纸; 墨; -",
            metadata = { lines = "3", tax = "130.03 CNY" },
        }),
    },
    {
        name = "a credit line is taken off, and dinars have three decimals",
        request = document({
            { text = "a", net = "10.000", tax = "0" },
            { text = "b", net = "-0.001", tax = "0" },
        }, "KWD"),
        expect = payment({
            amount = { amount = 9999, currency = "KWD" },
            purpose = "a; b",
            metadata = { lines = "2", tax = "0.000 KWD" },
        }),
    },
    {
        name = "a long text is cut between two characters",
        request = document({ { text = ("货"):rep(141), net = "1", tax = "0" } }),
        expect = payment({
            amount = { amount = 100, currency = "CNY" },
            purpose = ("货"):rep(140),
            metadata = { lines = "1", tax = "0.00 CNY" },
        }),
    },
    {
        name = "an amount that is none is named",
        request = document({ { net = "1", tax = "0" }, { net = "1.005", tax = "0" } }),
        expect = bad_line(2),
    },
    { name = "so is a tax that is missing", request = document({ { net = "1" } }), expect = bad_line(1) },
    {
        name = "a currency that is none spoils every line",
        request = document({ { net = "1", tax = "0" } }, "RMB"),
        expect = bad_line(1),
    },
    { name = "a document without lines pays nothing", request = document({}), expect = bad_line(1) },
    { name = "a payment in our own words is left as it is", request = { body = { reference = "INV-1" } } },
}
