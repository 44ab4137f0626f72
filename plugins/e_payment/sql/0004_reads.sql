-- What a partner reads: its own payments and refunds, nobody else's; by a consent (null: none) only what was paid or refunded
-- under it and its token could have, by its own details. Pages run by (created_at, id), newest first.

-- GET /e-payment/v1/payments/{payment_id}: no row = not found.
create function e_payment.read_payment(book int, partner text, consent text, details jsonb, id text) returns setof text
language plpgsql stable security invoker
set search_path = pg_catalog
set enable_seqscan = off
as $$
#variable_conflict use_column
begin
    return query
    select e_payment.payment_json(p) from e_payment.payment p
     where p.book = read_payment.book and p.id = read_payment.id and p.partner = read_payment.partner
       and (read_payment.consent is null
            or p.consent = read_payment.consent
           and consent.shows(read_payment.details, p.debtor_account, p.creditor_account, p.amount, p.currency, p.reference));
end
$$;

-- Whether a refund is one that was made under a consent and that its token could have made. Without a consent any is.
create function e_payment.shows_refund(consent text, details jsonb, r e_payment.refund) returns boolean
language sql stable security invoker
begin atomic
    select shows_refund.consent is null
        or (r).consent = shows_refund.consent
       and exists (select from e_payment.payment p
                    where p.book = (r).book and p.id = (r).payment
                      and consent.shows(shows_refund.details, p.creditor_account, p.debtor_account, (r).amount, (r).currency,
                                        coalesce((r).reference, '')));
end;

-- GET /e-payment/v1/payments/{payment_id}/refunds/{refund_id}: no row = not found.
create function e_payment.read_refund(book int, partner text, consent text, details jsonb, payment text, id text)
returns setof text
language sql stable security invoker
begin atomic
    select e_payment.refund_json(r) from e_payment.refund r
     where r.book = read_refund.book and r.id = read_refund.id and r.partner = read_refund.partner
       and r.payment = read_refund.payment and e_payment.shows_refund(read_refund.consent, read_refund.details, r);
end;

-- The payments made under a consent. They are few, so one sort serves both directions.
create function e_payment.list_consented(book int, partner text, consent text, details jsonb, state text, reference text,
                                         created_gte timestamptz, created_lt timestamptz, after text, before text,
                                         rows_n int) returns setof tb.page
language plpgsql stable security invoker
set search_path = pg_catalog
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    backwards constant boolean := list_consented.before is not null;
    place     e_payment.payment;
    places    text[];
    bodies    text[];
begin
    if coalesce(after, before) is not null then
        select p.* into place from e_payment.payment p
         where p.book = list_consented.book and p.id = coalesce(list_consented.after, list_consented.before)
           and p.partner = list_consented.partner and p.consent = list_consented.consent;
        if not found then
            return;
        end if;
    end if;
    select coalesce(array_agg((l.p).id order by l.turn), '{}'),
           coalesce(array_agg(e_payment.payment_json(l.p) order by l.turn), '{}')
      into places, bodies
      from (select p, row_number() over (order by case when backwards then p.created_at end, case when backwards then p.id end,
                                                  p.created_at desc, p.id desc) as turn
              from e_payment.payment p
             where p.book = list_consented.book and p.consent = list_consented.consent
               and p.partner = list_consented.partner
               and consent.shows(list_consented.details, p.debtor_account, p.creditor_account, p.amount, p.currency,
                                 p.reference)
               and (list_consented.state is null or p.state = list_consented.state)
               and (list_consented.reference is null or p.reference = list_consented.reference)
               and (list_consented.created_gte is null or p.created_at >= list_consented.created_gte)
               and (list_consented.created_lt is null or p.created_at < list_consented.created_lt)
               and case when place.id is null then true
                        when backwards then (p.created_at, p.id) > (place.created_at, place.id)
                        else (p.created_at, p.id) < (place.created_at, place.id) end) l
     where l.turn <= list_consented.rows_n + 1;
    return next tb.page(places, bodies, list_consented.rows_n, backwards);
end
$$;

-- GET /e-payment/v1/payments. Filters that are null do not filter; `after` and `before` are ids of payments and at most
-- one of them is given. No row when that payment does not exist.
create function e_payment.list_payments(book int, partner text, consent text, details jsonb, state text, reference text,
                                        created_gte timestamptz, created_lt timestamptz, after text, before text,
                                        rows_n int)
returns setof tb.page
language plpgsql stable security invoker
set search_path = pg_catalog
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    low    record;      -- the open interval of (created_at, id) that the page comes from
    high   record;
    places text[];
    bodies text[];
begin
    if list_payments.consent is not null then
        return query
        select * from e_payment.list_consented(book, partner, consent, details, state, reference, created_gte, created_lt,
                                               after, before, rows_n);
        return;
    end if;
    select coalesce(list_payments.created_gte, '-infinity') as created_at, '' as id into low;
    select coalesce(list_payments.created_lt, 'infinity') as created_at, '' as id into high;
    if list_payments.before is not null then
        select p.created_at, p.id into low from e_payment.payment p
         where p.book = list_payments.book and p.partner = list_payments.partner and p.id = list_payments.before;
        if not found then
            return;
        end if;
    end if;
    if list_payments.after is not null then
        select p.created_at, p.id into high from e_payment.payment p
         where p.book = list_payments.book and p.partner = list_payments.partner and p.id = list_payments.after;
        if not found then
            return;
        end if;
    end if;

    if list_payments.before is null then
        select coalesce(array_agg(l.id), '{}'), coalesce(array_agg(l.body), '{}') into places, bodies
          from (select p.id, e_payment.payment_json(p) as body from e_payment.payment p
                 where p.book = list_payments.book and p.partner = list_payments.partner
                   and (p.created_at, p.id) < (high.created_at, high.id)
                   and p.created_at >= low.created_at
                   and (list_payments.created_lt is null or p.created_at < list_payments.created_lt)
                   and (list_payments.state is null or p.state = list_payments.state)
                   and (list_payments.reference is null or p.reference = list_payments.reference)
                 order by p.created_at desc, p.id desc limit list_payments.rows_n + 1) l;
    else
        select coalesce(array_agg(l.id), '{}'), coalesce(array_agg(l.body), '{}') into places, bodies
          from (select p.id, e_payment.payment_json(p) as body from e_payment.payment p
                 where p.book = list_payments.book and p.partner = list_payments.partner
                   and (p.created_at, p.id) > (low.created_at, low.id)
                   and p.created_at < high.created_at
                   and (list_payments.created_gte is null or p.created_at >= list_payments.created_gte)
                   and (list_payments.state is null or p.state = list_payments.state)
                   and (list_payments.reference is null or p.reference = list_payments.reference)
                 order by p.created_at, p.id limit list_payments.rows_n + 1) l;
    end if;
    return next tb.page(places, bodies, list_payments.rows_n, list_payments.before is not null);
end
$$;

-- GET /e-payment/v1/payments/{payment_id}/refunds, newest first; by a consent those made under it. No row when the payment is
-- not found, or has none under the consent, or the place does not exist.
create function e_payment.list_refunds(book int, partner text, consent text, details jsonb, payment text, after text,
                                       before text, rows_n int) returns setof tb.page
language plpgsql stable security invoker
set search_path = pg_catalog
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    cursor_at timestamptz;
    cursor_id constant text := coalesce(list_refunds.after, list_refunds.before);
    backwards constant boolean := list_refunds.before is not null;
    places    text[];
    bodies    text[];
begin
    perform from e_payment.payment p
      where p.book = list_refunds.book and p.partner = list_refunds.partner and p.id = list_refunds.payment
        and (list_refunds.consent is null
             or p.consent = list_refunds.consent
                and consent.shows(list_refunds.details, p.debtor_account, p.creditor_account, p.amount, p.currency, p.reference)
             or exists (select from e_payment.refund r
                         where r.book = p.book and r.payment = p.id
                           and e_payment.shows_refund(list_refunds.consent, list_refunds.details, r)));
    if not found then
        return;
    end if;
    if cursor_id is not null then
        select r.created_at into cursor_at from e_payment.refund r
         where r.book = list_refunds.book and r.payment = list_refunds.payment and r.id = cursor_id
           and e_payment.shows_refund(list_refunds.consent, list_refunds.details, r);
        if not found then
            return;
        end if;
    end if;
    -- A payment has few refunds: one sort serves both directions.
    select coalesce(array_agg(l.id order by l.turn), '{}'), coalesce(array_agg(l.body order by l.turn), '{}')
      into places, bodies
      from (select r.id, e_payment.refund_json(r) as body,
                   row_number() over (order by case when backwards then r.created_at end,
                                               case when backwards then r.id end,
                                               r.created_at desc, r.id desc) as turn
              from e_payment.refund r
             where r.book = list_refunds.book and r.payment = list_refunds.payment
               and e_payment.shows_refund(list_refunds.consent, list_refunds.details, r)
               and case when cursor_id is null then true
                        when backwards then (r.created_at, r.id) > (cursor_at, cursor_id)
                        else (r.created_at, r.id) < (cursor_at, cursor_id) end) l
     where l.turn <= list_refunds.rows_n + 1;
    return next tb.page(places, bodies, list_refunds.rows_n, backwards);
end
$$;
