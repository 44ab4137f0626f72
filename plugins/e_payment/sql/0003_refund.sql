-- POST /e-payment/v1/payments/{payment_id}/refunds

-- Refunds, in part or whole and as often as there is something left. Invariants: the refunds of a payment never exceed
-- it; a refund in state succeeded has its transfer, one in state failed has none and took nothing from what is left.
-- Without an amount all that is left goes back. Several refunds of one payment in a batch run in rounds, one a round.
-- Locks: payments by id, then accounts by id.
create function e_payment.refund(book int, calls tb.call[]) returns setof tb.answer
language plpgsql volatile strict security invoker
set search_path = pg_catalog
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
declare
    rounds   int;
    asked    e_payment.refund[];
    orders   bank.instruction[];
    outcomes bank.outcome[];
    o        record;
begin
    perform bank.lock(refund.book, array_agg(l.debtor_account) || array_agg(l.creditor_account))
       from (select p.debtor_account, p.creditor_account from e_payment.payment p
              where p.book = refund.book and p.id = any (array(select c.path->>'payment_id' from unnest(calls) c))
              order by p.id for no key update) l;

    select coalesce(max(t.calls), 0) into rounds
      from (select count(*) as calls from unnest(calls) c group by c.path->>'payment_id') t;

    for turn in 1 .. rounds loop
        return query
        select (e_payment.refuse_refund(k.n, k.code, k.p)).*
          from e_payment.judge_refunds(refund.book, calls, turn) k where k.code is not null;

        select coalesce(array_agg(row(k.amount, k.now, k.now, refund.book, 'rfd_' || k.stem, (k.p).partner, k.app,
                                      (k.p).id, (k.p).currency, 'succeeded', null, k.body->>'reason',
                                      k.body->'metadata')::e_payment.refund order by k.n), '{}'),
               coalesce(array_agg(row('transfer', 'xfr_' || k.stem, (k.p).creditor_account, (k.p).debtor_account,
                                      k.amount, (k.p).currency, 'refund', k.now, false, null, null, null,
                                      null)::bank.instruction order by k.n), '{}')
          into asked, orders
          from e_payment.judge_refunds(refund.book, calls, turn) k where k.code is null;

        outcomes := array(select t from bank.post(refund.book, orders) t);
        for o in select * from unnest(outcomes) t where t.code is not null loop
            asked[o.n].state := 'failed';
            asked[o.n].failure := e_payment.failure(o.code, true);
        end loop;

        update e_payment.payment p
           set refunded = p.refunded + r.amount, updated_at = r.created_at
          from unnest(asked) r
         where p.book = refund.book and p.id = r.payment and r.state = 'succeeded';

        return query
        with refunded as (
            insert into e_payment.refund select * from unnest(asked)),
        told as (
            insert into event.outbox
            select r.created_at, r.book, 'evt_' || right(r.id, 26), r.partner, 'refund.' || r.state, r.id,
                   concat('{"id":"', r.id, '","object":"refund","state":"', r.state, '","payment":"', r.payment, '"}')
              from unnest(asked) r)
        select c.n, 201, null::text, null::text, null::text,
               '/e-payment/v1/payments/' || r.payment || '/refunds/' || r.id,
               e_payment.refund_json(r), null::jsonb, false
          from unnest(asked) r
          join unnest(calls) c on 'rfd_' || c.stem = r.id;
    end loop;
end
$$;

-- The calls whose turn it is, each with its payment as it stands, the amount it comes to, and why it must be refused.
create function e_payment.judge_refunds(book int, calls tb.call[], turn int,
    out n int, out stem text, out app text, out now timestamptz, out body jsonb,
    out p e_payment.payment, out amount bigint, out code text) returns setof record
language plpgsql stable strict security invoker
set search_path = pg_catalog
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
begin
    return query
    select t.n, t.stem, t.app, t.now, t.body, t.p, t.amount, case
               when (t.p).id is null                                     then 'not_found'
               when (t.p).state <> 'succeeded'                           then 'payment_not_refundable'
               when t.body->'amount'->>'currency' <> (t.p).currency      then 'currency_mismatch'
               when t.amount > (t.p).amount - (t.p).refunded or (t.p).amount = (t.p).refunded
                                                                         then 'refund_exceeds_payment'
               when t.amount <= 0                                        then 'amount_out_of_range' end
      from (select c.*, q.p,
                   coalesce((c.body->'amount'->'amount')::bigint, (q.p).amount - (q.p).refunded) as amount
              from (select c.*, row_number() over (partition by c.path->>'payment_id' order by c.n) as place
                      from unnest(calls) c) c
              left join lateral (
                    select p from e_payment.payment p
                     where p.book = judge_refunds.book and p.id = c.path->>'payment_id' and p.partner = c.partner
                     limit 1) q on true
             where c.place = judge_refunds.turn) t;
end
$$;

create function e_payment.refuse_refund(n int, code text, p e_payment.payment) returns tb.answer
language sql stable parallel safe security invoker
return case code
    when 'not_found' then e_payment.refuse(n, 404, code, 'no such payment', null, null)
    when 'payment_not_refundable' then e_payment.refuse(n, 409, code, 'the payment is ' || p.state, null, null)
    when 'currency_mismatch' then e_payment.refuse(n, 422, code, 'the payment was made in ' || p.currency,
        '/amount/currency', null)
    when 'refund_exceeds_payment' then e_payment.refuse(n, 409, code, 'more than is left of the payment',
        '/amount/amount', jsonb_build_object('remaining', tb.money(p.amount - p.refunded, p.currency)::jsonb))
    else e_payment.refuse(n, 422, code, 'the amount must be above zero', '/amount/amount', null) end;
