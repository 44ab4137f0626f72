-- What partners, customers and the bank read of consents, and the proof that all of it tells one story.

-- A consent on the wire, as it stands at `at`. Whoever ended it is named by kind, a user or clerk not by name.
create function consent.consent_json(c consent.consent, at timestamptz) returns text
language sql stable security invoker
begin atomic
    select concat(
        '{"id":"', (c).id, '","object":"consent","type":"', (c).type, '","status":"',
        case when consent.standing(c, at) = 'consent_expired' then 'EXPD' else (c).status end,
        '","version":', (c).version, ',"app":"', (c).app, '","subject":"', (c).subject, '","scope":', to_json((c).scope),
        ',"details":' || (c).details::text,
        ',"limits":' || (select '[' || string_agg(concat(
                '{"period_type":"', a.period_type, '","period_alignment":"', a.alignment, '","amount":',
                tb.money(a.amount, (c).currency), ',"spent":', tb.money(a.spent, (c).currency), ',"from":"', a.starts,
                '","to":"', a.ends, '"}'), ',' order by a.n) || ']'
            from consent.allowances(c, at) a where a.period_type <> 'Once' and a.amount is not null),
        ',"approvals":{"required":', consent.approvals_wanted(c), ',"given":',
        (select count(*) filter (where p.counts) from consent.approval p
          where p.book = (c).book and p.consent = (c).id and p.version = (c).version),
        '},"valid_from":"', tb.rfc3339((c).valid_from), '"',
        case when (c).valid_to < 'infinity' then concat(',"valid_to":"', tb.rfc3339((c).valid_to), '"') end,
        ',"created_at":"', tb.rfc3339((c).created_at), '","updated_at":"', tb.rfc3339((c).updated_at), '"',
        ',"authorised_at":"' || tb.rfc3339((c).authorised_at) || '"',
        ',"ended_at":"' || tb.rfc3339((c).ended_at) || '"',
        ',"ended_by":"' || split_part((c).ended_by, ' ', 1) || '"',
        '}');
end;

create function consent.receipt_json(r consent.receipt) returns text
language sql stable security invoker
return concat(
    '{"id":"', (r).id, '","object":"receipt","consent":"', (r).consent, '","version":', (r).version, ',"app":"', (r).app,
    '","operation":', to_json((r).operation), ',"outcome":"', (r).outcome, '"',
    ',"account":"' || (r).account || '"',
    case when (r).object like 'rfd\_%' then ',"refund":"' else ',"payment":"' end || (r).object || '"',
    ',"amount":' || case when (r).amount is not null then tb.money((r).amount, (r).currency) end,
    ',"request_id":' || to_json((r).request_id)::text,
    ',"created_at":"', tb.rfc3339((r).at), '"}');

-- GET /consents/v1/consents/{consent_id}; the bank reads with partner null. No row = not found.
create function consent.read(book int, partner text, id text, at timestamptz) returns setof text
language sql stable security invoker
begin atomic
    select consent.consent_json(c, at) from consent.consent c
     where c.book = read.book and c.id = read.id and (read.partner is null or c.partner = read.partner);
end;

create function consent.listed(c consent.consent, status text, type text, at timestamptz) returns boolean
language sql stable security invoker
return (type is null or (c).type = type)
   and (status is null or status = case when consent.standing(c, at) = 'consent_expired' then 'EXPD' else (c).status end);

-- GET /consents/v1/consents, newest first; ids sort by the time they were made. Filters that are null do not filter.
create function consent.list(book int, partner text, status text, type text, after text, before text, rows_n int,
                             at timestamptz) returns setof tb.page
language plpgsql stable security invoker
set search_path = pg_catalog
set enable_seqscan = off
set plan_cache_mode = force_custom_plan     -- so that only one branch is planned, with the filters there are
as $$
#variable_conflict use_column
declare
    backwards constant boolean := list.before is not null;
    places    text[];
    bodies    text[];
begin
    select coalesce(array_agg(l.id order by l.turn), '{}'), coalesce(array_agg(l.body order by l.turn), '{}')
      into places, bodies
      from (select (t.c).id, consent.consent_json(t.c, list.at) as body, row_number() over () as turn
              from ((select c from consent.consent c
                      where c.book = list.book and not backwards and (list.partner is null or c.partner = list.partner)
                        and consent.listed(c, list.status, list.type, list.at)
                        and (list.after is null or c.id < list.after)
                      order by c.id desc limit list.rows_n + 1)
                    union all
                    (select c from consent.consent c
                      where c.book = list.book and backwards and (list.partner is null or c.partner = list.partner)
                        and consent.listed(c, list.status, list.type, list.at)
                        and c.id > list.before
                      order by c.id limit list.rows_n + 1)) t) l;
    return next tb.page(places, bodies, list.rows_n, backwards);
end
$$;

-- GET /consents/v1/consents/{consent_id}/receipts, newest first. No row when the consent is not found.
create function consent.list_receipts(book int, partner text, id text, after text, before text, rows_n int)
returns setof tb.page
language plpgsql stable security invoker
set search_path = pg_catalog
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    backwards constant boolean := list_receipts.before is not null;
    places    text[];
    bodies    text[];
begin
    perform from consent.consent c
      where c.book = list_receipts.book and c.id = list_receipts.id
        and (list_receipts.partner is null or c.partner = list_receipts.partner);
    if not found then
        return;
    end if;
    select coalesce(array_agg(t.id order by t.turn), '{}'), coalesce(array_agg(t.body order by t.turn), '{}')
      into places, bodies
      from (select (q.r).id, consent.receipt_json(q.r) as body, row_number() over () as turn
              from ((select r from consent.receipt r
                      where r.book = list_receipts.book and r.consent = list_receipts.id and not backwards
                        and (list_receipts.after is null or r.id < list_receipts.after)
                      order by r.id desc limit list_receipts.rows_n + 1)
                    union all
                    (select r from consent.receipt r
                      where r.book = list_receipts.book and r.consent = list_receipts.id and backwards
                        and r.id > list_receipts.before
                      order by r.id limit list_receipts.rows_n + 1)) q) t;
    return next tb.page(places, bodies, list_receipts.rows_n, backwards);
end
$$;

-- What a token under a consent may do now, for introspection: its details, less accounts that the customer took away; null
-- where there are none. No row when nothing can be done with it at this time. `details`: see consent.narrow.
create function consent.in_force(book int, id text, details jsonb, at timestamptz) returns setof jsonb
language sql stable security invoker
begin atomic
    select case when in_force.details->0 ? 'accounts'
                then jsonb_set(in_force.details, '{0,accounts}', coalesce(
                         (select jsonb_agg(a.id order by a.n)
                            from jsonb_array_elements_text(in_force.details->0->'accounts') with ordinality a (id, n)
                           where c.details->'accounts' ? a.id), '[]'))
                else in_force.details end
      from consent.consent c
     where c.book = in_force.book and c.id = in_force.id
       and coalesce(consent.standing(consent.narrow(c, in_force.details), at), 'consent_consumed') = 'consent_consumed';
end;

-- What a customer sees: the consents of the user's company, undecided ones first, then the newest, at most 200. Beside the
-- wire's members: names of app and partner, the accounts with their names, whether this user's approval is missing, and
-- how often it was used.
create function consent.of_user(book int, user_id text, wall timestamptz) returns jsonb
language sql stable strict security invoker
begin atomic
    select coalesce(jsonb_agg(l.body order by l.waits desc, l.id desc), '[]')
      from (select c.id, c.status in ('AWAU', 'AWAF') as waits,
                   consent.consent_json(c, t.at)::jsonb || jsonb_build_object(
                       'app_name', a.name, 'partner_name', p.name, 'status_name', s.name,
                       'accounts', coalesce((select jsonb_agg(jsonb_build_object('id', b.id, 'name', b.name,
                                                                                 'currency', b.currency) order by b.id)
                                               from bank.account b
                                              where b.book = c.book
                                                and b.id in (select unnest(v.accounts) from consent.version v
                                                              where v.book = c.book and v.consent = c.id
                                                                and v.version = c.version)), '[]'),
                       'may_approve', c.status = 'AWAF' and t.at < c.ends_at and consent.within_limit(c, u.role)
                                      and not exists (select from consent.approval v
                                                       where v.book = c.book and v.consent = c.id
                                                         and v.version = c.version and v.user_id = u.id),
                       'may_revoke', not s.terminal and t.at < c.ends_at,
                       'uses_n', r.uses_n, 'last_used_at', tb.rfc3339(r.last_at)) as body
              from oauth.user_account u
             cross join lateral (select consent.world_time(u.book, of_user.wall) as at) t
              join consent.consent c on c.book = u.book and c.company = u.company
              join consent.status s on s.status = c.status
              join bank.app a on a.id = c.app
              join bank.partner p on p.id = c.partner
             cross join lateral (select count(*) as uses_n, max(x.at) as last_at from consent.receipt x
                                  where x.book = c.book and x.consent = c.id) r
             where u.id = of_user.user_id and u.book = of_user.book and u.state = 'active'
             order by c.status in ('AWAU', 'AWAF') desc, c.id desc limit 200) l;
end;

-- The last receipts of a consent of the user's company, newest first.
create function consent.receipts_of_user(book int, user_id text, id text, rows_n int) returns jsonb
language sql stable strict security invoker
begin atomic
    select coalesce(jsonb_agg(consent.receipt_json(q.r)::jsonb order by (q.r).id desc), '[]')
      from (select x as r from consent.consent c
              join consent.receipt x on x.book = c.book and x.consent = c.id
             where c.book = receipts_of_user.book and c.id = receipts_of_user.id
               and consent.role_in(c.book, c.company, receipts_of_user.user_id) is not null
             order by x.id desc limit receipts_of_user.rows_n) q (r);
end;

-- ---- proof ----

-- That consents, what was drawn on them, their receipts and what they open tell one story. One row per violation; it
-- trusts no constraint.
create function consent.audit(book int) returns setof bank.violation
language sql stable strict security invoker
set enable_nestloop = off     -- see bank.audit_entries()
begin atomic
    -- each allowance was drawn on for exactly the payments that succeeded, and in no period beyond its amount
    select 'consent_spent', a.consent, concat('allowance ', a.n, ' spent ', coalesce(s.total, 0), ', its receipts give ',
                                              coalesce(r.total, 0))
      from consent.allowance a
      left join (select s.consent, s.n, sum(s.amount) as total from consent.spent s
                  where s.book = audit.book group by s.consent, s.n) s on s.consent = a.consent and s.n = a.n
      left join (select r.consent, sum(r.amount) as total from consent.receipt r
                  where r.book = audit.book and r.outcome = 'succeeded' group by r.consent) r on r.consent = a.consent
     where a.book = audit.book and coalesce(s.total, 0) <> coalesce(r.total, 0)
    union all
    select 'consent_overdrawn', s.consent, concat('allowance ', s.n, ' of ', a.amount, ' spent ', s.amount, ' from ', s.period)
      from consent.spent s
      left join consent.allowance a on a.book = s.book and a.consent = s.consent and a.n = s.n
     where s.book = audit.book and (a.n is null or s.amount > a.amount or s.amount < 0)
    union all
    -- a consent to one payment is used up exactly when it was made
    select 'consent_consumed', c.id, concat('status ', c.status, ' and ', coalesce(r.paid, 0), ' payments')
      from consent.consent c
      left join (select r.consent, count(*) as paid from consent.receipt r
                  where r.book = audit.book and r.outcome = 'succeeded' group by r.consent) r on r.consent = c.id
     where c.book = audit.book and c.kind = 'once'
       and coalesce(r.paid, 0) <> case when c.status = 'COND' then 1 else 0 end
    union all
    -- accounts are open exactly while the consent is in force, and are those of its version
    select 'consent_access', coalesce(x.consent, o.id), concat('account ', coalesce(x.account, o.account), case when o.id is null
                                                               then ' is open and should not be' else ' should be open' end)
      from (select x.consent, x.account from bank.consent_access x where x.book = audit.book) x
      full join (select c.id, unnest(v.accounts) as account
                   from consent.consent c
                   join consent.version v on v.book = c.book and v.consent = c.id and v.version = c.version
                  where c.book = audit.book and c.status = 'AUTH' and v.details ? 'permissions') o
        on o.id = x.consent and o.account = x.account
     where x.consent is null or o.id is null
    union all
    -- app and user of a consent, and of what was given under it, are of the world of its book
    select 'consent_world', o.id, concat('app ', o.app, ' or user ', o.subject, ' is of another world')
      from (select c.book, c.id, c.app, c.subject from consent.consent c where c.book = audit.book
            union all
            select g.book, g.id, g.client, g.subject from oauth.grants g where g.book = audit.book) o
      join bank.book b on b.book = o.book
      left join bank.app a on a.id = o.app and a.world = b.world
      left join oauth.user_account u on u.id = o.subject and u.book = o.book
     where a.id is null or u.id is null
    union all
    -- nothing that was given under a consent outlives it
    select 'consent_grants', c.id, concat('status ', c.status, ' and grant ', g.id, ' has not ended')
      from consent.consent c
      join oauth.grants g on g.book = c.book and g.consent = c.id
     where c.book = audit.book and c.status in ('RJCT', 'CANC', 'EXPD') and g.ended_at is null;
end;
