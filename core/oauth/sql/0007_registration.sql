-- Registration of clients by themselves (RFC 7591, RFC 7592) and what is kept of their certificates.

-- How many registrations an address has left, as one time: when all of them are back (GCRA, ITU-T I.371 annex A). An
-- address is what the gateway's rate limits count by: an IPv4 address or an IPv6 /64.
create table oauth.registration_rate (
    address  text        collate "C" primary key,
    whole_at timestamptz not null
);
create index on oauth.registration_rate (whole_at);

-- Take one registration of `quota` in `span` for an address: seconds to wait, 0 when it was admitted. One statement, so
-- registrations that arrive together are counted one after another.
create function oauth.admit_registration(address text, at timestamptz, quota int, span interval) returns int
language plpgsql strict security invoker
set search_path = pg_catalog
as $$
declare
    whole timestamptz;
begin
    insert into oauth.registration_rate as r (address, whole_at)
    values (admit_registration.address, admit_registration.at + span / quota)
    on conflict on constraint registration_rate_pkey do update
        set whole_at = greatest(r.whole_at, admit_registration.at) + span / quota
        where greatest(r.whole_at, admit_registration.at) + span / quota <= admit_registration.at + span
    returning r.whole_at into whole;
    if found then
        return 0;
    end if;
    select r.whole_at into whole from oauth.registration_rate r where r.address = admit_registration.address;
    return greatest(1, ceil(extract(epoch from whole + span / quota - admit_registration.at - span)))::int;
end
$$;

create function oauth.forget_registrations(at timestamptz) returns bigint
language sql strict security invoker
begin atomic
    with gone as (delete from oauth.registration_rate r where r.whole_at < forget_registrations.at returning 1)
    select count(*) from gone;
end;

-- The partner that an organisation of a directory has become by its first software statement.
create table oauth.directory_partner (
    issuer       text collate "C" not null,
    organisation text collate "C" not null,
    partner      text collate "C" not null references bank.partner,
    primary key (issuer, organisation)
);

-- Certificates that clients authenticate with: those of their registered keys (x5c) and those they have shown. `told` is
-- the smallest number of days before the end that an event has told of.
create table oauth.certificate (
    client     text        collate "C" not null references bank.app,
    thumbprint text        collate "C" not null check (length(thumbprint) = 43),   -- x5t#S256
    subject    text        not null,
    expires_at timestamptz not null,
    seen_at    timestamptz not null,
    told       int,
    primary key (client, thumbprint)
);
create index on oauth.certificate (expires_at);

create function oauth.keep_certificate(client text, thumbprint text, subject text, expires_at timestamptz, at timestamptz)
returns void
language sql strict security invoker
begin atomic
    insert into oauth.certificate (client, thumbprint, subject, expires_at, seen_at)
    values (keep_certificate.client, keep_certificate.thumbprint, keep_certificate.subject,
            keep_certificate.expires_at, keep_certificate.at)
    on conflict (client, thumbprint) do update set seen_at = excluded.seen_at;
end;

-- An id for an event that no request made: UUIDv8 with time and book, as every id of ours (48 bits of milliseconds, 16 of
-- the book, the rest random).
create function oauth.event_id(book int, at timestamptz) returns text
language sql volatile strict security invoker
begin atomic
    select 'evt_' || string_agg(substr('0123456789abcdefghjkmnpqrstvwxyz', substring(b.bits from 5 * i + 1 for 5)::int + 1, 1),
                                '' order by i)
      from (select B'00' || floor(extract(epoch from event_id.at) * 1000)::bigint::bit(48) || B'1000'
                   || floor(random() * 4096)::int::bit(12) || B'10' || event_id.book::bit(16)
                   || floor(random() * 70368744177664)::bigint::bit(46) as bits) b, generate_series(0, 25) i;
end;

-- Tell the partners of a book which certificates of their clients end within 60, 30, 7 and 1 days: one event each time,
-- and only the nearest when several are overdue. A certificate that was not seen for half a year is no longer in use.
create function oauth.tell_certificates(book int, at timestamptz) returns bigint
language plpgsql strict security invoker
set search_path = pg_catalog
as $$
#variable_conflict use_column
declare
    told bigint;
begin
    with due as (
        select c.client, c.thumbprint, a.partner, (select min(d) from unnest(array[60, 30, 7, 1]) d
                                                    where c.expires_at <= tell_certificates.at + d * interval '1 day') as days
          from oauth.certificate c
          join bank.app a on a.id = c.client
          join bank.book b on b.world = a.world
         where c.expires_at > tell_certificates.at and c.expires_at <= tell_certificates.at + interval '60 days'
           and c.seen_at > tell_certificates.at - interval '180 days' and a.state <> 'revoked'
           and b.book = (select min(o.book) from bank.book o where o.world = a.world) and b.book = tell_certificates.book),
    marked as (
        update oauth.certificate c set told = d.days from due d
         where c.client = d.client and c.thumbprint = d.thumbprint and (c.told is null or c.told > d.days)
        returning c.client, c.thumbprint, c.subject, c.expires_at, d.partner, d.days)
    insert into event.outbox (at, book, id, partner, type, object, data)
    select tell_certificates.at, tell_certificates.book, oauth.event_id(tell_certificates.book, tell_certificates.at),
           m.partner, 'client.certificate_expiring', m.client,
           jsonb_build_object('id', m.client, 'object', 'client', 'thumbprint', m.thumbprint, 'subject', m.subject,
                              'expires_at', tb.rfc3339(m.expires_at), 'days', m.days)::text
      from marked m;
    get diagnostics told = row_count;
    return told;
end
$$;

-- ---- clients ----

-- What the registered metadata says that the gateway must know.
create function oauth.apply_metadata(app text, metadata jsonb) returns void
language sql strict security invoker
begin atomic
    update oauth.client c
       set resource_server = c.resource_server
                             or coalesce((apply_metadata.metadata ->> 'tongbao_resource_server')::boolean, false)
     where c.app = apply_metadata.app;
    update bank.app a
       set name = coalesce(apply_metadata.metadata ->> 'client_name', a.name),
           plain_tokens = coalesce((apply_metadata.metadata ->> 'plain_bearer_tokens')::boolean, false)
     where a.id = apply_metadata.app;
end;

-- Make an app a client. `digest` is that of the token that manages it; null: only the bank does.
create function oauth.make_client(app text, metadata jsonb, digest text, who text, at timestamptz) returns void
language plpgsql security invoker
set search_path = pg_catalog
as $$
begin
    insert into oauth.client (app, metadata, software_id, registration_digest, created_at, updated_at)
    values (make_client.app, make_client.metadata, make_client.metadata ->> 'software_id', make_client.digest,
            make_client.at, make_client.at);
    perform oauth.apply_metadata(make_client.app, make_client.metadata);
    perform tb.record_audit(make_client.who, 'client.register', make_client.app, null, make_client.metadata,
                             make_client.at);
end
$$;

-- What of a scope an app's token may still open: names that its client has registered, of products that the bank lets it
-- use. What comes with being an app at all needs no entitlement (as in the gateway's stage "entitle"). Null: nothing.
create function oauth.standing_scope(app text, scope text) returns text
language sql stable strict security invoker
begin atomic
    select string_agg(s.name, ' ' order by s.n)
      from bank.app a
      join bank.world w on w.id = a.world
      left join oauth.client c on c.app = a.id
     cross join unnest(string_to_array(standing_scope.scope, ' ')) with ordinality s (name, n)
     where a.id = standing_scope.app
       and (c.app is null or s.name = any (string_to_array(c.metadata ->> 'scope', ' ')))
       and (split_part(s.name, ':', 1) in ('openid', 'consents', 'traces')
            or exists (select from bank.entitlement e
                        where e.app = a.id and e.environment = w.kind
                          and e.product in ('', split_part(s.name, ':', 1))));
end;

-- Replace all a client says of itself. Secrets end when it does not authenticate by them any more, and certificates of
-- the keys it had are forgotten. False when it is not a client any more.
create function oauth.replace_client(app text, metadata jsonb, who text, at timestamptz) returns boolean
language plpgsql strict security invoker
set search_path = pg_catalog
as $$
declare
    before jsonb;
begin
    select c.metadata into before from oauth.client c where c.app = replace_client.app for update;
    if not found then
        return false;
    end if;
    update oauth.client c
       set metadata = replace_client.metadata, software_id = replace_client.metadata ->> 'software_id',
           updated_at = replace_client.at
     where c.app = replace_client.app;
    update oauth.client c set resource_server = false     -- what it gave itself, it gives up
     where c.app = replace_client.app and (before ->> 'tongbao_resource_server')::boolean;
    delete from oauth.client_secret s
     where s.app = replace_client.app
       and replace_client.metadata ->> 'token_endpoint_auth_method' <> 'client_secret_basic';
    delete from oauth.certificate c where c.client = replace_client.app;
    perform oauth.apply_metadata(replace_client.app, replace_client.metadata);
    perform tb.record_audit(replace_client.who, 'client.replace', replace_client.app, before, replace_client.metadata,
                             replace_client.at);
    return true;
end
$$;

-- Whose registration this token manages (its digest), as an initial access token for another app of the same partner in
-- the same world (RFC 7591 section 3). No row: nobody's, or of one that may not act.
create function oauth.kin(digest text) returns table (partner text, world text, book int)
language sql strict security invoker
begin atomic
    select a.partner, a.world, b.book
      from oauth.client c
      join bank.app a on a.id = c.app
      join bank.partner p on p.id = a.partner
      join bank.world w on w.id = a.world
      join bank.book b on b.world = w.id
     where c.registration_digest = kin.digest and a.state = 'active' and p.state = 'active' and w.kind = 'sandbox'
     order by b.book limit 1
       for share of a, p;
end;

create function oauth.join_world(app text, partner text, world text, name text, at timestamptz) returns void
language sql strict security invoker
begin atomic
    insert into bank.app (id, partner, world, name, created_at)
    values (join_world.app, join_world.partner, join_world.world, join_world.name, join_world.at);
    insert into bank.entitlement (app, environment, since) values (join_world.app, 'sandbox', join_world.at);
end;
