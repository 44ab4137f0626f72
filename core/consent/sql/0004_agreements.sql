-- Agreements (schema bank) as operators and customers make and end them. An operator's act is on the record; a customer's
-- stands in the agreement.

-- What to say of an agreement that was not made.
create function consent.agreement_refusal(code text) returns text
language sql immutable strict parallel safe security invoker
return 'not made: ' || case code
    when 'account_closed'   then 'the account is closed'
    when 'unknown_partner'  then 'no such partner has an app there'
    when 'agreement_exists' then 'one is in force already'
    when 'out_of_time'      then 'it would be over before it begins'
    when 'limit_without_period' then '--limit and --period go together'
    when 'unknown_period'   then 'a period is Day, Week, Month, Year, Whole'
    else 'there is no such account' end;

-- ---- operators ----

-- `each` and `most` are minor units of the account's currency; `life` days from now it runs out. Null: no such account.
create function consent.admin_agree(id text, account text, partner text, each bigint, most bigint, period text, days int,
                                  life int, document text, who text, at timestamptz) returns text
language plpgsql security invoker
set search_path = pg_catalog
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    a    bank.agreement;
    code text;
begin
    select b.book into a.book from bank.book b join bank.account k on k.book = b.book and k.id = admin_agree.account;
    if a.book is null then
        return null;
    end if;
    a.created_at := consent.world_time(a.book, admin_agree.at);
    a := row(admin_agree.each, admin_agree.most, a.created_at,
             coalesce(a.created_at + admin_agree.life * interval '1 day', 'infinity'), null, a.book, coalesce(admin_agree.days, 365),
             admin_agree.id, admin_agree.account, 'refund', admin_agree.partner, coalesce(admin_agree.period, 'Whole'),
             admin_agree.document, 'bank ' || admin_agree.who, null)::bank.agreement;
    code := case when (admin_agree.most is null) <> (admin_agree.period is null) then 'limit_without_period'
                 when a.period not in ('Day', 'Week', 'Month', 'Year', 'Whole') then 'unknown_period' end;
    if code is null then
        select m.code into code from bank.make_agreement(a) m;
    end if;
    if code is not null then
        return consent.agreement_refusal(code);
    end if;
    perform tb.record_audit(admin_agree.who, 'agreement.make', a.id, null,
                             jsonb_build_object('agreement', bank.agreement_json(a, a.created_at)::jsonb), admin_agree.at);
    return 'active';
end
$$;

create function consent.admin_end_agreement(id text, who text, at timestamptz) returns text
language plpgsql strict security invoker
set search_path = pg_catalog
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    a    bank.agreement;
    over timestamptz;
begin
    select k.* into a from bank.book b join bank.agreement k on k.book = b.book and k.id = admin_end_agreement.id;
    if a.id is null then
        return null;
    end if;
    over := consent.world_time(a.book, admin_end_agreement.at);
    if a.ended_at is null then
        perform bank.end_agreement(a.book, a.id, 'bank ' || admin_end_agreement.who, over);
        perform tb.record_audit(admin_end_agreement.who, 'agreement.end', a.id, null, null, admin_end_agreement.at);
    end if;
    return (select bank.agreement_state(k, over) from bank.agreement k where k.book = a.book and k.id = a.id);
end
$$;

-- ---- customers ----

-- What a user of a company sees: the company's open accounts, and the newest 200 agreements about any of its accounts, those
-- in force first. Null: no active user.
create function consent.agreements_of_user(book int, user_id text, wall timestamptz) returns jsonb
language sql stable strict security invoker
begin atomic
    select jsonb_build_object(
        'accounts', coalesce((select jsonb_agg(jsonb_build_object('id', l.id, 'name', l.name, 'currency', l.currency) order by l.id)
                                from (select b.id, b.name, b.currency from bank.account b
                                       where b.book = u.book and b.party = u.company and b.state = 'open'
                                       order by b.id limit 200) l), '[]'),
        'agreements', coalesce((select jsonb_agg(l.body order by l.rank, l.id desc)
                                  from (select k.id, (bank.agreement_state(k, t.at) <> 'active')::int as rank,
                                               bank.agreement_json(k, t.at)::jsonb
                                               || jsonb_build_object('partner_name', p.name, 'account_name', b.name) as body
                                          from bank.account b
                                          join bank.agreement k on k.book = b.book and k.account = b.id
                                          join bank.partner p on p.id = k.partner
                                         where b.book = u.book and b.party = u.company
                                         order by 2, k.id desc limit 200) l), '[]'))
      from oauth.user_account u
     cross join lateral (select consent.world_time(u.book, agreements_of_user.wall) as at) t
     where u.id = agreements_of_user.user_id and u.book = agreements_of_user.book and u.state = 'active';
end;

-- A user agrees for the company. Where its rules want more than one approval of anything, or limit what the role
-- may approve and the agreement is for more, the page is not enough (others_too, over_limit): the bank makes it then.
-- Null: made.
create function consent.customer_agree(book int, id text, user_id text, account text, partner text, each bigint, wall timestamptz)
returns text
language plpgsql security invoker
set search_path = pg_catalog
as $$
#variable_conflict use_column
declare
    u     oauth.user_account;
    a     bank.agreement;
    money text;
    code  text;
begin
    select k.* into u from oauth.user_account k
     where k.id = customer_agree.user_id and k.book = customer_agree.book and k.state = 'active';
    select b.currency into money from bank.account b
     where b.book = u.book and b.id = customer_agree.account and b.party = u.company;
    if money is null then
        return 'unknown_account';
    elsif exists (select from consent.rule r where r.book = u.book and r.company = u.company and r.approvals > 1)
    then
        return 'others_too';
    elsif exists (select from consent.role_limit l where l.book = u.book and l.company = u.company)
          and not exists (select from consent.role_limit l
                           where l.book = u.book and l.company = u.company and l.role = u.role and l.currency = money
                             and l.amount >= customer_agree.each) then
        return 'over_limit';
    end if;
    a.created_at := consent.world_time(u.book, customer_agree.wall);
    a := row(customer_agree.each, null, a.created_at, 'infinity', null, u.book, 365, customer_agree.id, customer_agree.account,
             'refund', customer_agree.partner, 'Whole', null, 'customer ' || u.id, null)::bank.agreement;
    select m.code into code from bank.make_agreement(a) m;
    return code;
end
$$;

-- Whoever made it, a user of the company that has the account ends it. False: there is none for this user.
create function consent.customer_end_agreement(book int, id text, user_id text, wall timestamptz) returns boolean
language plpgsql strict security invoker
set search_path = pg_catalog
as $$
#variable_conflict use_column
begin
    perform from bank.agreement k
       join bank.account b on b.book = k.book and b.id = k.account
       join oauth.user_account u on u.book = b.book and u.company = b.party and u.state = 'active'
      where k.book = customer_end_agreement.book and k.id = customer_end_agreement.id
        and u.id = customer_end_agreement.user_id;
    if not found then
        return false;
    end if;
    perform bank.end_agreement(book, id, 'customer ' || customer_end_agreement.user_id,
                               consent.world_time(book, customer_end_agreement.wall));
    return true;
end
$$;
