-- Agreements of accounts' owners: how they are made and ended, and how one is used. A product that takes money by one
-- locks it (bank.lock_agreements), judges what it wants to take (bank.judge_agreement), posts, and counts what was moved
-- (bank.count_agreements), all in one transaction.
--
-- Locks: consents by id, then agreements by id, then accounts by id.

-- ---- use ----

-- The first day of the period that a day lies in.
create function bank.agreement_period(period text, day date) returns date
language sql immutable strict parallel safe security invoker
return case when period = 'Whole' then date '-infinity' else date_trunc(lower(period), day::timestamp)::date end;

create function bank.world_day(book int, at timestamptz) returns date
language sql stable strict security invoker
begin atomic
    select (at at time zone w.time_zone)::date
      from bank.book b join bank.world w on w.id = b.world where b.book = world_day.book;
end;

-- Locks the agreements of a kind for the rest of the transaction, each named by its account and the partner it is for.
-- What is not among the ids returned may not be used in this transaction: it was made after the lock.
create function bank.lock_agreements(book int, kind text, accounts text[], partners text[]) returns text[]
language plpgsql volatile security invoker
set search_path = pg_catalog
set enable_seqscan = off
as $$
#variable_conflict use_column
begin
    return array(
        select l.id from (
            select a.id from bank.agreement a
             where a.book = lock_agreements.book and a.kind = lock_agreements.kind and a.ended_at is null
               and a.account = any (lock_agreements.accounts)
               and (a.account, a.partner) in (select p.account, p.partner
                                                from unnest(lock_agreements.accounts, lock_agreements.partners)
                                                     p (account, partner))
             order by a.id for no key update) l);
end
$$;

-- What an agreement says to a debit: `agreement` is the one that covers it; null: `detail` says why there is none, and
-- `remaining` how much is left where a period is used up. `since` is when the money came that is to go back. A debit of
-- the same agreement that was judged before must have been counted.
create function bank.judge_agreement(book int, kind text, account text, partner text, amount bigint, since timestamptz,
                                     at timestamptz, locked text[], out agreement text, out detail text, out remaining bigint)
language plpgsql stable security invoker
set search_path = pg_catalog
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    a     bank.agreement;
    taken bigint;
begin
    select g.* into a from bank.agreement g
     where g.book = judge_agreement.book and g.account = judge_agreement.account and g.partner = judge_agreement.partner
       and g.kind = judge_agreement.kind and g.ended_at is null and g.id = any (judge_agreement.locked);
    select coalesce(sum(u.amount), 0) into taken from bank.agreement_use u
     where u.book = a.book and u.agreement = a.id
       and u.period = bank.agreement_period(a.period, bank.world_day(a.book, judge_agreement.at));
    detail := case
        when a.id is null                                 then 'the owner of the account has not agreed to it'
        when at >= a.valid_to                             then 'the agreement of the account''s owner has run out'
        when at >= since + a.days * interval '1 day'      then format('the account''s owner agreed to it within %s days', a.days)
        when amount > a.max_each                          then format('the account''s owner agreed to at most %s each', a.max_each)
        when amount > a.max_period - taken                then 'the limit of the account owner''s agreement would be exceeded' end;
    if detail is null then
        agreement := a.id;
    elsif amount > a.max_period - taken then
        remaining := a.max_period - taken;
    end if;
end
$$;

-- Counts debits that were made under agreements which the transaction has locked.
create function bank.count_agreements(book int, agreements text[], amounts bigint[], at timestamptz[]) returns void
language plpgsql volatile security invoker
set search_path = pg_catalog
as $$
#variable_conflict use_column
begin
    insert into bank.agreement_use as u (amount, last_at, book, uses_n, period, agreement)
    select sum(d.amount), max(d.at), a.book, count(*), p.period, a.id
      from unnest(count_agreements.agreements, count_agreements.amounts, count_agreements.at) d (agreement, amount, at)
      join bank.agreement a on a.book = count_agreements.book and a.id = d.agreement
     cross join lateral (select bank.agreement_period(a.period, bank.world_day(a.book, d.at)) as period) p
     group by a.book, a.id, p.period
    on conflict (book, agreement, period) do update
       set amount = u.amount + excluded.amount, uses_n = u.uses_n + excluded.uses_n,
           last_at = greatest(u.last_at, excluded.last_at);
end
$$;

-- ---- making and ending ----

-- Makes an agreement, or says why not: unknown_account, account_closed, unknown_partner, agreement_exists, and `exists`
-- the one there is; out_of_time. Partners are those with an app in the account's world that has not been revoked.
create function bank.make_agreement(a bank.agreement, out code text, out existing text)
language plpgsql volatile security invoker
set search_path = pg_catalog
as $$
declare
    stands text;
begin
    select b.state into stands from bank.account b where b.book = a.book and b.id = a.account for key share;
    code := case
        when stands is null        then 'unknown_account'
        when stands <> 'open'      then 'account_closed'
        when a.valid_to <= a.created_at then 'out_of_time'
        when not exists (select from bank.partner p
                           join bank.app k on k.partner = p.id and k.state <> 'revoked'
                           join bank.book b on b.world = k.world and b.book = a.book
                          where p.id = a.partner and p.state <> 'revoked') then 'unknown_partner' end;
    if code is not null then
        return;
    end if;
    update bank.agreement g set ended_at = g.valid_to, ended_by = 'time clock'
     where g.book = a.book and g.account = a.account and g.partner = a.partner and g.kind = a.kind
       and g.ended_at is null and g.valid_to <= a.created_at;
    insert into bank.agreement select a.* on conflict (book, account, partner, kind) where ended_at is null do nothing;
    if not found then
        code := 'agreement_exists';
        select g.id into existing from bank.agreement g
         where g.book = a.book and g.account = a.account and g.partner = a.partner and g.kind = a.kind and g.ended_at is null;
    end if;
end
$$;

-- Ends an agreement from now on, which is not before its last use; what was taken stays taken. Ended before, it stays as it is.
create function bank.end_agreement(book int, id text, by text, at timestamptz) returns void
language plpgsql volatile strict security invoker
set search_path = pg_catalog
as $$
#variable_conflict use_column
begin
    perform from bank.agreement a where a.book = end_agreement.book and a.id = end_agreement.id for no key update;
    update bank.agreement a
       set ended_at = least(greatest(end_agreement.at, u.last_at), a.valid_to),
           ended_by = case when a.valid_to <= end_agreement.at then 'time clock' else end_agreement.by end
      from (select max(k.last_at) as last_at from bank.agreement_use k
             where k.book = end_agreement.book and k.agreement = end_agreement.id) u
     where a.book = end_agreement.book and a.id = end_agreement.id and a.ended_at is null;
end
$$;

-- ---- what is seen ----

create function bank.agreement_state(a bank.agreement, at timestamptz) returns text
language sql immutable security invoker
return case when at >= (a).valid_to and ((a).ended_at is null or (a).ended_at >= (a).valid_to) then 'expired'
            when (a).ended_at is not null then 'ended' else 'active' end;

-- An agreement on the wire, as it stands at `at`. Whoever made or ended it is named by kind, not by name.
create function bank.agreement_json(a bank.agreement, at timestamptz) returns text
language sql stable security invoker
begin atomic
    select concat(
        '{"id":"', (a).id, '","object":"agreement","kind":"', (a).kind, '","state":"', bank.agreement_state(a, at),
        '","account":"', (a).account, '","partner":"', (a).partner, '"',
        case when (a).max_each is not null then concat(',"maximum_individual_amount":', tb.money((a).max_each, b.currency)) end,
        case when (a).max_period is not null then concat(
            ',"periodic_limit":{"period_type":"', (a).period, '","amount":', tb.money((a).max_period, b.currency),
            ',"spent":', tb.money(coalesce((select u.amount from bank.agreement_use u
                                             where u.book = (a).book and u.agreement = (a).id
                                               and u.period = bank.agreement_period((a).period, bank.world_day((a).book, at))),
                                           0), b.currency), '}') end,
        ',"days":', (a).days,
        ',"used":{"count":', coalesce(t.uses_n, 0), ',"amount":', tb.money(coalesce(t.amount, 0)::bigint, b.currency), '}',
        ',"document":' || to_json((a).document)::text,
        ',"made_by":"', split_part((a).made_by, ' ', 1), '","created_at":"', tb.rfc3339((a).created_at), '"',
        case when (a).valid_to < 'infinity' then concat(',"valid_to":"', tb.rfc3339((a).valid_to), '"') end,
        ',"ended_at":"' || tb.rfc3339((a).ended_at) || '"',
        ',"ended_by":"' || split_part((a).ended_by, ' ', 1) || '"', '}')
      from bank.account b
     cross join lateral (select sum(u.uses_n) as uses_n, sum(u.amount) as amount from bank.agreement_use u
                          where u.book = (a).book and u.agreement = (a).id) t
     where b.book = (a).book and b.id = (a).account;
end;

-- How far a partner sees the agreements of an account: all of them where it may debit it, and so acts for the owner; else
-- those that are for it. Null: the account is none of its own.
create function bank.sees_agreements(book int, partner text, account text, out whole boolean)
language sql stable strict security invoker
begin atomic
    select max(k.whole::int)::boolean
      from (select x.can_debit as whole from bank.account_access x
             where x.book = sees_agreements.book and x.partner = sees_agreements.partner and x.account = sees_agreements.account
            union all
            select false from bank.agreement a
             where a.book = sees_agreements.book and a.account = sees_agreements.account and a.partner = sees_agreements.partner
           ) k;
end;

-- GET /accounts/v1/accounts/{account_id}/agreements/{agreement_id}: no row = not found.
create function bank.read_agreement(book int, partner text, account text, id text, at timestamptz) returns setof text
language sql stable strict security invoker
begin atomic
    select bank.agreement_json(a, read_agreement.at) from bank.agreement a
     where a.book = read_agreement.book and a.id = read_agreement.id and a.account = read_agreement.account
       and (a.partner = read_agreement.partner
            or bank.sees_agreements(read_agreement.book, read_agreement.partner, read_agreement.account));
end;

-- GET /accounts/v1/accounts/{account_id}/agreements, newest first. No row = the account is not found.
create function bank.list_agreements(book int, partner text, account text, after text, before text, rows_n int, at timestamptz)
returns setof tb.page
language plpgsql stable security invoker
set search_path = pg_catalog
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    backwards constant boolean := list_agreements.before is not null;
    whole     constant boolean := bank.sees_agreements(book, partner, account);
    places    text[];
    bodies    text[];
begin
    if whole is null then
        return;
    end if;
    select coalesce(array_agg(l.id order by l.turn), '{}'), coalesce(array_agg(l.body order by l.turn), '{}')
      into places, bodies
      from (select (q.a).id, bank.agreement_json(q.a, list_agreements.at) as body, row_number() over () as turn
              from ((select a from bank.agreement a
                      where a.book = list_agreements.book and a.account = list_agreements.account and not backwards
                        and (whole or a.partner = list_agreements.partner)
                        and (list_agreements.after is null or a.id < list_agreements.after)
                      order by a.id desc limit list_agreements.rows_n + 1)
                    union all
                    (select a from bank.agreement a
                      where a.book = list_agreements.book and a.account = list_agreements.account and backwards
                        and (whole or a.partner = list_agreements.partner)
                        and a.id > list_agreements.before
                      order by a.id limit list_agreements.rows_n + 1)) q) l;
    return next tb.page(places, bodies, list_agreements.rows_n, backwards);
end
$$;

-- ---- by a partner, for the owner ----

-- POST /accounts/v1/accounts/{account_id}/agreements. The partner must be able to debit the account itself, and gives no
-- more than that away; to itself it gives nothing, or the right would outlive its access.
create function bank.agree(book int, calls tb.call[]) returns setof tb.answer
language plpgsql volatile strict security invoker
set search_path = pg_catalog
as $$
#variable_conflict use_column
declare
    c     tb.call;
    a     bank.agreement;
    code  text;
    other text;     -- the agreement there is
    money text;     -- the account's currency
    odd   text;     -- pointer to an amount in another
begin
    foreach c in array calls loop
        select b.currency into money from bank.account_access x
          join bank.account b on b.book = x.book and b.id = x.account
         where x.book = agree.book and x.partner = c.partner and x.account = c.path->>'account_id' and x.can_debit;
        if not found then
            return next row(c.n, 404, 'not_found', 'no such account that you may debit', null, null, null, null, false)::tb.answer;
            continue;
        end if;
        odd := case when c.body->'maximum_individual_amount'->>'currency' <> money then '/maximum_individual_amount/currency'
                    when c.body->'periodic_limit'->'amount'->>'currency' <> money then '/periodic_limit/amount/currency' end;
        if odd is not null then
            return next row(c.n, 422, 'currency_mismatch', 'the account is in ' || money, odd, null, null, null, false)::tb.answer;
            continue;
        end if;
        a := row((c.body->'maximum_individual_amount'->'amount')::bigint, (c.body->'periodic_limit'->'amount'->'amount')::bigint,
                 c.now, coalesce((c.body->>'valid_to')::timestamptz, 'infinity'), null, agree.book,
                 coalesce((c.body->'days')::int, 365), 'agr_' || c.id_suffix, c.path->>'account_id', c.body->>'kind',
                 c.body->>'partner', coalesce(c.body->'periodic_limit'->>'period_type', 'Whole'), c.body->>'document',
                 'partner ' || c.partner, null)::bank.agreement;
        if a.partner = c.partner then
            code := 'own_partner';
        else
            select m.code, m.existing into code, other from bank.make_agreement(a) m;
        end if;
        return next case coalesce(code, '')
            when '' then row(c.n, 201, null, null, null, format('/accounts/v1/accounts/%s/agreements/%s', a.account, a.id),
                             bank.agreement_json(a, c.now), null, false)::tb.answer
            when 'own_partner' then row(c.n, 422, 'unknown_partner', 'you may debit the account yourself', '/partner', null, null, null, false)::tb.answer
            when 'unknown_partner' then row(c.n, 422, code, 'no such partner in this world', '/partner', null, null, null, false)::tb.answer
            when 'out_of_time' then row(c.n, 422, 'invalid_body', 'must be later than now', '/valid_to', null, null, null, false)::tb.answer
            when 'agreement_exists' then row(c.n, 409, code, 'agreement ' || other || ' is in force', null,
                format('/accounts/v1/accounts/%s/agreements/%s', a.account, other), null,
                jsonb_build_object('agreement', other), false)::tb.answer
            else row(c.n, 409, 'conflict', 'the account is closed', null, null, null, null, false)::tb.answer end;
    end loop;
end
$$;

-- DELETE /accounts/v1/accounts/{account_id}/agreements/{agreement_id}, by the partner it is for or one that acts for the owner.
-- No row = not found.
create function bank.end_seen_agreement(book int, partner text, account text, id text, at timestamptz) returns setof text
language plpgsql volatile strict security invoker
set search_path = pg_catalog
as $$
#variable_conflict use_column
begin
    perform from bank.read_agreement(book, partner, account, id, at);
    if found then
        perform bank.end_agreement(book, id, 'partner ' || end_seen_agreement.partner, at);
        return next end_seen_agreement.id;
    end if;
end
$$;
