-- bank.post(): the only door to the ledger. Takes instructions, answers what became of each one *as if they had run one
-- after another in the order given*, and never raises for a business reason. It reads and locks all accounts in one
-- statement, decides in memory, and writes in one statement per table: what a batch costs is its rows.

-- No balance leaves +-(2^62 - 1) minor units, so no sum of two of them overflows a bigint.
create function bank.balance_max() returns bigint
language sql immutable parallel safe security invoker
return 4611686018427387903;

-- The block that transfers of this transaction are filed under. The shared lock keeps bank.seal() from closing the
-- books on the block while we write to it; a seal that moved on between the two reads is simply followed.
create function bank.enter_block(book int) returns int
language plpgsql volatile strict security invoker
set search_path = pg_catalog
as $$
#variable_conflict use_column
declare
    entered int;
    current int;
begin
    select b.block into strict entered from bank.book b where b.book = enter_block.book;
    loop
        perform pg_advisory_xact_lock_shared(enter_block.book, entered);
        select b.block into strict current from bank.book b where b.book = enter_block.book;
        exit when current = entered;
        entered := current;
    end loop;
    return entered;
end
$$;

-- Locks accounts for the rest of the transaction. A function that posts more than once calls this first with every
-- account it may touch; bank.post() locks in the same order, by id.
create function bank.lock(book int, accounts text[]) returns void
language plpgsql volatile strict security invoker
set search_path = pg_catalog
set enable_seqscan = off
as $$
#variable_conflict use_column
begin
    perform a.id from bank.account a
      where a.book = lock.book and a.id = any (lock.accounts) order by a.id for no key update;
end
$$;

-- Where an instruction differs from the transfer that has its id; null when it is the same transfer.
create function bank.difference(i bank.instruction, t bank.transfer) returns text
language sql immutable parallel safe security invoker
return case
    when (i.verb = 'post') <> (t.hold is not null) then 'exists_with_different_verb'
    when i.verb = 'post' and i.hold <> t.hold      then 'exists_with_different_hold'
    when i.verb = 'post' and i.amount is null      then null
    when i.amount <> t.amount                      then 'exists_with_different_amount'
    when i.verb = 'post'                           then null
    when i.debit <> t.debit                        then 'exists_with_different_debit_account'
    when i.credit <> t.credit                      then 'exists_with_different_credit_account'
    when i.currency <> t.currency                  then 'exists_with_different_currency'
    when i.kind <> t.kind                          then 'exists_with_different_kind' end;

create function bank.hold_difference(i bank.instruction, h bank.hold) returns text
language sql immutable parallel safe security invoker
return case
    when i.amount <> h.amount     then 'exists_with_different_amount'
    when i.debit <> h.debit       then 'exists_with_different_debit_account'
    when i.credit <> h.credit     then 'exists_with_different_credit_account'
    when i.currency <> h.currency then 'exists_with_different_currency'
    when i.kind <> h.kind         then 'exists_with_different_kind'
    when coalesce(i.expires_at, 'infinity') <> h.expires_at then 'exists_with_different_expiry' end;

create function bank.post(book int, instructions bank.instruction[]) returns setof bank.outcome
language plpgsql volatile strict security invoker
set search_path = pg_catalog
set enable_seqscan = off        -- probe by index, always: a plan made while the tables were small must not outlive that
set enable_hashjoin = off
set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
as $$
declare
    balance_max constant bigint := bank.balance_max();
    plain   boolean;            -- single transfers only: no hold to read, no chain to undo
    names   text[];
    block   int;
    zone    text;
    -- the locked accounts; d and c below are positions in these
    a_tid tid[]; a_id text[]; a_state text[]; a_currency text[]; a_floor bigint[]; a_ceiling bigint[]; a_each bigint[];
    a_per_day bigint[];
    a_balance bigint[]; a_version bigint[]; a_held bigint[]; a_incoming bigint[]; a_day_out bigint[]; a_day date[];
    -- the holds that are named, then those made here
    holds   bank.hold[] := array[]::bank.hold[];
    h_id    text[] := array[]::text[];
    h_moved boolean[] := array[]::boolean[];
    r       record;
    h       bank.hold;
    at_h    int;
    d       int;
    c       int;
    amount  bigint;
    spent   bigint;             -- what the account has used of today's limit
    refusal text;
    earlier bank.transfer;
    known   boolean;            -- the same instruction was carried out before
    move    bigint;             -- goes from d to c
    keep    bigint;             -- is reserved, in d as held and in c as incoming; negative: is released
    made    bank.transfer[] := array[]::bank.transfer[];
    codes   text[] := array[]::text[];
    existed boolean[] := array[]::boolean[];
    chain   int;
    broken  boolean := false;
    since   int;                -- where the current chain began, and all that has to be put back if it breaks
    was_made int; was_holds bank.hold[]; was_id text[]; was_day date[];
    was_balance bigint[]; was_version bigint[]; was_held bigint[]; was_incoming bigint[]; was_day_out bigint[];
begin
    select coalesce(bool_and(i.verb = 'transfer' and i.chain is null), true), array_agg(i.debit) || array_agg(i.credit)
      into plain, names from unnest(instructions) i;
    if not plain then
        names := names || array(select unnest(array[o.debit, o.credit]) from bank.hold o
                                 where o.book = post.book
                                   and o.id = any (array(select i.hold from unnest(instructions) i)));
    end if;

    select array_agg(a.tid), array_agg(a.id), array_agg(a.state), array_agg(a.currency),
           array_agg(coalesce(a.floor, -balance_max)), array_agg(coalesce(a.ceiling, balance_max)),
           array_agg(coalesce(a.limit_each, balance_max)), array_agg(coalesce(a.limit_day, balance_max)),
           array_agg(a.balance), array_agg(a.version), array_agg(a.held), array_agg(a.incoming),
           array_agg(a.day_out), array_agg(a.day)
      into a_tid, a_id, a_state, a_currency, a_floor, a_ceiling, a_each, a_per_day,
           a_balance, a_version, a_held, a_incoming, a_day_out, a_day
      from (select a.ctid as tid, * from bank.account a where a.book = post.book and a.id = any (names)
             order by a.id for no key update) a;

    -- From here on the accounts stand still, and with them their holds: those change only under the lock of the
    -- debited account. Each statement below sees all that was committed before the locks were ours.
    if not plain then
        select coalesce(array_agg(o), '{}'), coalesce(array_agg(o.id), '{}') into holds, h_id
          from bank.hold o
         where o.book = post.book
           and o.id = any (array(select case i.verb when 'hold' then i.id else i.hold end from unnest(instructions) i));
    end if;
    block := bank.enter_block(post.book);
    select w.time_zone into strict zone
      from bank.book b join bank.world w on w.id = b.world where b.book = post.book;

    for r in
        select i.*, (i.at at time zone zone)::date as today,
               -- a binary search for the position in the sorted array; what is not there comes out somewhere else
               width_bucket(i.debit collate "C", a_id) as d, width_bucket(i.credit collate "C", a_id) as c,
               count(*) over (partition by i.id) > 1
               or (select true from bank.transfer t where t.book = post.book and t.id = i.id) as repeated
          from unnest(instructions) with ordinality i
               (verb, id, debit, credit, amount, currency, kind, at, limited, chain, hold, release_remainder,
                expires_at, n)
         order by i.n
    loop
        if r.chain is distinct from chain then
            chain := r.chain;
            broken := false;
            if chain is not null then
                since := r.n;
                was_made := cardinality(made); was_holds := holds; was_id := h_id;
                was_balance := a_balance; was_version := a_version; was_held := a_held; was_incoming := a_incoming;
                was_day := a_day; was_day_out := a_day_out;
            end if;
        end if;

        refusal := case when broken then 'linked_failed' end;
        known := false;
        if r.repeated and not broken and r.verb in ('transfer', 'post') then
            select * into earlier from unnest(made) m where m.id = r.id
            union all
            select * from bank.transfer t where t.book = post.book and t.id = r.id;
            known := found;
            refusal := case when known then bank.difference(instructions[r.n], earlier) end;
        end if;

        move := 0;
        keep := 0;
        if broken or known then
            null;
        elsif r.verb in ('transfer', 'hold') then
            d := r.d;
            c := r.c;
            amount := coalesce(r.amount, 0);
            spent := case when a_day[d] < r.today then 0 else a_day_out[d] end;
            at_h := case when r.verb = 'hold' then array_position(h_id, r.id) end;
            known := at_h is not null;
            refusal := case
                when known then bank.hold_difference(instructions[r.n], holds[at_h])
                when amount <= 0 then 'amount_must_be_positive'
                when r.debit = r.credit then 'accounts_must_be_different'
                when a_id[d] is distinct from r.debit then 'debit_account_not_found'
                when a_id[c] is distinct from r.credit then 'credit_account_not_found'
                when a_state[d] <> 'open' then 'debit_account_closed'
                when a_state[c] <> 'open' then 'credit_account_closed'
                when a_currency[d] <> r.currency then 'debit_currency_mismatch'
                when a_currency[c] <> r.currency then 'credit_currency_mismatch'
                when amount > balance_max then 'balance_overflow'
                when r.limited and amount > a_each[d] then 'single_limit_exceeded'
                when r.limited and amount > a_per_day[d] - spent then 'day_limit_exceeded'
                when a_balance[d] - a_held[d] - amount < a_floor[d]
                    then case when a_floor[d] = -balance_max then 'balance_overflow' else 'insufficient_funds' end
                when a_balance[c] + a_incoming[c] + amount > a_ceiling[c]
                    then case when a_ceiling[c] = balance_max then 'balance_overflow' else 'ceiling_exceeded' end
                when r.verb = 'hold' and r.expires_at <= r.at then 'expiry_must_be_later'
            end;
            if refusal is null and not known then
                if r.limited then
                    a_day_out[d] := least(spent + amount, balance_max);
                    a_day[d] := greatest(a_day[d], r.today);
                end if;
                if r.verb = 'transfer' then
                    move := amount;
                else
                    keep := amount;
                    h_id := h_id || r.id;
                    holds := holds || row(amount, amount, 0, r.at, coalesce(r.expires_at, 'infinity'), r.at, post.book,
                                          r.id, r.debit, r.credit, r.currency, r.kind, 'open')::bank.hold;
                    h_moved[cardinality(holds)] := true;
                end if;
            end if;
        else
            at_h := array_position(h_id, r.hold);
            h := holds[at_h];
            d := nullif(width_bucket(h.debit collate "C", a_id), 0);
            c := nullif(width_bucket(h.credit collate "C", a_id), 0);
            amount := coalesce(r.amount, h.remaining);
            known := coalesce((h.state, r.verb) in (('voided', 'void'), ('expired', 'expire')), false);
            refusal := case
                -- or it was made after we had looked for the accounts to lock
                when at_h is null or (a_id[d], a_id[c]) is distinct from (h.debit, h.credit) then 'hold_not_found'
                when known then null
                when h.state = 'expired' then 'hold_expired'
                when h.state <> 'open' then 'hold_already_' || h.state
                when r.verb = 'expire' and h.expires_at > r.at then 'hold_not_due'
                when r.verb <> 'expire' and h.expires_at <= r.at then 'hold_expired'
                when r.verb = 'post' and amount <= 0 then 'amount_must_be_positive'
                when r.verb = 'post' and amount > h.remaining then 'exceeds_hold'
            end;
            if refusal is null and not known then
                move := case when r.verb = 'post' then amount else 0 end;
                keep := -case when r.verb = 'post' and not coalesce(r.release_remainder, false) then amount
                              else h.remaining end;
                h.posted := h.posted + move;
                h.remaining := h.remaining + keep;
                h.state := case when r.verb = 'void' then 'voided' when r.verb = 'expire' then 'expired'
                                when h.remaining = 0 then 'posted' else 'open' end;
                h.changed_at := r.at;
                holds[at_h] := h;
                h_moved[at_h] := true;
            end if;
        end if;

        if keep <> 0 then
            a_held[d] := a_held[d] + keep;
            a_incoming[c] := a_incoming[c] + keep;
        end if;
        if move > 0 then
            a_balance[d] := a_balance[d] - move;
            a_balance[c] := a_balance[c] + move;
            a_version[d] := a_version[d] + 1;
            a_version[c] := a_version[c] + 1;
            made := made || row(move, a_balance[d], a_version[d], a_balance[c], a_version[c], r.at, post.book, block,
                                r.id, a_id[d], a_id[c], a_currency[d],
                                case when r.verb = 'post' then h.kind else r.kind end,
                                case when r.verb = 'post' then h.id end)::bank.transfer;
        end if;

        codes := codes || refusal;
        existed := existed || known;
        if refusal is not null and chain is not null and not broken then
            broken := true;
            -- what was there before the chain stays done, what only the chain brought about does not
            for i in since .. r.n - 1 loop
                existed[i] := existed[i] and case
                    when instructions[i].verb in ('transfer', 'post')
                        then not exists (select from unnest(made[was_made + 1:]) m where m.id = instructions[i].id)
                    when instructions[i].verb = 'hold'
                        then array_position(was_id, instructions[i].id) is not null
                    else was_holds[array_position(was_id, instructions[i].hold)].state <> 'open' end;
                codes[i] := case when not existed[i] then 'linked_failed' end;
            end loop;
            made := made[:was_made]; holds := was_holds; h_id := was_id;
            a_balance := was_balance; a_version := was_version; a_held := was_held; a_incoming := was_incoming;
            a_day := was_day; a_day_out := was_day_out;
        end if;
    end loop;

    insert into bank.transfer select * from unnest(made);

    -- by place, not by id: a row we have locked stays where it was
    update bank.account a
       set balance = u.balance, version = u.version, held = u.held, incoming = u.incoming,
           day_out = u.day_out, day = u.day
      from unnest(a_tid, a_balance, a_version, a_held, a_incoming, a_day_out, a_day)
           u (tid, balance, version, held, incoming, day_out, day)
     where a.ctid = u.tid
       and (a.version, a.held, a.incoming, a.day_out, a.day)
           is distinct from (u.version, u.held, u.incoming, u.day_out, u.day);

    if not plain then
        insert into bank.hold as o
        select w.amount, w.remaining, w.posted, w.at, w.expires_at, w.changed_at, w.book, w.id, w.debit, w.credit,
               w.currency, w.kind, w.state
          from unnest(holds) with ordinality w
               (amount, remaining, posted, at, expires_at, changed_at, book, id, debit, credit, currency, kind, state, n)
         where h_moved[w.n]
            on conflict on constraint hold_pkey do update
               set remaining = excluded.remaining, posted = excluded.posted, state = excluded.state,
                   changed_at = excluded.changed_at;
    end if;

    return query select o.n::int, o.code, o.existed from unnest(codes, existed) with ordinality o (code, existed, n);
end
$$;
