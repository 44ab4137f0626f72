-- What a partner reads of its script, nobody else's; and the proof that what runs is what was reviewed.

-- GET /scripts/v1/scripts/{script_id}: no row = not found.
create function script.read(book int, partner text, id text, world_time timestamptz) returns setof text
language sql stable strict security invoker
begin atomic
    select script.script_json(s, script.wall(s.book, read.world_time)) from script.script s
     where s.book = read.book and s.id = read.id and s.partner = read.partner;
end;

-- GET /scripts/v1/scripts: a partner has one at most.
create function script.list(book int, partner text, after text, before text, rows_n int, world_time timestamptz)
returns setof tb.page
language sql stable security invoker
begin atomic
    select p.* from tb.page(
        array(select s.id from script.script s
               where s.book = list.book and s.partner = list.partner
                 and (list.after is null or s.id < list.after) and (list.before is null or s.id > list.before)),
        array(select script.script_json(s, script.wall(s.book, list.world_time)) from script.script s
               where s.book = list.book and s.partner = list.partner
                 and (list.after is null or s.id < list.after) and (list.before is null or s.id > list.before)),
        list.rows_n, list.before is not null) p;
end;

-- GET /scripts/v1/scripts/{script_id}/versions/{version}, with its source: no row = not found.
create function script.read_version(book int, partner text, id text, version text) returns setof text
language sql stable strict security invoker
begin atomic
    select script.version_json(v, true) from script.script s
      join script.version v on v.book = s.book and v.script = s.id and v.version::text = read_version.version
     where s.book = read_version.book and s.id = read_version.id and s.partner = read_version.partner;
end;

-- GET /scripts/v1/scripts/{script_id}/versions, newest first, without sources. No row when the script is not found.
create function script.list_versions(book int, partner text, id text, after text, before text, rows_n int)
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
    perform from script.script s
      where s.book = list_versions.book and s.id = list_versions.id and s.partner = list_versions.partner;
    if not found then
        return;
    end if;
    select coalesce(array_agg(l.version::text order by l.turn), '{}'),
           coalesce(array_agg(script.version_json(l.v, false) order by l.turn), '{}')
      into places, bodies
      from (select v, v.version, row_number() over (order by case when list_versions.before is not null then v.version end,
                                                             v.version desc) as turn
              from script.version v
             where v.book = list_versions.book and v.script = list_versions.id
               and (list_versions.after is null or v.version < list_versions.after::int)
               and (list_versions.before is null or v.version > list_versions.before::int)) l
     where l.turn <= list_versions.rows_n + 1;
    return next tb.page(places, bodies, list_versions.rows_n, list_versions.before is not null);
end
$$;

-- ---- for operators ----

-- Where the scripts of a partner can be: the books of its apps' worlds, or of one world.
create function script.books(partner text, world text) returns setof int
language sql stable security invoker
begin atomic
    select distinct b.book from bank.app a join bank.book b on b.world = a.world
     where a.partner = books.partner and a.state <> 'revoked' and (books.world is null or a.world = books.world)
     order by b.book;
end;

-- ---- proof ----

-- One row per violation; it trusts no constraint.
create function script.audit(book int) returns setof bank.violation
language sql stable strict security invoker
set enable_nestloop = off     -- see bank.audit_entries()
begin atomic
    select 'script_versions', v.script, concat('has ', count(*), ' versions up to number ', max(v.version))
      from script.version v where v.book = audit.book
     group by v.script having count(*) <> max(v.version) or min(v.version) <> 1
    union all
    select 'script_source', v.script, concat('version ', v.version, ' is not the text that was pushed')
      from script.version v where v.book = audit.book and v.digest <> sha256(convert_to(v.source, 'UTF8'))
    union all
    -- nothing is past a draft that somebody else than its author has not reviewed
    select 'script_review', v.script, concat('version ', v.version, ' is ', v.state)
      from script.version v
     where v.book = audit.book and ((v.state = 'draft') <> (v.reviewer is null) or v.reviewer = v.author)
    union all
    -- active is what requests can meet
    select 'script_active', v.script, concat('version ', v.version, ' is ', v.state)
      from script.version v
      join script.script s on s.book = v.book and s.id = v.script
     where v.book = audit.book
       and (v.state = 'active') <> coalesce(v.version = s.version or v.version = s.previous and s.canary < 100, false)
    union all
    -- the row says what the last activation said
    select 'script_activation', s.id, concat('runs version ', coalesce(s.version::text, 'none'), ', activated was ',
                                             coalesce(a.version::text, 'none'))
      from script.script s
      left join (select distinct on (x.script) x.* from script.activation x where x.book = audit.book
                  order by x.script, x.generation desc) a on a.script = s.id
     where s.book = audit.book and (s.version, s.previous) is distinct from (a.version, a.previous)
    union all
    select 'script_tables', coalesce(c.partner, e.partner), concat('table ', coalesce(c.table_name, e.table_name), ' has ',
                                                                    coalesce(e.n, 0), ' entries, counted ', coalesce(c.entries, 0))
      from (select * from script.entry_count x where x.book = audit.book) c
      full join (select x.partner, x.table_name, count(*) as n from script.entry x where x.book = audit.book
                  group by x.partner, x.table_name) e on e.partner = c.partner and e.table_name = c.table_name
     where c.entries is distinct from e.n;
end;
