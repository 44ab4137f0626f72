"""Scripts that mean harm, in the way of real requests: the workers live, their memory comes back, a partner beside them gets its
own answers, and what a script is given or can look up holds nobody else's data and no secret."""

import itertools
import threading
import uuid

import pytest

from harness.client import assert_problem
from harness.partner import Partner
from harness.scripted import Scripted, hook

PAYMENTS = "/e-payment/v1/payments"

ATTACKS = {
    "a loop": "while true do end",
    "a loop that catches": "while true do pcall(function() while true do end end) end",
    "a handler that loops": "while true do xpcall(error, function() while true do end end) end",
    "a pattern": "while true do pcall(tb.match, ('a'):rep(65000), '(?:(?=a*+[bc])|.)*+$') end",
    "text upon text": "local s = 'x' while true do s = s .. s end",
    "tables upon tables": "local t = {} while true do t[#t + 1] = {} end",
    "memory to the last byte": "local t = {} while true do pcall(function() t[#t + 1] = ('x'):rep(6e4) .. #t end) end",
    "tostring of itself": "return tostring(setmetatable({}, { __tostring = tostring }))",
    "calls without end": "local function f() return 1 + f() end return f()",
    "a comparison that lies": "local t = {} for i = 1, 1e4 do t[i] = i end while true do table.sort(t, function() return true end) end",
    "an answer without end": "local t = {} t.t = t return t",
    "an error that is no text": "error(setmetatable({}, { __tostring = function() while true do end end }))",
    "lookups without end": "while true do pcall(tb.lookup, 'a', 'b') end",
    "a pattern that is long to read": r"return tb.match('a', '(?i)' .. ('[\1-\244\143\191\191]'):rep(60))",
    "an answer that is long to read": """local t, list = {}, {} for i = 1, 30000 do t["k" .. i] = 1 end
        for k in pairs(t) do t[k] = nil end for i = 1, 3900 do list[i] = t end return { set = { metadata = list } }""",
    "an answer the books cannot keep": r"return { set = { metadata = { a = 'x\0y' } } }",
    "words that are no text": r"error('\255\254\0\r\n' .. ('\228'):rep(2000), 0)",
}


def resident_kib(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as rollup:
        return next(int(line.split()[1]) for line in rollup if line.startswith("Rss:"))


@pytest.mark.parametrize("body", ATTACKS.values(), ids=ATTACKS.keys())
def test_an_attack_harms_its_own_requests_alone(sandbox, body):
    workers = sandbox.pids()
    it, other = Scripted(sandbox, hook(body)), Partner(sandbox, "Bystander")
    for _ in range(5):
        assert_problem(it.pay(), 403, "script_failed")
    assert it.http.get("/healthz").status_code == 200
    assert other.client().get("/accounts/v1/accounts").status_code == 200
    assert sandbox.pids() == workers and sandbox.crashes() == []


def test_a_text_that_is_long_to_read_is_no_script(sandbox):
    """The parser's time would grow with the square of the text; the worker gives it up where a call would be given up."""
    it = Scripted(sandbox, "return { on_request = a" + " or a" * 12_000 + "}")
    for _ in range(3):
        assert_problem(it.pay(), 403, "script_failed")
    assert any("budget" in why for _, _, why in it.failures())
    assert sandbox.crashes() == []


def test_memory_is_back_after_attacks(sandbox):
    """Sixty versions that fill their memory, each in a state of its own, leave what ten do."""
    it = Scripted(sandbox)
    after = {}
    for n in range(60):
        it.activate(hook(f"local t = {{}} while true do t[#t + 1] = ('x'):rep(6e4) .. #t end -- {n}"))
        for _ in range(2):
            assert_problem(it.http.get("/accounts/v1/accounts"), 403, "script_failed")
        after[n] = sum(resident_kib(pid) for pid in sandbox.pids())
    assert after[59] - after[10] < 16 * 1024, after
    assert sandbox.crashes() == []


OWN = hook("""if request.body then
    return { set = { metadata = { mine = tb.lookup("payees", "a"), seen = request.body.metadata.mark } } } end""")


def test_a_bystander_is_answered_rightly_all_the_while(sandbox):
    """Three attackers at once, each with one attack after the other, beside a partner whose own script looks something up. How
    long it waits for them is measured by tests/bench; here every answer must be its own, and nothing may be left of the attacks."""
    workers, over = sandbox.pids(), threading.Event()
    attackers, bystander = [Scripted(sandbox) for _ in range(3)], Scripted(sandbox, OWN)
    bystander.put("payees", "a", '"theirs alone"')

    def attack(attacker, bodies):
        with attacker.client() as client:
            for body in itertools.cycle(bodies):
                if over.is_set():
                    return
                attacker.activate(hook(body))
                for _ in range(5):
                    client.pay(attacker.a, attacker.b, 1)

    def pay(n):
        mark = f"mark-{n}"
        answer = bystander.pay(n + 1, metadata={"mark": mark})
        assert answer.status_code == 201, answer.text
        assert answer.json()["metadata"] == {"mark": mark, "mine": "theirs alone", "seen": mark}

    bodies = list(ATTACKS.values())
    threads = [threading.Thread(target=attack, args=(attacker, bodies[n::3])) for n, attacker in enumerate(attackers)]
    for n in range(10):
        pay(n)
    before = sum(resident_kib(pid) for pid in workers)
    for thread in threads:
        thread.start()
    try:
        for n in range(10, 150):
            pay(n)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert bystander.http.balance(bystander.b) == 1_000_000 + sum(range(1, 151))
    assert sandbox.pids() == workers and sandbox.crashes() == []
    assert sum(resident_kib(pid) for pid in workers) - before < 48 * 1024
    assert bystander.failures() == []


def test_no_name_leads_to_another_partners_entries(sandbox):
    other = Scripted(sandbox)
    other.put("payees", "a", '"theirs"')
    names = ["payees", f"{other.id}/payees", f"{other.id}.payees", "../payees", "payees\\0", "%", "*", "' or true --"]
    tried = ", ".join('"' + name.replace("'", "\\'") + '"' for name in names)
    it = Scripted(sandbox, hook(f"""
        for _, name in ipairs({{ {tried} }}) do
            local good, value = pcall(tb.lookup, name, "a")
            if good and value ~= nil then return {{ deny = {{ code = "leaked", detail = name }} }} end
        end"""))
    answer = it.http.get("/accounts/v1/accounts")
    assert answer.status_code == 200 or answer.json()["code"] == "script_failed", answer.text


def test_no_secret_is_in_anything_a_script_is_given(sandbox):
    it = Scripted(sandbox, hook("""
        local open, words = { request }, {}
        while #open > 0 do
            for key, value in pairs(table.remove(open)) do
                if type(value) == "table" then open[#open + 1] = value else words[#words + 1] = key .. "=" .. tostring(value) end
            end
        end
        return { set = { metadata = { all = table.concat(words, " "):sub(1, 480) } } }"""))
    token = it.token()
    secret = f"secret-{uuid.uuid4()}"
    body = {"reference": f"T-{uuid.uuid4()}", "debtor_account": it.a, "creditor_account": it.b,
            "amount": {"amount": 1, "currency": "CNY"}, "purpose": "goods"}
    answer = it.http.post(PAYMENTS, body, key=secret, headers={"x-api-key": secret, "cookie": secret})
    assert answer.status_code == 201, answer.text
    seen = answer.json()["metadata"]["all"]
    for hidden in (secret, token, "Bearer", "authorization", "cookie", "x-api-key"):
        assert hidden not in seen, seen
