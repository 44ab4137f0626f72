-- People who log in at the bank's own pages: users of a company, their browsers' sessions, and the counters that slow
-- down whoever guesses. All times here are the wall clock's: a session is not business.

-- The password is an Argon2id text; what the second factor keeps is sealed under a key that is never in the database.
create table oauth.user_account (
    id            text        collate "C" primary key check (id like 'usr\_%'),
    book          int         not null references bank.book,
    login         text        collate "C" not null unique check (login ~ '^[a-z0-9._@-]{1,64}$'),
    name          text        not null check (octet_length(name) between 1 and 128),
    company       text        collate "C" not null,
    role          text        collate "C" not null check (role ~ '^[a-z][a-z0-9_-]{0,31}$'),
    password      text        not null,
    second_factor text        collate "C" not null default 'totp',
    secret        text        not null,
    factor_step   bigint      not null default 0,   -- the last time step whose code was used: each counts once
    state         text        not null default 'active' check (state in ('active', 'locked')),
    created_at    timestamptz not null,
    foreign key (book, company) references bank.party
);
create index on oauth.user_account (book, company);

-- A browser that has shown a password ('half': the second factor is still missing) or both ('whole'). The id in the
-- cookie is kept as a digest only. A session ends with the first of idle_until, expires_at and its deletion.
create table oauth.browser_session (
    digest       text        collate "C" primary key check (length(digest) = 43),
    user_id      text        collate "C" not null references oauth.user_account on delete cascade,
    state        text        not null check (state in ('half', 'whole')),
    acr          text        collate "C",
    auth_time    timestamptz not null,
    idle_until   timestamptz not null,
    expires_at   timestamptz not null
);
create index on oauth.browser_session (user_id);
create index on oauth.browser_session (expires_at);

-- Failed attempts by what was tried: a login (known or not, so that nothing tells them apart) or an address. An attempt
-- is counted before it is judged, so that many at once are no way around the count; success takes a login's away.
create table oauth.login_throttle (
    subject      text        collate "C" primary key,   -- 'login ' or 'address ' and the digest of it
    attempts_n   int         not null,
    counted_from timestamptz not null,
    blocked_until timestamptz not null
);
create index on oauth.login_throttle (counted_from);
