local function payment(amount, currency)
    return { body = { amount = { amount = amount, currency = currency or "CNY" } } }
end

local function goes_by(channel)
    return { route = { channel = channel } }
end

return {
    { name = "50,000.00 go by the instant network", request = payment(5000000), expect = goes_by("instant") },
    { name = "a fen more waits for the evening", request = payment(5000001), expect = goes_by("batch") },
    { name = "a million waits for the evening", request = payment(100000000), expect = goes_by("batch") },
    { name = "more than a million is settled gross", request = payment(100000001), expect = goes_by("gross") },
    { name = "other money crosses the border", request = payment(1, "USD"), expect = goes_by("cross-border") },
    { name = "refunds are left alone", request = { route = "POST /e-payment/v1/payments/{payment_id:pay}/refunds" } },
    {
        name = "a payment without an amount is not decided about",
        request = { body = { reference = "INV-1" } },
        expect_error = "attempt to index",
    },
}
