-- Keys that sign access tokens, sealed under a master secret that is never in the database. One row for each key, and
-- its four times say what it is good for at any moment, so a row is written once; only a withdrawal changes it.

create schema oauth;

create table oauth.signing_key (
    kid         text        collate "C" primary key check (length(kid) = 43),   -- RFC 7638 thumbprint
    alg         text        collate "C" not null check (alg in ('ES256', 'PS256', 'Ed25519')),
    made_at     timestamptz not null,   -- published from here on
    signs_from  timestamptz not null,
    signs_until timestamptz not null check (signs_until > signs_from),
    valid_until timestamptz not null check (valid_until >= signs_until),
    sealed      text        not null,
    -- No two keys sign at the same moment. Nodes that all find the next key missing may each offer one: this lets a
    -- single one in, without a lock.
    exclude using gist (tstzrange(signs_from, signs_until) with &&)
);

-- Access tokens withdrawn before they expire, by their jti. Every process that checks tokens copies them into its
-- machine's shared memory.
create table oauth.revoked_token (
    jti        text        collate "C" primary key check (length(jti) <= 128),
    expires_at timestamptz not null,
    revoked_at timestamptz not null
);
create index on oauth.revoked_token (revoked_at);
create index on oauth.revoked_token (expires_at);
