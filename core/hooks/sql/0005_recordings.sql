-- Recordings: what a partner's script would have seen of its requests, kept for a few days so that another version can be
-- tried on them. A partner or its bank asks for it, for one book and until a time; nothing is recorded otherwise. The rows
-- are redacted before they come here.
--
-- Losing recordings hurts nobody, so script.record does not wait for the disk. Per script at most 100,000 recordings and
-- 64 MiB stay; the oldest go.

create table script.recording (
    n          bigint      not null,                    -- 1, 2, 3 in a script, in the order of writing
    world_ms   bigint      not null,                    -- world time when it came, what tb.now() said
    at         timestamptz not null,
    forget_at  timestamptz not null,
    book       int         not null,
    bytes      int         not null,
    status     int         not null,                    -- of the answer
    script     text        collate "C" not null,
    verdict    text        collate "C" not null,        -- of the script that ran, as in the request's trace; 'none' ran
    request_id text        collate "C" not null,
    request    text        not null,                    -- JSON, the argument of on_request
    primary key (book, script, n),
    foreign key (book, script) references script.script
);
create index recording_forget_at on script.recording using brin (forget_at);

-- The switch, and how much there is. A row stays when it is turned off: there may still be recordings.
create table script.recording_switch (
    kept    bigint      not null default 0,     -- recordings there are, and their bytes
    bytes   bigint      not null default 0,
    last_n  bigint      not null default 0,     -- of the newest there ever was
    since   timestamptz not null,
    until   timestamptz not null,
    book    int         not null,
    script  text        collate "C" not null,
    by      text        not null,               -- 'client:app_…', 'operator:…'
    redact  jsonb       not null,               -- JSON pointers into the body, "*" for every member or element
    primary key (book, script),
    foreign key (book, script) references script.script
);

-- Tell the workers. The generation moves, so within half a second they know.
create function script.set_recording(book int, id text, recording boolean, by text, at timestamptz) returns bigint
language plpgsql volatile security invoker
set search_path = pg_catalog
as $$
#variable_conflict use_column
declare
    s script.script;
    g bigint;
begin
    select * into s from script.script s where s.book = set_recording.book and s.id = set_recording.id for update;
    if s.recording = set_recording.recording then
        return s.generation;
    end if;
    g := script.next_generation();
    update script.script s set generation = g, recording = set_recording.recording
     where s.book = set_recording.book and s.id = set_recording.id;
    insert into script.activation (generation, book, version, previous, canary, at, script, kind, by, on_request_failure,
                                   on_response_failure)
    values (g, s.book, s.version, s.previous, s.canary, set_recording.at, s.id, 'record', set_recording.by,
            s.on_request_failure, s.on_response_failure);
    return g;
end
$$;

-- Record the partner's requests until `until`. A partner that has no script yet gets an empty one, with the id `fresh`.
-- Locks: the partner's, the script's row, the counter's, the switch's, the audit chain's.
create function script.start_recording(book int, partner text, fresh text, until timestamptz, redact jsonb, by text,
                                       at timestamptz) returns text
language plpgsql volatile security invoker
set search_path = pg_catalog
as $$
#variable_conflict use_column
declare
    id text;
    before jsonb;
begin
    perform script.lock(start_recording.book, array[start_recording.partner]);
    insert into script.script (generation, book, created_at, id, partner)
    select script.next_generation(), start_recording.book, start_recording.at, fresh, start_recording.partner
     where not exists (select from script.script s
                        where s.book = start_recording.book and s.partner = start_recording.partner);
    select s.id into id from script.script s
     where s.book = start_recording.book and s.partner = start_recording.partner for update;
    perform script.set_recording(start_recording.book, id, true, start_recording.by, start_recording.at);
    select jsonb_build_object('until', tb.rfc3339(r.until), 'redact', r.redact) into before
      from script.recording_switch r
     where r.book = start_recording.book and r.script = id and r.until > start_recording.at;
    insert into script.recording_switch as r (since, until, book, script, by, redact)
    values (start_recording.at, start_recording.until, start_recording.book, id, start_recording.by,
            start_recording.redact)
    on conflict (book, script)
    do update set until = excluded.until, by = excluded.by, redact = excluded.redact,
                  since = case when r.until > start_recording.at then r.since else excluded.since end;
    perform tb.record_audit(start_recording.by, 'script.record', id, before,
                             jsonb_build_object('until', tb.rfc3339(start_recording.until),
                                                'redact', start_recording.redact), start_recording.at);
    return id;
end
$$;

-- Stop; with `forget` what was recorded goes, too. Null when nothing was ever recorded.
create function script.stop_recording(book int, partner text, forget boolean, by text, at timestamptz) returns text
language plpgsql volatile security invoker
set search_path = pg_catalog
as $$
#variable_conflict use_column
declare
    r script.recording_switch;
begin
    perform script.lock(stop_recording.book, array[stop_recording.partner]);
    select r.* into r from script.recording_switch r join script.script s on s.book = r.book and s.id = r.script
     where s.book = stop_recording.book and s.partner = stop_recording.partner;
    if r.script is null then
        return null;
    end if;
    perform script.set_recording(r.book, r.script, false, stop_recording.by, stop_recording.at);
    update script.recording_switch w set until = least(w.until, stop_recording.at)
     where w.book = r.book and w.script = r.script;
    if stop_recording.forget then
        delete from script.recording g where g.book = r.book and g.script = r.script;
        update script.recording_switch w set kept = 0, bytes = 0 where w.book = r.book and w.script = r.script;
    end if;
    perform tb.record_audit(stop_recording.by, 'script.stop_recording', r.script,
                             jsonb_build_object('until', tb.rfc3339(r.until)),
                             jsonb_build_object('forgotten', stop_recording.forget), stop_recording.at);
    return 'stopped';
end
$$;

-- The switch as partner and operator see it; one row, also when there never was one.
create function script.recording_json(book int, partner text, at timestamptz) returns text
language sql stable strict security invoker
begin atomic
    select json_strip_nulls(json_build_object(
               'object', 'recording', 'active', coalesce(r.until > recording_json.at, false), 'script', r.script,
               'by', case when r.by is not null then script.person(r.by) end,
               'since', tb.rfc3339(r.since), 'until', tb.rfc3339(r.until),
               'redact', coalesce(r.redact, '[]'), 'recordings', coalesce(r.kept, 0), 'bytes', coalesce(r.bytes, 0),
               'oldest', (select tb.rfc3339(g.at) from script.recording g
                           where g.book = r.book and g.script = r.script order by g.n limit 1)))::text
      from (select) one
      left join (script.recording_switch r join script.script s on s.book = r.book and s.id = r.script)
        on s.book = recording_json.book and s.partner = recording_json.partner;
end;

-- What a worker must leave out of the requests it is about to record; no row for a script that is not recorded (any more).
create function script.redacted(book int, script text, at timestamptz) returns setof text
language sql stable strict security invoker
begin atomic
    select r.redact::text from script.recording_switch r
     where r.book = redacted.book and r.script = redacted.script and r.until > redacted.at;
end;

-- Keep requests of one script, oldest first; how many were kept. The switch's row is locked, so its numbers are right.
create function script.record(book int, script text, requests jsonb, at timestamptz, forget_at timestamptz) returns bigint
language plpgsql volatile strict security invoker
set search_path = pg_catalog
as $$
#variable_conflict use_column
declare
    most_kept  constant bigint := 100000;
    most_bytes constant bigint := 67108864;
    r script.recording_switch;
    added record;
    gone record;
begin
    perform set_config('synchronous_commit', 'off', true);
    select * into r from script.recording_switch r
     where r.book = record.book and r.script = record.script and r.until > record.at for update;
    if r.script is null then
        return 0;
    end if;
    with fresh as (
        insert into script.recording (n, world_ms, at, forget_at, book, bytes, status, script, verdict, request_id, request)
        select r.last_n + q.nth, q.world_ms, record.at, record.forget_at, record.book, octet_length(q.request), q.status,
               record.script, q.verdict, q.id, q.request
          from rows from (jsonb_to_recordset(record.requests)
                          as (world_ms bigint, status int, verdict text, id text, request text))
               with ordinality as q (world_ms, status, verdict, id, request, nth)
        returning bytes)
    select count(*) as kept, coalesce(sum(f.bytes), 0)::bigint as bytes into added from fresh f;
    r.kept := r.kept + added.kept;
    r.bytes := r.bytes + added.bytes;
    if r.kept > most_kept or r.bytes > most_bytes then
        with oldest as (
            select o.n, row_number() over w as nth, sum(o.bytes) over w - o.bytes as before
              from (select g.n, g.bytes from script.recording g
                     where g.book = r.book and g.script = r.script order by g.n limit 10000) o
            window w as (order by o.n)),
        dead as (
            delete from script.recording g using oldest o
             where g.book = r.book and g.script = r.script and g.n = o.n
               and (o.nth <= r.kept - most_kept or o.before < r.bytes - most_bytes)
            returning g.bytes)
        select count(*) as kept, coalesce(sum(d.bytes), 0)::bigint as bytes into gone from dead d;
        r.kept := r.kept - gone.kept;
        r.bytes := r.bytes - gone.bytes;
    end if;
    update script.recording_switch w set kept = r.kept, bytes = r.bytes, last_n = r.last_n + added.kept
     where w.book = r.book and w.script = r.script;
    return added.kept;
end
$$;

-- The clerk's: forget what is old, `most` at a time, and turn off what was asked for until now.
create function script.forget_recordings(at timestamptz, most int) returns bigint
language plpgsql volatile strict security invoker
set search_path = pg_catalog
as $$
#variable_conflict use_column
declare
    s record;
    forgotten bigint;
begin
    for s in select r.book, r.script from script.recording_switch r
              join script.script t on t.book = r.book and t.id = r.script
             where t.recording and r.until <= forget_recordings.at order by r.book, r.script
    loop
        perform script.set_recording(s.book, s.script, false, 'clerk', forget_recordings.at);
    end loop;
    perform from script.recording_switch r
      where (r.book, r.script) in (select g.book, g.script from script.recording g
                                    where g.forget_at <= forget_recordings.at)
      order by r.book, r.script for update;
    with dead as (
        delete from script.recording g
         where (g.book, g.script, g.n) in (select o.book, o.script, o.n from script.recording o
                                            where o.forget_at <= forget_recordings.at limit forget_recordings.most)
        returning g.book, g.script, g.bytes),
    less as (
        select d.book, d.script, count(*) as kept, sum(d.bytes)::bigint as bytes from dead d group by 1, 2),
    told as (
        update script.recording_switch r set kept = r.kept - l.kept, bytes = r.bytes - l.bytes
          from less l where r.book = l.book and r.script = l.script returning l.kept)
    select coalesce(sum(t.kept), 0) into forgotten from told t;
    return forgotten;
end
$$;
