-- Jobs of products, which the clerks of all machines run on their period: when each began last, and which clerk has it. It is
-- had for a while only, so that a clerk that fell keeps no job for ever; no job may take longer than that.

create table tb.job (
    began_at     timestamptz,           -- the last run; null: none yet
    leased_until timestamptz,           -- a clerk has it until then; null: none does
    runs         bigint not null default 0,
    failures     bigint not null default 0,
    product      text   collate "C" not null,
    name         text   collate "C" not null,
    failed       text   collate "C",    -- how the last run failed; null: it did not
    primary key (product, name)
);

-- Take a job that is due and that nobody has. `lease` is what to give back with, null: not now, but look again in `wait_ms`.
-- Locks: the job's row.
create function tb.take_job(product text, name text, every_ms bigint, lease_ms bigint, at timestamptz, out lease text,
                            out wait_ms bigint)
language plpgsql volatile strict security invoker
set search_path = pg_catalog
as $$
#variable_conflict use_column
begin
    insert into tb.job (product, name) values (take_job.product, take_job.name) on conflict do nothing;
    update tb.job j
       set began_at = take_job.at, leased_until = take_job.at + take_job.lease_ms * interval '1 ms'
     where j.product = take_job.product and j.name = take_job.name
       and (j.began_at is null or j.began_at + take_job.every_ms * interval '1 ms' <= take_job.at)
       and (j.leased_until is null or j.leased_until <= take_job.at)
    returning j.leased_until::text into lease;
    if lease is null then
        select ceil(extract(epoch from greatest(j.began_at + take_job.every_ms * interval '1 ms', j.leased_until) - take_job.at)
                    * 1000)::bigint
          into wait_ms from tb.job j where j.product = take_job.product and j.name = take_job.name;
    end if;
end
$$;

-- A run has ended, well or (`failed`, a code) not. Says nothing when the lease had ended before.
create function tb.end_job(product text, name text, lease text, failed text) returns void
language sql volatile security invoker
begin atomic
    update tb.job j
       set leased_until = null, runs = j.runs + 1, failures = j.failures + (end_job.failed is not null)::int,
           failed = end_job.failed
     where j.product = end_job.product and j.name = end_job.name and j.leased_until = end_job.lease::timestamptz;
end;
