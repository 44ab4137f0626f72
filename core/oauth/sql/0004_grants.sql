-- What customers have granted, and what leads to it: authorization codes and refresh tokens. Both are kept as digests
-- only (base64url of SHA-256 of the text), so that who reads this table can use neither. Access tokens are not here: they
-- are signed, live for minutes and end with their grant.
--
-- Locks are taken in the order code, grant, refresh.

create table oauth.grants (
    id         text        collate "C" primary key,     -- "grn_…"; the claim `grant` of its tokens
    book       int         not null,
    world      text        collate "C" not null,        -- the client's and the user's
    client     text        collate "C" not null,
    partner    text        collate "C" not null references bank.partner,
    subject    text        collate "C" not null,        -- the user who consented, "usr_…"
    scope      text        not null,
    details    jsonb,       -- authorization_details as granted
    consent    text        collate "C",                 -- "cns_…"
    claims     jsonb,       -- the request's `claims` parameter
    nonce      text,
    acr        text,
    auth_time  timestamptz,
    created_at timestamptz not null,
    ended_at   timestamptz,
    ended_by   text,
    foreign key (client, world) references bank.app (id, world),
    foreign key (book, world) references bank.book (book, world)
);
create index on oauth.grants (client, created_at);
create index on oauth.grants (consent) where consent is not null;
create index on oauth.grants (subject) where ended_at is null;

create table oauth.code (
    digest       text        collate "C" primary key check (length(digest) = 43),
    grant_id     text        collate "C" not null references oauth.grants on delete cascade,
    client       text        collate "C" not null,
    redirect_uri text        not null,
    challenge    text        collate "C" not null,      -- PKCE S256
    dpop_jkt     text        collate "C",               -- the key its token must be bound to
    expires_at   timestamptz not null,
    used_at      timestamptz
);
create index on oauth.code (grant_id);
create index on oauth.code (expires_at);

create table oauth.refresh (
    digest     text        collate "C" primary key check (length(digest) = 43),
    grant_id   text        collate "C" not null references oauth.grants on delete cascade,
    client     text        collate "C" not null,
    created_at timestamptz not null,
    expires_at timestamptz not null
);
create index on oauth.refresh (grant_id);
create index on oauth.refresh (expires_at);

create function oauth.open_grant(
    id text, book int, client text, partner text, subject text, scope text, details jsonb, consent text, claims jsonb,
    nonce text, acr text, auth_time timestamptz, at timestamptz) returns void
language sql security invoker
begin atomic
    insert into oauth.grants (id, book, world, client, partner, subject, scope, details, consent, claims, nonce, acr,
                              auth_time, created_at)
    values (open_grant.id, open_grant.book, (select b.world from bank.book b where b.book = open_grant.book),
            open_grant.client, open_grant.partner, open_grant.subject, open_grant.scope, open_grant.details,
            open_grant.consent, open_grant.claims, open_grant.nonce, open_grant.acr, open_grant.auth_time, open_grant.at);
end;

-- End a grant: its refresh token is gone. Its access tokens are not looked at here: see oauth.end_grant. Returns whether it
-- was this call that ended it.
create function oauth.close_grant(id text, by text, at timestamptz) returns boolean
language plpgsql strict security invoker
set search_path = pg_catalog
as $$
#variable_conflict use_column
begin
    update oauth.grants g set ended_at = close_grant.at, ended_by = close_grant.by
     where g.id = close_grant.id and g.ended_at is null;
    if not found then
        return false;
    end if;
    delete from oauth.refresh r where r.grant_id = close_grant.id;
    return true;
end
$$;

-- End a grant and withdraw the access tokens that came of it. Those live for 300 s, and one may be made by a request that
-- read the grant just before, so the entry stays for ten minutes. Returns whether it was this call that ended it.
create function oauth.end_grant(id text, by text, at timestamptz) returns boolean
language plpgsql strict security invoker
set search_path = pg_catalog
as $$
#variable_conflict use_column
begin
    if not oauth.close_grant(id, by, at) then
        return false;
    end if;
    insert into oauth.revoked_token (jti, expires_at, revoked_at)
    values (end_grant.id, end_grant.at + interval '10 minutes', end_grant.at)
    on conflict do nothing;
    return true;
end
$$;

-- A code lives for 60 s (FAPI 2.0 Security Profile §5.3.2.1).
create function oauth.put_code(
    digest text, grant_id text, client text, redirect_uri text, challenge text, dpop_jkt text, at timestamptz)
returns void
language sql security invoker
begin atomic
    insert into oauth.code (digest, grant_id, client, redirect_uri, challenge, dpop_jkt, expires_at)
    values (put_code.digest, put_code.grant_id, put_code.client, put_code.redirect_uri, put_code.challenge,
            put_code.dpop_jkt, put_code.at + interval '60 seconds');
end;

-- A grant as the token endpoint reads it. Times are seconds since 1970. `state`: ok; unknown; other (another client's);
-- expired; used (of a code, and its grant has been ended now); ended.
create type oauth.grant_row as (
    state        text,
    id           text,
    book         int,
    partner      text,
    subject      text,
    scope        text,
    details      text,
    consent      text,
    claims       text,
    nonce        text,
    acr          text,
    auth_time    bigint,
    challenge    text,
    dpop_jkt     text,
    redirect_uri text
);

create function oauth.grant_row(state text, g oauth.grants) returns oauth.grant_row
language sql stable security invoker
return row(state, (g).id, (g).book, (g).partner, (g).subject, (g).scope, (g).details::text, (g).consent,
           (g).claims::text, (g).nonce, (g).acr, extract(epoch from (g).auth_time)::bigint, null, null,
           null)::oauth.grant_row;

-- Use a code up. Of several who take it at once one hears ok. Taking it again means that it was stolen, by this client or
-- from it, and nobody can say which token went to whom: the grant ends. Another client's attempt changes nothing, or a
-- stranger could end what he cannot use. The refresh token that is to come of it (the digest; null: none) is kept in the
-- same breath: with a second statement, a second taker could end the grant between the two, and nobody would get a token.
create function oauth.take_code(digest text, client text, at timestamptz, refresh text default null)
returns oauth.grant_row
language plpgsql security invoker
set search_path = pg_catalog
as $$
#variable_conflict use_column
declare
    c     oauth.code;
    g     oauth.grants;
    taken oauth.grant_row;
begin
    select * into c from oauth.code x where x.digest = take_code.digest for update;
    if c.digest is null then
        taken.state := 'unknown';
        return taken;
    end if;
    select * into g from oauth.grants x where x.id = c.grant_id;
    taken := oauth.grant_row('ok', g);
    if c.client <> take_code.client then
        taken.state := 'other';
    elsif c.used_at is not null then
        perform oauth.end_grant(c.grant_id, 'code used again', take_code.at);
        taken.state := 'used';
    elsif c.expires_at <= take_code.at then
        taken.state := 'expired';
    else
        update oauth.code x set used_at = take_code.at where x.digest = take_code.digest;
        taken.state := case when g.ended_at is null then 'ok' else 'ended' end;
        if take_code.refresh is not null
           and not oauth.put_refresh(take_code.refresh, c.grant_id, c.client, take_code.at) then
            taken.state := 'ended';
        end if;
    end if;
    taken.challenge := c.challenge;
    taken.dpop_jkt := c.dpop_jkt;
    taken.redirect_uri := c.redirect_uri;
    return taken;
end
$$;

-- Keep a refresh token of a grant, unless that has ended. Returns whether it was kept. Sharing the grant's row lets an end
-- that is under way come first.
create function oauth.put_refresh(digest text, grant_id text, client text, at timestamptz) returns boolean
language plpgsql strict security invoker
set search_path = pg_catalog
as $$
#variable_conflict use_column
begin
    perform from oauth.grants g where g.id = put_refresh.grant_id and g.ended_at is null for share;
    if not found then
        return false;
    end if;
    insert into oauth.refresh (digest, grant_id, client, created_at, expires_at)
    values (put_refresh.digest, put_refresh.grant_id, put_refresh.client, put_refresh.at,
            put_refresh.at + interval '30 days');
    return true;
end
$$;

-- The grant of a refresh token. It ends thirty days after its last use; a use within a day of the last is not written.
create function oauth.use_refresh(digest text, client text, at timestamptz) returns oauth.grant_row
language plpgsql strict security invoker
set search_path = pg_catalog
as $$
#variable_conflict use_column
declare
    r    oauth.refresh;
    g    oauth.grants;
    used oauth.grant_row;
begin
    select * into r from oauth.refresh x where x.digest = use_refresh.digest;
    if r.digest is null then
        used.state := 'unknown';
        return used;
    end if;
    select * into g from oauth.grants x where x.id = r.grant_id;
    used := oauth.grant_row('ok', g);
    if r.client <> use_refresh.client then
        used.state := 'other';
    elsif r.expires_at <= use_refresh.at then
        used.state := 'expired';
    elsif g.ended_at is not null then
        used.state := 'ended';
    elsif r.expires_at < use_refresh.at + interval '29 days' then
        update oauth.refresh x set expires_at = use_refresh.at + interval '30 days'
         where x.digest = use_refresh.digest;
    end if;
    return used;
end
$$;

-- Revoke a refresh token of one's own: its grant ends. Returns the grant's id; null when there is no such token of the
-- client's.
create function oauth.revoke_refresh(digest text, client text, at timestamptz) returns text
language plpgsql strict security invoker
set search_path = pg_catalog
as $$
#variable_conflict use_column
declare
    id text;
begin
    select r.grant_id into id from oauth.refresh r
     where r.digest = revoke_refresh.digest and r.client = revoke_refresh.client;
    if id is not null then
        perform oauth.end_grant(id, 'client', revoke_refresh.at);
    end if;
    return id;
end
$$;

-- Forget what time has made useless, at most `rows_n` of each. A used code is remembered for a day, so that using it
-- again still ends its grant; a grant for ninety days after it ended, or could last have led to a token.
create function oauth.forget_grants(at timestamptz, rows_n int) returns bigint
language plpgsql strict security invoker
set search_path = pg_catalog
as $$
#variable_conflict use_column
declare
    n     bigint;
    total bigint := 0;
begin
    delete from oauth.code c
     where c.digest in (select x.digest from oauth.code x
                         where x.expires_at < forget_grants.at - interval '1 day' limit forget_grants.rows_n);
    get diagnostics n = row_count;
    total := total + n;
    delete from oauth.refresh r
     where r.digest in (select x.digest from oauth.refresh x
                         where x.expires_at < forget_grants.at limit forget_grants.rows_n);
    get diagnostics n = row_count;
    total := total + n;
    delete from oauth.revoked_token t
     where t.jti in (select x.jti from oauth.revoked_token x
                      where x.expires_at < forget_grants.at - interval '1 minute' limit forget_grants.rows_n);
    get diagnostics n = row_count;
    total := total + n;
    delete from oauth.grants g
     where g.id in (select x.id from oauth.grants x
                     where x.created_at < forget_grants.at - interval '90 days'
                       and coalesce(x.ended_at, x.created_at) < forget_grants.at - interval '90 days'
                       and not exists (select from oauth.refresh r where r.grant_id = x.id)
                     limit forget_grants.rows_n);
    get diagnostics n = row_count;
    return total + n;
end
$$;
