-- bank.audit(): proves the books. One row per violation and none for books that are right; it reads everything, locks
-- nothing, and trusts no constraint, because what it looks for is what should not have been possible.

create type bank.violation as (
    invariant text,
    object    text,     -- id of what is wrong
    detail    text
);

create function bank.audit_entries(book int) returns setof bank.violation
language sql stable strict security invoker
set enable_nestloop = off     -- everything is read and joined whole, whatever the planner thinks its size to be
set work_mem = '64MB'
begin atomic
    -- every entry has its account, in the transfer's currency: so each transfer sums to zero per currency
    select 'transfer_accounts', e.transfer, concat('account ', e.account, ' does not exist')
      from bank.entry e
      left join bank.account a on a.book = e.book and a.id = e.account
     where e.book = audit_entries.book and a.id is null
    union all
    select 'transfer_currency', e.transfer, concat('account ', e.account, ' is not in ', e.currency)
      from bank.entry e
      join bank.account a on a.book = e.book and a.id = e.account
     where e.book = audit_entries.book and a.currency <> e.currency
    union all
    select 'transfer_amount', t.id, 'amount ' || t.amount from bank.transfer t
     where t.book = audit_entries.book and (t.amount <= 0 or t.debit = t.credit)
    union all
    -- versions run 1, 2, 3, ... and each balance is the one before plus the amount
    select case when w.version <> w.place then 'entry_versions' else 'entry_balances' end, w.account,
           concat('entry ', w.place, ' has version ', w.version, ', amount ', w.amount, ', balance ', w.balance,
                  ' after ', w.before)
      from (select e.*, row_number() over o as place, coalesce(lag(e.balance) over o, 0) as before
              from bank.entry e where e.book = audit_entries.book
            window o as (partition by e.account order by e.version)) w
     where w.version <> w.place or w.balance::numeric <> w.before::numeric + w.amount;
end;

create function bank.audit_accounts(book int) returns setof bank.violation
language sql stable strict security invoker
set enable_nestloop = off
set work_mem = '64MB'
begin atomic
    select 'account_balance', a.id,
           concat('balance ', a.balance, ' version ', a.version, ', entries give ', coalesce(e.total, 0), ' and ',
                  coalesce(e.entries_n, 0))
      from bank.account a
      left join (select e.account, sum(e.amount) as total, count(*) as entries_n
                   from bank.entry e where e.book = audit_accounts.book group by e.account) e on e.account = a.id
     where a.book = audit_accounts.book
       and (a.balance <> coalesce(e.total, 0) or a.version <> coalesce(e.entries_n, 0))
    union all
    select 'account_held', a.id,
           concat('held ', a.held, ' incoming ', a.incoming, ', open holds give ', coalesce(o.total, 0), ' and ',
                  coalesce(i.total, 0))
      from bank.account a
      left join (select h.debit, sum(h.remaining) as total from bank.hold h
                  where h.book = audit_accounts.book and h.state = 'open' group by h.debit) o on o.debit = a.id
      left join (select h.credit, sum(h.remaining) as total from bank.hold h
                  where h.book = audit_accounts.book and h.state = 'open' group by h.credit) i on i.credit = a.id
     where a.book = audit_accounts.book
       and (a.held <> coalesce(o.total, 0) or a.incoming <> coalesce(i.total, 0))
    union all
    select 'account_bounds', a.id,
           concat('balance ', a.balance, ' held ', a.held, ' floor ', a.floor, ' ceiling ', a.ceiling)
      from bank.account a
     where a.book = audit_accounts.book
       and (a.balance::numeric - a.held < coalesce(a.floor, -bank.balance_max())
            or a.balance::numeric + a.incoming > coalesce(a.ceiling, bank.balance_max()))
    union all
    select 'account_closed', a.id, concat('closed with balance ', a.balance, ' and held ', a.held)
      from bank.account a
     where a.book = audit_accounts.book and a.state <> 'open' and (a.balance, a.held, a.incoming) <> (0, 0, 0)
    union all
    select 'currency_sum', a.currency, concat('all balances together come to ', sum(a.balance))
      from bank.account a where a.book = audit_accounts.book group by a.currency having sum(a.balance) <> 0;
end;

create function bank.audit_holds(book int) returns setof bank.violation
language sql stable strict security invoker
set enable_nestloop = off
set work_mem = '64MB'
begin atomic
    select 'hold_amounts', h.id,
           concat(h.state, ' with amount ', h.amount, ' posted ', h.posted, ' remaining ', h.remaining)
      from bank.hold h
     where h.book = audit_holds.book
       and (h.posted < 0 or h.remaining < 0 or h.posted::numeric + h.remaining > h.amount
            or (h.state = 'open') <> (h.remaining > 0))
    union all
    select 'hold_posted', h.id, concat('posted ', h.posted, ', its transfers give ', coalesce(t.total, 0))
      from bank.hold h
      left join (select t.hold, sum(t.amount) as total from bank.transfer t
                  where t.book = audit_holds.book and t.hold is not null group by t.hold) t on t.hold = h.id
     where h.book = audit_holds.book and h.posted <> coalesce(t.total, 0)
    union all
    select 'hold_transfers', t.id, concat('posted from hold ', t.hold, ', which does not exist or names other accounts')
      from bank.transfer t
      left join bank.hold h on h.book = t.book and h.id = t.hold
     where t.book = audit_holds.book and t.hold is not null
       and (h.debit, h.credit, h.currency) is distinct from (t.debit, t.credit, t.currency);
end;

create function bank.audit_seals(book int) returns setof bank.violation
language sql stable strict security invoker
set enable_nestloop = off
set work_mem = '64MB'
begin atomic
    with found as (
        select d.* from bank.block_digests(audit_seals.book, 0, 2147483647) d)
    select 'seal_digest', s.block::text,
           concat('sealed over ', s.transfers_n, ' transfers, now ', coalesce(f.transfers_n, 0), ' that differ')
      from bank.seal s left join found f on f.block = s.block
     where s.book = audit_seals.book
       and (s.digest, s.transfers_n) is distinct from (coalesce(f.digest, sha256('')), coalesce(f.transfers_n, 0))
    union all
    select 'seal_chain', s.block::text, 'does not follow from the seal before'
      from (select s.*, coalesce(lag(s.hash) over (order by s.block), '') as hash_before,
                   row_number() over (order by s.block) as place
              from bank.seal s where s.book = audit_seals.book) s
     where s.block <> s.place or s.hash <> sha256(s.hash_before || s.digest)
    union all
    select 'seal_missing', f.block::text, concat(f.transfers_n, ' transfers outside every seal and the open blocks')
      from found f
      join bank.book b on b.book = audit_seals.book
     where f.block > b.block
        or f.block < b.block - 1
           and not exists (select from bank.seal s where s.book = audit_seals.book and s.block = f.block);
end;

-- That no agreement gave more than it says. What used it is proven by the products.
create function bank.audit_agreements(book int) returns setof bank.violation
language sql stable strict security invoker
set enable_nestloop = off
set work_mem = '64MB'
begin atomic
    select 'agreement_limits', u.agreement,
           concat('took ', u.amount, ' by ', u.uses_n, ' debits in the ', lower(a.period), ' from ', u.period, ', of ', a.max_period,
                  ' and ', a.max_each, ' each')
      from bank.agreement_use u
      left join bank.agreement a on a.book = u.book and a.id = u.agreement
     where u.book = audit_agreements.book
       and (a.id is null or u.amount > a.max_period or u.amount::numeric > a.max_each::numeric * u.uses_n
            or (u.uses_n = 0) <> (u.amount = 0))
    union all
    select 'agreement_owner', a.id, concat('account ', a.account, ' does not exist, or the agreement is with ', coalesce(p.id, 'nobody'))
      from bank.agreement a
      left join bank.account b on b.book = a.book and b.id = a.account
      left join bank.partner p on p.id = a.partner
     where a.book = audit_agreements.book and (b.id is null or p.id is null);
end;

create function bank.audit(book int) returns setof bank.violation
language sql stable strict security invoker
begin atomic
    select * from bank.audit_entries(audit.book)
    union all select * from bank.audit_accounts(audit.book)
    union all select * from bank.audit_holds(audit.book)
    union all select * from bank.audit_agreements(audit.book)
    union all select * from bank.audit_seals(audit.book);
end;
