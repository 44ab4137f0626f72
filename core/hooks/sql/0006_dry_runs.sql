-- Dry runs: a version of a script tried on the recordings, against another version or against none. The replay itself is a
-- worker's or a command's; here stand what was asked, how far it is, and what came of it. A running one is heard of at
-- least every few seconds; one that is not has lost its process.

create table script.dry_run (
    book       int         not null,
    version    int         not null,
    against    int,                                     -- null: none, as if there were no script
    after_n    bigint      not null,                    -- recordings with after_n < n <= upto_n are replayed
    upto_n     bigint      not null,
    recordings bigint      not null,
    lines      bigint      not null default 0,          -- differences kept
    created_at timestamptz not null,
    heard_at   timestamptz not null,
    ended_at   timestamptz,
    cancel     boolean     not null default false,      -- somebody wants it to end
    id         text        collate "C" not null check (id like 'dry\_%'),
    script     text        collate "C" not null,
    status     text        collate "C" not null default 'running'
               check (status in ('running', 'done', 'cancelled', 'failed')),
    by         text        not null,
    why        text,
    counts     jsonb       not null default '{}',
    primary key (book, id),
    foreign key (book, script, version) references script.version,
    foreign key (book, script, against) references script.version,
    check ((status = 'running') = (ended_at is null))
);
create index on script.dry_run (book, script, created_at);

create table script.difference (
    n       bigint not null,
    book    int    not null,
    dry_run text   collate "C" not null,
    line    text   not null,                            -- a JSON object
    primary key (book, dry_run, n),
    foreign key (book, dry_run) references script.dry_run on delete cascade
);

-- Whether its process is still there: a running one is heard of every second.
create function script.dry_run_status(d script.dry_run, at timestamptz) returns text
language sql stable security invoker
begin atomic
    select case when d.status = 'running' and d.heard_at < dry_run_status.at - interval '30 s' then 'lost'
                else d.status end;
end;

create function script.dry_run_json(d script.dry_run, at timestamptz) returns text
language sql stable security invoker
begin atomic
    select json_strip_nulls(json_build_object(
               'id', d.id, 'object', 'dry_run', 'script', d.script, 'version', d.version, 'against', d.against,
               'status', script.dry_run_status(d, dry_run_json.at), 'why', d.why, 'by', script.person(d.by),
               'created_at', tb.rfc3339(d.created_at), 'ended_at', tb.rfc3339(d.ended_at),
               'recordings', d.recordings, 'differences', d.lines, 'counts', d.counts,
               'lookups', concat('tb.lookup read the tables as they were during the dry run, ',
                                 'not as they were when a request was recorded')))::text;
end;

-- Begin one. `what` says how it went: 'started', 'no_script', 'no_version', 'no_against', 'busy' (two are running). With
-- `active` it is held against the version that runs. The newest `most` recordings since `since` count. At most fifty dry
-- runs of a script are kept.
create function script.start_dry_run(book int, partner text, id text, version int, against int, active boolean,
                                     since timestamptz, most bigint, by text, at timestamptz,
                                     out what text, out script text, out held int, out after_n bigint,
                                     out upto_n bigint, out recordings bigint)
language plpgsql volatile security invoker
set search_path = pg_catalog
as $$
#variable_conflict use_column
declare
    s script.script;
begin
    what := 'no_script';
    select * into s from script.script s
     where s.book = start_dry_run.book and s.partner = start_dry_run.partner for no key update;
    if s.id is null then
        return;
    end if;
    script := s.id;
    held := case when start_dry_run.active then s.version else start_dry_run.against end;
    what := 'no_version';
    if not exists (select from script.version v where v.book = s.book and v.script = s.id
                      and v.version = start_dry_run.version) then
        return;
    end if;
    what := 'no_against';
    if held is not null and not exists (select from script.version v where v.book = s.book and v.script = s.id
                                           and v.version = held) then
        return;
    end if;
    what := 'busy';
    if (select count(*) from script.dry_run d where d.book = s.book and d.script = s.id
           and script.dry_run_status(d, start_dry_run.at) = 'running') >= 2 then
        return;
    end if;
    select coalesce(min(r.n) - 1, 0), coalesce(max(r.n), 0), count(*) into after_n, upto_n, recordings
      from (select g.n from script.recording g
             where g.book = s.book and g.script = s.id and g.at >= start_dry_run.since
             order by g.n desc limit start_dry_run.most) r;
    delete from script.dry_run d where d.book = s.book and d.script = s.id
       and d.id in (select o.id from script.dry_run o where o.book = s.book and o.script = s.id
                     order by o.created_at desc, o.id offset 49);
    insert into script.dry_run (book, version, against, after_n, upto_n, recordings, created_at, heard_at, id, script, by)
    values (s.book, start_dry_run.version, held, after_n, upto_n, recordings, start_dry_run.at, start_dry_run.at,
            start_dry_run.id, s.id, start_dry_run.by);
    what := 'started';
end
$$;

-- The next recordings, oldest first, as many as fit in about 192 KiB, at least one.
create function script.recordings(book int, script text, after_n bigint, upto_n bigint)
returns table (n bigint, world_ms bigint, status int, request_id text, request text)
language sql stable strict security invoker
begin atomic
    select r.n, r.world_ms, r.status, r.request_id, r.request
      from (select g.*, sum(g.bytes) over (order by g.n rows between unbounded preceding and 1 preceding) as before
              from (select * from script.recording o
                     where o.book = recordings.book and o.script = recordings.script and o.n > recordings.after_n
                       and o.n <= recordings.upto_n order by o.n limit 256) g) r
     where coalesce(r.before, 0) < 196608
     order by r.n;
end;

-- How far it is, and the differences found since the last time; false when it should end. Asking twice does no harm.
create function script.hear_dry_run(book int, id text, counts jsonb, lines_n bigint, lines jsonb, at timestamptz)
returns boolean
language plpgsql volatile strict security invoker
set search_path = pg_catalog
as $$
#variable_conflict use_column
declare
    goes_on boolean;
begin
    update script.dry_run d
       set counts = hear_dry_run.counts, heard_at = hear_dry_run.at,
           lines = hear_dry_run.lines_n + jsonb_array_length(hear_dry_run.lines)
     where d.book = hear_dry_run.book and d.id = hear_dry_run.id and d.status = 'running'
    returning not d.cancel into goes_on;
    if goes_on is null then
        return false;
    end if;
    insert into script.difference (n, book, dry_run, line)
    select hear_dry_run.lines_n + l.nth, hear_dry_run.book, hear_dry_run.id, l.line
      from jsonb_array_elements_text(hear_dry_run.lines) with ordinality as l (line, nth)
    on conflict do nothing;
    return goes_on;
end
$$;

create function script.end_dry_run(book int, id text, status text, why text, at timestamptz) returns text
language sql volatile security invoker
begin atomic
    update script.dry_run d
       set status = end_dry_run.status, why = end_dry_run.why, heard_at = end_dry_run.at, ended_at = end_dry_run.at
     where d.book = end_dry_run.book and d.id = end_dry_run.id and d.status = 'running'
    returning d.status;
end;

-- Ask a dry run to end. One that has lost its process ends here and now. Null: there is no such dry run of this partner.
create function script.cancel_dry_run(book int, partner text, script text, id text, at timestamptz) returns text
language sql volatile strict security invoker
begin atomic
    update script.dry_run d
       set cancel = true,
           ended_at = case when script.dry_run_status(d, cancel_dry_run.at) = 'lost' then cancel_dry_run.at
                           else d.ended_at end,
           status = case when script.dry_run_status(d, cancel_dry_run.at) = 'lost' then 'cancelled' else d.status end
      from script.script s
     where d.book = cancel_dry_run.book and d.id = cancel_dry_run.id and d.script = cancel_dry_run.script
       and s.book = d.book and s.id = d.script and s.partner = cancel_dry_run.partner
    returning script.dry_run_json(d, cancel_dry_run.at);
end;

create function script.read_dry_run(book int, partner text, script text, id text, at timestamptz) returns setof text
language sql stable strict security invoker
begin atomic
    select script.dry_run_json(d, read_dry_run.at) from script.dry_run d
      join script.script s on s.book = d.book and s.id = d.script
     where d.book = read_dry_run.book and d.id = read_dry_run.id and d.script = read_dry_run.script
       and s.partner = read_dry_run.partner;
end;

-- The next differences, in their order, as many lines as fit in `most` bytes, at least one; `last` is the place of the
-- last of them, `more` whether there are others behind it. No row when there are none.
create function script.differences(book int, dry_run text, after bigint, most int)
returns table (text text, last bigint, more boolean)
language sql stable strict security invoker
begin atomic
    select string_agg(d.line, e'\n' order by d.n) || e'\n', max(d.n),
           exists (select from script.difference m where m.book = differences.book and m.dry_run = differences.dry_run
                      and m.n > max(d.n))
      from (select f.n, f.line,
                   sum(octet_length(f.line) + 1) over (order by f.n rows between unbounded preceding and 1 preceding)
                       as before,
                   octet_length(f.line) + 1 as own
              from (select * from script.difference g
                     where g.book = differences.book and g.dry_run = differences.dry_run and g.n > differences.after
                     order by g.n limit 10000) f) d
     where d.before is null or d.before + d.own <= differences.most
    having count(*) > 0;
end;

-- The clerk's: thirty days, then they go.
create function script.forget_dry_runs(at timestamptz) returns bigint
language sql volatile strict security invoker
begin atomic
    with dead as (
        delete from script.dry_run d where d.created_at < forget_dry_runs.at - interval '30 days' returning 1)
    select count(*) from dead;
end;

-- What partners are told of versions, activations, scripts, recordings and dry runs, as the bank's people are told it: with
-- the names that script.person keeps. Volatile, to see what a step in the same statement has written.
create function script.named(book int, body text) returns text
language sql volatile strict security invoker
begin atomic
    select (b.j || coalesce((select jsonb_strip_nulls(jsonb_build_object('author', v.author, 'reviewer', v.reviewer))
                               from script.version v
                              where v.book = named.book and v.script = b.j->>'script' and v.version = (b.j->'version')::int
                                and b.j->>'object' = 'script_version'),
                            (select jsonb_build_object('by', a.by) from script.activation a
                              where a.book = named.book and a.script = b.j->>'script' and b.j->>'object' = 'activation'
                                and script.nth(a) = (b.j->'generation')::bigint and a.kind <> 'record'),
                            (select jsonb_build_object('active', b.j->'active' || jsonb_build_object('activated_by', a.by))
                               from script.activation a
                              where a.book = named.book and a.script = b.j->>'id' and b.j->>'object' = 'script'
                                and script.nth(a) = (b.j->'active'->'generation')::bigint and a.kind <> 'record'),
                            (select jsonb_build_object('by', r.by) from script.recording_switch r
                              where r.book = named.book and r.script = b.j->>'script' and b.j->>'object' = 'recording'),
                            (select jsonb_build_object('by', d.by) from script.dry_run d
                              where d.book = named.book and d.id = b.j->>'id' and b.j->>'object' = 'dry_run'),
                            '{}'))::text
      from (select named.body::jsonb as j) b;
end;
