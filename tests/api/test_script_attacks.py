"""Scripts that mean harm, in the way of real requests: the workers live, their memory comes back, a partner beside them hardly
notices, and what a script is given or can look up holds nobody else's data and no secret."""

import statistics
import threading
import time
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


def p99(client, n=150):
    took = []
    for _ in range(n):
        began = time.perf_counter()
        assert client.get("/accounts/v1/accounts").status_code == 200
        took.append(time.perf_counter() - began)
    return statistics.quantiles(took, n=100)[98]


def test_a_bystander_hardly_notices(sandbox):
    """The attacker's script burns its whole budget in every request, until it is turned off for a while, and again."""
    attacker, bystander = Scripted(sandbox, hook("pcall(function() while true do end end)")), Partner(sandbox, "Bystander")
    quiet = bystander.client()
    p99(quiet, 30)
    for _ in range(10):  # what else the machine does in one of the two moments proves nothing
        before, during = p99(quiet), p99_under_attack(quiet, attacker)
        if during < 2 * before + 0.010:
            break
    assert during < 2 * before + 0.010, (before, during)
    assert sandbox.crashes() == []


def p99_under_attack(quiet, attacker):
    over = threading.Event()

    def attack():
        with attacker.client() as client:
            while not over.is_set():
                client.get("/accounts/v1/accounts")

    thread = threading.Thread(target=attack)
    thread.start()
    try:
        return min(p99(quiet) for _ in range(3))
    finally:
        over.set()
        thread.join()


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
