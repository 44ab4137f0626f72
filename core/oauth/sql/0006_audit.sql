-- What `tongbao audit` asks of this schema.

-- One row for every break in the chain; none when it is whole. Whoever can rewrite every row can make a new chain, so
-- the newest hash belongs in a second place from time to time: `tongbao audit` prints it.
create function oauth.audit() returns setof bank.violation
language sql stable security invoker
begin atomic
    select 'act_chain', w.n::text,
           case when w.n <> w.before_n + 1 then concat('comes after act ', w.before_n)
                when w.prev <> w.before_hash then 'does not follow from the act before'
                else 'was changed after it was written' end
      from (select a.*, coalesce(lag(a.n) over o, 0) as before_n, coalesce(lag(a.hash) over o, '') as before_hash,
                   tb.audit_hash(a) as recomputed
              from tb.audit_entry a window o as (order by a.n)) w
     where w.n <> w.before_n + 1 or w.prev <> w.before_hash or w.hash <> w.recomputed;
end;
