-- Opening accounts, letting holds expire, sealing the ledger.

-- Opens accounts and funds them, a thousand at a time. `accounts` is an array of {id, party, currency, name} and, as
-- wanted, floor (null: none; absent: 0), ceiling, limit_each, limit_day, and opening {from, amount}: money that comes by
-- transfer from another account of the book, so a world's books sum to zero from the first day. An account's opening
-- transfer has its id_suffix. With a partner given, that partner may read and debit them. Returns how many were opened.
create function bank.open_accounts(book int, accounts jsonb, partner text, now timestamptz) returns int
language plpgsql volatile security invoker
set search_path = pg_catalog
as $$
#variable_conflict use_column
declare
    opened int;
    refused record;
begin
    insert into bank.account (book, id, party, currency, name, floor, ceiling, limit_each, limit_day, opened_at)
    select open_accounts.book, a->>'id', a->>'party', a->>'currency', a->>'name',
           case when not a ? 'floor' or (a->>'floor')::bigint > 0 then 0 else (a->>'floor')::bigint end,
           (a->>'ceiling')::bigint,
           (a->>'limit_each')::bigint, (a->>'limit_day')::bigint, open_accounts.now
      from jsonb_array_elements(open_accounts.accounts) a;
    get diagnostics opened = row_count;

    insert into bank.account_access (book, partner, account, can_debit, since)
    select open_accounts.book, open_accounts.partner, a->>'id', true, open_accounts.now
      from jsonb_array_elements(open_accounts.accounts) a where open_accounts.partner is not null;

    for refused in
        select o.code, (g.orders[o.n]).credit as account
          from (select array_agg(row('transfer', 'xfr_' || right(a.e->>'id', 26), a.e->'opening'->>'from', a.e->>'id',
                                     (a.e->'opening'->'amount')::bigint, a.e->>'currency', 'opening',
                                     open_accounts.now, false, null, null, null, null)::bank.instruction) as orders
                  from jsonb_array_elements(open_accounts.accounts) with ordinality a (e, i)
                 where a.e ? 'opening'
                 group by a.i / 1000 order by a.i / 1000) g,
               lateral bank.post(open_accounts.book, g.orders) o
         where o.code is not null
    loop
        raise 'account % could not be funded: %', refused.account, refused.code using errcode = 'check_violation';
    end loop;
    -- a minimum balance can only be asked of an account that has it
    update bank.account b set floor = (a->>'floor')::bigint
      from jsonb_array_elements(open_accounts.accounts) a
     where b.book = open_accounts.book and b.id = a->>'id' and (a->>'floor')::bigint > 0;
    return opened;
end
$$;

-- Releases holds that are past their time, oldest first, at most rows_n and never more than 1,000, whose accounts are all
-- locked at once; returns their ids for the products to act on.
create function bank.expire_holds(book int, now timestamptz, rows_n int) returns setof text
language plpgsql volatile strict security invoker
set search_path = pg_catalog
as $$
#variable_conflict use_column
declare
    due text[];
begin
    due := array(select h.id from bank.hold h
                  where h.book = expire_holds.book and h.state = 'open' and h.expires_at <= expire_holds.now
                  order by h.expires_at, h.id limit least(expire_holds.rows_n, 1000));
    -- One that was posted or voided between these two statements is refused by bank.post() and not named.
    return query
    select due[o.n]
      from bank.post(expire_holds.book, array(
            select row('expire', null, null, null, null, null, null, expire_holds.now, null, null, d.id, null,
                       null)::bank.instruction
              from unnest(due) with ordinality d (id, n) order by d.n)) o
     where o.code is null and not o.existed;
end
$$;

-- A seal fixes one block of transfers: `digest` covers every column of each, in the order of their ids, and `hash`
-- covers the digest and the seal before. Sealing happens off the path of payments, so no chain head serializes a book.
create table bank.seal (
    book        int         not null,
    block       int         not null,
    transfers_n int         not null,
    sealed_at   timestamptz not null,
    digest      bytea       not null,
    hash        bytea       not null,
    primary key (book, block)
);

-- The bytes of a transfer that its seal covers.
create function bank.transfer_line(t bank.transfer) returns text
language sql stable parallel safe security invoker
return concat_ws('|', t.id, t.debit, t.credit, t.amount, t.currency, t.kind, coalesce(t.hold, '-'),
                 (extract(epoch from t.at) * 1000000)::bigint, t.debit_version, t.debit_balance, t.credit_version,
                 t.credit_balance);

-- The digests of the blocks first..last that have transfers. Lines are hashed in parts of 100,000, and the hashes of the
-- parts once more, so a block may grow as large as it likes while nobody seals.
create function bank.block_digests(book int, first int, last int)
returns table (block int, transfers_n int, digest bytea)
language sql stable strict security invoker
begin atomic
    select p.block, sum(p.lines_n)::int, sha256(string_agg(p.hash, '' order by p.part))
      from (select l.block, l.part, count(*) as lines_n,
                   sha256(convert_to(string_agg(l.line, E'\n' order by l.id), 'UTF8')) as hash
              from (select t.block, t.id, bank.transfer_line(t) as line,
                           (row_number() over (partition by t.block order by t.id) - 1) / 100000 as part
                      from bank.transfer t
                     where t.book = block_digests.book
                       and t.block between block_digests.first and block_digests.last) l
             group by l.block, l.part) p
     group by p.block;
end;

-- Seals the blocks that were closed before and closes the current one if it has any transfer. To be called about once a
-- second, each call a transaction of its own; returns the number of blocks sealed. The lock on a block waits for the
-- transactions that still write to it; new ones are already in the next block, because its closing is committed.
create function bank.seal(book int, now timestamptz) returns int
language plpgsql volatile strict security invoker
set search_path = pg_catalog
set enable_seqscan = off
as $$
declare
    current int;
    last    bank.seal;
    sealed  int := 0;
    lines_n int;
    lines_hash bytea;
begin
    perform pg_advisory_xact_lock(seal.book, 0);    -- one sealer at a time; blocks begin at 1
    select k.block into strict current from bank.book k where k.book = seal.book;
    select s.* into last from bank.seal s where s.book = seal.book order by s.block desc limit 1;
    for n in coalesce(last.block, 0) + 1 .. current - 1 loop
        perform pg_advisory_xact_lock(seal.book, n);
        select d.transfers_n, d.digest into lines_n, lines_hash from bank.block_digests(seal.book, n, n) d;
        lines_hash := coalesce(lines_hash, sha256(''));
        insert into bank.seal (book, block, transfers_n, sealed_at, digest, hash)
        values (seal.book, n, coalesce(lines_n, 0), seal.now, lines_hash, sha256(coalesce(last.hash, '') || lines_hash))
        returning * into last;
        sealed := sealed + 1;
    end loop;
    if exists (select from bank.transfer t where t.book = seal.book and t.block = current) then
        update bank.book k set block = current + 1 where k.book = seal.book;
    end if;
    return sealed;
end
$$;
