local vendors = { ["100234"] = { account = "acc_01k9x3m6h0g00801c4w7e3k6zj" } }

local function document(changes)
    return {
        body = tables.merge({
            BELNR = "5100000123",
            HKONT = "acc_01k9x3m6h0g00801v9r5t2n8qd",
            LIFNR = "100234",
            WRBTR = "1,234.50",
            WAERS = "CNY",
            SGTXT = "paper and ink",
        }, changes),
    }
end

local function payment(changes)
    return {
        set = tables.merge({
            BELNR = tb.null,
            HKONT = tb.null,
            LIFNR = tb.null,
            WRBTR = tb.null,
            WAERS = tb.null,
            SGTXT = tb.null,
            reference = "5100000123",
            debtor_account = "acc_01k9x3m6h0g00801v9r5t2n8qd",
            creditor_account = "acc_01k9x3m6h0g00801c4w7e3k6zj",
            amount = { amount = 123450, currency = "CNY" },
            purpose = "paper and ink",
            metadata = { vendor = "100234" },
        }, changes),
    }
end

return {
    {
        name = "a document of the ERP becomes a payment",
        tables = { vendors = vendors },
        request = document(),
        expect = payment(),
    },
    {
        name = "without words it names the invoice",
        tables = { vendors = vendors },
        request = document({ SGTXT = tb.null }),
        expect = payment({ purpose = "invoice 5100000123" }),
    },
    {
        name = "yen have no decimals",
        tables = { vendors = vendors },
        request = document({ WRBTR = "5000", WAERS = "JPY" }),
        expect = payment({ amount = { amount = 5000, currency = "JPY" } }),
    },
    {
        name = "an amount that is none is refused",
        tables = { vendors = vendors },
        request = document({ WRBTR = "1.234,50" }),
        expect = { deny = { code = "bad_amount", detail = "WRBTR is written like 1,234.50" } },
    },
    {
        name = "an unknown vendor is refused",
        request = document(),
        expect = { deny = { code = "unknown_vendor", detail = "vendor 100234 is not in the table vendors" } },
    },
    { name = "a payment in our own words is left as it is", request = { body = { reference = "INV-1" } } },
}
