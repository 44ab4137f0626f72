-- What operators do to clients and grants; as in the room directory, each function is one act and records it.

-- Whether a client is a resource server: it may introspect tokens that were given to others.
create function oauth.set_resource_server(app text, wanted boolean, who text, at timestamptz) returns text
language plpgsql strict security invoker
set search_path = pg_catalog
as $$
declare
    was boolean;
begin
    select c.resource_server into was from oauth.client c where c.app = set_resource_server.app for update;
    if tb.record_change(set_resource_server.who, 'app.server', set_resource_server.app, 'resource_server', to_jsonb(was),
                        to_jsonb(set_resource_server.wanted), set_resource_server.at) then
        update oauth.client c set resource_server = set_resource_server.wanted where c.app = set_resource_server.app;
    end if;
    return case when was is null then null when set_resource_server.wanted then 'may introspect' else 'may not introspect' end;
end
$$;

-- Another secret for a client; the one it has stays good until `until`. With two that have not ended the older one ends
-- now: null is the answer when there is no such client, or it does not authenticate by secrets.
create function oauth.rotate_secret(app text, digest text, until timestamptz, who text, at timestamptz) returns text
language plpgsql strict security invoker
set search_path = pg_catalog
as $$
#variable_conflict use_column
begin
    perform from oauth.client c where c.app = rotate_secret.app and c.auth = 'client_secret_basic' for update;
    if not found then
        return null;
    end if;
    delete from oauth.client_secret s
     where s.app = rotate_secret.app
       and s.digest not in (select l.digest from oauth.client_secret l
                             where l.app = rotate_secret.app and (l.expires_at is null or l.expires_at > rotate_secret.at)
                             order by l.created_at desc, l.digest limit 1);
    update oauth.client_secret s set expires_at = least(s.expires_at, rotate_secret.until) where s.app = rotate_secret.app;
    perform tb.record_audit(rotate_secret.who, 'app.secret', rotate_secret.app, null,
                             jsonb_build_object('older_until', tb.rfc3339(rotate_secret.until)), rotate_secret.at);
    return oauth.add_secret(rotate_secret.app, rotate_secret.digest, rotate_secret.at, null);
end
$$;

create function oauth.admin_end_grant(id text, who text, at timestamptz) returns text
language plpgsql strict security invoker
set search_path = pg_catalog
as $$
#variable_conflict use_column
begin
    perform from oauth.grants g where g.id = admin_end_grant.id;
    if not found then
        return null;
    end if;
    if oauth.end_grant(admin_end_grant.id, admin_end_grant.who, admin_end_grant.at) then
        perform tb.record_audit(admin_end_grant.who, 'grant.revoke', admin_end_grant.id, null, null, admin_end_grant.at);
    end if;
    return 'ended';
end
$$;
