-- POST /e-payment/v1/payments

create function e_payment.refuse_payment(n int, code text, taken_by text) returns tb.answer
language sql stable parallel safe security invoker
return case code
    when 'duplicate_reference' then row(n, 409, code, 'the reference belongs to payment ' || taken_by, '/reference',
        '/e-payment/v1/payments/' || taken_by, null, jsonb_build_object('payment', taken_by), false)::tb.answer
    when 'amount_out_of_range' then e_payment.refuse(n, 422, code, 'the amount must be above zero', '/amount/amount', null)
    when 'unknown_currency' then e_payment.refuse(n, 422, code, 'no such currency', '/amount/currency', null)
    when 'same_account' then e_payment.refuse(n, 422, code, 'debtor and creditor are the same account',
        '/creditor_account', null)
    when 'unknown_creditor' then e_payment.refuse(n, 422, 'unknown_account', 'no such account', '/creditor_account', null)
    else e_payment.refuse(n, 422, code, 'no such account that you may debit', '/debtor_account', null) end;

-- Pays. Invariants: a payment in state succeeded has its transfer, one in state failed has none; a reference is used
-- once per partner, whatever became of it; payment, transfer, event and answer commit together. A request that names
-- what the partner cannot name leaves no trace and gets a 4xx; everything the bank declines is a failed payment (201).
-- Locks: references by hash, then accounts by id (in bank.post).
create function e_payment.pay(book int, calls tb.call[]) returns setof tb.answer
language plpgsql volatile strict security invoker
set search_path = pg_catalog
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
    asked    e_payment.payment[];
    refused  tb.answer[];
    outcomes bank.outcome[];
    o        record;
begin
    perform pg_advisory_xact_lock(l.hash)
       from (select tb.key_lock(pay.book, c.partner, 'e_payment.reference', c.body->>'reference') as hash
               from unnest(calls) c order by 1) l;

    with ask as (
        select c.n, row((c.body->'amount'->'amount')::bigint, 0, c.now, c.now, pay.book, 'pay_' || c.stem, c.partner,
                        c.app, c.body->>'reference', c.body->>'debtor_account', c.body->>'creditor_account',
                        c.body->'amount'->>'currency', 'succeeded', null, c.body->>'purpose',
                        c.body->'metadata')::e_payment.payment as p,
               count(*) over (partition by c.partner, c.body->>'reference') > 1 as twin
          from unnest(calls) c),
    checked as (
        select t.*, case
            when t.taken_by is not null                        then 'duplicate_reference'
            when (t.p).amount <= 0                             then 'amount_out_of_range'
            when t.exponent is null                            then 'unknown_currency'
            when (t.p).debtor_account = (t.p).creditor_account then 'same_account'
            when t.can_debit is not true                       then 'unknown_account'
            -- bank.post() finds an unknown creditor; but of twins, the first that is in order gets the reference
            when t.twin and not exists (select from bank.account b
                                         where b.book = pay.book and b.id = (t.p).creditor_account)
                                                               then 'unknown_creditor' end as code
          from (select a.*,
                       (select f.id from e_payment.payment f
                         where f.book = pay.book and f.reference = (a.p).reference
                           -- not "=": while nothing is known of the table, an index on the partner looks as good
                           and f.partner is not distinct from (a.p).partner) as taken_by,
                       (select u.exponent from bank.currency u where u.code = (a.p).currency) as exponent,
                       (select x.can_debit from bank.account_access x
                         where x.book = pay.book and x.partner = (a.p).partner
                           and x.account = (a.p).debtor_account) as can_debit
                  from ask a offset 0) t),
    judged as (
        select k.n, k.p, coalesce(k.code, case when k.n <> t.first_n then 'duplicate_reference' end) as code,
               coalesce(k.taken_by, t.first_id) as taken_by
          from checked k
          left join lateral (
                select m.n as first_n, (m.p).id as first_id from checked m
                 where k.twin and m.code is null
                   and (m.p).partner = (k.p).partner and (m.p).reference = (k.p).reference
                 order by m.n limit 1) t on true)
    select coalesce(array_agg(j.p order by j.n) filter (where j.code is null), '{}'),
           coalesce(array_agg(e_payment.refuse_payment(j.n, j.code, j.taken_by)) filter (where j.code is not null), '{}')
      into asked, refused
      from judged j;

    outcomes := array(
        select t from bank.post(pay.book, array(
            select row('transfer', 'xfr_' || right(p.id, 26), p.debtor_account, p.creditor_account, p.amount,
                       p.currency, 'payment', p.created_at, true, null, null, null, null)::bank.instruction
              from unnest(asked) p)) t);

    for o in select * from unnest(outcomes) t where t.code is not null loop
        if o.code = 'credit_account_not_found' then
            refused := refused || (select e_payment.refuse_payment(c.n, 'unknown_creditor', null)
                                     from unnest(calls) c where 'pay_' || c.stem = asked[o.n].id);
            asked[o.n] := null;
        else
            asked[o.n].state := 'failed';
            asked[o.n].failure := e_payment.failure(o.code, false);
        end if;
    end loop;

    return query
    with paid as (
        insert into e_payment.payment select * from unnest(asked) p where p.id is not null),
    told as (
        insert into event.outbox
        select p.created_at, p.book, 'evt_' || right(p.id, 26), p.partner, 'payment.' || p.state, p.id,
               concat('{"id":"', p.id, '","object":"payment","state":"', p.state, '"}')
          from unnest(asked) p where p.id is not null)
    select c.n, 201, null::text, null::text, null::text, '/e-payment/v1/payments/' || p.id,
           e_payment.payment_json(p), null::jsonb, false
      from unnest(asked) p
      join unnest(calls) c on 'pay_' || c.stem = p.id;

    return query select * from unnest(refused);
end
$$;
