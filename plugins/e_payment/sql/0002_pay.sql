-- POST /e-payment/v1/payments

create function e_payment.refuse_payment(n int, code text, taken_by text) returns tb.answer
language sql stable parallel safe security invoker
return case code
    when 'duplicate_reference' then row(n, 409, code, 'the reference belongs to payment ' || taken_by, '/reference',
        '/e-payment/v1/payments/' || taken_by, null, jsonb_build_object('payment', taken_by), false)::tb.answer
    when 'amount_out_of_range' then e_payment.refuse(n, 422, code, 'the amount must be above zero', '/amount/amount', null)
    when 'unknown_currency' then e_payment.refuse(n, 422, code, 'no such currency', '/amount/currency', null)
    when 'currency_mismatch' then e_payment.refuse(n, 422, code, 'an account is not in the currency of the amount',
        '/amount/currency', null)
    when 'same_account' then e_payment.refuse(n, 422, code, 'debtor and creditor are the same account',
        '/creditor_account', null)
    when 'unknown_creditor' then e_payment.refuse(n, 422, 'unknown_account', 'no such account', '/creditor_account', null)
    else e_payment.refuse(n, 422, code, 'no such account that you may debit', '/debtor_account', null) end;

-- Whether one of the accounts is in another currency.
create function e_payment.differs_in_currency(book int, debtor text, creditor text, currency text) returns boolean
language sql stable strict security invoker
begin atomic
    select exists (select from bank.account a
                    where a.book = differs_in_currency.book
                      and a.id in (differs_in_currency.debtor, differs_in_currency.creditor)
                      and a.currency <> differs_in_currency.currency);
end;

-- Pays. Invariants: a payment in state succeeded has its transfer, one in state failed has none; a reference is used
-- once per partner, whatever became of it; payment, transfer, event and answer commit together. A request that names
-- what the partner cannot name, or a currency that an account does not have, leaves no trace and gets a 4xx; everything the
-- bank declines is a failed payment (201). Currencies are looked at only when something is wrong, because accounts between
-- which money moved have the right one.
-- `admitted`: consents have been drawn on for the calls that are bound to one; for these the debtor is the consent's.
-- Locks: references by hash, then accounts by id (in bank.post).
create function e_payment.pay(book int, calls tb.call[], admitted boolean default false) returns setof tb.answer
language plpgsql volatile strict security invoker
set search_path = pg_catalog
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
    doubled  bigint[];          -- hashes of the references that come more than once
    locks    int;               -- counted, so that they are taken
    asked    e_payment.payment[];
    refused  tb.answer[];
    outcomes bank.outcome[];
    refusal  text;
    o        record;
begin
    if not admitted and exists (select from unnest(calls) c where c.consent is not null) then
        return query select * from e_payment.pay_by_consent(pay.book, calls);
        return;
    end if;

    select array_agg(k.hash) filter (where k.calls > 1), count(pg_advisory_xact_lock(k.hash)) into doubled, locks
      from (select tb.key_lock(pay.book, c.partner, 'e_payment.reference', c.body->>'reference') as hash, count(*) as calls
              from unnest(calls) c group by 1 order by 1) k;

    with ask as (
        select c.n, c.id_suffix, c.partner, c.app, c.now, (c.body->'amount'->'amount')::bigint as amount,
               c.body->'amount'->>'currency' as currency, c.body->>'reference' as reference,
               c.body->>'debtor_account' as debtor, c.body->>'creditor_account' as creditor,
               c.body->>'purpose' as purpose, c.body->'metadata' as metadata, c.consent,
               c.routed->>'channel' as channel
          from unnest(calls) c),
    checked as (
        select t.*, case
            when t.taken_by is not null     then 'duplicate_reference'
            when t.amount <= 0              then 'amount_out_of_range'
            when t.debtor <> t.creditor and t.can_debit and not t.twin then null
            when t.currency <> all (array(select u.code from bank.currency u)) then 'unknown_currency'
            when t.debtor = t.creditor      then 'same_account'
            when t.can_debit is not true    then 'unknown_account'
            -- bank.post() finds these; but of twins, the first that is in order gets the reference
            when t.twin and not exists (select from bank.account b
                                         where b.book = pay.book and b.id = t.creditor)
                                            then 'unknown_creditor'
            when t.twin and e_payment.differs_in_currency(pay.book, t.debtor, t.creditor, t.currency)
                                            then 'currency_mismatch' end as code
          from (select a.*,
                       doubled is not null
                       and tb.key_lock(pay.book, a.partner, 'e_payment.reference', a.reference) = any (doubled) as twin,
                       (select f.id from e_payment.payment f
                         where f.book = pay.book and f.reference = a.reference
                           -- not "=": while nothing is known of the table, any index on the partner looks as good
                           and f.partner is not distinct from a.partner) as taken_by,
                       a.consent is not null
                       or (select x.can_debit from bank.account_access x
                            where x.book = pay.book and x.partner = a.partner and x.account = a.debtor) as can_debit
                  from ask a offset 0) t),
    judged as (
        select k.*, case when k.n <> t.first_n then 'duplicate_reference' end as repeats, t.first_id
          from checked k
          left join lateral (
                select m.n as first_n, 'pay_' || m.id_suffix as first_id from checked m
                 where k.twin and m.code is null and m.partner = k.partner and m.reference = k.reference
                 order by m.n limit 1) t on true)
    select coalesce(array_agg(row(j.amount, 0, j.now, j.now, pay.book, 'pay_' || j.id_suffix, j.partner, j.app, j.reference,
                                  j.debtor, j.creditor, j.currency, 'succeeded', null, j.purpose,
                                  j.metadata, j.consent, j.channel)::e_payment.payment) filter (where coalesce(j.code, j.repeats) is null), '{}'),
           coalesce(array_agg(e_payment.refuse_payment(j.n, coalesce(j.code, j.repeats), coalesce(j.taken_by, j.first_id)))
                    filter (where coalesce(j.code, j.repeats) is not null), '{}')
      into asked, refused
      from (select * from judged order by n) j;

    outcomes := array(
        select t from bank.post(pay.book, array(
            select row('transfer', 'xfr_' || right(p.id, 26), p.debtor_account, p.creditor_account, p.amount,
                       p.currency, 'payment', p.created_at, true, null, null, null, null)::bank.instruction
              from unnest(asked) p)) t);

    for o in select * from unnest(outcomes) t where t.code is not null loop
        refusal := case when not exists (select from bank.currency u where u.code = asked[o.n].currency)
                            then 'unknown_currency'
                        when o.code = 'credit_account_not_found' then 'unknown_creditor'
                        when e_payment.differs_in_currency(pay.book, asked[o.n].debtor_account, asked[o.n].creditor_account,
                                                           asked[o.n].currency) then 'currency_mismatch' end;
        if refusal is not null then
            refused := refused || (select e_payment.refuse_payment(c.n, refusal, null)
                                     from unnest(calls) c where 'pay_' || c.id_suffix = asked[o.n].id);
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
      join unnest(calls) c on 'pay_' || c.id_suffix = p.id;

    return query select * from unnest(refused);
end
$$;

-- Pays where calls are bound to consents. Invariants: a payment under a consent exists only if the consent was in force
-- and covered it; what the bank declines, or what is refused for another reason, takes nothing from the consent. Calls
-- that a consent refuses only because of others in the batch that came to nothing have another turn, so the outcome is
-- that of some order one after another.
-- Locks: references by hash, consents by id, accounts by id; all before the first turn, as several may lock.
create function e_payment.pay_by_consent(book int, calls tb.call[]) returns setof tb.answer
language plpgsql volatile strict security invoker
set search_path = pg_catalog
set enable_seqscan = off
as $$
declare
    asked    consent.spending[];
    verdicts consent.verdict[];
    turn     tb.call[];         -- whom the consents let pay now, and in the first turn all that need none
    waiting  int[];             -- refused in this turn: calls by place
    ended    text[];            -- consents that got something back
begin
    perform pg_advisory_xact_lock(k.hash)
       from (select distinct tb.key_lock(pay_by_consent.book, c.partner, 'e_payment.reference', c.body->>'reference') as hash
               from unnest(calls) c order by 1) k;
    asked := array(
        select row(c.n, c.consent, c.partner, c.app, c.body->>'debtor_account', c.body->>'creditor_account',
                   (c.body->'amount'->'amount')::bigint, c.body->'amount'->>'currency', c.body->>'reference', c.now, c.route,
                   'pay_' || c.id_suffix, c.request, null, c.details)::consent.spending
          from unnest(calls) c where c.consent is not null order by c.n);
    perform consent.lock(pay_by_consent.book, array(select s.consent from unnest(asked) s));
    perform bank.lock(pay_by_consent.book, array(select unnest(array[c.body->>'debtor_account', c.body->>'creditor_account'])
                                                   from unnest(calls) c));
    turn := array(select c from unnest(calls) c where c.consent is null order by c.n);

    loop
        verdicts := array(select v from consent.draw(pay_by_consent.book, asked) v);
        turn := turn || array(select c from unnest(calls) c join unnest(verdicts) v on v.n = c.n and v.code is null
                               order by c.n);
        return query select * from e_payment.pay(pay_by_consent.book, turn, true);

        asked := array(
            select row(s.n, s.consent, s.partner, s.app, s.debtor, s.creditor, s.amount, s.currency, s.reference, s.at,
                       s.operation, s.object, s.request_id, p.state, s.details)::consent.spending
              from unnest(asked) s
              left join e_payment.payment p on p.book = pay_by_consent.book and p.id = s.object
             order by s.n);
        perform consent.settle(pay_by_consent.book, array(
            select s from unnest(asked) s join unnest(verdicts) v on v.n = s.n and v.code is null order by s.n));
        ended := array(select s.consent from unnest(asked) s join unnest(verdicts) v on v.n = s.n and v.code is null
                        where s.outcome is distinct from 'succeeded');
        waiting := array(select v.n from unnest(verdicts) v join unnest(asked) s on s.n = v.n
                          where v.code in ('consent_consumed', 'consent_limit_exceeded') and s.consent = any (ended));
        return query
        select v.n, 403, v.code, v.detail, v.pointer, null::text, null::text, v.extra, false
          from unnest(verdicts) v where v.code is not null and v.n <> all (waiting);
        exit when waiting = '{}';
        asked := array(select s from unnest(asked) s where s.n = any (waiting) order by s.n);
        turn := '{}';
    end loop;
end
$$;
