// What both clients do, whatever they speak with: pay, do it again, read it back, be refused, pay many times at once. `ask(method,
// path, headers, body)` gives {status, headers, text}; the environment is that of the sandbox. Prints one line of JSON.
import { readFileSync } from "node:fs";
import { randomUUID } from "node:crypto";

const { TB_TOKEN, TB_DEBTOR, TB_CREDITOR } = process.env;
const PAYMENTS = "/e-payment/v1/payments";
const MANY = 100; // more than the streams one connection may have open

export const authorization = `Bearer ${readFileSync(TB_TOKEN, "utf8").trim()}`;

const order = () => ({
  reference: `NODE-${randomUUID()}`, debtor_account: TB_DEBTOR, creditor_account: TB_CREDITOR,
  amount: { amount: 12345, currency: "CNY" }, purpose: "货物 🍐",
});

export async function visit(ask, about) {
  const post = (body, key = randomUUID()) =>
    ask("POST", PAYMENTS, { "idempotency-key": key, "content-type": "application/json" }, JSON.stringify(body));
  const brief = ({ status, headers, text }) => ({ status, type: headers["content-type"], replayed: headers["idempotency-replayed"], body: JSON.parse(text) });

  const body = order(), key = randomUUID();
  const paid = await post(body, key);
  const again = await post(body, key);
  const read = await ask("GET", paid.headers.location, {});
  const refused = await post({ ...order(), amount: { amount: 0, currency: "CNY" } });
  const missing = await ask("GET", "/nowhere", {});
  const head = await ask("HEAD", paid.headers.location, {});
  const many = await Promise.all(Array.from({ length: MANY }, () => post(order())));
  const list = await ask("GET", `${PAYMENTS}?limit=100`, {});
  console.log(JSON.stringify({
    ordered: body, paid: brief(paid), again: brief(again), same: paid.text === again.text, read: brief(read), refused: brief(refused),
    missing: brief(missing), head: { status: head.status, bytes: head.text.length },
    many: many.map(({ status, text }) => ({ status, id: JSON.parse(text).id })), list: JSON.parse(list.text).data.map(({ id }) => id), ...about(),
  }));
}
