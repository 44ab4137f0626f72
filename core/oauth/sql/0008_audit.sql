-- What operators, partners and the clerk did to partners, apps, keys, grants, consents, users and entitlements: who,
-- what, to which object, and how it was before and after. Rows form a chain of hashes, so none can be changed, left out
-- or put in between later without oauth.audit() noticing. Secrets and their digests never come here.
--
-- An act is recorded in the transaction that does it:
--     perform oauth.record_act('operator:lan', 'app.suspend', app, before, after, at);

create table oauth.act (
    n      bigint      primary key check (n > 0),   -- 1, 2, 3 without gaps
    at     timestamptz not null,
    who    text        not null,    -- 'operator:…', 'client:app_…', 'customer:usr_…', 'clerk'
    act    text        collate "C" not null check (act ~ '^[a-z_]+\.[a-z_]+$'),
    object text        collate "C" not null,
    before jsonb,
    after  jsonb,
    prev   bytea       not null,    -- hash of the row before; empty for the first
    hash   bytea       not null check (length(hash) = 32)
);
create index on oauth.act (object, n);

-- Everything of a row but its hash, as bytes: jsonb prints equal values alike, and quote_nullable keeps neighbours apart.
create function oauth.act_hash(a oauth.act) returns bytea
language sql immutable parallel safe security invoker
return sha256(a.prev || convert_to(concat_ws(',',
    a.n, to_char(a.at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'), quote_literal(a.who), quote_literal(a.act),
    quote_literal(a.object), quote_nullable(a.before::text), quote_nullable(a.after::text)), 'UTF8'));

-- Append to the chain. Acts are few, so they wait for each other: the lock is the last one a transaction should take.
create function oauth.record_act(who text, act text, object text, before jsonb, after jsonb, at timestamptz) returns bigint
language plpgsql security invoker
set search_path = pg_catalog
as $$
declare
    a oauth.act;
begin
    perform pg_advisory_xact_lock(7151283, 1);
    select l.n, l.hash into a.n, a.prev from oauth.act l order by l.n desc limit 1;
    a.n := coalesce(a.n, 0) + 1;
    a.prev := coalesce(a.prev, '');
    a.at := record_act.at;
    a.who := record_act.who;
    a.act := record_act.act;
    a.object := record_act.object;
    a.before := record_act.before;
    a.after := record_act.after;
    a.hash := oauth.act_hash(a);
    insert into oauth.act select a.*;
    return a.n;
end
$$;

-- One row for every break in the chain; none when it is whole. Whoever can rewrite every row can make a new chain, so
-- the newest hash belongs in a second place from time to time: `tongbao audit` prints it.
create function oauth.audit() returns setof bank.violation
language sql stable security invoker
begin atomic
    select 'act_chain', w.n::text,
           case when w.n <> w.before_n + 1 then concat('comes after act ', w.before_n)
                when w.prev <> w.before_hash then 'does not follow from the act before'
                else 'was changed after it was written' end
      from (select a.*, coalesce(lag(a.n) over o, 0) as before_n, coalesce(lag(a.hash) over o, '') as before_hash,
                   oauth.act_hash(a) as recomputed
              from oauth.act a window o as (order by a.n)) w
     where w.n <> w.before_n + 1 or w.prev <> w.before_hash or w.hash <> w.recomputed;
end;
