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

-- Certificates that clients authenticate with: those of their registered keys (x5c) and the last one each has shown.
-- `told` is the smallest number of days before the end that an event has told of.
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
