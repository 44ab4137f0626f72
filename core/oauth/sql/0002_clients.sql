-- OAuth clients. A client is an app of the bank (bank.app; its id is the client_id) with what it registered about
-- itself; what the bank decides about it stands in columns, what it says itself in `metadata`.

create table oauth.client (
    app                 text        collate "C" primary key references bank.app,
    metadata            jsonb       not null    -- RFC 7591, effective values
        check (jsonb_typeof(metadata) = 'object' and octet_length(metadata::text) <= 131072),
    auth                text        collate "C" not null
        generated always as (coalesce(metadata ->> 'token_endpoint_auth_method', 'client_secret_basic')) stored
        check (auth in ('private_key_jwt', 'tls_client_auth', 'self_signed_tls_client_auth', 'client_secret_basic')),
    resource_server     boolean     not null default false,     -- may introspect tokens of others
    software_id         text,
    registration_digest text        collate "C" unique check (length(registration_digest) = 43),    -- of the token that manages
    created_at          timestamptz not null,                                                -- it (RFC 7592); null: none
    updated_at          timestamptz not null,
    check (not metadata ?& array['jwks', 'jwks_uri'])
);

create index on oauth.client (app) where metadata ? 'web_origins';

-- Secrets for client_secret_basic, 32 random bytes each, so that a plain SHA-256 keeps them (base64url).
create table oauth.client_secret (
    app        text        collate "C" not null references oauth.client on delete cascade,
    digest     text        collate "C" not null check (length(digest) = 43),
    created_at timestamptz not null,
    expires_at timestamptz,     -- null: until it is removed
    primary key (app, digest)
);

-- Assertions that have been used, until they expire. The primary key is what lets one of several through.
create table oauth.used_jti (
    client     text        collate "C" not null,
    digest     text        collate "C" not null check (length(digest) = 43),
    expires_at timestamptz not null,
    primary key (client, digest)
);
create index on oauth.used_jti (expires_at);

-- What the jwks_uri of clients gave. A worker that is about to fetch one says so in tried_at and busy, and the others
-- wait for it or go on with what there is.
create table oauth.jwks (
    uri        text        collate "C" primary key check (length(uri) <= 2048),
    body       text        check (length(body) <= 65536),  -- null: nothing yet
    fetched_at timestamptz,
    tried_at   timestamptz not null,
    busy       boolean     not null,
    check ((body is null) = (fetched_at is null))
);

-- Keep another secret of a client. At most two live at a time: null when it has two. The client's row is the lock.
create function oauth.add_secret(app text, digest text, at timestamptz, expires_at timestamptz) returns text
language plpgsql volatile security invoker
set search_path = pg_catalog
as $$
#variable_conflict use_column
begin
    perform from oauth.client c where c.app = add_secret.app for update;
    if not found or 2 <= (select count(*) from oauth.client_secret s where s.app = add_secret.app
                          and (s.expires_at is null or s.expires_at > add_secret.at)) then
        return null;
    end if;
    insert into oauth.client_secret (app, digest, created_at, expires_at)
    values (add_secret.app, add_secret.digest, add_secret.at, add_secret.expires_at);
    return add_secret.digest;
end $$;

-- Take the turn to fetch a uri: 'mine'; 'busy' while another fetches; 'late' when it was tried less than `pause` ago.
-- A turn that was never ended (its worker died) is over after ten seconds.
create function oauth.begin_jwks(uri text, at timestamptz, pause interval) returns text
language plpgsql volatile strict security invoker
set search_path = pg_catalog
as $$
#variable_conflict use_column
declare
    seen oauth.jwks;
begin
    insert into oauth.jwks (uri, tried_at, busy) values (begin_jwks.uri, begin_jwks.at, true) on conflict do nothing;
    if found then
        return 'mine';
    end if;
    select * into seen from oauth.jwks j where j.uri = begin_jwks.uri for update;
    if seen.busy and seen.tried_at > begin_jwks.at - interval '10 s' then
        return 'busy';
    elsif seen.tried_at > begin_jwks.at - begin_jwks.pause then
        return 'late';
    end if;
    update oauth.jwks j set tried_at = begin_jwks.at, busy = true where j.uri = begin_jwks.uri;
    return 'mine';
end $$;

-- Forget what has expired: used assertions (a minute later, for a node whose clock is behind would take them still),
-- secrets, and documents nobody has asked for in a day. Each call takes a bounded number of assertions; it may run in
-- several places at once.
create function oauth.forget_expired(at timestamptz, most int) returns bigint
language sql volatile strict security invoker
begin atomic
    with jti as (
        delete from oauth.used_jti u where (u.client, u.digest) in (
            select v.client, v.digest from oauth.used_jti v
            where v.expires_at <= forget_expired.at - interval '1 minute'
            order by v.expires_at limit forget_expired.most for update skip locked) returning 1),
    secret as (
        delete from oauth.client_secret s where s.expires_at <= forget_expired.at returning 1),
    document as (
        delete from oauth.jwks j where j.tried_at <= forget_expired.at - interval '1 day' returning 1)
    select (select count(*) from jti) + (select count(*) from secret) + (select count(*) from document);
end;
