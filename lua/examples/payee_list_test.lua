local ACCOUNT = "acc_01k9x3m6h0g00801c4w7e3k6zj"
local payees = { [ACCOUNT] = { name = "Wei Paper", most = 5000000 }, acc_free = { name = "Hua Ink" } }

local function payment(account, amount)
    return { body = { creditor_account = account, amount = { amount = amount, currency = "CNY" } } }
end

return {
    {
        name = "a payee of the table is paid",
        tables = { payees = payees },
        request = payment(ACCOUNT, 5000000),
        expect = { note = "payee Wei Paper" },
    },
    {
        name = "not above its limit",
        tables = { payees = payees },
        request = payment(ACCOUNT, 5000001),
        expect = { deny = { code = "above_payee_limit", detail = "Wei Paper gets at most 50,000.00 CNY" } },
    },
    {
        name = "a payee without a limit gets anything",
        tables = { payees = payees },
        request = payment("acc_free", 9007199254740991),
        expect = { note = "payee Hua Ink" },
    },
    {
        name = "others get nothing",
        tables = { payees = payees },
        request = payment("acc_other", 1),
        expect = { deny = { code = "unknown_payee", detail = "ask your treasury to enter acc_other" } },
    },
    {
        name = "answers hide the cost centre",
        response = { status = 200, body = { object = "payment" } },
        expect = { redact = { "/metadata/cost_centre", "/data/*/metadata/cost_centre" } },
    },
    {
        name = "but not from the treasury",
        request = { scopes = { "e-payment:read", "treasury:read" } },
        response = { status = 200, body = { object = "payment" } },
    },
}
