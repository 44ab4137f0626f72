-- What a partner sees of accounts. Every read is scoped by bank.account_access: an account without a row there is not
-- found. A page function returns no row when the cursor's place does not exist.

-- What can be spent is what lies above the floor; an account without a floor shows its balance.
create function bank.account_json(a bank.account) returns text
language sql stable parallel safe security invoker
return concat(
    '{"id":"', a.id, '","object":"account","currency":"', a.currency, '","state":"', a.state,
    '","name":', to_json(a.name),
    ',"balances":{"ledger":', tb.money(a.balance, a.currency),
    ',"available":', tb.money(a.balance - a.held - coalesce(a.floor, 0), a.currency),
    ',"held":', tb.money(a.held, a.currency),
    '},"opened_at":"', tb.rfc3339(a.opened_at), '"}');

create function bank.entry_json(e bank.entry) returns text
language sql stable parallel safe security invoker
return concat(
    '{"object":"entry","sequence":', e.version, ',"transfer":"', e.transfer, '","kind":', to_json(e.kind),
    ',"amount":', tb.money(e.amount, e.currency), ',"balance":', tb.money(e.balance, e.currency),
    ',"counterparty":"', e.counterparty, '","created_at":"', tb.rfc3339(e.at), '"}');

-- GET /accounts/v1/accounts/{account_id}: no row = not found.
create function bank.read_account(book int, partner text, account text) returns setof text
language sql stable strict security invoker
begin atomic
    select bank.account_json(a)
      from bank.account_access x
      join bank.account a on a.book = x.book and a.id = x.account
     where x.book = read_account.book and x.partner = read_account.partner and x.account = read_account.account;
end;

-- GET /accounts/v1/accounts, newest first. Ids are made when an account is opened and sort by time, so their order is
-- the order (opened, id), straight from the index.
create function bank.list_accounts(book int, partner text, after text, before text, rows_n int) returns setof tb.page
language plpgsql stable security invoker
set search_path = pg_catalog
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    places text[];
    bodies text[];
begin
    if list_accounts.before is null then
        select coalesce(array_agg(l.id), '{}'), coalesce(array_agg(l.body), '{}') into places, bodies
          from (select a.id, bank.account_json(a) as body
                  from bank.account_access x
                  join bank.account a on a.book = x.book and a.id = x.account
                 where x.book = list_accounts.book and x.partner = list_accounts.partner
                   and (list_accounts.after is null or x.account < list_accounts.after)
                 order by x.account desc limit list_accounts.rows_n + 1) l;
    else
        select coalesce(array_agg(l.id), '{}'), coalesce(array_agg(l.body), '{}') into places, bodies
          from (select a.id, bank.account_json(a) as body
                  from bank.account_access x
                  join bank.account a on a.book = x.book and a.id = x.account
                 where x.book = list_accounts.book and x.partner = list_accounts.partner
                   and x.account > list_accounts.before
                 order by x.account limit list_accounts.rows_n + 1) l;
    end if;
    return next tb.page(places, bodies, list_accounts.rows_n, list_accounts.before is not null);
end
$$;

-- GET /accounts/v1/accounts/{account_id}/entries, newest first; a place is an entry's sequence number. No row when the
-- account is not found.
create function bank.list_entries(book int, partner text, account text, after text, before text, rows_n int)
returns setof tb.page
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
begin
    select a.version into top
      from bank.account_access x join bank.account a on a.book = x.book and a.id = x.account
     where x.book = list_entries.book and x.partner = list_entries.partner and x.account = list_entries.account;
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
      from (select e.version, bank.entry_json(e) as body,
                   case when list_entries.before is null then -e.version else e.version end as turn
              from bank.entry e
             where e.book = list_entries.book and e.account = list_entries.account
               and e.version between bottom and top) l;
    return next tb.page(places, bodies, list_entries.rows_n, list_entries.before is not null);
end
$$;
