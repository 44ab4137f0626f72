-- Requests for authorization that wait for a customer: those a client pushed before it sends a browser (RFC 9126), and
-- those it makes without any browser (OpenID CIBA). What names them to the client is random and kept as a SHA-256 digest
-- only, so that reading these tables gives nobody anything to present. All times are the wall clock's.

create table oauth.pushed_request (
    digest     text        collate "C" primary key check (length(digest) = 43),     -- of the whole request_uri
    client     text        collate "C" not null references bank.app,
    book       int         not null references bank.book,
    params     jsonb       not null check (jsonb_typeof(params) = 'object'),        -- validated, in normal form
    created_at timestamptz not null,
    expires_at timestamptz not null,
    used_at    timestamptz      -- when the customer decided; a page that was merely opened uses nothing up
);
create index on oauth.pushed_request (expires_at);

-- A request is decided once and collected once: pending -> approved -> used, or pending -> denied. While it is pending
-- the client's polls are paced by `interval_s`. The notification of ping mode (auth_req_id and the client's token) is
-- sealed under a key that is never in the database; `notify_at` is when to try to send it next, null when there is
-- nothing to send, and it is written with the decision, so no crash loses it.
create table oauth.backchannel (
    digest       text        collate "C" primary key check (length(digest) = 43),   -- of the auth_req_id
    client       text        collate "C" not null,
    book         int         not null,
    world        text        collate "C" not null,      -- the client's and the user's
    user_id      text        collate "C" not null,
    params       jsonb       not null check (jsonb_typeof(params) = 'object'),
    state        text        not null default 'pending' check (state in ('pending', 'approved', 'denied', 'used')),
    grant_id     text        collate "C" check ((grant_id is not null) = (state in ('approved', 'used'))),
    interval_s   int         not null check (interval_s > 0),
    polled_at    timestamptz,
    created_at   timestamptz not null,
    expires_at   timestamptz not null,
    decided_at   timestamptz check ((decided_at is null) = (state = 'pending')),
    notification text,
    notify_at    timestamptz check (notify_at is null or notification is not null),
    notified_n   int         not null default 0,
    taken_until  timestamptz,    -- a worker is sending the notification, until then if it dies; null: none is
    foreign key (client, world) references bank.app (id, world),
    foreign key (book, world) references bank.book (book, world)
);
create index on oauth.backchannel (expires_at);
create index on oauth.backchannel (user_id) where state = 'pending';
create index on oauth.backchannel (notify_at) where notify_at is not null;
create index on oauth.backchannel (taken_until) where taken_until is not null;

-- Keep a new request, unless the client already has p_most that wait for this customer: nobody is to be worn down by
-- prompts until one is approved. Requests of one customer are counted one after another, by the advisory lock.
create function oauth.backchannel_open(p_digest text, p_client text, p_book int, p_user text, p_params jsonb,
                                       p_interval_s int, p_notification text, p_at timestamptz,
                                       p_expires_at timestamptz, p_most int) returns boolean
language plpgsql volatile security invoker
set search_path = pg_catalog
as $$
begin
    perform pg_advisory_xact_lock(hashtextextended('backchannel ' || p_user, 0));
    if p_most <= (select count(*) from oauth.backchannel b
                   where b.user_id = p_user and b.client = p_client and b.state = 'pending' and b.expires_at > p_at) then
        return false;
    end if;
    insert into oauth.backchannel
           (digest, client, book, world, user_id, params, interval_s, notification, created_at, expires_at)
    values (p_digest, p_client, p_book, (select b.world from bank.book b where b.book = p_book), p_user, p_params,
            p_interval_s, p_notification, p_at, p_expires_at);
    return true;
end $$;

-- The requests that wait for a customer's decision, oldest first.
create function oauth.backchannel_of_user(p_user text, p_at timestamptz)
returns table (digest text, client text, client_name text, params jsonb, created_at timestamptz, expires_at timestamptz)
language sql stable security invoker
set search_path = pg_catalog
as $$
    select b.digest, b.client, a.name, b.params, b.created_at, b.expires_at
      from oauth.backchannel b join bank.app a on a.id = b.client
     where b.user_id = p_user and b.state = 'pending' and b.expires_at > p_at
     order by b.created_at, b.digest
$$;

-- The customer's decision, once: 'ok'; 'unknown' (none such for this customer), 'expired', 'decided'. An approval names
-- the grant that was opened for it in the same transaction. A client that wants to be told is due to be told now.
create function oauth.backchannel_decide(p_digest text, p_user text, p_approve boolean, p_grant_id text, p_at timestamptz)
returns text
language plpgsql volatile security invoker
set search_path = pg_catalog
as $$
declare
    request oauth.backchannel;
begin
    select * into request from oauth.backchannel b where b.digest = p_digest and b.user_id = p_user for update;
    if not found then
        return 'unknown';
    elsif request.state <> 'pending' then
        return 'decided';
    elsif request.expires_at <= p_at then
        return 'expired';
    end if;
    update oauth.backchannel b
       set state = case when p_approve then 'approved' else 'denied' end,
           grant_id = case when p_approve then p_grant_id end,
           decided_at = p_at,
           notify_at = case when b.notification is not null then p_at end
     where b.digest = p_digest;
    return 'ok';
end $$;

-- One poll of the token endpoint, under the row's lock, so that of many at once a single one collects the grant:
--   approved   the grant is the caller's, and the request used from now on
--   pending    no decision yet
--   slow_down  the same, and less than the interval since the last poll: from now on it is 5 s longer
--   denied, expired, used, unknown (there is none, or it is another client's)
-- Polls may be early by one second, for what clocks and networks do to an interval that was kept.
create function oauth.backchannel_poll(p_digest text, p_client text, p_at timestamptz,
                                       out state text, out grant_id text, out user_id text, out params jsonb)
language plpgsql volatile security invoker
set search_path = pg_catalog
as $$
declare
    request oauth.backchannel;
    early   boolean;
begin
    select * into request from oauth.backchannel b where b.digest = p_digest and b.client = p_client for update;
    if not found then
        state := 'unknown';
    elsif request.state in ('denied', 'used') then
        state := request.state;
    elsif request.expires_at <= p_at then
        state := 'expired';
    elsif request.state = 'approved' then
        update oauth.backchannel b set state = 'used', polled_at = p_at where b.digest = p_digest;
        state := 'approved';
        grant_id := request.grant_id;
        user_id := request.user_id;
        params := request.params;
    else
        early := request.polled_at + (request.interval_s - 1) * interval '1 s' > p_at;
        update oauth.backchannel b
           set polled_at = p_at,
               interval_s = case when early then least(request.interval_s + 5, 3600) else request.interval_s end
         where b.digest = p_digest;
        state := case when early then 'slow_down' else 'pending' end;
    end if;
end $$;

-- Where a client is to be notified now; null: nowhere (any more).
create function oauth.notification_endpoint(p_client text) returns text
language sql stable strict security invoker
begin atomic
    select c.metadata ->> 'backchannel_client_notification_endpoint'
      from oauth.client c
      join bank.app a on a.id = c.app
      join bank.partner p on p.id = a.partner
     where c.app = p_client and a.state = 'active' and p.state = 'active'
       and c.metadata ->> 'backchannel_token_delivery_mode' = 'ping'
       and c.metadata -> 'grant_types' ? 'urn:openid:params:grant-type:ciba';
end;

-- Take up to p_most notifications that are due, each for p_lease: who dies with them does not keep them. Those due first
-- come first, but a client has no more than p_client_most being sent, and a host no more than p_host_most, over all
-- workers: a server that never answers delays its own. Among the clients of one host each has its first before any has
-- its second. Takers come one after another, by the advisory lock, for each must see what the others have taken.
create function oauth.take_notifications(p_at timestamptz, p_lease interval, p_most int, p_client_most int, p_host_most int)
returns table (digest text, client text, notification text, notified_n int, endpoint text)
language plpgsql volatile strict security invoker
set search_path = pg_catalog
as $$
#variable_conflict use_column
begin
    if not exists (select from oauth.backchannel b where b.notify_at <= p_at) then
        return;
    end if;
    perform pg_advisory_xact_lock(hashtextextended('oauth.take_notifications', 0));
    return query
    with place as materialized (
        select b.digest, b.client, b.notify_at, b.taken_until > p_at as taken, e.endpoint,
               coalesce(regexp_replace(lower(substring(e.endpoint from '^[a-z]+://([^/?#]*)')), ':(443|80)$', ''),
                        b.client) as host
          from oauth.backchannel b
         cross join lateral (select oauth.notification_endpoint(b.client) as endpoint) e
         where b.notify_at <= p_at or b.taken_until > p_at),
    of_client as (
        select p.*, row_number() over (partition by p.client order by p.taken desc nulls last, p.notify_at, p.digest) as nth
          from place p),
    of_host as (
        select c.*, row_number() over (partition by c.host order by c.taken desc nulls last, c.nth, c.notify_at, c.digest)
                    as nth_of_host
          from of_client c where c.nth <= p_client_most or c.taken),
    chosen as (
        select h.digest, h.endpoint from of_host h
         where h.taken is not true and h.notify_at <= p_at and h.nth_of_host <= p_host_most
         order by h.notify_at, h.digest limit p_most)
    update oauth.backchannel b
       set notify_at = p_at + p_lease, taken_until = p_at + p_lease, notified_n = b.notified_n + 1
      from chosen
     where b.digest = chosen.digest
    returning b.digest, b.client, b.notification, b.notified_n, chosen.endpoint;
end $$;

-- How a notification fared: to be tried again at p_again, or, when that is null, never.
create function oauth.put_notification(p_digest text, p_again timestamptz) returns void
language sql volatile security invoker
set search_path = pg_catalog
as $$
    update oauth.backchannel b
       set notify_at = p_again, taken_until = null,
           notification = case when p_again is not null then b.notification end
     where b.digest = p_digest
$$;

-- Forget requests that ended more than p_age ago: until then their clients are told how they ended. Each call takes a
-- bounded number of each kind.
create function oauth.forget_requests(p_at timestamptz, p_age interval, p_most int) returns int
language sql volatile security invoker
set search_path = pg_catalog
as $$
    with pushed as (
        delete from oauth.pushed_request p where p.digest in (
            select q.digest from oauth.pushed_request q where q.expires_at <= p_at - p_age
             order by q.expires_at limit p_most for update skip locked) returning 1),
    backchannel as (
        delete from oauth.backchannel b where b.digest in (
            select c.digest from oauth.backchannel c where c.expires_at <= p_at - p_age
             order by c.expires_at limit p_most for update skip locked) returning 1)
    select ((select count(*) from pushed) + (select count(*) from backchannel))::int
$$;
