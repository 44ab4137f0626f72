-- Keys that sign access tokens and responses, sealed under a master secret that is never in the database. One row for
-- each key, and its four times say what it is good for at any moment, so a row is written once; only a rotation ahead of
-- the schedule and a withdrawal change it.

create schema oauth;

-- A key of one purpose never signs for the other: what a partner verifies (ID tokens, authorization responses,
-- introspection answers) must not pass for a token that opens an account, nor the other way round.
create table oauth.signing_key (
    kid         text        collate "C" primary key check (length(kid) = 43),   -- RFC 7638 thumbprint
    purpose     text        collate "C" not null check (purpose in ('token', 'response')),
    alg         text        collate "C" not null check (alg in ('ES256', 'PS256', 'Ed25519')),
    made_at     timestamptz not null,   -- published from here on
    signs_from  timestamptz not null,
    signs_until timestamptz not null check (signs_until > signs_from),
    valid_until timestamptz not null check (valid_until >= signs_until),
    sealed      text        not null,
    -- No two keys of a purpose sign at the same moment. Nodes that all find the next key missing may each offer one: this
    -- lets a single one in, without a lock.
    exclude using gist (tstzrange(signs_from, signs_until) with &&) where (purpose = 'token'),
    exclude using gist (tstzrange(signs_from, signs_until) with &&) where (purpose = 'response')
);

-- Let the next key of a purpose sign from `at` on, ahead of the schedule, and offer one if there is none. The key that
-- signs now stops at that moment and stays published for `overlap` more, so that there are two live keys until then. A
-- key that was still to come keeps its end. Returns the kid that will sign; null when a concurrent rotation came first.
-- `who` is recorded in the chain of acts (tb.record_audit).
create function oauth.rotate_key(
    who text, purpose text, at timestamptz, overlap interval, kid text, alg text, made_at timestamptz,
    signs_until timestamptz, valid_until timestamptz, sealed text) returns text
language plpgsql strict security invoker
set search_path = pg_catalog
as $$
#variable_conflict use_column
declare
    present text;
    coming  text;
begin
    perform pg_advisory_xact_lock(hashtextextended('oauth.rotate_key ' || rotate_key.purpose, 0));
    if exists (select from oauth.signing_key k
                where k.purpose = rotate_key.purpose and k.signs_from = rotate_key.at) then
        return null;
    end if;
    select k.kid into present from oauth.signing_key k
     where k.purpose = rotate_key.purpose and k.signs_from < rotate_key.at and k.signs_until > rotate_key.at;
    -- First the one in use makes room, then the next moves into it: the exclusion holds after each statement.
    update oauth.signing_key k
       set signs_until = rotate_key.at, valid_until = rotate_key.at + rotate_key.overlap
     where k.purpose = rotate_key.purpose and k.signs_from < rotate_key.at and k.signs_until > rotate_key.at;
    update oauth.signing_key k
       set signs_from = rotate_key.at
     where k.kid = (select n.kid from oauth.signing_key n
                     where n.purpose = rotate_key.purpose and n.signs_from > rotate_key.at
                     order by n.signs_from limit 1)
    returning k.kid into coming;
    if coming is null then
        insert into oauth.signing_key (kid, purpose, alg, made_at, signs_from, signs_until, valid_until, sealed)
        values (rotate_key.kid, rotate_key.purpose, rotate_key.alg, rotate_key.made_at, rotate_key.at,
                rotate_key.signs_until, rotate_key.valid_until, rotate_key.sealed)
        returning signing_key.kid into coming;
    end if;
    perform tb.record_audit(rotate_key.who, 'key.rotate', rotate_key.purpose, jsonb_build_object('kid', present),
                             jsonb_build_object('kid', coming, 'signs_from', rotate_key.at), rotate_key.made_at);
    return coming;
end
$$;

-- Access tokens withdrawn before they expire, by their jti; and grants that have ended, by their id, which withdraws all
-- access tokens that came of them. Every process that checks tokens copies them into its machine's shared memory.
create table oauth.revoked_token (
    jti        text        collate "C" primary key check (length(jti) <= 128),
    expires_at timestamptz not null,
    revoked_at timestamptz not null
);
create index on oauth.revoked_token (revoked_at);
create index on oauth.revoked_token (expires_at);
