-- One statement with :size payments, each with its own key and reference, from random accounts to random accounts
-- (:hot = 0) or to account 1 (:hot = 1). pgbench -D run=<digits> -D i=0 -D size= -D hot= -D accounts=
\set i :i + 1
\set seed random(1, 2000000000)
select count(*) filter (where a.status = 201 and not a.replayed)
  from (select jsonb_agg(format('{"n":%s,"id":"pay_%s","partner":"ptr_bench","app":"app_bench",'
          '"now":"2026-11-23T08:00:00.123Z","route":"POST /e-payment/v1/payments","key":"%s","fp":"%s","path":{},'
          '"body":{"reference":"INV-%s","debtor_account":"acc_%s","creditor_account":"acc_%s",'
          '"amount":{"amount":%s,"currency":"CNY"},"purpose":"goods"}}',
          n, id_suffix, id_suffix, repeat('0a1b2c3d', 8), id_suffix, lpad(debtor::text, 26, '0'),
          lpad((case when :hot::int = 1 then 1 else 2 + (debtor + 7919 * (n + 1)) % (:accounts::int - 1) end)::text, 26, '0'),
          100 + n)::jsonb) as calls
        from (select n, lpad(:run::text, 10, '0') || lpad(:i::text, 9, '0') || lpad(:client_id::text, 3, '0')
                        || lpad(n::text, 4, '0') as id_suffix,
                     2 + (:seed::bigint * (n + 1) * 48271) % (:accounts::int - 1) as debtor
                from generate_series(0, :size::int - 1) n) g) q,
       tb.begin(1, q.calls) b,
       lateral tb.finish(1, b.fresh, b.answered, b.twins, array(select x from e_payment.pay(1, b.fresh) x)) a;
