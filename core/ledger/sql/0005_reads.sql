-- What a partner sees of accounts. Every read is scoped: without a consent by bank.account_access, with one by
-- bank.opened() alone. An account without a row there is not found. A page function returns no row when the cursor's
-- place does not exist.

-- What a token opens: the rows of bank.consent_access of its consent, less what its own details leave out, because a token
-- may be narrowed when it is refreshed. `details`: the token's authorization_details, an array of one; null: the consent's.
create function bank.opened(book int, consent text, details jsonb) returns setof bank.consent_access
language sql stable security invoker
begin atomic
    select x.book,
           x.can_read_details and (t.permissions is null or t.permissions ? 'details'),
           x.can_read_balances and (t.permissions is null or t.permissions ? 'balances'),
           x.can_read_entries and (t.permissions is null or t.permissions ? 'entries'),
           x.consent, x.account
      from bank.consent_access x
     cross join (select opened.details->0->'permissions' as permissions, opened.details->0->'accounts' as accounts) t
     where x.book = opened.book and x.consent = opened.consent and (t.accounts is null or t.accounts ? x.account);
end;

-- What can be spent is what lies above the floor; an account without a floor shows its balance. Details and balances are
-- left out where a consent does not open them.
create function bank.account_json(a bank.account, details boolean, balances boolean) returns text
language sql stable parallel safe security invoker
return concat(
    '{"id":"', a.id, '","object":"account","currency":"', a.currency, '","state":"', a.state, '"',
    case when details then concat(',"name":', to_json(a.name)) end,
    case when balances then concat(
        ',"balances":{"ledger":', tb.money(a.balance, a.currency),
        ',"available":', tb.money(a.balance - a.held - coalesce(a.floor, 0), a.currency),
        ',"held":', tb.money(a.held, a.currency), '}') end,
    case when details then concat(',"opened_at":"', tb.rfc3339(a.opened_at), '"') end, '}');

-- `about`: what moved the money, where a product says so.
create function bank.entry_json(e bank.entry, about bank.source, balances boolean) returns text
language sql stable parallel safe security invoker
return concat(
    '{"object":"entry","sequence":', e.version, ',"transfer":"', e.transfer, '","kind":', to_json(e.kind),
    ',"amount":', tb.money(e.amount, e.currency),
    case when balances then concat(',"balance":', tb.money(e.balance, e.currency)) end,
    ',"counterparty":"', e.counterparty, '"',
    ',"source":"' || about.id || '"',
    ',"reference":' || to_json(about.reference)::text,
    ',"purpose":' || to_json(about.purpose)::text,
    ',"created_at":"', tb.rfc3339(e.at), '"}');

-- GET /accounts/v1/accounts/{account_id}: no row = not found. (plpgsql here and for payments, because it keeps its plans: a
-- function in SQL is planned at each call.)
create function bank.read_account(book int, partner text, consent text, details jsonb, account text) returns setof text
language plpgsql stable security invoker
set search_path = pg_catalog
set enable_seqscan = off
as $$
#variable_conflict use_column
begin
    if read_account.consent is null then
        return query
        select bank.account_json(a, true, true) from bank.account_access x join bank.account a on a.book = x.book and a.id = x.account
         where x.book = read_account.book and x.partner = read_account.partner and x.account = read_account.account;
    else
        return query
        select bank.account_json(a, x.can_read_details, x.can_read_balances)
          from bank.opened(read_account.book, read_account.consent, read_account.details) x
          join bank.account a on a.book = x.book and a.id = x.account
         where x.account = read_account.account;
    end if;
end
$$;

-- GET /accounts/v1/accounts, newest first. Ids are made when an account is opened and sort by time, so their order is
-- the order (opened, id), straight from the index.
create function bank.list_accounts(book int, partner text, consent text, details jsonb, after text, before text, rows_n int)
returns setof tb.page
language plpgsql stable security invoker
set search_path = pg_catalog
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    places text[];
    bodies text[];
begin
    if list_accounts.consent is not null then
        return query select * from bank.list_consented(book, consent, details, after, before, rows_n);
        return;
    elsif list_accounts.before is null then
        select coalesce(array_agg(l.id), '{}'), coalesce(array_agg(l.body), '{}') into places, bodies
          from (select a.id, bank.account_json(a, true, true) as body
                  from bank.account_access x
                  join bank.account a on a.book = x.book and a.id = x.account
                 where x.book = list_accounts.book and x.partner = list_accounts.partner
                   and (list_accounts.after is null or x.account < list_accounts.after)
                 order by x.account desc limit list_accounts.rows_n + 1) l;
    else
        select coalesce(array_agg(l.id), '{}'), coalesce(array_agg(l.body), '{}') into places, bodies
          from (select a.id, bank.account_json(a, true, true) as body
                  from bank.account_access x
                  join bank.account a on a.book = x.book and a.id = x.account
                 where x.book = list_accounts.book and x.partner = list_accounts.partner
                   and x.account > list_accounts.before
                 order by x.account limit list_accounts.rows_n + 1) l;
    end if;
    return next tb.page(places, bodies, list_accounts.rows_n, list_accounts.before is not null);
end
$$;

-- The same for a consent, which opens a hundred accounts at most: one sort serves both directions.
create function bank.list_consented(book int, consent text, details jsonb, after text, before text, rows_n int)
returns setof tb.page
language plpgsql stable security invoker
set search_path = pg_catalog
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    backwards constant boolean := list_consented.before is not null;
    places    text[];
    bodies    text[];
begin
    select coalesce(array_agg(l.id order by l.turn), '{}'), coalesce(array_agg(l.body order by l.turn), '{}')
      into places, bodies
      from (select a.id, bank.account_json(a, x.can_read_details, x.can_read_balances) as body,
                   row_number() over (order by case when backwards then a.id end, a.id desc) as turn
              from bank.opened(list_consented.book, list_consented.consent, list_consented.details) x
              join bank.account a on a.book = x.book and a.id = x.account
             where (list_consented.after is null or x.account < list_consented.after)
               and (list_consented.before is null or x.account > list_consented.before)) l
     where l.turn <= list_consented.rows_n + 1;
    return next tb.page(places, bodies, list_consented.rows_n, backwards);
end
$$;

-- GET /accounts/v1/accounts/{account_id}/entries, newest first; a place is an entry's sequence number. No row when the
-- account is not found, or a consent does not open its entries.
create function bank.list_entries(book int, partner text, consent text, details jsonb, account text, after text, before text,
                                  rows_n int) returns setof tb.page
language plpgsql stable security invoker
set search_path = pg_catalog
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    places text[];
    bodies text[];
    top    bigint;
    bottom bigint;
    shown  boolean;     -- the balances
begin
    select a.version, x.balances into top, shown
      from (select p.account, true as balances from bank.account_access p
             where list_entries.consent is null and p.book = list_entries.book and p.partner = list_entries.partner
               and p.account = list_entries.account
            union all
            select c.account, c.can_read_balances
              from bank.opened(list_entries.book, list_entries.consent, list_entries.details) c
             where c.account = list_entries.account and c.can_read_entries) x
      join bank.account a on a.book = list_entries.book and a.id = x.account;
    if not found then
        return;
    end if;
    -- Versions have no gaps, so the page is a range of them and not a search.
    if list_entries.before is null then
        top := least(top, coalesce(list_entries.after::bigint - 1, top));
        bottom := top - list_entries.rows_n;
    else
        bottom := list_entries.before::bigint + 1;
        top := least(top, bottom + list_entries.rows_n);
    end if;
    select coalesce(array_agg(l.version::text order by l.turn), '{}'), coalesce(array_agg(l.body order by l.turn), '{}')
      into places, bodies
      from (select e.version, bank.entry_json(e, s.about, shown) as body,
                   case when list_entries.before is null then -e.version else e.version end as turn
              from bank.entry e
              left join lateral (select row(f.book, f.id, f.reference, f.purpose)::bank.source as about
                                   from bank.source_kind k
                                   join bank.source f on f.book = list_entries.book
                                                     and f.id = k.prefix || '_' || right(e.transfer, 26)
                                  where k.kind = e.kind limit 1) s on true
             where e.book = list_entries.book and e.account = list_entries.account
               and e.version between bottom and top) l;
    return next tb.page(places, bodies, list_entries.rows_n, list_entries.before is not null);
end
$$;
