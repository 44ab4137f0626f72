-- What operators do to partners, apps, entitlements and interfaces. Each function is one act: it changes what it
-- says, records the act with what was before, and answers with the new state, or with null when there is nothing of that
-- id. Doing an act again changes nothing and records nothing. Rows of apps and partners are locked for no key update, which
-- lets those who only refer to them go on.

create schema directory;

create function directory.make_partner(id text, name text, who text, at timestamptz) returns text
language plpgsql strict security invoker
set search_path = pg_catalog
as $$
begin
    insert into bank.partner (id, name, created_at) values (make_partner.id, make_partner.name, make_partner.at);
    perform tb.record_audit(make_partner.who, 'partner.create', make_partner.id, null,
                             jsonb_build_object('name', make_partner.name, 'state', 'active'), make_partner.at);
    return 'active';
end
$$;

-- Suspend a partner or an app (`kind`), or let it act: again, or for the first time when it is an app that has registered
-- and waits for approval. A revoked one stays revoked.
create function directory.set_state(kind text, id text, state text, who text, at timestamptz) returns text
language plpgsql strict security invoker
set search_path = pg_catalog
as $$
declare
    was text;
begin
    if set_state.kind = 'partner' then
        select p.state into was from bank.partner p where p.id = set_state.id for no key update;
    else
        select a.state into was from bank.app a where a.id = set_state.id for no key update;
    end if;
    if was is null or was in ('revoked', set_state.state) then
        return was;
    end if;
    if set_state.kind = 'partner' then
        update bank.partner p set state = set_state.state where p.id = set_state.id;
    else
        update bank.app a set state = set_state.state where a.id = set_state.id;
    end if;
    perform tb.record_change(set_state.who, concat(set_state.kind, case when set_state.state = 'suspended' then '.suspend'
                                                                    when was = 'pending' then '.approve' else '.resume' end),
                             set_state.id, 'state', to_jsonb(was), to_jsonb(set_state.state), set_state.at);
    return set_state.state;
end
$$;

-- A partner's exit: all of its apps end with everything they hold, and it loses its access to accounts. Agreements end, those
-- for it and those it made for accounts' owners, who can make them again.
create function directory.end_partner(partner text, who text, at timestamptz) returns text
language plpgsql strict security invoker
set search_path = pg_catalog
as $$
#variable_conflict use_column
declare
    was      text;
    ended    text;
    apps_n   int := 0;
    grants_n int := 0;
    access_n int;
begin
    select p.state into was from bank.partner p where p.id = end_partner.partner for no key update;
    if was is null or was = 'revoked' then
        return was;
    end if;
    update bank.partner p set state = 'revoked' where p.id = end_partner.partner;
    for ended in select a.id from bank.app a where a.partner = end_partner.partner and a.state <> 'revoked' order by a.id
    loop
        apps_n := apps_n + 1;
        grants_n := grants_n + (select count(*) from consent.end_app(ended, 'app', end_partner.who, end_partner.at));
    end loop;
    delete from bank.account_access x where x.partner = end_partner.partner;
    get diagnostics access_n = row_count;
    perform bank.end_agreement(a.book, a.id, 'bank ' || end_partner.who, consent.world_time(a.book, end_partner.at))
       from (select k.book, k.id from bank.agreement k
              where k.ended_at is null and (k.partner = end_partner.partner or k.made_by = 'partner ' || end_partner.partner)
              order by k.book, k.id) a;
    perform tb.record_audit(end_partner.who, 'partner.revoke', end_partner.partner, jsonb_build_object('state', was),
                             jsonb_build_object('state', 'revoked', 'apps', apps_n, 'grants', grants_n,
                                                'accounts', access_n), end_partner.at);
    return 'revoked';
end
$$;

create function directory.make_app(id text, partner text, world text, name text, who text, at timestamptz) returns text
language plpgsql strict security invoker
set search_path = pg_catalog
as $$
begin
    perform from bank.partner p where p.id = make_app.partner and p.state <> 'revoked' for share;
    if not found then
        return null;
    end if;
    insert into bank.app (id, partner, world, name, created_at)
    values (make_app.id, make_app.partner, make_app.world, make_app.name, make_app.at);
    perform tb.record_audit(make_app.who, 'app.create', make_app.id, null,
                             jsonb_build_object('partner', make_app.partner, 'world', make_app.world,
                                                'name', make_app.name, 'state', 'active'), make_app.at);
    return 'active';
end
$$;

create function directory.revoke_app(app text, who text, at timestamptz) returns text
language plpgsql strict security invoker
set search_path = pg_catalog
as $$
begin
    perform consent.end_app(revoke_app.app, 'app', revoke_app.who, revoke_app.at);
    return (select a.state from bank.app a where a.id = revoke_app.app);
end
$$;

-- ---- entitlements and stops ----

-- In the environment of the app's world, the only one it can ever use it in. 'full': it has as many as are read
-- (TB_ENTITLEMENTS_MAX), and one more would be listed but open nothing.
create function directory.entitle(app text, product text, operation text, who text, at timestamptz) returns text
language plpgsql strict security invoker
set search_path = pg_catalog
as $$
#variable_conflict use_column
declare
    place text;
begin
    select w.kind into place from bank.app a join bank.world w on w.id = a.world
     where a.id = entitle.app and a.state <> 'revoked' for share of a;
    if place is null then
        return null;
    end if;
    if (select count(*) from bank.entitlement e
         where e.app = entitle.app and e.environment = place
           and (e.product, e.operation) <> (entitle.product, entitle.operation)) >= 10000 then
        return 'full';
    end if;
    insert into bank.entitlement (app, product, environment, operation, since)
    values (entitle.app, entitle.product, place, entitle.operation, entitle.at)
    on conflict do nothing;
    if found then
        perform tb.record_audit(entitle.who, 'entitlement.grant', entitle.app, null,
                                 jsonb_build_object('product', entitle.product, 'environment', place,
                                                    'operation', entitle.operation), entitle.at);
    end if;
    return place;
end
$$;

create function directory.withdraw(app text, product text, operation text, who text, at timestamptz) returns text
language plpgsql strict security invoker
set search_path = pg_catalog
as $$
#variable_conflict use_column
declare
    place text;
begin
    delete from bank.entitlement e
     where e.app = withdraw.app and e.product = withdraw.product and e.operation = withdraw.operation
    returning e.environment into place;
    if place is not null then
        perform tb.record_audit(withdraw.who, 'entitlement.withdraw', withdraw.app,
                                 jsonb_build_object('product', withdraw.product, 'environment', place,
                                                    'operation', withdraw.operation), null, withdraw.at);
    end if;
    return place;
end
$$;

create function directory.stop_interface(product text, operation text, reason text, who text, at timestamptz) returns text
language plpgsql strict security invoker
set search_path = pg_catalog
as $$
#variable_conflict use_column
begin
    insert into bank.stop (product, operation, reason, since)
    values (stop_interface.product, stop_interface.operation, stop_interface.reason, stop_interface.at)
    on conflict do nothing;
    if found then
        perform tb.record_audit(stop_interface.who, 'interface.stop',
                                 concat_ws(' ', stop_interface.product, nullif(stop_interface.operation, '')), null,
                                 jsonb_build_object('reason', stop_interface.reason), stop_interface.at);
    end if;
    return 'stopped';
end
$$;

create function directory.start_interface(product text, operation text, who text, at timestamptz) returns text
language plpgsql strict security invoker
set search_path = pg_catalog
as $$
#variable_conflict use_column
declare
    was text;
begin
    delete from bank.stop s where s.product = start_interface.product and s.operation = start_interface.operation
    returning s.reason into was;
    if was is null then
        return null;
    end if;
    perform tb.record_audit(start_interface.who, 'interface.start',
                             concat_ws(' ', start_interface.product, nullif(start_interface.operation, '')),
                             jsonb_build_object('reason', was), null, start_interface.at);
    return 'serving';
end
$$;
