local subsidiaries = { app_sub = { name = "Wei Trading" } }

local function payment(purpose)
    return { status = 200, body = { object = "payment", id = "pay_1", purpose = purpose } }
end

local function view(purpose)
    return {
        redact = { "/metadata/cost_centre", "/consent" },
        links = { refunds = "/e-payment/v1/payments/pay_1/refunds" },
        set = purpose and { purpose = purpose },
    }
end

return {
    {
        name = "a card's number keeps its last four digits",
        tables = { subsidiaries = subsidiaries },
        request = { app = "app_sub", method = "GET" },
        response = payment("card 6225880212345678, 房租"),
        expect = view("card ****5678, 房租"),
    },
    {
        name = "numbers of four digits stay",
        tables = { subsidiaries = subsidiaries },
        request = { app = "app_sub" },
        response = payment("room 1204, 12345"),
        expect = view("room 1204, ****2345"),
    },
    {
        name = "a payment without words has none afterwards",
        tables = { subsidiaries = subsidiaries },
        request = { app = "app_sub" },
        response = payment(),
        expect = view(),
    },
    {
        name = "in a list the words are left out",
        tables = { subsidiaries = subsidiaries },
        request = { app = "app_sub", method = "GET" },
        response = { body = { object = "list", data = tb.array({}), has_more = false } },
        expect = { redact = { "/data/*/metadata/cost_centre", "/data/*/consent", "/data/*/purpose" } },
    },
    {
        name = "the group's own apps see everything",
        tables = { subsidiaries = subsidiaries },
        request = { app = "app_group" },
        response = payment("card 6225880212345678"),
    },
    {
        name = "other products are left alone",
        tables = { subsidiaries = subsidiaries },
        request = { app = "app_sub", product = "balances" },
        response = payment("card 6225880212345678"),
    },
}
