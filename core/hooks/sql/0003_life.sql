-- The life of a script: pushed as a version, reviewed by somebody else, activated, rolled back or stopped. Each step is one
-- function that judges whether it may be done, does it and records the act. It is called with the partner's lock held; the
-- functions that take a batch of a partner's calls stand at the end, those of operators call the same steps.
--
--     draft ──review──▶ reviewed ──activate──▶ active ◀──activate, rollback──▶ retired
--          └─review──▶ rejected
--
-- Active is what requests can meet: the version that runs, and while it is a canary the one before, which has the rest.

-- ---- as it is told ----

create function script.version_json(v script.version, with_source boolean) returns text
language sql stable parallel safe security invoker
return concat(
    '{"object":"script_version","script":"', v.script, '","version":', v.version, ',"state":"', v.state,
    '","digest":"', encode(v.digest, 'hex'), '","author":"', script.person(v.author), '"',
    ',"note":' || to_json(v.note)::text,
    ',"created_at":"', tb.rfc3339(v.created_at), '"',
    ',"reviewer":"' || script.person(v.reviewer) || '"',
    ',"review_note":' || to_json(v.review_note)::text,
    ',"reviewed_at":"' || tb.rfc3339(v.reviewed_at) || '"',
    case when with_source then concat(',"source":', to_json(v.source)) end, '}');

-- The how manieth activation, rollback or stop of its script it is. The counter of generations, which all partners share,
-- would tell each how busy the others are.
create function script.nth(a script.activation) returns bigint
language sql stable parallel safe security invoker
return (select count(*) from script.activation x
         where x.book = a.book and x.script = a.script and x.kind <> 'record' and x.generation <= a.generation);

-- With what runs, hooks that workers have given up for a while, and the last failures.
create function script.script_json(s script.script, wall timestamptz) returns text
language sql stable security invoker
begin atomic
    select concat(
        '{"id":"', (s).id, '","object":"script","versions":',
        (select count(*) from script.version v where v.book = (s).book and v.script = (s).id),
        ',"active":' || (
            select concat('{"version":', a.version, ',"canary":', a.canary, ',"previous":' || a.previous,
                          ',"on_request_failure":"', a.on_request_failure, '","on_response_failure":"', a.on_response_failure,
                          '","generation":', script.nth(a), ',"activated_at":"', tb.rfc3339(a.at), '","activated_by":"',
                          script.person(a.by), '"}')
              from script.activation a
             where a.book = (s).book and a.script = (s).id and (s).version is not null and a.kind <> 'record'
             order by a.generation desc limit 1),
        ',"recording":', (s).recording::text,
        ',"breakers":[', (
            select string_agg(concat('{"hook":"', b.hook, '","version":', b.version, ',"off":', (b.until > wall)::text, ',"until":"',
                                     tb.rfc3339(b.until), '","times":', b.times, ',"why":', to_json(b.why), '}'),
                              ',' order by b.hook, b.version)
              from script.breaker b where b.book = (s).book and b.script = (s).id),
        '],"failures":[', (
            select string_agg(concat('{"hook":"', f.hook, '","version":', f.version, ',"ended":"', f.ended,
                                     '","request_id":', to_json(f.request), ',"why":', to_json(f.why), ',"at":"',
                                     tb.rfc3339(f.at), '"}'), ',' order by f.at desc, f.request, f.hook)
              from (select l.* from script.failure l where l.book = (s).book and l.script = (s).id
                     order by l.at desc limit 10) f),
        '],"created_at":"', tb.rfc3339((s).created_at), '"}');
end;

create function script.activation_json(a script.activation) returns text
language sql stable parallel safe security invoker
return concat(
    '{"object":"activation","script":"', a.script, '","kind":"', a.kind, '","generation":', script.nth(a),
    ',"version":' || a.version, case when a.version is not null then concat(',"canary":', a.canary) end,
    ',"previous":' || a.previous,
    ',"on_request_failure":"', a.on_request_failure, '","on_response_failure":"', a.on_response_failure,
    '","at":"', tb.rfc3339(a.at), '","by":"', script.person(a.by), '"}');

-- ---- the steps ----

-- The script of this id, if it is the partner's; null otherwise. Locks: its row.
create function script.take(book int, partner text, id text) returns script.script
language sql volatile security invoker
begin atomic
    select s.* from script.script s
     where s.book = take.book and s.id = take.id and s.partner = take.partner for update;
end;

-- A text that was compiled. The first makes the script itself, with `id_suffix` in its id. A script has at most 1000 versions, which
-- bounds what texts can fill.
create function script.push_version(book int, n int, partner text, id_suffix text, source text, author text, note text, who text,
                                    at timestamptz) returns tb.answer
language plpgsql volatile security invoker
set search_path = pg_catalog
as $$
#variable_conflict use_column
declare
    script_id text;
    v         script.version;
begin
    select s.id into script_id from script.script s where s.book = push_version.book and s.partner = push_version.partner;
    if script_id is null then
        script_id := 'scr_' || push_version.id_suffix;
        insert into script.script (generation, book, created_at, id, partner)
        values (0, push_version.book, push_version.at, script_id, push_version.partner);
    end if;
    select coalesce(max(x.version), 0) + 1 into v.version
      from script.version x where x.book = push_version.book and x.script = script_id;
    if v.version > 1000 then
        return script.refuse(n, 409, 'conflict', 'the script has 1000 versions, which is all it can have', null);
    end if;
    insert into script.version as x (book, version, created_at, script, digest, author, note, source)
    values (push_version.book, v.version, push_version.at, script_id, sha256(convert_to(push_version.source, 'UTF8')),
            push_version.author, push_version.note, push_version.source)
    returning x.* into v;
    perform tb.record_audit(push_version.who, 'script.push', script_id, null,
                             jsonb_build_object('version', v.version, 'digest', encode(v.digest, 'hex'), 'author', v.author),
                             push_version.at);
    return script.answer(n, 201, concat('/scripts/v1/scripts/', script_id, '/versions/', v.version),
                         script.version_json(v, false));
end
$$;

-- A second person's verdict, 'approve' or 'reject', on a draft. Who acts (`who`) is not the author either, whatever name the
-- verdict is given in; and names that differ in their case are one.
create function script.review_version(book int, n int, partner text, id text, version int, verdict text, reviewer text,
                                      note text, who text, at timestamptz) returns tb.answer
language plpgsql volatile security invoker
set search_path = pg_catalog
as $$
#variable_conflict use_column
declare
    s script.script := script.take(book, partner, id);
    v script.version;
begin
    if s.id is null then
        return script.refuse(n, 404, 'not_found', 'no such script', null);
    end if;
    select x.* into v from script.version x
     where x.book = s.book and x.script = s.id and x.version = review_version.version;
    if v.version is null then
        return script.refuse(n, 422, 'unknown_version', 'the script has no such version', '/version');
    elsif lower(v.author) in (lower(review_version.reviewer), lower(review_version.who)) then
        return script.refuse(n, 403, 'review_by_author', 'whoever pushed a version does not review it', null);
    elsif v.state <> 'draft' then
        return script.refuse(n, 409, 'conflict', concat('the version is ', v.state), null);
    end if;
    update script.version x
       set state = case review_version.verdict when 'approve' then 'reviewed' else 'rejected' end,
           reviewer = review_version.reviewer, review_note = review_version.note, reviewed_at = review_version.at
     where x.book = v.book and x.script = v.script and x.version = v.version
    returning x.* into v;
    perform tb.record_audit(review_version.who, 'script.review', v.script, jsonb_build_object('version', v.version, 'state', 'draft'),
                             jsonb_build_object('version', v.version, 'state', v.state, 'reviewer', v.reviewer),
                             review_version.at);
    return script.answer(n, 201, concat('/scripts/v1/scripts/', v.script, '/versions/', v.version),
                         script.version_json(v, false));
end
$$;

-- What the row says now as JSON, for the record of acts.
create function script.setting(s script.script) returns jsonb
language sql immutable parallel safe security invoker
return jsonb_build_object('version', s.version, 'previous', s.previous, 'canary', s.canary, 'on_request_failure',
                          s.on_request_failure, 'on_response_failure', s.on_response_failure);

-- Let a script run as `wanted` says, with the states of its versions and the record that go with it.
create function script.turn(n int, was script.script, wanted script.script, kind text, who text, at timestamptz)
returns tb.answer
language plpgsql volatile security invoker
set search_path = pg_catalog
as $$
#variable_conflict use_column
declare
    a script.activation;
begin
    update script.version v
       set state = case when v.version = wanted.version or v.version = wanted.previous and wanted.canary < 100
                        then 'active' else 'retired' end
     where v.book = was.book and v.script = was.id
       and (v.state = 'active' or v.version = wanted.version or v.version = wanted.previous);
    a.generation := script.point(was.book, was.id, wanted.version, wanted.previous, wanted.canary, wanted.on_request_failure,
                                 wanted.on_response_failure, turn.kind, turn.who, turn.at);
    select x.* into a from script.activation x
     where x.book = was.book and x.script = was.id and x.generation = a.generation;
    perform tb.record_audit(turn.who, 'script.' || turn.kind, was.id, script.setting(was),
                             script.setting(wanted) || jsonb_build_object('generation', a.generation), turn.at);
    return script.answer(n, 201, '/scripts/v1/scripts/' || was.id, script.activation_json(a));
end
$$;

-- Let a reviewed version serve `canary` percent of the requests. What it leaves is served, and a rollback returns to, the
-- version that last served all; so a canary that is widened keeps the one before it, and one that another canary takes the
-- place of is never fallen back on.
create function script.activate_version(book int, n int, partner text, id text, version int, canary int,
                                        on_request_failure text, on_response_failure text, who text, at timestamptz)
returns tb.answer
language plpgsql volatile security invoker
set search_path = pg_catalog
as $$
#variable_conflict use_column
declare
    was    script.script := script.take(book, partner, id);
    wanted script.script := was;
    state  text;
begin
    if was.id is null then
        return script.refuse(n, 404, 'not_found', 'no such script', null);
    end if;
    select v.state into state from script.version v
     where v.book = was.book and v.script = was.id and v.version = activate_version.version;
    if state is null then
        return script.refuse(n, 422, 'unknown_version', 'the script has no such version', '/version');
    elsif state in ('draft', 'rejected') then
        return script.refuse(n, 409, 'not_reviewed', case state
            when 'draft' then 'nobody has reviewed the version; another than its author has to'
            else 'the version was rejected; push another' end, '/version');
    end if;
    wanted.version := activate_version.version;
    if was.version is distinct from wanted.version and was.canary = 100 then
        wanted.previous := was.version;
    end if;
    wanted.previous := nullif(wanted.previous, wanted.version);
    wanted.canary := activate_version.canary;
    wanted.on_request_failure := activate_version.on_request_failure;
    wanted.on_response_failure := activate_version.on_response_failure;
    return script.turn(n, was, wanted, 'activate', activate_version.who, activate_version.at);
end
$$;

-- Return to the version before, with the failure policies it ran with. There is one step back: what was before that one
-- can be activated again.
create function script.roll_back_version(book int, n int, partner text, id text, who text, at timestamptz) returns tb.answer
language plpgsql volatile security invoker
set search_path = pg_catalog
as $$
#variable_conflict use_column
declare
    was    script.script := script.take(book, partner, id);
    wanted script.script := was;
begin
    if was.id is null then
        return script.refuse(n, 404, 'not_found', 'no such script', null);
    elsif was.previous is null then
        return script.refuse(n, 409, 'nothing_before', 'no version ran for all requests before; activate the one that should run, or stop the script', null);
    end if;
    wanted.version := was.previous;
    wanted.previous := null;
    wanted.canary := 100;
    select a.on_request_failure, a.on_response_failure into wanted.on_request_failure, wanted.on_response_failure
      from script.activation a
     where a.book = was.book and a.script = was.id and a.version = wanted.version order by a.generation desc limit 1;
    return script.turn(n, was, wanted, 'rollback', roll_back_version.who, roll_back_version.at);
end
$$;

-- Let no version run. There is no way back but to activate one again.
create function script.stop_script(book int, n int, partner text, id text, who text, at timestamptz) returns tb.answer
language plpgsql volatile security invoker
set search_path = pg_catalog
as $$
#variable_conflict use_column
declare
    was    script.script := script.take(book, partner, id);
    wanted script.script := was;
begin
    if was.id is null then
        return script.refuse(n, 404, 'not_found', 'no such script', null);
    elsif was.version is null then
        return script.refuse(n, 409, 'conflict', 'no version runs', null);
    end if;
    wanted.version := null;
    wanted.previous := null;
    wanted.canary := 100;
    return script.turn(n, was, wanted, 'stop', stop_script.who, stop_script.at);
end
$$;

-- ---- batches of a partner's calls ----

-- The step of this name for each call, one behind the other, with the locks of all their partners.
create function script.steps(book int, calls tb.call[], step text) returns setof tb.answer
language plpgsql volatile strict security invoker
set search_path = pg_catalog
as $$
declare
    c    tb.call;
    who  text;
    wall timestamptz;
    id   text;
begin
    perform script.lock(steps.book, array(select x.partner from unnest(calls) x));
    foreach c in array calls loop
        who := 'client:' || c.app;
        wall := script.wall(steps.book, c.now);
        id := c.path->>'script_id';
        return next case step
            when 'push' then
                script.push_version(steps.book, c.n, c.partner, c.id_suffix, c.body->>'source', who, c.body->>'note', who, wall)
            when 'review' then
                script.review_version(steps.book, c.n, c.partner, id, (c.body->'version')::int, c.body->>'verdict', who,
                                      c.body->>'note', who, wall)
            when 'activate' then
                script.activate_version(steps.book, c.n, c.partner, id, (c.body->'version')::int,
                                        coalesce((c.body->'canary')::int, 100), coalesce(c.body->>'on_request_failure', 'deny'),
                                        coalesce(c.body->>'on_response_failure', 'skip'), who, wall)
            when 'roll_back' then script.roll_back_version(steps.book, c.n, c.partner, id, who, wall)
            when 'stop' then script.stop_script(steps.book, c.n, c.partner, id, who, wall)
        end;
    end loop;
end
$$;

-- POST /scripts/v1/scripts
create function script.push(book int, calls tb.call[]) returns setof tb.answer
language sql volatile strict security invoker
begin atomic
    select * from script.steps(push.book, push.calls, 'push');
end;

-- POST /scripts/v1/scripts/{script_id}/reviews
create function script.review(book int, calls tb.call[]) returns setof tb.answer
language sql volatile strict security invoker
begin atomic
    select * from script.steps(review.book, review.calls, 'review');
end;

-- POST /scripts/v1/scripts/{script_id}/activations
create function script.activate(book int, calls tb.call[]) returns setof tb.answer
language sql volatile strict security invoker
begin atomic
    select * from script.steps(activate.book, activate.calls, 'activate');
end;

-- POST /scripts/v1/scripts/{script_id}/rollbacks
create function script.roll_back(book int, calls tb.call[]) returns setof tb.answer
language sql volatile strict security invoker
begin atomic
    select * from script.steps(roll_back.book, roll_back.calls, 'roll_back');
end;

-- POST /scripts/v1/scripts/{script_id}/stops
create function script.stop(book int, calls tb.call[]) returns setof tb.answer
language sql volatile strict security invoker
begin atomic
    select * from script.steps(stop.book, stop.calls, 'stop');
end;
