"""Many connections at once, and random batches against a model that runs one instruction after another."""
import json
import random
import threading

import pytest
from books import NOW, acc, id_suffix

SEEDS = (20261123, 7, 4711, 42)


def together(n, work):
    """Runs work(i) in n threads that start at the same moment; returns the results, raises the first error."""
    gate, results = threading.Barrier(n), [None] * n

    def run(i):
        try:
            results[i] = work(i, gate)
        except Exception as error:
            results[i] = error
            gate.abort()  # or the others wait for this one for ever

    threads = [threading.Thread(target=run, args=(i,)) for i in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    errors = [result for result in results if isinstance(result, Exception)]
    if errors:
        raise min(errors, key=lambda error: isinstance(error, threading.BrokenBarrierError))  # the cause before what came of it
    return results


def test_64_clients_race_one_key(books):
    books.open((1, 1000, {}), (2, 0, {}))
    body = books.payment(1, 2, 7, "R")
    calls = [books.call(body, "k") for _ in range(64)]

    def race(i, gate):
        db = books.connect()
        gate.wait()
        answer, = books.pay(calls[i], db=db)
        db.close()
        return answer

    answers = together(64, race)
    assert {a["status"] for a in answers} == {201} and len({a["body"] for a in answers}) == 1
    assert sum(not a["replayed"] for a in answers) == 1
    assert books.balances(1, 2) == [993, 7]


def test_64_clients_race_one_reference_under_different_keys(books):
    books.open((1, 1000, {}), (2, 0, {}))
    calls = [books.call(books.payment(1, 2, 7, "R"), f"k{n}") for n in range(64)]

    def race(i, gate):
        db = books.connect()
        gate.wait()
        answer, = books.pay(calls[i], db=db)
        db.close()
        return answer["status"]

    assert sorted(together(64, race)) == [201] + [409] * 63
    assert books.balances(2) == [7]


def test_batches_over_the_same_accounts_and_keys_in_opposite_order_never_deadlock(books):
    books.open(*[(n, 10000, {}) for n in range(1, 21)])
    workers, rounds = 8, 20

    def work(i, gate):
        db = books.connect()
        dice = random.Random(i)
        gate.wait()
        for r in range(rounds):
            order = list(range(1, 21))
            dice.shuffle(order)
            if i % 2:
                order.reverse()
            calls = [{**books.call(books.payment(a, b, 1, f"R{r}-{a}"), f"k{r}-{a}"), "id": "pay_" + id_suffix(10**9 + i * 10**6 + r * 100 + a)}
                     for a, b in zip(order, order[1:] + order[:1])]
            books.pay(*calls, db=db)
        db.close()

    together(workers, work)
    assert books.one("select count(*) from e_payment.payment") == rounds * 20
    assert books.one("select deadlocks from pg_stat_database where datname = current_database()") == 0


def test_a_day_limit_is_exact_over_connections(books):
    books.open((1, 10000, {"limit_day": 500}), (2, 0, {}))
    calls = [[books.call(books.payment(1, 2, 30)) for _ in range(5)] for _ in range(8)]

    def work(i, gate):
        db = books.connect()
        gate.wait()
        states = [json.loads(a["body"])["state"] for a in books.pay(*calls[i], db=db)]
        db.close()
        return states.count("succeeded")

    assert sum(together(8, work)) == 500 // 30


def test_refunds_of_one_payment_are_capped_over_connections(books):
    books.open((1, 1000, {}), (2, 0, {}))
    call = books.call(books.payment(1, 2, 100))
    books.pay(call)
    refunds = [[books.refund(call["id"], 9) for _ in range(4)] for _ in range(8)]

    def work(i, gate):
        db = books.connect()
        gate.wait()
        statuses = [a["status"] for a in books.run("e_payment.refund", *refunds[i], db=db)]
        db.close()
        return statuses.count(201)

    assert sum(together(8, work)) == 100 // 9


def test_a_lookup_waits_for_the_transaction_that_holds_the_key(books):
    books.open((1, 1000, {}), (2, 0, {}))
    db = books.connect()
    db.autocommit = False
    call = books.call(books.payment(1, 2, 7), "k")
    books.pay(call, db=db)
    found = []
    look = threading.Thread(target=lambda: found.extend(books.query(
        "select status from tb.lookup(1, %s, %s, 'k')", call["partner"], call["route"], db=books.connect())))
    look.start()
    look.join(0.3)
    assert look.is_alive()
    db.commit()
    look.join()
    assert found == [{"status": 201}]
    db.close()


def test_sealing_beside_payments_loses_none(books):
    books.open(*[(n, 10000, {}) for n in range(1, 11)])

    def work(i, gate):
        db = books.connect()
        gate.wait()
        if i == 0:
            while len(done) < 3:
                books.query("select bank.seal(1, %s)", NOW, db=db)
        else:
            try:
                for _ in range(40):
                    books.post(*[{"debit": 1 + (i + k) % 10, "credit": 1 + (i + k + 1) % 10, "amount": 1,
                                  "id": "xfr_" + id_suffix(random.getrandbits(80))} for k in range(5)], db=db)
            finally:
                done.append(i)
        db.close()

    done = []
    together(4, work)
    for _ in range(2):
        books.query("select bank.seal(1, %s)", NOW)
    assert books.one("select sum(transfers_n) from bank.seal") == books.one("select count(*) from bank.transfer")


class Model:
    """The ledger as a dozen lines of obvious code: one instruction after another, chains by trying on a copy."""

    def __init__(self, accounts):
        self.balance = {acc(n): opening for n, opening, _ in accounts}
        self.limits = {acc(n): (o.get("floor", 0), o.get("ceiling"), o.get("limit_day")) for n, _, o in accounts}
        self.held, self.incoming = dict.fromkeys(self.balance, 0), dict.fromkeys(self.balance, 0)
        self.spent, self.holds, self.transfers = dict.fromkeys(self.balance, 0), {}, {}

    def copy(self):
        other = Model([])
        other.limits = self.limits
        for part in ("balance", "held", "incoming", "spent", "transfers"):
            setattr(other, part, dict(getattr(self, part)))
        other.holds = {k: dict(v) for k, v in self.holds.items()}
        return other

    def reserve_or_refuse(self, i, table):
        if i["id"] in table:
            same = all(table[i["id"]][m] == i[m] for m in ("amount", "debit", "credit"))
            return "same" if same else next(f"exists_with_different_{n}" for m, n in
                (("amount", "amount"), ("debit", "debit_account"), ("credit", "credit_account")) if table[i["id"]][m] != i[m])
        d, c, n = i["debit"], i["credit"], i["amount"]
        if n <= 0:
            return "amount_must_be_positive"
        if d == c:
            return "accounts_must_be_different"
        if d not in self.balance:
            return "debit_account_not_found"
        if c not in self.balance:
            return "credit_account_not_found"
        floor, _, day = self.limits[d]
        ceiling = self.limits[c][1]
        if i["limited"] and day is not None and self.spent[d] + n > day:
            return "day_limit_exceeded"
        if self.balance[d] - self.held[d] - n < floor:
            return "insufficient_funds"
        if ceiling is not None and self.balance[c] + self.incoming[c] + n > ceiling:
            return "ceiling_exceeded"
        if i["limited"]:
            self.spent[d] += n
        return None

    def keep(self, h, n):
        self.held[h["debit"]] += n
        self.incoming[h["credit"]] += n

    def move(self, h, n):
        self.balance[h["debit"]] -= n
        self.balance[h["credit"]] += n

    def one(self, i):
        if i["verb"] == "transfer":
            code = self.reserve_or_refuse(i, self.transfers)
            if code is None:
                self.move(i, i["amount"])
                self.transfers[i["id"]] = i
            return None if code == "same" else code
        if i["verb"] == "hold":
            code = self.reserve_or_refuse(i, self.holds)
            if code is None:
                self.keep(i, i["amount"])
                self.holds[i["id"]] = {**i, "left": i["amount"], "state": "open"}
            return None if code == "same" else code
        h = self.holds.get(i["hold"])
        if h is None:
            return "hold_not_found"
        if h["state"] == "voided" and i["verb"] == "void":
            return None
        if h["state"] != "open":
            return "hold_already_" + h["state"]
        if i["verb"] == "void":
            self.keep(h, -h["left"])
            h.update(left=0, state="voided")
            return None
        n = h["left"] if i["amount"] is None else i["amount"]
        if n > h["left"]:
            return "exceeds_hold"
        freed = h["left"] if i["release_remainder"] else n
        self.keep(h, -freed)
        self.move(h, n)
        h["left"] -= freed
        if h["left"] == 0:
            h["state"] = "posted"
        return None

    def post(self, batch):
        codes, at = [], 0
        while at < len(batch):
            end = at + 1
            while batch[at]["chain"] is not None and end < len(batch) and batch[end]["chain"] == batch[at]["chain"]:
                end += 1
            trial, run = self.copy(), []
            for i in batch[at:end]:
                run.append(trial.one(i))
                if run[-1] is not None:
                    break
            if run[-1] is None:
                self.__dict__ = trial.__dict__
            elif end > at + 1:
                known = [i["id"] is not None and (i["id"] in self.transfers or i["id"] in self.holds)
                         or i["verb"] == "void" and self.holds.get(i["hold"], {}).get("state") == "voided" for i in batch[at:end]]
                run = [None if known[k] else "linked_failed" for k in range(len(run) - 1)] + run[-1:]
                run += ["linked_failed"] * (end - at - len(run))
            else:
                self.__dict__ = trial.__dict__
            codes += run
            at = end
        return codes


@pytest.mark.parametrize("seed", SEEDS)
def test_random_batches_end_as_the_model_says(books, seed):
    print("seed", seed)
    dice = random.Random(seed)
    accounts = [(n, dice.choice((0, 50, 400)), dice.choice(({}, {}, {"ceiling": 600}, {"limit_day": 300}, {"floor": -80})))
                for n in range(1, 9)]
    books.open(*accounts)
    model = Model(accounts)
    made, holds, serial = [], [], 0
    for _ in range(60):
        batch = []
        chain, left = None, 0
        for _ in range(dice.randrange(1, 24)):
            serial += 1
            if left == 0:
                chain, left = (serial, dice.randrange(2, 5)) if dice.random() < 0.15 else (None, 1)
            left -= 1
            i = {"verb": dice.choice(("transfer",) * 6 + ("hold", "hold", "post", "void")), "id": "xfr_" + id_suffix(10**6 + serial),
                 "debit": acc(dice.randrange(1, 10)), "credit": acc(dice.randrange(1, 9)), "amount": dice.randrange(0, 90),
                 "limited": dice.random() < 0.5, "chain": chain, "hold": None, "release_remainder": dice.random() < 0.3}
            if i["verb"] == "transfer":
                if made and dice.random() < (0.08 if chain is None else 0.25):
                    i.update(dice.choice(made[-10:]), chain=chain, limited=i["limited"])
                    if dice.random() < 0.4:
                        i["amount"] += 1
                made.append({k: i[k] for k in ("id", "debit", "credit", "amount")})
            elif i["verb"] == "hold":
                if holds and dice.random() < (0.1 if chain is None else 0.25):
                    i["id"] = dice.choice(holds)
                holds.append(i["id"])
            else:
                i.update(debit=None, credit=None, hold=dice.choice(holds[-6:] or ["none"]))
                i["amount"] = dice.choice((None, dice.randrange(1, 60))) if i["verb"] == "post" else None
                if i["verb"] == "void":
                    i.update(id=None, release_remainder=None)
            batch.append(i)
        assert books.post(*batch) == model.post(batch)
        rows = {r["id"]: r for r in books.query("select * from bank.account where id <> %s", acc(0))}
        assert {k: (r["balance"], r["held"], r["incoming"], r["day_out"]) for k, r in rows.items()} == {
            k: (model.balance[k], model.held[k], model.incoming[k], model.spent[k]) for k in model.balance}
