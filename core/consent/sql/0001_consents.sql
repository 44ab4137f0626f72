-- Consents: what a company lets a partner's app do with its accounts. Who may move one from which status to which, its
-- versions, the approvals of the company's users, and its end. How one is used stands in 0002.
--
-- Business time is the world's, so a consent ends by the clock of its world. The authorization server works by the wall
-- clock: functions it calls take that as `wall` and compute the world's time; those that serve a request take `at`.
-- Locks: the consent's row first, then grants, in the order of their ids.

create schema consent;

-- The codes of UK Open Banking v4, and what the Berlin Group calls the same.
create table consent.status (
    status   text    collate "C" primary key,
    name     text    not null,
    berlin   text    not null,
    terminal boolean not null
);
insert into consent.status values
    ('AWAU', 'awaiting authorisation',         'received',            false),
    ('AWAF', 'awaiting further authorisation', 'partiallyAuthorised', false),
    ('AUTH', 'authorised',                     'valid',               false),
    ('RJCT', 'rejected',                       'rejected',            true),
    ('COND', 'consumed',                       'expired',             true),
    ('CANC', 'cancelled',                      'revokedByPsu',        true),     -- terminatedByTpp when the partner did it
    ('EXPD', 'expired',                        'expired',             true);

-- The moves, and who may cause them; there are no others (consent.move).
create table consent.edge (
    from_status text collate "C" not null references consent.status,
    to_status   text collate "C" not null references consent.status,
    by_kind     text collate "C" not null check (by_kind in ('customer', 'bank', 'partner', 'time', 'use')),
    primary key (from_status, to_status, by_kind)
);
insert into consent.edge values
    ('AWAU', 'AUTH', 'customer'),   -- approved, and no one else need
    ('AWAU', 'AWAF', 'customer'),   -- approved, others must too
    ('AWAU', 'RJCT', 'customer'),
    ('AWAU', 'CANC', 'customer'), ('AWAU', 'CANC', 'bank'), ('AWAU', 'CANC', 'partner'),
    ('AWAU', 'EXPD', 'time'),
    ('AWAF', 'AUTH', 'customer'),   -- the last approval that was missing
    ('AWAF', 'RJCT', 'customer'),
    ('AWAF', 'CANC', 'customer'), ('AWAF', 'CANC', 'bank'), ('AWAF', 'CANC', 'partner'),
    ('AWAF', 'EXPD', 'time'),
    ('AUTH', 'AWAF', 'customer'),   -- a version with more accounts, which others must approve too
    ('AUTH', 'COND', 'use'),        -- its one payment was made
    ('AUTH', 'CANC', 'customer'), ('AUTH', 'CANC', 'bank'), ('AUTH', 'CANC', 'partner'),
    ('AUTH', 'EXPD', 'time');

-- A consent as it stands. `details` is the one authorization detail (RFC 9396) that was asked for, with the accounts the
-- customer chose; what uses are judged by stands beside it in columns. Its type is one that a product declares, and the
-- platform's terms that stand in it say of what kind it is (consent.kind). Type `identity` is a login that asked for no
-- detail: it opens nothing and can be seen and revoked like the others.
create table consent.consent (
    book          int         not null,
    version       int         not null default 1 check (version > 0),
    id            text        collate "C" not null check (id like 'cns\_%'),
    world         text        collate "C" not null,     -- the app's, and that of the company and its users
    partner       text        collate "C" not null references bank.partner,
    app           text        collate "C" not null,
    company       text        collate "C" not null,
    subject       text        collate "C" not null,     -- the user who was asked
    type          text        collate "C" not null,
    kind          text        collate "C" not null check (kind in ('once', 'limits', 'reads', 'plain')),
    status        text        collate "C" not null default 'AWAU' references consent.status,
    scope         text        not null,
    details       jsonb,
    debtor        text        collate "C",              -- once, limits; null until chosen
    creditors     text[]      collate "C",              -- null: anybody (limits)
    currency      text        collate "C",
    amount        bigint      check (amount > 0),       -- once: exactly; limits: at most, each time
    hour_from     time,                                 -- payments only between these, by the world's time zone
    hour_to       time,
    frequency     int         check (frequency > 0),    -- uses per day, operation and account
    counted       boolean     not null,                 -- whether uses are counted by day: it, or a token of it, has a frequency
    valid_from    timestamptz not null,
    valid_to      timestamptz not null default 'infinity',
    ends_at       timestamptz not null,                 -- when time ends it, as it stands now
    created_at    timestamptz not null,
    updated_at    timestamptz not null,
    authorised_at timestamptz,
    ended_at      timestamptz,
    ended_by      text,                                 -- kind and who
    primary key (book, id),
    foreign key (app, world) references bank.app (id, world),
    foreign key (book, world) references bank.book (book, world),
    foreign key (book, company) references bank.party,
    foreign key (subject, book) references oauth.user_account (id, book)
) with (fillfactor = 80);
alter table oauth.grants add foreign key (book, consent) references consent.consent;
create index on consent.consent (book, partner, id);
create index on consent.consent (book, company, id);
create index on consent.consent (book, ends_at) where status in ('AWAU', 'AWAF', 'AUTH');

-- A change of accounts makes a new version; a receipt names the one it was used in.
create table consent.version (
    book     int         not null,
    version  int         not null,
    consent  text        collate "C" not null,
    at       timestamptz not null,
    by_user  text        collate "C" not null,
    accounts text[]      collate "C" not null,
    details  jsonb,
    primary key (book, consent, version),
    foreign key (book, consent) references consent.consent
);

-- Who approved a version. An approval beyond the limit of the user's role is kept and does not count.
create table consent.approval (
    book    int         not null,
    version int         not null,
    consent text        collate "C" not null,
    user_id text        collate "C" not null,
    role    text        collate "C" not null,
    counts  boolean     not null,
    at      timestamptz not null,
    primary key (book, consent, version, user_id),
    foreign key (book, consent, version) references consent.version
);

-- How many approvals a company wants for consents of a type; one where it has not said.
create table consent.rule (
    book      int  not null,
    company   text collate "C" not null,
    type      text collate "C" not null,
    approvals int  not null check (approvals between 1 and 10),
    primary key (book, company, type),
    foreign key (book, company) references bank.party
);

-- The largest amount that a role may approve. A company without rows here has no limits; in one that has some, a role
-- may approve what its rows say and nothing in other currencies.
create table consent.role_limit (
    book     int    not null,
    company  text   collate "C" not null,
    role     text   collate "C" not null,
    currency text   collate "C" not null references bank.currency,
    amount   bigint not null check (amount >= 0),
    primary key (book, company, role, currency),
    foreign key (book, company) references bank.party
);

-- What may be spent: an amount once, or limits per period. Number 0 is that of one payment. One without an amount
-- limits nothing and is counted for tokens that were narrowed to a limit of their own (consent.count_period).
create table consent.allowance (
    book        int    not null,
    n           int    not null,
    consent     text   collate "C" not null,
    period_type text   collate "C" not null
                check (period_type in ('Once', 'Day', 'Week', 'Fortnight', 'Month', 'Half-year', 'Year')),
    alignment   text   collate "C" not null check (alignment in ('Consent', 'Calendar')),
    amount      bigint check (amount > 0),
    primary key (book, consent, n),
    foreign key (book, consent) references consent.consent
);

-- ---- time and people ----

create function consent.world_time(book int, wall timestamptz) returns timestamptz
language sql stable strict security invoker
begin atomic
    select wall + w.clock_offset_ms * interval '1 ms'
      from bank.book b join bank.world w on w.id = b.world where b.book = world_time.book;
end;

create function consent.wall_time(book int, at timestamptz) returns timestamptz
language sql stable strict security invoker
begin atomic
    select at - w.clock_offset_ms * interval '1 ms'
      from bank.book b join bank.world w on w.id = b.world where b.book = wall_time.book;
end;

-- The role of a user who may act for a company; null when it is not one of its active users.
create function consent.role_in(book int, company text, user_id text) returns text
language sql stable strict security invoker
begin atomic
    select u.role from oauth.user_account u
     where u.id = role_in.user_id and u.book = role_in.book and u.company = role_in.company and u.state = 'active';
end;

-- What an approval must be good for: the most that can leave the company at once or, by a mandate, in one period.
create function consent.exposure(c consent.consent) returns bigint
language sql stable security invoker
begin atomic
    select greatest((c).amount, max(a.amount)) from consent.allowance a
     where a.book = (c).book and a.consent = (c).id;
end;

create function consent.within_limit(c consent.consent, role text) returns boolean
language sql stable security invoker
begin atomic
    select (c).amount is null
        or not exists (select from consent.role_limit l where l.book = (c).book and l.company = (c).company)
        or exists (select from consent.role_limit l
                    where l.book = (c).book and l.company = (c).company and l.role = within_limit.role
                      and l.currency = (c).currency and l.amount >= consent.exposure(c));
end;

create function consent.approvals_wanted(c consent.consent) returns int
language sql stable security invoker
begin atomic
    select coalesce((select r.approvals from consent.rule r
                      where r.book = (c).book and r.company = (c).company and r.type = (c).type), 1);
end;

-- ---- moves ----

-- The one way to another status. Invariants: only along an edge; accounts are open to the partner exactly while the
-- status is AUTH. The caller holds the row's lock.
create function consent.move(book int, id text, to_status text, by_kind text, by text, at timestamptz)
returns consent.consent
language plpgsql volatile strict security invoker
set search_path = pg_catalog
as $$
#variable_conflict use_column
declare
    c    consent.consent;
    over boolean;
begin
    select s.terminal into strict over from consent.status s where s.status = move.to_status;
    update consent.consent k
       set status = move.to_status, updated_at = move.at,
           authorised_at = case when move.to_status = 'AUTH' then move.at else k.authorised_at end,
           ended_at = case when over then move.at end,
           ended_by = case when over then move.by_kind || ' ' || move.by end,
           ends_at = case move.to_status when 'AUTH' then k.valid_to
                                         when 'AWAF' then least(k.valid_to, move.at + interval '30 days')
                                         else k.ends_at end
     where k.book = move.book and k.id = move.id
       and exists (select from consent.edge e
                    where e.from_status = k.status and e.to_status = move.to_status and e.by_kind = move.by_kind)
    returning k.* into c;
    if c.id is null then
        raise 'consent % cannot become % by %', id, to_status, by_kind using errcode = 'internal_error';
    end if;
    delete from bank.consent_access x where x.book = move.book and x.consent = move.id;
    if c.status = 'AUTH' and c.kind = 'reads' then
        insert into bank.consent_access (book, can_read_details, can_read_balances, can_read_entries, consent, account)
        select c.book, c.details->'permissions' ? 'details', c.details->'permissions' ? 'balances',
               c.details->'permissions' ? 'entries', c.id, a
          from jsonb_array_elements_text(c.details->'accounts') a;
    end if;
    return c;
end
$$;

-- End what was given under a consent that is over. Its access tokens are refused by its status at each use, with a code that
-- says so; those of a consent that was used up still read, so they are withdrawn, and their grants are returned for who
-- keeps withdrawn tokens in memory.
create function consent.end_grants(book int, id text, by text, wall timestamptz) returns setof text
language plpgsql volatile strict security invoker
set search_path = pg_catalog
as $$
#variable_conflict use_column
declare
    one record;
begin
    for one in
        select g.id, c.status = 'COND' as reads from oauth.grants g
          join consent.consent c on c.book = g.book and c.id = g.consent
         where g.consent = end_grants.id and g.book = end_grants.book and g.ended_at is null
         order by g.id
    loop
        if not one.reads then
            perform oauth.close_grant(one.id, end_grants.by, end_grants.wall);
        elsif oauth.end_grant(one.id, end_grants.by, end_grants.wall) then
            return next one.id;
        end if;
    end loop;
end
$$;

-- What a consent to a detail does, by the platform's terms that stand in it: `once` one payment of exactly `amount`,
-- `limits` payments of at most `maximum_individual_amount`, `reads` accounts, `plain` neither; a login for null.
create function consent.kind(detail jsonb) returns text
language sql immutable parallel safe security invoker
return case when detail ? 'amount' then 'once' when detail ? 'maximum_individual_amount' then 'limits'
            when detail ? 'permissions' then 'reads' else 'plain' end;

-- What a detail allows, as the columns of a consent that say it; null where it says nothing.
create function consent.terms(detail jsonb) returns consent.consent
language plpgsql stable security invoker
set search_path = pg_catalog
as $$
declare
    paid constant jsonb := coalesce(detail->'amount', detail->'maximum_individual_amount');
    c    consent.consent;
begin
    c.kind := consent.kind(detail);
    c.debtor := detail->>'debtor_account';
    c.creditors := case when detail ? 'creditor_account' then array[detail->>'creditor_account']
                        when detail ? 'creditor_accounts'
                        then array(select jsonb_array_elements_text(detail->'creditor_accounts')) end;
    c.currency := paid->>'currency';
    c.amount := (paid->'amount')::bigint;
    c.hour_from := (detail->'allowed_hours'->>'from')::time;
    c.hour_to := (detail->'allowed_hours'->>'to')::time;
    c.frequency := (detail->'frequency_per_day')::int;
    c.valid_from := (detail->>'valid_from')::timestamptz;
    c.valid_to := (detail->>'valid_to')::timestamptz;
    return c;
end
$$;

-- Ask for a consent. `details` is an array of one authorization detail, checked against its schema; null or empty for a
-- login alone. `valid_to` (null: as the detail says) can only shorten it. Undecided, it ends within the hour.
create function consent.open(book int, id text, partner text, app text, company text, user_id text, details jsonb,
                             scope text, valid_to timestamptz, wall timestamptz) returns void
language plpgsql volatile security invoker
set search_path = pg_catalog
as $$
#variable_conflict use_column
declare
    d    jsonb := case jsonb_typeof(details) when 'array' then details->0 else details end;
    at   constant timestamptz := consent.world_time(book, wall);
    t    consent.consent;
    last timestamptz;
begin
    if jsonb_typeof(d) = 'null' then
        d := null;
    end if;
    t := consent.terms(d);
    last := least(valid_to, t.valid_to, 'infinity');
    insert into consent.consent
           (book, world, id, partner, app, company, subject, type, kind, scope, details, debtor, creditors, currency, amount,
            hour_from, hour_to, frequency, counted, valid_from, valid_to, ends_at, created_at, updated_at)
    values (open.book, (select b.world from bank.book b where b.book = open.book), open.id, open.partner, open.app,
            open.company, open.user_id, coalesce(d->>'type', 'identity'), t.kind, open.scope, d, t.debtor, t.creditors,
            t.currency, t.amount, t.hour_from, t.hour_to, t.frequency, t.frequency is not null, coalesce(t.valid_from, at), last,
            least(last, at + interval '1 hour'), at, at);
    insert into consent.allowance (book, n, consent, period_type, alignment, amount)
    select open.book, 0, open.id, 'Once', 'Consent', (d->'amount'->'amount')::bigint where t.kind = 'once'
    union all
    select open.book, p.n::int, open.id, p.l->>'period_type', p.l->>'period_alignment', (p.l->'amount'->'amount')::bigint
      from jsonb_array_elements(d->'periodic_limits') with ordinality p (l, n) where t.kind = 'limits';
end
$$;

-- ---- decisions ----

-- What became of a decision. Either the status it led to, with the details as granted (an array, as tokens carry them);
-- or why it was not taken: unknown_consent, not_pending, expired, account_required, account_not_requested,
-- unknown_account, currency_mismatch, same_account, already_approved, over_limit.
create type consent.decision as (
    status  text,
    refusal text,
    details jsonb
);

-- The details with the accounts the customer chose, or why they cannot be chosen. null or empty: those asked for.
create function consent.with_accounts(c consent.consent, accounts text[], out details jsonb, out refusal text)
language plpgsql stable security invoker
set search_path = pg_catalog
as $$
declare
    asked  constant text[] := case when c.debtor is not null then array[c.debtor]
                                   when c.details ? 'accounts'
                                   then array(select jsonb_array_elements_text(c.details->'accounts')) end;
    chosen constant text[] := coalesce(nullif(accounts, '{}'), asked);
    kept   int;
begin
    details := c.details;
    if c.kind = 'plain' then
        return;
    end if;
    select count(*) into kept from bank.account a
     where a.book = c.book and a.id = any (chosen) and a.party = c.company and a.state = 'open';
    refusal := case
        when chosen is null                                         then 'account_required'
        when c.kind <> 'reads' and cardinality(chosen) <> 1         then 'account_required'
        when not chosen <@ coalesce(asked, chosen)                  then 'account_not_requested'
        when kept <> (select count(distinct x) from unnest(chosen) x) then 'unknown_account'
        when c.kind = 'reads'                                       then null
        when c.kind = 'once' and chosen[1] = c.creditors[1]         then 'same_account'
        when not exists (select from bank.account a
                          where a.book = c.book and a.id = chosen[1] and a.currency = c.currency)
                                                                    then 'currency_mismatch' end;
    details := details || case when c.kind = 'reads'
        then jsonb_build_object('accounts', (select jsonb_agg(distinct x order by x) from unnest(chosen) x))
        else jsonb_build_object('debtor_account', chosen[1]) end;
end
$$;

-- Count an approval of the current version and move on: AUTH when enough count, else AWAF.
create function consent.approve(c consent.consent, user_id text, role text, at timestamptz) returns consent.consent
language plpgsql volatile security invoker
set search_path = pg_catalog
as $$
#variable_conflict use_column
declare
    given int;
begin
    insert into consent.approval (book, version, consent, user_id, role, counts, at)
    values (c.book, c.version, c.id, approve.user_id, approve.role, consent.within_limit(c, approve.role), approve.at);
    select count(*) filter (where p.counts) into given from consent.approval p
     where p.book = c.book and p.consent = c.id and p.version = c.version;
    if given >= consent.approvals_wanted(c) then
        return consent.move(c.book, c.id, 'AUTH', 'customer', user_id, at);
    elsif c.status <> 'AWAF' then
        return consent.move(c.book, c.id, 'AWAF', 'customer', user_id, at);
    end if;
    return c;
end
$$;

-- Approve or reject. The user who was asked decides first and chooses the accounts; where the company wants more
-- approvals, or his role may not approve that much, others of its users decide after him on the same accounts. A
-- rejection ends it, whoever of them it comes from.
create function consent.decide(book int, id text, user_id text, approve boolean, accounts text[], wall timestamptz)
returns consent.decision
language plpgsql volatile security invoker
set search_path = pg_catalog
as $$
#variable_conflict use_column
declare
    at   constant timestamptz := consent.world_time(book, wall);
    c    consent.consent;
    role text;
    made record;
    no   text;
begin
    select k.* into c from consent.consent k where k.book = decide.book and k.id = decide.id for no key update;
    role := consent.role_in(book, c.company, user_id);
    no := case
        when role is null                                     then 'unknown_consent'
        when c.status = 'AWAU' and c.subject <> user_id       then 'unknown_consent'
        when c.status not in ('AWAU', 'AWAF')                 then 'not_pending'
        when at >= c.ends_at                                  then 'expired' end;
    if no is null and approve and c.status = 'AWAF' then
        no := case when exists (select from consent.approval p
                                 where p.book = c.book and p.consent = c.id and p.version = c.version
                                   and p.user_id = decide.user_id) then 'already_approved'
                   when not consent.within_limit(c, role) then 'over_limit' end;
    elsif no is null and approve then
        select * into made from consent.with_accounts(c, accounts);
        no := made.refusal;
    end if;
    if no is not null then
        return row(null, no, null)::consent.decision;
    end if;

    if not approve then
        perform consent.end_grants(book, id, 'rejected by ' || user_id, wall);
        c := consent.move(book, id, 'RJCT', 'customer', user_id, at);
        return row(c.status, null, null)::consent.decision;
    end if;
    if c.status = 'AWAU' then
        update consent.consent k set details = made.details, debtor = coalesce(made.details->>'debtor_account', k.debtor)
         where k.book = decide.book and k.id = decide.id returning k.* into c;
        perform consent.add_version(c, user_id, at);
    end if;
    c := consent.approve(c, user_id, role, at);
    return row(c.status, null, case when c.details is null then '[]' else jsonb_build_array(c.details) end)::consent.decision;
end
$$;

create function consent.add_version(c consent.consent, by_user text, at timestamptz) returns void
language sql volatile security invoker
begin atomic
    insert into consent.version (book, version, consent, at, by_user, accounts, details)
    values ((c).book, (c).version, (c).id, at, by_user,
            case when (c).debtor is not null then array[(c).debtor]
                 when (c).details ? 'accounts' then array(select jsonb_array_elements_text((c).details->'accounts'))
                 else '{}' end, (c).details);
end;

-- Choose other accounts for a consent to read that is in force: a new version. Taking accounts away is effective at
-- once and needs nobody else; a version with accounts that the last one had not is approved like a new consent, and until
-- then nothing is open. The tokens stay; grants carry the new details from their next refresh on.
create function consent.change_accounts(book int, id text, user_id text, accounts text[], wall timestamptz)
returns consent.decision
language plpgsql volatile strict security invoker
set search_path = pg_catalog
as $$
#variable_conflict use_column
declare
    at   constant timestamptz := consent.world_time(book, wall);
    c    consent.consent;
    role text;
    made record;
    more boolean;
    no   text;
begin
    select k.* into c from consent.consent k where k.book = change_accounts.book and k.id = change_accounts.id
       for no key update;
    role := consent.role_in(book, c.company, user_id);
    no := case when role is null or c.kind <> 'reads' then 'unknown_consent'
               when c.status <> 'AUTH'                then 'not_pending'
               when at >= c.ends_at                   then 'expired'
               when accounts = '{}'                   then 'account_required' end;
    if no is null then
        more := not accounts <@ array(select jsonb_array_elements_text(c.details->'accounts'));
        c.details := c.details - 'accounts';
        select * into made from consent.with_accounts(c, accounts);
        no := made.refusal;
    end if;
    if no is not null then
        return row(null, no, null)::consent.decision;
    end if;

    update consent.consent k set details = made.details, version = k.version + 1, updated_at = at
     where k.book = change_accounts.book and k.id = change_accounts.id returning k.* into c;
    perform consent.add_version(c, user_id, at);
    update oauth.grants g set details = jsonb_build_array(c.details)
     where g.consent = change_accounts.id and g.book = change_accounts.book and g.ended_at is null;
    if more then
        c := consent.move(book, id, 'AWAF', 'customer', user_id, at);
        c := consent.approve(c, user_id, role, at);
    else
        insert into consent.approval (book, version, consent, user_id, role, counts, at)
        select c.book, c.version, c.id, p.user_id, p.role, p.counts, p.at from consent.approval p
         where p.book = c.book and p.consent = c.id and p.version = c.version - 1;
        delete from bank.consent_access x
         where x.book = c.book and x.consent = c.id and x.account <> all (change_accounts.accounts);
    end if;
    return row(c.status, null, jsonb_build_array(c.details))::consent.decision;
end
$$;

-- ---- ends ----

-- Whether there is such a consent for who wants to end it: a user of its company ('customer'), its partner ('partner'), or
-- anybody of the bank ('bank').
create function consent.known(book int, id text, by_kind text, by text) returns boolean
language sql stable strict security invoker
begin atomic
    select exists (select from consent.consent c
                    where c.book = known.book and c.id = known.id
                      and case known.by_kind when 'customer' then consent.role_in(c.book, c.company, known.by) is not null
                                             when 'partner' then c.partner = known.by
                                             else known.by_kind = 'bank' end);
end;

-- End a consent and all that was given under it; returns what consent.end_grants() does.
-- For whom there is no such consent, nothing happens. A consent that is over already stays as it is, but what was given
-- under it ends all the same.
create function consent.revoke(book int, id text, by_kind text, by text, wall timestamptz) returns setof text
language plpgsql volatile strict security invoker
set search_path = pg_catalog
as $$
#variable_conflict use_column
declare
    stands text;
begin
    select k.status into stands from consent.consent k where k.book = revoke.book and k.id = revoke.id for no key update;
    if not found or not consent.known(book, id, by_kind, revoke.by) then
        return;
    end if;
    if not (select s.terminal from consent.status s where s.status = stands) then
        perform consent.move(book, id, 'CANC', by_kind, revoke.by, consent.world_time(book, wall));
    end if;
    return query select consent.end_grants(book, id, 'consent revoked by ' || by_kind, wall);
end
$$;

-- What time has ended: at most `rows_n` consents of a book become EXPD and their grants end. Uses are refused from the
-- very moment on, whether this ran or not. Safe to run by several at once.
create function consent.expire(book int, wall timestamptz, rows_n int) returns int
language plpgsql volatile strict security invoker
set search_path = pg_catalog
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    at    constant timestamptz := consent.world_time(book, wall);
    due   text;
    ended int := 0;
begin
    for due in
        select k.id from consent.consent k
         where k.book = expire.book and k.ends_at <= at and k.status in ('AWAU', 'AWAF', 'AUTH')
         order by k.id limit expire.rows_n for no key update skip locked
    loop
        perform consent.move(book, due, 'EXPD', 'time', 'clock', at);
        perform consent.end_grants(book, due, 'consent expired', wall);
        ended := ended + 1;
    end loop;
    return ended;
end
$$;

-- ---- a company's rules ----

create function consent.set_rule(book int, company text, type text, approvals int) returns void
language sql volatile strict security invoker
begin atomic
    insert into consent.rule as r (book, company, type, approvals)
    values (set_rule.book, set_rule.company, set_rule.type, set_rule.approvals)
    on conflict (book, company, type) do update set approvals = excluded.approvals;
end;

create function consent.set_role_limit(book int, company text, role text, currency text, amount bigint) returns void
language sql volatile strict security invoker
begin atomic
    insert into consent.role_limit as l (book, company, role, currency, amount)
    values (set_role_limit.book, set_role_limit.company, set_role_limit.role, set_role_limit.currency,
            set_role_limit.amount)
    on conflict (book, company, role, currency) do update set amount = excluded.amount;
end;
