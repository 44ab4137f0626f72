-- One payment in one transaction, through the very statement the gateway sends: what pgbench is measured with.
-- pgbench -M prepared -D run=N -D accounts=N -D hot=0|1
\set debtor random(1, :accounts)
\set creditor case when :hot = 1 then 0 else random(1, :accounts) end
\set i :i + 1
select a.status
  from (select format('[{"n":0,"id":"pay_%1$s","partner":"%2$s","app":"%3$s","now":"2026-11-23T08:00:00.123Z",'
                      '"route":"POST /e-payment/v1/payments","key":"%1$s","fp":"%4$s","path":{},"body":{"reference":"%1$s",'
                      '"debtor_account":"%5$s","creditor_account":"%6$s","amount":{"amount":1,"currency":"CNY"},'
                      '"purpose":"goods"}}]',
                      lpad(:run::text, 10, '0') || lpad(:client_id::text, 4, '0') || lpad(:i::text, 12, '0'),
                      d.partner, d.app, repeat('0a1b2c3d', 8), d.id, c.id)::jsonb as calls
          from bench.account d, bench.account c where d.n = :debtor and c.n = :creditor) q,
       tb.begin(1, q.calls) b,
       lateral tb.finish(1, b.fresh, b.answered, b.twins, array(select x from e_payment.pay(1, b.fresh) x)) a;
