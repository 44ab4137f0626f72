-- e-payment: payments between accounts and their refunds. Tables and how a row reads on the wire.

create schema e_payment;

-- The states a payment or a refund can be in; a terminal one is never left. Refunding a payment does not change its
-- state (it did succeed): how much went back stands in `refunded`.
create table e_payment.state (
    object   text    collate "C" not null check (object in ('payment', 'refund')),
    state    text    collate "C" not null,
    terminal boolean not null,
    primary key (object, state)
);
insert into e_payment.state values
    ('payment', 'processing', false), ('payment', 'succeeded', true), ('payment', 'failed', true),
    ('refund',  'processing', false), ('refund',  'succeeded', true), ('refund',  'failed', true);

-- A payment's transfer has its stem: pay_X was moved by xfr_X and told of by evt_X.
create table e_payment.payment (
    amount           bigint      not null check (amount > 0),
    refunded         bigint      not null default 0 check (refunded between 0 and amount),
    created_at       timestamptz not null,
    updated_at       timestamptz not null,
    book             int         not null,
    id               text        collate "C" not null,
    partner          text        collate "C" not null,
    app              text        collate "C" not null,
    reference        text        collate "C" not null,
    debtor_account   text        collate "C" not null,
    creditor_account text        collate "C" not null,
    currency         text        collate "C" not null,
    state            text        collate "C" not null check (state in ('processing', 'succeeded', 'failed')),
    failure          text        collate "C",
    purpose          text,
    metadata         jsonb,
    primary key (book, id),
    unique (book, partner, reference),
    check ((state = 'failed') = (failure is not null))
) with (fillfactor = 90);
create index payment_list on e_payment.payment (book, partner, created_at, id);

create table e_payment.refund (
    amount     bigint      not null check (amount > 0),
    created_at timestamptz not null,
    updated_at timestamptz not null,
    book       int         not null,
    id         text        collate "C" not null,
    partner    text        collate "C" not null,
    app        text        collate "C" not null,
    payment    text        collate "C" not null,
    currency   text        collate "C" not null,
    state      text        collate "C" not null check (state in ('processing', 'succeeded', 'failed')),
    failure    text        collate "C",
    reason     text,
    metadata   jsonb,
    primary key (book, id),
    check ((state = 'failed') = (failure is not null))
);
create index refund_payment on e_payment.refund (book, payment, created_at, id);

-- What a ledger refusal is called when a payment fails for it, and the sentence that goes with it.
create function e_payment.failure_detail(code text) returns text
language sql immutable strict parallel safe security invoker
return case code
    when 'insufficient_funds'      then 'the debtor account has less available than the amount'
    when 'debtor_account_closed'   then 'the debtor account is closed'
    when 'creditor_account_closed' then 'the creditor account is closed'
    when 'currency_mismatch'       then 'an account is not in the currency of the amount'
    when 'single_limit_exceeded'   then 'the amount is above the debtor account''s limit for one payment'
    when 'day_limit_exceeded'      then 'the debtor account''s limit for the day would be exceeded'
    when 'creditor_limit_exceeded' then 'the creditor account cannot hold that much' end;

create function e_payment.failure(code text) returns text
language sql immutable parallel safe security invoker
return case code
    when 'debit_account_closed'     then 'debtor_account_closed'
    when 'credit_account_closed'    then 'creditor_account_closed'
    when 'debit_currency_mismatch'  then 'currency_mismatch'
    when 'credit_currency_mismatch' then 'currency_mismatch'
    when 'ceiling_exceeded'         then 'creditor_limit_exceeded'
    when 'balance_overflow'         then 'creditor_limit_exceeded'
    else code end;

create function e_payment.failure_json(code text) returns text
language sql stable strict parallel safe security invoker
return concat('{"code":"', code, '","detail":', to_json(e_payment.failure_detail(code)), '}');

-- A payment on the wire, compact. The same text answers the POST and every GET.
create function e_payment.payment_json(p e_payment.payment) returns text
language sql stable parallel safe security invoker
return concat(
    '{"id":"', p.id, '","object":"payment","state":"', p.state, '","reference":', to_json(p.reference),
    ',"debtor_account":"', p.debtor_account, '","creditor_account":"', p.creditor_account,
    '","amount":', tb.money(p.amount, p.currency),
    ',"purpose":' || to_json(p.purpose)::text,
    ',"metadata":' || tb.compact(p.metadata),
    ',"refunded":', tb.money(p.refunded, p.currency),
    ',"created_at":"', tb.rfc3339(p.created_at), '","updated_at":"', tb.rfc3339(p.updated_at), '"',
    ',"failure":' || e_payment.failure_json(p.failure), '}');

-- The refusals of a payment request: status, what to tell, and which member is to blame.
create function e_payment.refuse_payment(n int, code text, taken_by text) returns tb.answer
language sql stable parallel safe security invoker
return row(n, case code when 'duplicate_reference' then 409 when 'debit_not_permitted' then 403 else 422 end, code,
    case code
        when 'duplicate_reference'        then concat('the reference belongs to payment ', taken_by)
        when 'amount_invalid'             then 'the amount must be above zero'
        when 'currency_unknown'           then 'the currency is not an ISO 4217 code in use'
        when 'same_account'               then 'debtor and creditor are the same account'
        when 'debtor_account_not_found'   then 'no such account that you may debit'
        when 'debit_not_permitted'        then 'you may read this account but not debit it'
        when 'creditor_account_not_found' then 'no such account' end,
    case code
        when 'duplicate_reference'        then '/reference'
        when 'amount_invalid'             then '/amount/amount'
        when 'currency_unknown'           then '/amount/currency'
        when 'same_account'               then '/creditor_account'
        when 'creditor_account_not_found' then '/creditor_account'
        else '/debtor_account' end,
    null, null,
    case code when 'duplicate_reference'
        then jsonb_build_object('payment', taken_by, 'link', '/e-payment/v1/payments/' || taken_by) end,
    false)::tb.answer;
