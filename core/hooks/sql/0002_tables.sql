-- The tables a partner keeps for its script: keys with a JSON value each, read by tb.lookup. They are small and bounded: 20
-- tables, 10,000 entries of 4 KiB together. A table is there while it has entries.
--
-- Whatever writes takes the lock of its partner first (script.lock), so that counts are exact however many write at once.

-- Written with the entries, so that a quota is looked up and not counted.
create table script.entry_count (
    book     int  not null,
    entries  int  not null check (entries between 1 and 10000),
    partner  text collate "C" not null references bank.partner,
    table_name text collate "C" not null check (table_name ~ '^[a-z][a-z0-9_]{0,39}$'),
    primary key (book, partner, table_name)
);

create table script.entry (
    book       int         not null,
    updated_at timestamptz not null,
    partner    text        collate "C" not null,
    table_name   text        collate "C" not null,
    key        text        collate "C" not null check (key ~ '^[^[:cntrl:]/]{1,128}$' and key <> all ('{.,..}')),
    by         text        not null,        -- 'client:app_…', 'operator:…'
    value      jsonb       not null check (octet_length(value::text) <= 4096),
    primary key (book, partner, table_name, key),
    foreign key (book, partner, table_name) references script.entry_count
);

-- What tb.lookup finds: the entry's value as JSON; no row when there is none.
create function script.lookup(book int, partner text, table_name text, key text) returns setof text
language sql stable strict security invoker
begin atomic
    select e.value::text from script.entry e
     where e.book = lookup.book and e.partner = lookup.partner and e.table_name = lookup.table_name and e.key = lookup.key;
end;

-- ---- what the whole schema is written with ----

-- The lock of everything a partner has in a book; in the order of hashes, as keys are locked.
create function script.lock(book int, partners text[]) returns void
language sql volatile strict security invoker
begin atomic
    select count(pg_advisory_xact_lock(k.hash))
      from (select distinct tb.key_lock(lock.book, p, 'script', '') as hash from unnest(lock.partners) p order by 1) k;
end;

-- The wall clock's time of a call: what happens to scripts, unlike what they are asked about, is told in the bank's time.
create function script.wall(book int, world_time timestamptz) returns timestamptz
language sql stable strict security invoker
begin atomic
    select wall.world_time - w.clock_offset_ms * interval '1 millisecond'
      from bank.book b join bank.world w on w.id = b.world where b.book = wall.book;
end;

create function script.refuse(n int, status int, code text, detail text, pointer text) returns tb.answer
language sql immutable parallel safe security invoker
return row(n, status, code, detail, pointer, null, null, null, false)::tb.answer;

create function script.answer(n int, status int, location text, body text) returns tb.answer
language sql immutable parallel safe security invoker
return row(n, status, null, null, null, location, body, null, false)::tb.answer;

-- Who did something, as the partner is told: which of its apps, or the bank, whose people have no names here.
create function script.person(who text) returns text
language sql immutable strict parallel safe security invoker
return case when who like 'client:%' then substr(who, 8) else 'bank' end;

create function script.entry_json(e script.entry) returns text
language sql stable parallel safe security invoker
return concat('{"object":"table_entry","table":"', e.table_name, '","key":', to_json(e.key), ',"value":', e.value,
              ',"updated_at":"', tb.rfc3339(e.updated_at), '","updated_by":"', script.person(e.by), '"}');

-- ---- writing ----

-- Put one entry, new or in place of what its key had. Locks: the caller holds the partner's.
create function script.write_entry(book int, n int, partner text, table_name text, key text, value jsonb, by text,
                                   at timestamptz) returns tb.answer
language plpgsql volatile security invoker
set search_path = pg_catalog
as $$
#variable_conflict use_column
declare
    e       script.entry;
    known   boolean;
    tables  int;
    entries int;
begin
    if write_entry.table_name !~ '^[a-z][a-z0-9_]{0,39}$' then
        return script.refuse(n, 400, 'bad_request', 'a table is named by 1 to 40 of a-z, 0-9 and _, a letter first',
                             '?table');
    elsif write_entry.key !~ '^[^[:cntrl:]/]{1,128}$' or write_entry.key = any ('{.,..}') then
        return script.refuse(n, 400, 'bad_request', 'a key has 1 to 128 characters, no control characters and no slash',
                             '?key');
    elsif write_entry.value is null or octet_length(write_entry.value::text) > 4096 then
        return script.refuse(n, 422, 'entry_too_large', 'a value has at most 4096 bytes as JSON', '/value');
    end if;

    known := exists (select from script.entry x
                      where x.book = write_entry.book and x.partner = write_entry.partner
                        and x.table_name = write_entry.table_name and x.key = write_entry.key);
    if not known then
        select count(*) filter (where c.table_name <> write_entry.table_name), coalesce(sum(c.entries), 0) into tables, entries
          from script.entry_count c where c.book = write_entry.book and c.partner = write_entry.partner;
        if tables >= 20 then
            return script.refuse(n, 409, 'table_quota_exceeded', 'there are 20 tables already', null);
        elsif entries >= 10000 then
            return script.refuse(n, 409, 'table_quota_exceeded', 'there are 10000 entries already', null);
        end if;
        insert into script.entry_count as c (book, entries, partner, table_name)
        values (write_entry.book, 1, write_entry.partner, write_entry.table_name)
        on conflict (book, partner, table_name) do update set entries = c.entries + 1;
    end if;
    insert into script.entry as x (book, updated_at, partner, table_name, key, by, value)
    values (write_entry.book, write_entry.at, write_entry.partner, write_entry.table_name, write_entry.key, write_entry.by,
            write_entry.value)
    on conflict (book, partner, table_name, key)
    do update set updated_at = excluded.updated_at, by = excluded.by, value = excluded.value
    returning x.* into e;
    return script.answer(n, case when known then 200 else 201 end, null, script.entry_json(e));
end
$$;

-- Take one entry away. Locks: the caller holds the partner's.
create function script.remove_entry(book int, n int, partner text, table_name text, key text) returns tb.answer
language plpgsql volatile security invoker
set search_path = pg_catalog
as $$
#variable_conflict use_column
begin
    delete from script.entry e
     where e.book = remove_entry.book and e.partner = remove_entry.partner and e.table_name = remove_entry.table_name
       and e.key = remove_entry.key;
    if not found then
        return script.refuse(n, 404, 'not_found', 'the table has no such key', null);
    end if;
    delete from script.entry_count c
     where c.book = remove_entry.book and c.partner = remove_entry.partner and c.table_name = remove_entry.table_name
       and c.entries = 1;
    update script.entry_count c set entries = c.entries - 1
     where c.book = remove_entry.book and c.partner = remove_entry.partner and c.table_name = remove_entry.table_name;
    return script.answer(n, 204, null, null);
end
$$;

-- PUT /scripts/v1/tables/{table}/entries/{key}
create function script.put_entry(book int, calls tb.call[]) returns setof tb.answer
language plpgsql volatile strict security invoker
set search_path = pg_catalog
as $$
declare
    c tb.call;
begin
    perform script.lock(put_entry.book, array(select x.partner from unnest(calls) x));
    foreach c in array calls loop
        return next script.write_entry(put_entry.book, c.n, c.partner, c.path->>'table', c.path->>'key', c.body->'value',
                                       'client:' || c.app, script.wall(put_entry.book, c.now));
    end loop;
end
$$;

-- DELETE /scripts/v1/tables/{table}/entries/{key}
create function script.delete_entry(book int, calls tb.call[]) returns setof tb.answer
language plpgsql volatile strict security invoker
set search_path = pg_catalog
as $$
declare
    c tb.call;
begin
    perform script.lock(delete_entry.book, array(select x.partner from unnest(calls) x));
    foreach c in array calls loop
        return next script.remove_entry(delete_entry.book, c.n, c.partner, c.path->>'table', c.path->>'key');
    end loop;
end
$$;

-- What an operator does to a partner's tables is on record; what partners do themselves is data.
create function script.admin_entry(book int, partner text, table_name text, key text, value jsonb, who text, at timestamptz)
returns tb.answer
language plpgsql volatile security invoker
set search_path = pg_catalog
as $$
declare
    was    jsonb;
    answer tb.answer;
begin
    perform script.lock(admin_entry.book, array[admin_entry.partner]);
    was := (select l::jsonb from script.lookup(admin_entry.book, admin_entry.partner, admin_entry.table_name, admin_entry.key) l);
    answer := case when admin_entry.value is null
        then script.remove_entry(admin_entry.book, 0, admin_entry.partner, admin_entry.table_name, admin_entry.key)
        else script.write_entry(admin_entry.book, 0, admin_entry.partner, admin_entry.table_name, admin_entry.key,
                                admin_entry.value, admin_entry.who, admin_entry.at) end;
    if (answer).status < 300 then
        perform tb.record_audit(admin_entry.who, case when admin_entry.value is null then 'entry.delete' else 'entry.put' end,
                                 admin_entry.partner,
                                 jsonb_build_object('book', admin_entry.book, 'table', admin_entry.table_name, 'key',
                                                    admin_entry.key, 'value', was),
                                 jsonb_build_object('value', admin_entry.value), admin_entry.at);
    end if;
    return answer;
end
$$;

-- ---- reading ----

-- GET /scripts/v1/tables/{table}/entries/{key}: no row = not found.
create function script.read_entry(book int, partner text, table_name text, key text) returns setof text
language sql stable strict security invoker
begin atomic
    select script.entry_json(e) from script.entry e
     where e.book = read_entry.book and e.partner = read_entry.partner and e.table_name = read_entry.table_name
       and e.key = read_entry.key;
end;

-- GET /scripts/v1/tables, by name.
create function script.list_tables(book int, partner text, after text, before text, rows_n int) returns setof tb.page
language plpgsql stable security invoker
set search_path = pg_catalog
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    places text[];
    bodies text[];
begin
    select coalesce(array_agg(l.table_name order by l.turn), '{}'),
           coalesce(array_agg(concat('{"object":"table","name":"', l.table_name, '","entries":', l.entries, '}') order by l.turn),
                    '{}')
      into places, bodies
      from (select c.table_name, c.entries,
                   row_number() over (order by case when list_tables.before is null then c.table_name end, c.table_name desc) as turn
              from script.entry_count c
             where c.book = list_tables.book and c.partner = list_tables.partner
               and (list_tables.after is null or c.table_name > list_tables.after)
               and (list_tables.before is null or c.table_name < list_tables.before)) l
     where l.turn <= list_tables.rows_n + 1;
    return next tb.page(places, bodies, list_tables.rows_n, list_tables.before is not null);
end
$$;

-- GET /scripts/v1/tables/{table}/entries, by key. No row when there is no such table.
create function script.list_entries(book int, partner text, table_name text, after text, before text, rows_n int)
returns setof tb.page
language plpgsql stable security invoker
set search_path = pg_catalog
set enable_seqscan = off
set plan_cache_mode = force_custom_plan     -- so that only one branch is planned
as $$
#variable_conflict use_column
declare
    backwards constant boolean := list_entries.before is not null;
    places    text[];
    bodies    text[];
begin
    perform from script.entry_count c
      where c.book = list_entries.book and c.partner = list_entries.partner and c.table_name = list_entries.table_name;
    if not found then
        return;
    end if;
    select coalesce(array_agg(t.key order by t.turn), '{}'), coalesce(array_agg(t.body order by t.turn), '{}')
      into places, bodies
      from (select (q.e).key, script.entry_json(q.e) as body, row_number() over () as turn
              from ((select e from script.entry e
                      where e.book = list_entries.book and e.partner = list_entries.partner
                        and e.table_name = list_entries.table_name and not backwards
                        and (list_entries.after is null or e.key > list_entries.after)
                      order by e.key limit list_entries.rows_n + 1)
                    union all
                    (select e from script.entry e
                      where e.book = list_entries.book and e.partner = list_entries.partner
                        and e.table_name = list_entries.table_name and backwards and e.key < list_entries.before
                      order by e.key desc limit list_entries.rows_n + 1)) q) t;
    return next tb.page(places, bodies, list_entries.rows_n, backwards);
end
$$;
