-- Partner scripts: their texts, and which of them runs. A partner has one script in a book; what was pushed to it are its
-- versions. Which version runs, for which share of the requests, and what happens when it fails, stands in the script's row
-- and is changed by script.point alone.
--
-- Workers remember the rows and ask four times a second for those of a later generation (script.changes). There is one
-- counter of generations for all books; whoever takes a number holds the counter's row until it commits, so numbers become
-- visible in their order and a reader that has seen one has seen all before it.

create schema script;

create table script.counter (
    one        boolean primary key default true check (one),
    generation bigint  not null
);
insert into script.counter values (true, 0);

create table script.script (
    generation  bigint      not null,               -- of its last change that workers must learn of
    book        int         not null check (book between 1 and 65535),
    version     int,                                -- that runs; null: none does
    previous    int,                                -- to which a rollback returns, and which serves what a canary leaves
    canary      int         not null default 100 check (canary between 1 and 100),  -- percent of requests for `version`
    recording   boolean     not null default false, -- whether requests are kept for dry runs
    created_at  timestamptz not null,
    id          text        collate "C" not null check (id like 'scr\_%'),
    partner     text        collate "C" not null references bank.partner,
    on_request_failure  text collate "C" not null default 'deny' check (on_request_failure in ('deny', 'allow')),
    on_response_failure text collate "C" not null default 'skip' check (on_response_failure in ('skip', 'withhold')),
    primary key (book, id),
    unique (book, partner),
    check (version is not null or previous is null),
    check (version is distinct from previous or version is null)
);
create index on script.script (generation);

-- A text, never changed. Its state is moved on by those who push, review and activate.
create table script.version (
    book        int         not null,
    version     int         not null check (version > 0),   -- 1, 2, 3 without gaps
    created_at  timestamptz not null,
    reviewed_at timestamptz,
    script      text        collate "C" not null,
    state       text        collate "C" not null default 'draft'
                check (state in ('draft', 'reviewed', 'rejected', 'active', 'retired')),
    digest      bytea       not null,                       -- SHA-256 of the source
    author      text        not null,                       -- 'client:app_…', 'operator:…'
    reviewer    text        check (reviewer <> author),
    note        text,
    review_note text,
    source      text        not null check (octet_length(source) between 1 and 65536),
    primary key (book, script, version),
    foreign key (book, script) references script.script,
    check (state = 'draft' or reviewer is not null)
);

-- What ran since when, and by whose will.
create table script.activation (
    generation bigint      not null,
    book       int         not null,
    version    int,
    previous   int,
    canary     int         not null,
    at         timestamptz not null,
    script     text        collate "C" not null,
    kind       text        collate "C" not null check (kind in ('activate', 'rollback', 'stop', 'record')),
    by         text        not null,
    on_request_failure  text collate "C" not null,
    on_response_failure text collate "C" not null,
    primary key (book, script, generation),
    foreign key (book, script) references script.script
);

-- Hooks of what runs that failed so often that no worker calls them until then. An activation clears them: what it lets run
-- has not failed yet.
create table script.breaker (
    book    int         not null,
    version int         not null,
    at      timestamptz not null,   -- when it was turned off last
    until   timestamptz not null,
    times   bigint      not null,   -- that it was turned off since it was activated
    script  text        collate "C" not null,
    hook    text        collate "C" not null,
    why     text        not null,   -- the last failure
    primary key (book, script, hook, version),
    foreign key (book, script) references script.script
);

-- Failures, sampled: each worker writes at most one a second of a script, and the last hundred stay.
create table script.failure (
    book    int         not null,
    version int         not null,
    at      timestamptz not null,
    script  text        collate "C" not null,
    hook    text        collate "C" not null,
    ended   text        collate "C" not null,   -- error, budget, memory, answer, too long
    request text        collate "C" not null,
    why     text        not null,
    primary key (book, script, at, request, hook),
    foreign key (book, script) references script.script
);

create function script.next_generation() returns bigint
language sql volatile security invoker
begin atomic
    update script.counter set generation = generation + 1 returning generation;
end;

-- Let `version` run from now on, null: none; the one change that workers act on. The caller has judged whether it may.
-- Locks: the script's row, then the counter's; whoever records the act takes the audit chain's after both.
create function script.point(book int, id text, version int, previous int, canary int, on_request_failure text,
                             on_response_failure text, kind text, by text, at timestamptz) returns bigint
language plpgsql volatile security invoker
set search_path = pg_catalog
as $$
#variable_conflict use_column
declare
    g bigint;
begin
    perform from script.script s where s.book = point.book and s.id = point.id for update;
    g := script.next_generation();
    update script.script s
       set generation = g, version = point.version, previous = point.previous, canary = point.canary,
           on_request_failure = point.on_request_failure, on_response_failure = point.on_response_failure
     where s.book = point.book and s.id = point.id;
    delete from script.breaker b where b.book = point.book and b.script = point.id;
    insert into script.activation (generation, book, version, previous, canary, at, script, kind, by, on_request_failure,
                                   on_response_failure)
    values (g, point.book, point.version, point.previous, point.canary, point.at, point.id, point.kind, point.by,
            point.on_request_failure, point.on_response_failure);
    return g;
end
$$;

-- The generation and the time of the last activation; null: nothing was ever activated.
create function script.activated(book int, script text, out generation bigint, out at timestamptz)
language sql stable strict security invoker
begin atomic
    select a.generation, a.at from script.activation a
     where a.book = activated.book and a.script = activated.script and a.kind <> 'record'
     order by a.generation desc limit 1;
end;

-- What changed after a generation, oldest first, at most `most` of them. A worker that begins asks after 0. `activated` is
-- the generation that let run what runs; `off` a JSON array of the hooks that are turned off.
create function script.changes(after bigint, most int)
returns table (generation bigint, book int, partner text, script text, version int, previous int, canary int,
               on_request_failure text, on_response_failure text, recording boolean, activated bigint, off text)
language sql stable strict security invoker
begin atomic
    select s.generation, s.book, s.partner, s.id, s.version, s.previous, s.canary, s.on_request_failure,
           s.on_response_failure, s.recording, (script.activated(s.book, s.id)).generation,
           (select json_agg(json_build_object('hook', b.hook, 'version', b.version, 'until_ms',
                                              floor(extract(epoch from b.until) * 1000)::bigint))::text
              from script.breaker b where b.book = s.book and b.script = s.id)
      from script.script s where s.generation > changes.after order by s.generation limit changes.most;
end;

-- The text of a version; no row when there is none.
create function script.source(book int, script text, version int) returns setof text
language sql stable strict security invoker
begin atomic
    select v.source from script.version v
     where v.book = source.book and v.script = source.script and v.version = source.version;
end;

-- A worker gave a hook of a version up until `until`, so all do: the generation moves, and within half a second they know.
-- Not when another worker was first, or when something was activated since: that has not failed yet. The first time since
-- an activation is on record.
-- Locks: the script's row, then the counter's, then the audit chain's.
create function script.turn_off(book int, script text, version int, hook text, why text, at timestamptz, until timestamptz)
returns void
language plpgsql volatile security invoker
set search_path = pg_catalog
as $$
#variable_conflict use_column
declare
    runs   boolean;
    turned bigint;
begin
    select turn_off.version in (s.version, s.previous) into runs from script.script s
     where s.book = turn_off.book and s.id = turn_off.script for update;
    if runs is not true or turn_off.at < (script.activated(turn_off.book, turn_off.script)).at then
        return;
    end if;
    insert into script.breaker as b (book, version, at, until, times, script, hook, why)
    values (turn_off.book, turn_off.version, turn_off.at, turn_off.until, 1, turn_off.script, turn_off.hook, turn_off.why)
    on conflict (book, script, hook, version)
    do update set at = excluded.at, until = excluded.until, times = b.times + 1, why = excluded.why where b.until <= excluded.at
    returning b.times into turned;
    if turned is null then
        return;
    end if;
    update script.script s set generation = script.next_generation()
     where s.book = turn_off.book and s.id = turn_off.script;
    if turned = 1 then
        perform tb.record_audit('worker', 'script.turn_off', turn_off.script, null,
                                 jsonb_build_object('version', turn_off.version, 'hook', turn_off.hook,
                                                    'until', tb.rfc3339(turn_off.until)), turn_off.at);
    end if;
end
$$;

-- A sampled failure, and that the worker gave the hook up until `until` (null: it did not).
create function script.note_failure(book int, script text, version int, hook text, ended text, request text, why text,
                                    at timestamptz, until timestamptz) returns void
language plpgsql volatile security invoker
set search_path = pg_catalog
as $$
#variable_conflict use_column
declare
    last timestamptz;
begin
    insert into script.failure (book, version, at, script, hook, ended, request, why)
    values (note_failure.book, note_failure.version, note_failure.at, note_failure.script, note_failure.hook,
            note_failure.ended, note_failure.request, note_failure.why)
    on conflict do nothing;
    select f.at into last from script.failure f
     where f.book = note_failure.book and f.script = note_failure.script order by f.at desc offset 100 limit 1;
    delete from script.failure f
     where f.book = note_failure.book and f.script = note_failure.script and f.at <= last;
    if note_failure.until is not null then
        perform script.turn_off(note_failure.book, note_failure.script, note_failure.version, note_failure.hook,
                                note_failure.why, note_failure.at, note_failure.until);
    end if;
end
$$;

-- Users that have approved a consent in its current version, and count.
create function script.approvals(book int, consent text) returns bigint
language sql stable strict security invoker
begin atomic
    select count(*) from consent.consent c
      join consent.approval a on a.book = c.book and a.consent = c.id and a.version = c.version and a.counts
     where c.book = approvals.book and c.id = approvals.consent;
end;

-- Whether a key was answered already: then the stored answer is what its request gets, whatever a script thinks of it now.
create function script.answered(book int, partner text, route text, key text) returns boolean
language sql stable strict security invoker
begin atomic
    select exists (select from tb.idempotency_key k
                    where k.book = answered.book and k.key = answered.key and k.partner = answered.partner
                      and k.route = answered.route);
end;

-- What a request is handed to whose key was answered and which a script refuses now: tb.begin gives the stored answer, and
-- this runs only for a key that was forgotten in between. Then nothing is done and nothing is stored.
create function script.answer_again(book int, calls tb.call[]) returns setof tb.answer
language sql stable security invoker
begin atomic
    select c.n, 409, 'conflict'::text, 'the stored answer of this Idempotency-Key has just been forgotten'::text, null::text,
           null::text, null::text, null::jsonb, false
      from unnest(calls) c;
end;
