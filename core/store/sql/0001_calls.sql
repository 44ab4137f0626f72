-- The batched call: how many requests of one kind become one statement, one transaction, one fsync, and how each of
-- them still happens exactly once.
--
-- A product writes `verb(book int, calls tb.call[]) returns setof tb.answer`: one answer per call, in the order of the
-- calls. Core puts a fixed statement around it, in which only the name of the product's function differs:
--
--   with keys:     select a.* from tb.begin($1, $2) b,
--                    lateral tb.finish($1, b.fresh, b.answered, b.twins,
--                                      array(select x from e_payment.pay($1, b.fresh) x)) a
--   without keys:  select a.* from e_payment.pay($1, tb.calls($2)) a
--
-- $1 int is the book and $2 jsonb the array of calls as tb.calls() reads it. Locks are taken in one order by everybody:
-- keys (here, by hash), then what the product locks (by id), then accounts (by id). No cycle, no deadlock.

create schema tb;

-- One request as a product's function sees it. `id_suffix` is the 26 characters of an id made for this call: the product
-- puts its own prefixes before it ('pay_' || id_suffix, 'xfr_' || id_suffix), so everything one call makes can be told by its id.
create type tb.call as (
    n       int,            -- place in the batch, from 0; the answer carries it back
    id_suffix    text,
    partner text,
    app     text,
    now     timestamptz,    -- the time of the call's world; nothing here asks the server's clock
    route   text,           -- method and route template, part of the key's scope
    key     text,           -- idempotency key, null when the call has none
    fp      text,           -- fingerprint of the request, 64 hexadecimal digits
    path    jsonb,          -- path parameters
    body    jsonb,          -- request body, checked against its schema
    consent text,           -- the consent that the effect is bound to, null where the partner acts for itself
    request text,           -- id of the request, kept with its key and in a consent's receipt; null with neither
    routed  jsonb,          -- what the partner's script decided about its way, an object of texts; null: nothing
    details jsonb           -- with a consent: the authorization_details of the token, which may be less; null: as the consent's
);

-- What goes back. A 2xx has its body as compact JSON text that travels to the client unparsed; anything else has the
-- stable error code of which C makes the problem document, with `extra` as the members to add to it.
create type tb.answer as (
    n        int,
    status   int,
    code     text,
    detail   text,
    pointer  text,          -- RFC 6901, the member of the body that is to blame
    location text,
    body     text,
    extra    jsonb,
    replayed boolean        -- true when this is the stored answer of an earlier call with the same key
);

-- Answers already given, successes all: what was done, or declined for good. A row exists from the commit that carries the
-- effect, so a key without a row is a key whose request had no effect. Retention is tb.forget_keys.
create table tb.idempotency_key (
    book     int         not null,
    status   int         not null,
    at       timestamptz not null,
    partner  text        collate "C" not null,
    route    text        collate "C" not null,
    key      text        collate "C" not null,
    fp       bytea       not null,
    request  text        collate "C",       -- the request that used it
    location text,
    body     text,
    primary key (book, key, partner, route)
);
create index idempotency_key_at on tb.idempotency_key using brin (at);

-- RFC 3339 in UTC with milliseconds, the one form in which times leave the house.
create function tb.rfc3339(at timestamptz) returns text
language sql stable parallel safe security invoker
return to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');

-- Money on the wire; a currency code never needs escaping. (concat() and no `strict`, here and wherever JSON is built:
-- so the planner can put the expression in place of the call, which is five times faster.)
create function tb.money(amount bigint, currency text) returns text
language sql stable parallel safe security invoker
return concat('{"amount":', amount, ',"currency":"', currency, '"}');

-- A flat JSON object as compact text: jsonb prints a space after each colon and comma, the wire has none.
create function tb.compact(object jsonb) returns text
language sql immutable strict parallel safe security invoker
return (select '{' || coalesce(string_agg(to_json(k)::text || ':' || v::text, ','), '') || '}'
        from jsonb_each(object) as m (k, v));

-- The array of calls that the store sends, read once. `id` may carry a prefix; only its last 26 characters count.
create function tb.calls(calls jsonb) returns tb.call[]
language plpgsql stable strict parallel safe security invoker
set search_path = pg_catalog
as $$
begin
    return array(
        select row(c.n, right(c.id, 26), c.partner, c.app, c.now, c.route, c.key, c.fp, c.path, c.body, c.consent,
                   c.request, c.routed, c.details)::tb.call
          from jsonb_to_recordset(calls) as c (n int, id text, partner text, app text, now timestamptz, route text,
                                               key text, fp text, path jsonb, body jsonb, consent text, request text,
                                               routed jsonb, details jsonb));
end
$$;

-- The lock that stands for a key until the transaction ends. Two keys with the same hash only wait for each other.
create function tb.key_lock(book int, partner text, route text, key text) returns bigint
language sql immutable parallel safe security invoker
return hashtextextended(partner || ' ' || route || ' ' || key, book);

-- The refusal of a request whose key was used for another one: when, and by which request.
create function tb.key_reused(n int, at timestamptz, request text) returns tb.answer
language sql stable parallel safe security invoker
return row(n, 422, 'idempotency_key_reused',
           concat('the key was used at ', tb.rfc3339(at), ' by request ' || request, ' for something else'), null, null, null,
           jsonb_strip_nulls(jsonb_build_object('used_at', tb.rfc3339(at), 'used_by', request)), false)::tb.answer;

-- Claims the keys of a batch and splits it: `fresh` must run, `answered` were answered before (or are refused because
-- the key belongs to another request), `twins` are triples (n, n of the first, 1 when it is the same request) of calls with
-- a key that occurs earlier in the same batch. A concurrent holder of a key is waited for, so that what is fresh here is fresh for good.
create function tb.begin(book int, calls jsonb,
                         out fresh tb.call[], out answered tb.answer[], out twins int[])
language plpgsql volatile strict security invoker
set search_path = pg_catalog
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    asked tb.call[] := tb.calls(calls);
    keyed int;
    locks int;
    known int;
begin
    select coalesce(sum(k.calls), 0), count(pg_advisory_xact_lock(k.hash)) into keyed, locks
      from (select tb.key_lock(begin.book, c.partner, c.route, c.key) as hash, count(*) as calls
              from unnest(asked) c where c.key is not null group by 1 order by 1) k;

    -- A subquery per call, not a join: one probe of the index, whatever the planner believes the table's size to be.
    select count((select i.status from tb.idempotency_key i
                   where (i.book, i.partner, i.route, i.key) = (begin.book, c.partner, c.route, c.key)))
      into known from unnest(asked) c;

    fresh := asked;
    answered := '{}';
    twins := '{}';
    if known = 0 and keyed = locks then
        return;
    end if;

    answered := array(
        select case when i.fp = decode(c.fp, 'hex')
                    then row(c.n, i.status, null, null, null, i.location, i.body, null, true)::tb.answer
                    else tb.key_reused(c.n, i.at, i.request) end
          from unnest(asked) c
          join tb.idempotency_key i on (i.book, i.partner, i.route, i.key) = (begin.book, c.partner, c.route, c.key));
    select array_agg(row(t.n, t.id_suffix, t.partner, t.app, t.now, t.route, t.key, t.fp, t.path, t.body, t.consent,
                         t.request, t.routed, t.details)::tb.call order by t.n) filter (where t.n = t.first),
           array_agg(array[t.n, t.first, (t.fp is not distinct from t.first_fp)::int] order by t.n)
                    filter (where t.n <> t.first)
      into fresh, twins
      from (select c.*,
                   case when c.key is null then c.n else first_value(c.n) over w end as first,
                   first_value(c.fp) over w as first_fp
              from unnest(asked) c
             where not exists (select from unnest(answered) a where a.n = c.n)
            window w as (partition by c.partner, c.route, c.key order by c.n)) t;
    fresh := coalesce(fresh, '{}');
    twins := coalesce(twins, '{}');
end
$$;

-- Stores the answers that a retry must see again and returns the answers of the whole batch. Only what was done, or
-- declined for good, uses a key up; whatever refusal leaves it free, for the request mended or for another one. So another
-- request that came in the same batch as one that was refused has only come too early.
create function tb.finish(book int, fresh tb.call[], answered tb.answer[], twins int[], answers tb.answer[])
returns setof tb.answer
language plpgsql volatile strict security invoker
set search_path = pg_catalog
set enable_seqscan = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
begin
    if cardinality(fresh) <> cardinality(answers) then
        raise 'a batch of % calls was given % answers', cardinality(fresh), cardinality(answers)
            using errcode = 'internal_error';
    end if;

    insert into tb.idempotency_key
           (book, status, at, partner, route, key, fp, request, location, body)
    select finish.book, a.status, c.now, c.partner, c.route, c.key, decode(c.fp, 'hex'), c.request, a.location, a.body
      from unnest(answers) a
      join unnest(fresh) c on c.n = a.n
     where c.key is not null and a.status between 200 and 299;

    return query select * from unnest(answers);
    if cardinality(answered) > 0 then
        return query select * from unnest(answered);
    end if;
    if cardinality(twins) > 0 then
        return query
        select (case when t.same                      then row(t.twin, a.status, a.code, a.detail, a.pointer, a.location, a.body,
                                                               a.extra, a.status between 200 and 299)::tb.answer
                     when a.status between 200 and 299 then tb.key_reused(t.twin, c.now, c.request)
                     else row(t.twin, 409, 'idempotency_key_in_progress', null, null, null, null, null, false)::tb.answer end).*
          from (select twins[i][1] as twin, twins[i][2] as first, twins[i][3] = 1 as same
                  from generate_subscripts(twins, 1) i) t
          join unnest(answers) a on a.n = t.first
          join unnest(fresh) c on c.n = t.first;
    end if;
end
$$;

-- What became of a key whose commit was not seen to end. Waits for a transaction that still holds the key, so no row
-- means: no effect, now and later.
create function tb.lookup(book int, partner text, route text, key text) returns setof tb.answer
language plpgsql volatile strict security invoker
set search_path = pg_catalog
as $$
#variable_conflict use_column
begin
    perform pg_advisory_xact_lock(tb.key_lock(lookup.book, lookup.partner, lookup.route, lookup.key));
    return query
    select 0, i.status, null::text, null::text, null::text, i.location, i.body, null::jsonb, true
      from tb.idempotency_key i
     where (i.book, i.partner, i.route, i.key) = (lookup.book, lookup.partner, lookup.route, lookup.key);
end
$$;

-- Retention: forgets at most `rows_n` keys of a book older than `before`, returns how many. 72 hours for money.
create function tb.forget_keys(book int, before timestamptz, rows_n int) returns int
language sql volatile strict security invoker
begin atomic
    with gone as (
        delete from tb.idempotency_key i
         where i.ctid = any(array(select o.ctid from tb.idempotency_key o
                                   where o.book = forget_keys.book and o.at < forget_keys.before
                                   limit forget_keys.rows_n for update skip locked))
        returning 1)
    select count(*)::int from gone;
end;
