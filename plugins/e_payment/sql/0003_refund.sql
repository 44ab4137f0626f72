-- POST /e-payment/v1/payments/{payment_id}/refunds

-- A refund that is asked for, with its payment as it stands, what it comes to, and why it must be refused.
create type e_payment.refund_order as (
    n         int,
    id_suffix      text,
    partner   text,
    app       text,
    now       timestamptz,
    route     text,
    request   text,
    consent   text,         -- that the call is bound to
    details   jsonb,        -- of its token
    reference text,
    reason    text,
    metadata  jsonb,
    p         e_payment.payment,
    amount    bigint,
    agreement text,         -- that covers it
    code      text,
    detail    text,
    taken_by  text,         -- the refund that has the reference, and its payment
    taken_of  text,
    remaining bigint
);

-- Refunds, in part or whole and as often as there is something left. Invariants: the refunds of a payment never exceed
-- it; a refund in state succeeded has its transfer, one in state failed has none and took nothing from what is left; each
-- has a right to debit the payee's account of its own: the partner's access, the consent that the call is bound to, or an
-- agreement of the account's owner, of which the last two are drawn on exactly. A reference is used once per partner.
-- Without an amount all that is left goes back. Refunds that share a payment, a right that is drawn on, or a reference run
-- in rounds, one a round.
-- Locks: references by hash, then payments, consents, agreements, accounts, each by id.
create function e_payment.refund(book int, calls tb.call[]) returns setof tb.answer
language plpgsql volatile strict security invoker
set search_path = pg_catalog
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
    locked     text[];                          -- agreements
    accounts   text[];
    round_of   int[] := array[]::int[];         -- by place of the call, from 1
    turns      jsonb := jsonb_build_object();   -- the last round of whatever calls share
    turn       int;
    rounds     int := 0;
    asked      e_payment.refund_order[];
    spendings  consent.spending[];
    verdicts   consent.verdict[];
    refunds    e_payment.refund[];
    outcomes   bank.outcome[];
    o          record;
begin
    perform pg_advisory_xact_lock(k.hash)
       from (select distinct tb.key_lock(refund.book, c.partner, 'e_payment.refund_reference', c.body->>'reference') as hash
               from unnest(calls) c where c.body ? 'reference' order by 1) k;
    select array_agg(l.debtor_account) || array_agg(l.creditor_account) into accounts
      from (select p.debtor_account, p.creditor_account from e_payment.payment p
             where p.book = refund.book and p.id = any (array(select c.path->>'payment_id' from unnest(calls) c))
             order by p.id for no key update) l;
    perform consent.lock(refund.book, array(select c.consent from unnest(calls) c where c.consent is not null));
    select bank.lock_agreements(refund.book, 'refund', array_agg(p.creditor_account), array_agg(p.partner)) into locked
      from e_payment.payment p
     where p.book = refund.book and p.id = any (array(select c.path->>'payment_id' from unnest(calls) c));
    perform bank.lock(refund.book, accounts);

    for o in
        select c.n + 1 as place, 'reference ' || c.partner || ' ' || (c.body->>'reference') as reference,
               case when p.id is null then 'call ' || c.n
                    when bool_or(c.consent is not null or not e_payment.may_debit(refund.book, c.partner, p.creditor_account))
                         over (partition by p.creditor_account) then p.creditor_account
                    else p.id end as shared
          from unnest(calls) c
          left join e_payment.payment p on p.book = refund.book and p.id = c.path->>'payment_id'
         order by c.n
    loop
        turn := 1 + greatest((turns->o.shared)::int, (turns->o.reference)::int, 0);
        turns := turns || jsonb_build_object(o.shared, turn, coalesce(o.reference, o.shared), turn);
        round_of[o.place] := turn;
        rounds := greatest(rounds, turn);
    end loop;

    for turn in 1 .. rounds loop
        asked := array(
            select j from e_payment.judge_refunds(refund.book, array(select c from unnest(calls) c where round_of[c.n + 1] = turn
                                                                      order by c.n), locked) j order by j.n);
        spendings := array(
            select row(a.n, a.consent, a.partner, a.app, (a.p).creditor_account, (a.p).debtor_account, a.amount, (a.p).currency,
                       coalesce(a.reference, ''), a.now, a.route, 'rfd_' || a.id_suffix, a.request, null, a.details)::consent.spending
              from unnest(asked) a where a.code is null and a.consent is not null order by a.n);
        verdicts := array(select v from consent.draw(refund.book, spendings) v);
        return query
        select (e_payment.refuse_refund(a)).* from unnest(asked) a where a.code is not null
        union all
        select v.n, 403, v.code, v.detail, null::text, null::text, null::text, v.extra, false
          from unnest(verdicts) v where v.code is not null;

        asked := array(select a from unnest(asked) a
                        where a.code is null
                          and not exists (select from unnest(verdicts) v where v.n = a.n and v.code is not null) order by a.n);
        refunds := array(
            select row(a.amount, a.now, a.now, refund.book, 'rfd_' || a.id_suffix, a.partner, a.app, (a.p).id, (a.p).currency,
                       'succeeded', null, a.reference, a.reason, a.metadata, a.consent, a.agreement)::e_payment.refund
              from unnest(asked) a order by a.n);
        -- by the limits of the account that is debited, like any other debit
        outcomes := array(
            select t from bank.post(refund.book, array(
                select row('transfer', 'xfr_' || a.id_suffix, (a.p).creditor_account, (a.p).debtor_account, a.amount, (a.p).currency,
                           'refund', a.now, true, null, null, null, null)::bank.instruction
                  from unnest(asked) a order by a.n)) t);
        for o in select * from unnest(outcomes) t where t.code is not null loop
            refunds[o.n].state := 'failed';
            refunds[o.n].failure := e_payment.failure(o.code, true);
        end loop;

        update e_payment.payment p
           set refunded = p.refunded + r.amount, updated_at = r.created_at
          from unnest(refunds) r
         where p.book = refund.book and p.id = r.payment and r.state = 'succeeded';
        perform consent.settle(refund.book, array(
            select row(s.n, s.consent, s.partner, s.app, s.debtor, s.creditor, s.amount, s.currency, s.reference, s.at,
                       s.operation, s.object, s.request_id, r.state, s.details)::consent.spending
              from unnest(spendings) s join unnest(refunds) r on r.id = s.object order by s.n));
        perform bank.count_agreements(refund.book, array_agg(r.agreement), array_agg(r.amount), array_agg(r.created_at))
           from unnest(refunds) r where r.agreement is not null and r.state = 'succeeded' having count(*) > 0;

        return query
        with refunded as (
            insert into e_payment.refund select * from unnest(refunds)),
        told as (
            insert into event.outbox
            select r.created_at, r.book, 'evt_' || right(r.id, 26), r.partner, 'refund.' || r.state, r.id,
                   concat('{"id":"', r.id, '","object":"refund","state":"', r.state, '","payment":"', r.payment, '"}')
              from unnest(refunds) r)
        select a.n, 201, null::text, null::text, null::text,
               '/e-payment/v1/payments/' || r.payment || '/refunds/' || r.id,
               e_payment.refund_json(r), null::jsonb, false
          from unnest(refunds) r
          join unnest(asked) a on 'rfd_' || a.id_suffix = r.id;
    end loop;
end
$$;

create function e_payment.may_debit(book int, partner text, account text) returns boolean
language sql stable strict security invoker
begin atomic
    select exists (select from bank.account_access x
                    where x.book = may_debit.book and x.partner = may_debit.partner and x.account = may_debit.account
                      and x.can_debit);
end;

-- Judges refunds of which no two share a payment, an agreement or a reference. A call that is bound to a consent finds
-- what was paid to the consent's account; what the consent says to the rest is asked of the consent.
create function e_payment.judge_refunds(book int, calls tb.call[], locked text[]) returns setof e_payment.refund_order
language plpgsql stable strict security invoker
set search_path = pg_catalog
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
begin
    return query
    select t.n, t.id_suffix, t.partner, t.app, t.now, t.route, t.request, t.consent, t.details, t.reference, t.body->>'reason',
           t.body->'metadata', t.p, t.amount, g.agreement,
           case when t.code is not null    then t.code
                when g.detail is not null  then 'refund_not_authorised' end,
           g.detail, t.taken_by, t.taken_of,
           case when t.code = 'refund_exceeds_payment' then (t.p).amount - (t.p).refunded else g.remaining end
      from (select s.*, case
                       when (s.p).id is null                                     then 'not_found'
                       when s.taken_by is not null                               then 'duplicate_reference'
                       when (s.p).state <> 'succeeded'                           then 'payment_not_refundable'
                       when s.body->'amount'->>'currency' <> (s.p).currency      then 'currency_mismatch'
                       when s.amount > (s.p).amount - (s.p).refunded or (s.p).amount = (s.p).refunded
                                                                                 then 'refund_exceeds_payment'
                       when s.amount <= 0                                        then 'amount_out_of_range' end as code
              from (select c.*, q.p, c.body->>'reference' as reference, f.id as taken_by, f.payment as taken_of,
                           coalesce((c.body->'amount'->'amount')::bigint, (q.p).amount - (q.p).refunded) as amount
                      from unnest(calls) c
                      left join lateral (
                            select p from e_payment.payment p
                             where p.book = judge_refunds.book and p.id = c.path->>'payment_id' and p.partner = c.partner
                               and (c.consent is null
                                    or exists (select from consent.consent k
                                                where k.book = judge_refunds.book and k.id = c.consent
                                                  and k.debtor = p.creditor_account))
                             limit 1) q on true
                      left join lateral (
                            select r.id, r.payment from e_payment.refund r
                             where r.book = judge_refunds.book and r.reference = c.body->>'reference'
                               and r.partner is not distinct from c.partner limit 1) f on true offset 0) s) t
      left join lateral bank.judge_agreement(judge_refunds.book, 'refund', (t.p).creditor_account, t.partner, t.amount,
                                             (t.p).created_at, t.now, judge_refunds.locked) g
             on t.code is null and t.consent is null
                and not e_payment.may_debit(judge_refunds.book, t.partner, (t.p).creditor_account);
end
$$;

create function e_payment.refuse_refund(o e_payment.refund_order) returns tb.answer
language sql stable parallel safe security invoker
return case (o).code
    when 'not_found' then e_payment.refuse((o).n, 404, (o).code, 'no such payment', null, null)
    when 'duplicate_reference' then row((o).n, 409, (o).code, 'the reference belongs to refund ' || (o).taken_by, '/reference',
        '/e-payment/v1/payments/' || (o).taken_of || '/refunds/' || (o).taken_by, null,
        jsonb_build_object('payment', (o).taken_of, 'refund', (o).taken_by), false)::tb.answer
    when 'payment_not_refundable' then e_payment.refuse((o).n, 409, (o).code, 'the payment is ' || ((o).p).state, null, null)
    when 'currency_mismatch' then e_payment.refuse((o).n, 422, (o).code, 'the payment was made in ' || ((o).p).currency,
        '/amount/currency', null)
    when 'refund_exceeds_payment' then e_payment.refuse((o).n, 409, (o).code, 'more than is left of the payment',
        '/amount/amount', jsonb_build_object('remaining', tb.money((o).remaining, ((o).p).currency)::jsonb))
    when 'refund_not_authorised' then e_payment.refuse((o).n, 409, (o).code,
        'you may not debit the creditor account, and ' || (o).detail, null,
        case when (o).remaining is not null
             then jsonb_build_object('remaining', tb.money((o).remaining, ((o).p).currency)::jsonb) end)
    else e_payment.refuse((o).n, 422, (o).code, 'the amount must be above zero', '/amount/amount', null) end;
