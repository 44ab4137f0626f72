local texts = { en = "Invoice $1 over $2 is due in $3 days", zh = "发票 $1，金额 $2，还有 $3 天到期" }

local function invoice(changes)
    return {
        headers = { ["accept-language"] = changes and changes.language or "en-GB,en;q=0.8" },
        body = {
            reference = changes and changes.reference or "INV-1",
            amount = { amount = 123450, currency = "CNY" },
            purpose = changes and changes.purpose,
            metadata = { due = changes and changes.due or "2026-12-01" },
        },
    }
end

local now = "2026-11-24T00:30:00+08:00"

return {
    {
        name = "the text counts the days of the debtor's own calendar",
        now = now,
        tables = { texts = texts },
        request = invoice(),
        expect = { set = { purpose = "Invoice INV-1 over 1,234.50 CNY is due in 7 days" } },
    },
    {
        name = "it is in the language that was asked for",
        now = now,
        tables = { texts = texts },
        request = invoice({ language = "zh-CN" }),
        expect = { set = { purpose = "发票 INV-1，金额 1,234.50 CNY，还有 7 天到期" } },
    },
    {
        name = "in English where there is no other",
        now = now,
        tables = { texts = texts },
        request = invoice({ language = "fr" }),
        expect = { set = { purpose = "Invoice INV-1 over 1,234.50 CNY is due in 7 days" } },
    },
    {
        name = "a reference with a dollar is no place to fill in",
        now = now,
        tables = { texts = texts },
        request = invoice({ reference = "$2$$" }),
        expect = { set = { purpose = "Invoice $2$$ over 1,234.50 CNY is due in 7 days" } },
    },
    {
        name = "a purpose that is there stays",
        now = now,
        tables = { texts = texts },
        request = invoice({ purpose = "rent" }),
    },
    { name = "a date that is none counts nothing", now = now, request = invoice({ due = "2026-02-30" }) },
    { name = "without templates nothing is said", now = now, request = invoice() },
}
