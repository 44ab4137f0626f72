-- e_payment.audit(): proves that payments, refunds, their transfers, their events and the stored answers tell one story.
-- One row per violation; like bank.audit() it trusts no constraint.

create function e_payment.audit(book int) returns setof bank.violation
language sql stable strict security invoker
set enable_nestloop = off     -- see bank.audit_entries()
set work_mem = '64MB'
begin atomic
    select 'payment_transfer', p.id, concat('state ', p.state, ' and transfer ', coalesce(t.id, 'none'))
      from e_payment.payment p
      left join bank.transfer t on t.book = p.book and t.id = 'xfr_' || right(p.id, 26)
     where p.book = audit.book
       and case p.state when 'succeeded'
           then (t.debit, t.credit, t.amount, t.currency, t.kind)
                is distinct from (p.debtor_account, p.creditor_account, p.amount, p.currency, 'payment')
           else t.id is not null end
    union all
    -- a payment under a consent and its receipt are told alike
    select 'payment_consent', coalesce(p.id, r.object), concat('consent ', coalesce(p.consent, r.consent), ', payment ',
                                                               coalesce(p.state, 'none'), ', receipt ', coalesce(r.outcome, 'none'))
      from (select p.* from e_payment.payment p where p.book = audit.book and p.consent is not null) p
      full join (select r.* from consent.receipt r where r.book = audit.book and r.object like 'pay\_%') r on r.object = p.id
     where (p.consent, p.state, p.amount, p.currency, p.debtor_account)
           is distinct from (r.consent, r.outcome, r.amount, r.currency, r.account)
    union all
    -- a refund under a consent and its receipt, too
    select 'refund_consent', coalesce(r.id, x.object), concat('consent ', coalesce(r.consent, x.consent), ', refund ',
                                                              coalesce(r.state, 'none'), ', receipt ', coalesce(x.outcome, 'none'))
      from (select r.*, p.creditor_account from e_payment.refund r
              join e_payment.payment p on p.book = r.book and p.id = r.payment
             where r.book = audit.book and r.consent is not null) r
      full join (select x.* from consent.receipt x where x.book = audit.book and x.object like 'rfd\_%') x on x.object = r.id
     where (r.consent, r.state, r.amount, r.currency, r.creditor_account)
           is distinct from (x.consent, x.outcome, x.amount, x.currency, x.account)
    union all
    -- each refund had a right to debit the payee's account: a consent (see above), an agreement with this partner that stood
    -- then, or the partner's access, which no one takes away but the end of the partner
    select 'refund_right', r.id, concat('debited ', p.creditor_account, ' by ', coalesce(r.agreement, 'access of ' || r.partner))
      from e_payment.refund r
      join e_payment.payment p on p.book = r.book and p.id = r.payment
      left join bank.agreement a on a.book = r.book and a.id = r.agreement
      left join bank.account_access x on x.book = r.book and x.partner = r.partner and x.account = p.creditor_account and x.can_debit
      left join bank.partner w on w.id = r.partner
     where r.book = audit.book and r.consent is null
       and case when r.agreement is not null
           then (a.account, a.partner, a.kind) is distinct from (p.creditor_account, r.partner, 'refund')
                or r.created_at >= a.valid_to or r.created_at > a.ended_at
                or r.created_at >= p.created_at + a.days * interval '1 day'
           else x.account is null and w.state is distinct from 'revoked' end
    union all
    -- an agreement counted exactly what was refunded under it
    select 'agreement_used', coalesce(u.agreement, r.agreement),
           concat('counted ', coalesce(u.amount, 0), ' in ', coalesce(u.uses_n, 0), ', its refunds give ', coalesce(r.amount, 0), ' in ',
                  coalesce(r.refunds_n, 0))
      from (select u.agreement, sum(u.amount) as amount, sum(u.uses_n) as uses_n from bank.agreement_use u
             where u.book = audit.book group by u.agreement) u
      full join (select r.agreement, sum(r.amount) as amount, count(*) as refunds_n from e_payment.refund r
                  where r.book = audit.book and r.state = 'succeeded' and r.agreement is not null group by r.agreement) r
        on r.agreement = u.agreement
     where (u.amount, u.uses_n) is distinct from (r.amount, r.refunds_n)
    union all
    select 'refund_transfer', r.id, concat('state ', r.state, ' and transfer ', coalesce(t.id, 'none'))
      from e_payment.refund r
      left join e_payment.payment p on p.book = r.book and p.id = r.payment
      left join bank.transfer t on t.book = r.book and t.id = 'xfr_' || right(r.id, 26)
     where r.book = audit.book
       and case r.state when 'succeeded'
           then (t.debit, t.credit, t.amount, t.currency, t.kind)
                is distinct from (p.creditor_account, p.debtor_account, r.amount, r.currency, 'refund')
           else t.id is not null end
    union all
    select 'transfer_owner', t.id, concat('a ', t.kind, ' without its object')
      from bank.transfer t
     where t.book = audit.book
       and case t.kind
           when 'payment' then not exists (select from e_payment.payment p
                                            where p.book = t.book and p.id = 'pay_' || right(t.id, 26))
           when 'refund'  then not exists (select from e_payment.refund r
                                            where r.book = t.book and r.id = 'rfd_' || right(t.id, 26))
           else false end
    union all
    select 'payment_refunded', p.id,
           concat('refunded ', p.refunded, ' of ', p.amount, ', its refunds give ', coalesce(r.total, 0))
      from e_payment.payment p
      left join (select r.payment, sum(r.amount) as total from e_payment.refund r
                  where r.book = audit.book and r.state = 'succeeded' group by r.payment) r on r.payment = p.id
     where p.book = audit.book and (p.refunded <> coalesce(r.total, 0) or p.refunded > p.amount)
    union all
    select 'refund_payment', r.id, concat('payment ', r.payment, ' does not exist, did not succeed, or differs')
      from e_payment.refund r
      left join e_payment.payment p on p.book = r.book and p.id = r.payment
     where r.book = audit.book
       and (p.state, p.currency, p.partner) is distinct from ('succeeded', r.currency, r.partner)
    union all
    select 'object_state', o.id, concat('state ', o.state, ' is not one of a ', o.object)
      from (select 'payment' as object, p.id, p.state from e_payment.payment p where p.book = audit.book
            union all
            select 'refund', r.id, r.state from e_payment.refund r where r.book = audit.book) o
     where not exists (select from e_payment.state s where s.object = o.object and s.state = o.state)
    union all
    select 'object_event', o.id, concat('no event ', o.object, '.', o.state)
      from (select 'payment' as object, p.id, p.state, p.partner, p.created_at from e_payment.payment p
             where p.book = audit.book
            union all
            select 'refund', r.id, r.state, r.partner, r.created_at from e_payment.refund r where r.book = audit.book) o
      join e_payment.state s on s.object = o.object and s.state = o.state and s.terminal
     where o.created_at > coalesce((select f.upto from event.forgotten f where f.book = audit.book), '-infinity')
       and not exists (select from event.outbox e
                        where e.book = audit.book and e.id = 'evt_' || right(o.id, 26) and e.object = o.id
                          and e.partner = o.partner and e.type = o.object || '.' || o.state)
    union all
    select 'event_object', e.id, concat(e.type, ' tells of ', e.object, ', which does not exist')
      from event.outbox e
     where e.book = audit.book
       and case when e.type like 'payment.%' then not exists (select from e_payment.payment p
                                                               where p.book = e.book and p.id = e.object)
                when e.type like 'refund.%'  then not exists (select from e_payment.refund r
                                                               where r.book = e.book and r.id = e.object)
                else false end
    union all
    select 'answer_object', k.key, concat('the answer stored for ', k.partner, ' tells of ', k.body::jsonb->>'id',
                                          ', which does not exist')
      from tb.idempotency_key k
     where k.book = audit.book and k.status = 201 and k.route like '% /e-payment/%'
       and not exists (select from e_payment.payment p
                        where p.book = k.book and p.id = k.body::jsonb->>'id' and p.partner = k.partner)
       and not exists (select from e_payment.refund r
                        where r.book = k.book and r.id = k.body::jsonb->>'id' and r.partner = k.partner);
end;
