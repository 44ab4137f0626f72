-- Using a consent: reads are judged one by one (consent.use), payments in the transaction that makes them (consent.draw,
-- consent.settle). Every use leaves a receipt. A use is judged by what its token says (consent.narrow), which may be less
-- than the consent, and counts against the whole consent.

-- What a mandate or a payment consent has paid out in a period. Exact, because whoever changes a row holds the consent's.
create table consent.spent (
    book    int    not null,
    n       int    not null,
    amount  bigint not null check (amount >= 0),
    period  date   not null,            -- its first day
    consent text   collate "C" not null,
    primary key (book, consent, n, period),
    foreign key (book, consent, n) references consent.allowance
);

-- Uses of a day, for consents with a frequency.
create table consent.day_use (
    book      int  not null,
    uses_n    int  not null,
    day       date not null,
    consent   text collate "C" not null,
    operation text collate "C" not null,
    account   text collate "C" not null,    -- '' where the operation names none
    primary key (book, consent, day, operation, account),
    foreign key (book, consent) references consent.consent
);

-- Who did what, when, under which version. `outcome`: granted (a read), or what became of the payment.
create table consent.receipt (
    amount     bigint,
    at         timestamptz not null,
    book       int         not null,
    version    int         not null,
    consent    text        collate "C" not null,
    id         text        collate "C" not null,
    app        text        collate "C" not null,
    operation  text        collate "C" not null,
    outcome    text        collate "C" not null check (outcome in ('granted', 'succeeded', 'failed')),
    account    text        collate "C",
    object     text        collate "C",     -- the payment
    currency   text        collate "C",
    request_id text        collate "C",
    primary key (book, consent, id),
    foreign key (book, consent) references consent.consent
);

-- Why a consent may not be used at a moment; null when it may. One whose end has come is over, whatever its status says.
create function consent.standing(c consent.consent, at timestamptz) returns text
language sql immutable security invoker
return case
    when c.id is null or c.status in ('CANC', 'RJCT')                                then 'consent_revoked'
    when c.status = 'COND'                                                           then 'consent_consumed'
    when c.status = 'EXPD' or at >= c.ends_at                                        then 'consent_expired'
    when c.status in ('AWAU', 'AWAF') or at < c.valid_from                           then 'consent_pending' end;

-- A consent as a token under it may use it: what the details of the token say, where that is less. They were within the
-- consent's when the token was issued, and what a consent says of payments does not change later; accounts do, and are
-- held against each other in bank.opened(). `details`: the token's authorization_details, an array of one; null: the
-- consent's.
create function consent.narrow(c consent.consent, details jsonb) returns consent.consent
language plpgsql stable security invoker
set search_path = pg_catalog
as $$
declare
    t consent.consent;
begin
    if details->0 is null or details->0 = c.details then
        return c;
    end if;
    t := consent.terms(details->0);
    c.details := c.details || (details->0);
    c.creditors := coalesce(t.creditors, c.creditors);
    c.amount := least(c.amount, t.amount);
    c.hour_from := coalesce(t.hour_from, c.hour_from);
    c.hour_to := coalesce(t.hour_to, c.hour_to);
    c.frequency := least(c.frequency, t.frequency);
    c.valid_from := greatest(c.valid_from, t.valid_from);
    c.ends_at := least(c.ends_at, t.valid_to);
    return c;
end
$$;

-- ---- reads ----

-- Count the uses of a consent by day from now on, for a token that has a frequency where the consent has none. Those of
-- today that are past are taken from their receipts.
create function consent.count_uses(book int, id text, at timestamptz) returns void
language plpgsql volatile strict security invoker
set search_path = pg_catalog
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    today constant date := consent.world_day(book, at);
begin
    update consent.consent k set counted = true where k.book = count_uses.book and k.id = count_uses.id;
    insert into consent.day_use (book, uses_n, day, consent, operation, account)
    select count_uses.book, count(*), today, count_uses.id, r.operation, coalesce(r.account, '')
      from bank.book b
      join bank.world w on w.id = b.world
      join consent.receipt r on r.book = b.book and r.consent = count_uses.id and r.outcome = 'granted'
     where b.book = count_uses.book and (r.at at time zone w.time_zone)::date = today
     group by r.operation, r.account
    on conflict do nothing;
end
$$;

-- Use a consent for one request that reads: null and a receipt, or the code of the refusal. `details` are those of the
-- token (see consent.narrow), `types` the detail types that open the operation, joined by '|'. What a payment consent paid for can be read when it is used up. A frequency
-- counts every request of a day of the world, by operation and account; the count is exact, because its row is changed
-- only while it is below.
create function consent.use(book int, id text, details jsonb, app text, receipt text, operation text, types text,
                            account text, request_id text, at timestamptz) returns text
language plpgsql volatile security invoker
set search_path = pg_catalog
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    c    consent.consent;
    code text;
begin
    select k.* into c from consent.consent k
     where k.book = use.book and k.id = use.id and k.app = use.app;
    if details->0 <> c.details then
        c := consent.narrow(c, details);
    end if;
    code := nullif(consent.standing(c, at), 'consent_consumed');
    code := case when code is not null then code
                 when c.type <> all (string_to_array(types, '|')) then 'consent_mismatch'
                 when c.kind = 'reads' and account is not null
                      and not exists (select from bank.opened(use.book, use.id, use.details) x where x.account = use.account)
                 then 'not_found' end;
    if code is not null then
        return code;
    end if;
    if c.frequency is not null and not c.counted then
        perform consent.count_uses(book, id, at);
    end if;
    if c.frequency is not null or c.counted then
        insert into consent.day_use as u (book, uses_n, day, consent, operation, account)
        values (use.book, 1, consent.world_day(use.book, use.at), use.id, use.operation, coalesce(use.account, ''))
        on conflict (book, consent, day, operation, account)
        do update set uses_n = u.uses_n + 1 where c.frequency is null or u.uses_n < c.frequency;
        if not found then
            return 'consent_limit_exceeded';
        end if;
    end if;
    insert into consent.receipt (at, book, version, consent, id, app, operation, outcome, account, request_id)
    values (use.at, use.book, c.version, use.id, use.receipt, use.app, use.operation, 'granted', use.account,
            use.request_id);
    return null;
end
$$;

-- ---- periods ----

create function consent.world_day(book int, at timestamptz) returns date
language sql stable strict security invoker
begin atomic
    select (at at time zone w.time_zone)::date
      from bank.book b join bank.world w on w.id = b.world where b.book = world_day.book;
end;

-- The period that a day lies in: from its first day to the first day after it. Aligned to the calendar, weeks begin on
-- Monday, fortnights on every second Monday counted from 5 January 1970, half-years in January and July. Aligned to the
-- consent, periods begin on the day it begins and as many days or months later; a month that lacks that day uses its last.
create function consent.period(period_type text, alignment text, origin date, day date, out starts date, out ends date)
language plpgsql immutable strict parallel safe security invoker
set search_path = pg_catalog
as $$
declare
    days   constant int := case period_type when 'Day' then 1 when 'Week' then 7 when 'Fortnight' then 14 end;
    months constant int := case period_type when 'Month' then 1 when 'Half-year' then 6 when 'Year' then 12 end;
    zero   constant date := case when alignment = 'Consent' then origin
                                 when days is not null then date '1970-01-05' else date '1970-01-01' end;
    whole  int;     -- periods between zero and the day
begin
    if period_type = 'Once' then
        starts := '-infinity';
        ends := 'infinity';
    elsif days is not null then
        whole := floor((day - zero)::numeric / days);
        starts := zero + whole * days;
        ends := starts + days;
    else
        whole := (extract(year from day) - extract(year from zero)) * 12 + extract(month from day) - extract(month from zero);
        if zero + whole * interval '1 month' > day then
            whole := whole - 1;
        end if;
        whole := floor(whole::numeric / months) * months;
        starts := zero + whole * interval '1 month';
        ends := zero + (whole + months) * interval '1 month';
    end if;
end
$$;

-- The allowances of a consent with the period that `at` lies in and what was spent in it.
create function consent.allowances(c consent.consent, at timestamptz,
    out n int, out period_type text, out alignment text, out amount bigint, out spent bigint, out starts date, out ends date)
returns setof record
language sql stable security invoker
begin atomic
    select a.n, a.period_type, a.alignment, a.amount, coalesce(s.amount, 0), p.starts, p.ends
      from consent.allowance a
     cross join consent.period(a.period_type, a.alignment, consent.world_day((c).book, (c).valid_from),
                               consent.world_day((c).book, at)) p
      left join consent.spent s on s.book = a.book and s.consent = a.consent and s.n = a.n and s.period = p.starts
     where a.book = (c).book and a.consent = (c).id
     order by a.n;
end;

-- ---- payments ----

-- Count what is paid in periods of one more kind, for a token that was narrowed to a limit which the consent has not. What
-- was paid so far is taken from the receipts. The caller holds the consent, and nothing of it is drawn and unsettled.
create function consent.count_period(c consent.consent, period_type text, alignment text) returns void
language plpgsql volatile strict security invoker
set search_path = pg_catalog
as $$
declare
    made consent.allowance;
begin
    insert into consent.allowance (book, n, consent, period_type, alignment)
    select c.book, max(a.n) + 1, c.id, count_period.period_type, count_period.alignment from consent.allowance a
     where a.book = c.book and a.consent = c.id
    returning * into made;
    insert into consent.spent (book, n, amount, period, consent)
    select c.book, made.n, sum(d.amount), p.starts, c.id
      from (select (r.at at time zone w.time_zone)::date as day, sum(r.amount) as amount
              from bank.book b
              join bank.world w on w.id = b.world
              join consent.receipt r on r.book = b.book and r.consent = c.id and r.outcome = 'succeeded'
             where b.book = c.book group by 1) d
     cross join consent.period(made.period_type, made.alignment, consent.world_day(c.book, c.valid_from), d.day) p
     group by p.starts;
end
$$;

-- Something a partner wants to spend under a consent. `outcome` is for settling: succeeded, failed, or null when it left
-- no trace. `details`: the token's authorization_details (see consent.narrow).
create type consent.spending as (
    n          int,         -- place in the batch
    consent    text,
    partner    text,
    app        text,
    debtor     text,
    creditor   text,
    amount     bigint,
    currency   text,
    reference  text,
    at         timestamptz,
    operation  text,
    object     text,        -- id of the payment
    request_id text,
    outcome    text,
    details    jsonb
);

-- What a consent says to a spending: code null = yes.
create type consent.verdict as (
    n       int,
    code    text,
    detail  text,
    pointer text,
    extra   jsonb
);

create function consent.refusal_detail(code text) returns text
language sql immutable strict parallel safe security invoker
return case code
    when 'consent_revoked'  then 'the consent is not given any more'
    when 'consent_expired'  then 'the consent has run out'
    when 'consent_pending'  then 'the consent is not in force yet'
    when 'consent_consumed' then 'the consent was for one payment, which was made' end;

-- Allowed hours run from the first minute to before the last, by the clock on the world's walls; when the end is before
-- the beginning they pass midnight.
create function consent.within_hours(c consent.consent, at timestamptz) returns boolean
language sql stable security invoker
begin atomic
    select (c).hour_from is null
        or case when (c).hour_from < (c).hour_to then t.now >= (c).hour_from and t.now < (c).hour_to
                else t.now >= (c).hour_from or t.now < (c).hour_to end
      from (select (within_hours.at at time zone w.time_zone)::time as now
              from bank.book b join bank.world w on w.id = b.world where b.book = (c).book) t;
end;

-- The limits by period that the details of a token name.
create function consent.limits(details jsonb, out period_type text, out alignment text, out amount bigint)
returns setof record
language sql immutable strict parallel safe security invoker
begin atomic
    select l.period_type, l.period_alignment, (l.amount->'amount')::bigint
      from jsonb_to_recordset(limits.details->0->'periodic_limits') as l (period_type text, period_alignment text, amount jsonb);
end;

-- Whether a payment is one that a token could have made, whatever the hour: those of its consent it may read. `details`:
-- the token's authorization_details; null: all of the consent's.
create function consent.shows(details jsonb, debtor text, creditor text, amount bigint, currency text, reference text)
returns boolean
language sql immutable parallel safe security invoker
return details is null
    or coalesce(details->0->>'debtor_account', debtor) = debtor
   and coalesce(details->0->>'creditor_account', creditor) = creditor
   and coalesce(details->0->'creditor_accounts' ? creditor, true)
   and coalesce(details->0->'amount'->>'currency', details->0->'maximum_individual_amount'->>'currency') = currency
   and amount <= coalesce(details->0->'amount'->'amount', details->0->'maximum_individual_amount'->'amount')::bigint
   and coalesce(details->0->>'reference', reference) = reference;

-- Whether a consent in force covers a spending, leaving aside what was spent already.
create function consent.covers(c consent.consent, s consent.spending) returns consent.verdict
language sql stable security invoker
begin atomic
    select row(s.n, v.code, v.detail, v.pointer, null)::consent.verdict
      from (select case
                when (c).kind not in ('once', 'limits') then array['consent_mismatch', 'the consent is not one to pay', '']
                when s.debtor <> (c).debtor
                then array['consent_mismatch', 'the consent is for another debtor account', '/debtor_account']
                when s.creditor <> all ((c).creditors)
                then array['consent_mismatch', 'the consent does not name this creditor account', '/creditor_account']
                when s.currency <> (c).currency
                then array['consent_mismatch', 'the consent is in ' || (c).currency, '/amount/currency']
                when s.amount <= 0 or (c).kind = 'once' and s.amount <> (c).amount
                then array['consent_mismatch', 'the consent is for the amount of ' || (c).amount, '/amount/amount']
                when (c).kind = 'once' and s.reference <> (c).details->>'reference'
                then array['consent_mismatch', 'the consent is for another reference', '/reference']
                when s.amount > (c).amount
                then array['consent_limit_exceeded', 'the consent allows no single payment above ' || (c).amount,
                           '/amount/amount']
                when not consent.within_hours(c, s.at)
                then array['consent_mismatch', 'the consent allows payments from ' || to_char((c).hour_from, 'HH24:MI')
                           || ' to ' || to_char((c).hour_to, 'HH24:MI') || ' only', '']
                else array[null, null, null] end as w) j
     cross join lateral (select j.w[1] as code, j.w[2] as detail, nullif(j.w[3], '') as pointer) v;
end;

-- Locks consents for the rest of the transaction, in the order of their ids.
create function consent.lock(book int, consents text[]) returns void
language plpgsql volatile strict security invoker
set search_path = pg_catalog
set enable_seqscan = off
as $$
#variable_conflict use_column
begin
    perform k.id from consent.consent k
      where k.book = lock.book and k.id = any (lock.consents) order by k.id for no key update;
end
$$;

-- Judges spendings in their order and takes from the allowances what each comes to. Invariants: a payment consent is
-- drawn on once; no allowance is ever overdrawn, however many draw at once. What is drawn must be settled in the same
-- transaction. The caller has locked the consents (consent.lock).
create function consent.draw(book int, spendings consent.spending[]) returns setof consent.verdict
language plpgsql volatile strict security invoker
set search_path = pg_catalog
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    s    consent.spending;
    c    consent.consent;
    mine consent.consent;       -- what the token may use of it
    v    consent.verdict;
    over record;
    kind record;
begin
    for kind in
        select distinct on (k.id, l.period_type, l.period_alignment) k as consent, l.period_type, l.period_alignment
          from unnest(spendings) x
          join consent.consent k on k.book = draw.book and k.id = x.consent and k.partner = x.partner and k.app = x.app
         cross join jsonb_to_recordset(case when x.details->0 <> k.details then x.details->0->'periodic_limits' end)
                    as l (period_type text, period_alignment text)
         where not exists (select from consent.allowance a
                            where a.book = k.book and a.consent = k.id and a.period_type = l.period_type
                              and a.alignment = l.period_alignment)
    loop
        perform consent.count_period(kind.consent, kind.period_type, kind.period_alignment);
    end loop;

    foreach s in array spendings loop
        select k.* into c from consent.consent k
         where k.book = draw.book and k.id = s.consent and k.partner = s.partner and k.app = s.app;
        mine := consent.narrow(c, s.details);
        v := row(s.n, consent.standing(mine, s.at), null, null, null)::consent.verdict;
        v.detail := consent.refusal_detail(v.code);
        if v.code is null then
            v := consent.covers(mine, s);
        end if;
        if v.code is null then
            select a.period_type, a.starts, a.ends, least(a.amount, l.amount) as amount, a.spent into over
              from consent.allowances(c, s.at) a
              left join consent.limits(case when s.details->0 <> c.details then s.details end) l on l.period_type = a.period_type and l.alignment = a.alignment
             where a.spent + s.amount > least(a.amount, l.amount) order by a.n limit 1;
            if not found then
                insert into consent.spent as t (book, n, amount, period, consent)
                select draw.book, a.n, s.amount, a.starts, c.id from consent.allowances(c, s.at) a
                on conflict (book, consent, n, period) do update set amount = t.amount + excluded.amount;
            elsif c.kind = 'once' then
                v.code := 'consent_consumed';
                v.detail := consent.refusal_detail(v.code);
            else
                v.code := 'consent_limit_exceeded';
                v.detail := format('the limit of the %s from %s to %s would be exceeded', lower(over.period_type),
                                   over.starts, over.ends - 1);
                v.pointer := '/amount/amount';
                v.extra := jsonb_build_object('remaining', tb.money(greatest(over.amount - over.spent, 0), c.currency)::jsonb);
            end if;
        end if;
        return next v;
    end loop;
end
$$;

-- Settles what was drawn: what did not succeed is given back, what exists has a receipt, and a consent to one payment
-- that succeeded is used up. The consents are locked.
create function consent.settle(book int, spendings consent.spending[]) returns void
language plpgsql volatile strict security invoker
set search_path = pg_catalog
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    s consent.spending;
    c consent.consent;
begin
    foreach s in array spendings loop
        select k.* into strict c from consent.consent k where k.book = settle.book and k.id = s.consent;
        if s.outcome is distinct from 'succeeded' then
            update consent.spent t set amount = t.amount - s.amount
              from consent.allowances(c, s.at) a
             where t.book = settle.book and t.consent = c.id and t.n = a.n and t.period = a.starts;
        elsif c.kind = 'once' then
            perform consent.move(book, c.id, 'COND', 'use', s.object, s.at);
        end if;
    end loop;
    insert into consent.receipt (amount, at, book, version, consent, id, app, operation, outcome, account, object,
                                 currency, request_id)
    select u.amount, u.at, k.book, k.version, k.id, 'rct_' || right(u.object, 26), u.app, u.operation, u.outcome, u.debtor,
           u.object, u.currency, u.request_id
      from unnest(spendings) u join consent.consent k on k.book = settle.book and k.id = u.consent
     where u.outcome is not null;
end
$$;
