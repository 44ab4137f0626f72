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
    foreign key (book, company) references bank.party,
    unique (id, book)
);
create index on oauth.user_account (book, company);

-- Whom a request waits for, and who granted something, is of the same book as that.
alter table oauth.backchannel add foreign key (user_id, book) references oauth.user_account (id, book);
alter table oauth.grants add foreign key (subject, book) references oauth.user_account (id, book);

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

-- Failed attempts, counted for what tells who is guessing at what: a kind, and digests of the login, the address, the
-- browser or the client it is about (known or not, so that nothing tells them apart). An attempt is counted before it is
-- judged, so that many at once are no way around the count; success takes it back.
create table oauth.login_throttle (
    subject      text        collate "C" primary key,   -- 'pair <login> <address>', 'login <login>', ...: see throttle.c
    attempts_n   int         not null,
    counted_from timestamptz not null,
    blocked_until timestamptz not null
);
create index on oauth.login_throttle (counted_from);
create index on oauth.login_throttle (split_part(subject, ' ', 2));

-- What a counter allows: `most` attempts in `span_s` seconds; the last of them, and each that follows, closes it for
-- `pause_s`, doubled each time up to `longest_s`. One whose pause grows begins anew only when it has also been open for
-- a whole span.
create type oauth.throttle as (subject text, most int, span_s int, pause_s int, longest_s int);

-- Count an attempt against each of these, unless one of them is closed. Returns the seconds to wait, 0 when the attempt
-- may be judged. Nobody is locked out for good: else anyone could do that to anyone. Locks are taken in the order of
-- `subject`.
create function oauth.count_attempt(p_throttles oauth.throttle[], p_at timestamptz) returns int
language plpgsql strict security invoker
set search_path = pg_catalog
as $$
declare
    wait interval;
begin
    insert into oauth.login_throttle as t (subject, attempts_n, counted_from, blocked_until)
    select s.subject, 0, p_at, p_at from unnest(p_throttles) s order by s.subject
        on conflict (subject) do nothing;
    select max(t.blocked_until) - p_at into wait
      from (select x.blocked_until from oauth.login_throttle x
             where x.subject in (select s.subject from unnest(p_throttles) s) order by x.subject for update) t;
    if wait > interval '0' then
        return ceil(extract(epoch from wait));
    end if;
    update oauth.login_throttle t
       set attempts_n = 0, counted_from = p_at
      from unnest(p_throttles) s
     where t.subject = s.subject and t.counted_from <= p_at - s.span_s * interval '1 second'
       and (s.longest_s = s.pause_s or t.blocked_until <= p_at - s.span_s * interval '1 second');
    update oauth.login_throttle t
       set attempts_n = t.attempts_n + 1,
           blocked_until = case when t.attempts_n + 1 < s.most then t.blocked_until
                                else p_at + least(s.pause_s * power(2, least(t.attempts_n + 1 - s.most, 20)), s.longest_s)
                                            * interval '1 second' end
      from unnest(p_throttles) s
     where t.subject = s.subject;
    return 0;
end
$$;

-- The attempt was right: it does not count, and what it alone closed is open again. Counters in `p_forget` begin anew: a
-- login that is through leaves no failures of its own behind. Those of an address, and of the login as a whole, stay, or
-- one account of his own would let a guesser go on.
create function oauth.attempt_succeeded(p_throttles oauth.throttle[], p_forget text[], p_at timestamptz) returns void
language plpgsql strict security invoker
set search_path = pg_catalog
as $$
begin
    perform from oauth.login_throttle t
     where t.subject in (select s.subject from unnest(p_throttles) s union all select unnest(p_forget))
     order by t.subject for update;
    update oauth.login_throttle t
       set attempts_n = greatest(t.attempts_n - 1, 0),
           blocked_until = case when s.longest_s > s.pause_s or t.attempts_n <= s.most then p_at else t.blocked_until end
      from unnest(p_throttles) s
     where t.subject = s.subject;
    delete from oauth.login_throttle t where t.subject = any (p_forget);
end
$$;

-- The seconds for which a counter is still closed.
create function oauth.throttled(p_subject text, p_at timestamptz) returns int
language sql stable strict security invoker
begin atomic
    select greatest(0, coalesce(max(ceil(extract(epoch from t.blocked_until - p_at))), 0))::int
      from oauth.login_throttle t where t.subject = p_subject;
end;

-- Forget sessions that have ended and counters that say nothing any more, at most `rows_n` of each.
create function oauth.forget_sessions(at timestamptz, rows_n int) returns bigint
language plpgsql strict security invoker
set search_path = pg_catalog
as $$
#variable_conflict use_column
declare
    n     bigint;
    total bigint;
begin
    delete from oauth.browser_session s
     where s.digest in (select x.digest from oauth.browser_session x
                         where x.expires_at < forget_sessions.at limit forget_sessions.rows_n);
    get diagnostics total = row_count;
    delete from oauth.login_throttle t
     where t.subject in (select x.subject from oauth.login_throttle x
                          where x.counted_from < forget_sessions.at - interval '1 day'
                            and x.blocked_until < forget_sessions.at - interval '1 day' limit forget_sessions.rows_n);
    get diagnostics n = row_count;
    return total + n;
end
$$;

-- ---- what operators do to users: each is one act with its record, and answers with the user's state, or null when
--      nobody has the login ----

create function oauth.user_made(id text, who text, at timestamptz) returns text
language plpgsql strict security invoker
set search_path = pg_catalog
as $$
declare
    u oauth.user_account;
begin
    select x.* into u from oauth.user_account x where x.id = user_made.id;
    if u.id is null then
        return null;
    end if;
    perform tb.record_audit(user_made.who, 'user.create', u.id, null,
                             jsonb_build_object('login', u.login, 'company', u.company, 'role', u.role), user_made.at);
    return u.state;
end
$$;

-- Every counter that is about this login.
create function oauth.forget_attempts(login text) returns void
language sql strict security invoker
begin atomic
    delete from oauth.login_throttle t
     where split_part(t.subject, ' ', 1) in ('pair', 'device', 'login', 'code')
       and split_part(t.subject, ' ', 2) = rtrim(translate(encode(sha256(convert_to(forget_attempts.login, 'UTF8')),
                                                                  'base64'), '+/', '-_'), '=');
end;

-- Lock a user, or let him log in again: his sessions end, and failures before are forgotten.
create function oauth.set_user(login text, state text, who text, at timestamptz) returns text
language plpgsql strict security invoker
set search_path = pg_catalog
as $$
declare
    u oauth.user_account;
begin
    select x.* into u from oauth.user_account x where x.login = lower(set_user.login) for update;
    if u.id is null or u.state = set_user.state then
        return u.state;
    end if;
    update oauth.user_account x set state = set_user.state where x.id = u.id;
    perform oauth.forget_attempts(u.login);
    delete from oauth.browser_session s where s.user_id = u.id;
    perform tb.record_change(set_user.who, case set_user.state when 'locked' then 'user.lock' else 'user.unlock' end, u.id,
                             'state', to_jsonb(u.state), to_jsonb(set_user.state), set_user.at);
    return set_user.state;
end
$$;

-- A new password and a new second factor; the old ones, and all sessions, are worth nothing from here on.
create function oauth.reset_user(id text, password text, secret text, who text, at timestamptz) returns text
language plpgsql strict security invoker
set search_path = pg_catalog
as $$
declare
    u oauth.user_account;
begin
    update oauth.user_account x
       set password = reset_user.password, secret = reset_user.secret, factor_step = 0
     where x.id = reset_user.id returning x.* into u;
    if u.id is not null then
        perform oauth.forget_attempts(u.login);
        delete from oauth.browser_session s where s.user_id = reset_user.id;
        perform tb.record_audit(reset_user.who, 'user.reset', reset_user.id, null, null, reset_user.at);
    end if;
    return u.state;
end
$$;
