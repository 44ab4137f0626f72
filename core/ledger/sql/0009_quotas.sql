-- What of daily and monthly quotas is used up, as all gateways counted it: they count in memory and add here what is new
-- every second, so that a restart goes on where the service ended, and several machines know of each other's use.
-- A key is the digest of app, scope and name of the limit. `end_day` is the day, counted since 1970, at whose begin (UTC) the
-- day or month is over.
create table bank.quota (
    low     bigint not null,
    high    bigint not null,
    end_day int    not null,
    units   bigint not null check (units >= 0),
    primary key (low, high, end_day)
);

-- Adds what is new, an array of [low, high, end_day, units], and answers with what there is then, by place in the array.
-- Rows are locked in the order of their keys.
create function bank.count_quotas(news jsonb) returns table (place int, units bigint)
language sql volatile strict security invoker
begin atomic
    with n as (
        select e.place::int as place, (e.value ->> 0)::bigint as low, (e.value ->> 1)::bigint as high,
               (e.value ->> 2)::int as end_day, (e.value ->> 3)::bigint as units
          from jsonb_array_elements(count_quotas.news) with ordinality e (value, place)),
    counted as (
        insert into bank.quota as q (low, high, end_day, units)
        select n.low, n.high, n.end_day, n.units from n order by n.low, n.high, n.end_day
        on conflict (low, high, end_day) do update set units = q.units + excluded.units
        returning q.low, q.high, q.end_day, q.units)
    select n.place, c.units from n join counted c on (c.low, c.high, c.end_day) = (n.low, n.high, n.end_day);
end;

-- Forgets days and months that were over a day ago, at most `rows_n`; how many.
create function bank.forget_quotas(at timestamptz, rows_n int) returns int
language sql volatile strict security invoker
begin atomic
    with gone as (
        delete from bank.quota q
         where q.ctid = any(array(select o.ctid from bank.quota o
                                   where o.end_day < extract(epoch from forget_quotas.at)::bigint / 86400
                                   limit forget_quotas.rows_n for update skip locked))
        returning 1)
    select count(*)::int from gone;
end;
