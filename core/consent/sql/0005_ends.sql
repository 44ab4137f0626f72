-- Ends that take consents with them.

-- The end of an app: every consent and grant, every secret and request of it ends, and it never comes back. Its tokens
-- stop at once where this machine's memory is told (of the app and the grants returned), elsewhere within a second by its
-- state and the list of what is revoked. The locks: consents in the order of their ids, each with its grants, then the
-- remaining grants in theirs.
create function consent.end_app(app text, by_kind text, who text, at timestamptz) returns setof text
language plpgsql strict security invoker
set search_path = pg_catalog
as $$
#variable_conflict use_column
declare
    one record;
    was text;
begin
    select a.state into was from bank.app a where a.id = end_app.app for no key update;
    if not found or was = 'revoked' then
        return;
    end if;
    update bank.app a set state = 'revoked' where a.id = end_app.app;
    for one in select c.book, c.id from consent.consent c join consent.status s on s.status = c.status
                where c.app = end_app.app and not s.terminal order by c.book, c.id
    loop
        return query select consent.revoke(one.book, one.id, 'bank', end_app.who, end_app.at);
    end loop;
    for one in select g.id from oauth.grants g where g.client = end_app.app and g.ended_at is null order by g.id
    loop
        if oauth.end_grant(one.id, end_app.who, end_app.at) then
            return next one.id;
        end if;
    end loop;
    delete from oauth.pushed_request r where r.client = end_app.app and r.used_at is null;
    delete from oauth.backchannel b where b.client = end_app.app and b.state = 'pending';
    delete from oauth.certificate c where c.client = end_app.app;
    delete from oauth.client c where c.app = end_app.app;
    insert into oauth.revoked_token (jti, expires_at, revoked_at)
    values (end_app.app, end_app.at + interval '10 minutes', end_app.at)
    on conflict do nothing;
    perform tb.record_audit(end_app.who, end_app.by_kind || '.revoke', end_app.app,
                             jsonb_build_object('state', was), jsonb_build_object('state', 'revoked'), end_app.at);
end
$$;

create function consent.admin_end_consent(id text, who text, at timestamptz) returns text
language plpgsql strict security invoker
set search_path = pg_catalog
as $$
#variable_conflict use_column
declare
    c consent.consent;
begin
    select k.* into c from consent.consent k where k.id = admin_end_consent.id;
    if c.id is null then
        return null;
    end if;
    perform consent.revoke(c.book, c.id, 'bank', admin_end_consent.who, admin_end_consent.at);
    if not (select s.terminal from consent.status s where s.status = c.status) then
        perform tb.record_audit(admin_end_consent.who, 'consent.revoke', c.id, jsonb_build_object('status', c.status),
                                 jsonb_build_object('status', 'CANC'), admin_end_consent.at);
    end if;
    return (select k.status from consent.consent k where k.book = c.book and k.id = c.id);
end
$$;
