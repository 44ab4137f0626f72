-- What operators, partners and the clerk did to partners, apps, keys, grants, consents, users and entitlements: who,
-- what, to which object, and how it was before and after. Rows form a chain of hashes, so none can be changed, left out
-- or put in between later without oauth.audit() noticing. Secrets and their digests never come here.
--
-- An act is recorded in the transaction that does it:
--     perform tb.record_audit('operator:lan', 'app.suspend', app, before, after, at);

create table tb.audit_entry (
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
create index on tb.audit_entry (object, n);

-- Everything of a row but its hash, as bytes: jsonb prints equal values alike, and quote_nullable keeps neighbours apart.
create function tb.audit_hash(a tb.audit_entry) returns bytea
language sql immutable parallel safe security invoker
return sha256(a.prev || convert_to(concat_ws(',',
    a.n, to_char(a.at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'), quote_literal(a.who), quote_literal(a.act),
    quote_literal(a.object), quote_nullable(a.before::text), quote_nullable(a.after::text)), 'UTF8'));

-- Append to the chain. Acts are few, so they wait for each other: the lock is the last one a transaction should take.
create function tb.record_audit(who text, act text, object text, before jsonb, after jsonb, at timestamptz) returns bigint
language plpgsql security invoker
set search_path = pg_catalog
as $$
declare
    a tb.audit_entry;
begin
    perform pg_advisory_xact_lock(7151283, 1);
    select l.n, l.hash into a.n, a.prev from tb.audit_entry l order by l.n desc limit 1;
    a.n := coalesce(a.n, 0) + 1;
    a.prev := coalesce(a.prev, '');
    a.at := record_audit.at;
    a.who := record_audit.who;
    a.act := record_audit.act;
    a.object := record_audit.object;
    a.before := record_audit.before;
    a.after := record_audit.after;
    a.hash := tb.audit_hash(a);
    insert into tb.audit_entry select a.*;
    return a.n;
end
$$;

-- Record that one member of an object went from `was` to `wanted`, and tell that it did. One that is as it was already is
-- no act; one that was null is of an object that is not there.
create function tb.record_change(who text, act text, object text, member text, was jsonb, wanted jsonb, at timestamptz) returns boolean
language plpgsql security invoker
set search_path = pg_catalog
as $$
begin
    if was is null or was = wanted then
        return false;
    end if;
    perform tb.record_audit(who, act, object, jsonb_build_object(member, was), jsonb_build_object(member, wanted), at);
    return true;
end
$$;
