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

-- A payment's transfer has its id_suffix: pay_X was moved by xfr_X and told of by evt_X.
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
    consent          text        collate "C",   -- under which it was made; null: by the partner's own access
    channel          text        collate "C",   -- that the partner's script chose; null: none
    check ((state = 'failed') = (failure is not null))
) with (fillfactor = 90);
create index payment_consent on e_payment.payment (book, consent, created_at, id) where consent is not null;
create index payment_list on e_payment.payment (book, partner, created_at, id);
-- After the list's index, because of indexes that look equally good the planner takes the youngest (see bank.transfer).
alter table e_payment.payment add primary key (book, id);
alter table e_payment.payment add constraint payment_reference unique (book, reference, partner);

-- A refund debits the payment's creditor, so whoever asks for it needs a right to: `consent` or `agreement` say which one it
-- used; with neither the partner's own access to the account. `purpose` is `reason` on the wire.
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
    reference  text        collate "C",     -- the partner's own name for it; null: none
    purpose    text,
    metadata   jsonb,
    consent    text        collate "C",
    agreement  text        collate "C",
    check ((state = 'failed') = (failure is not null)),
    check (consent is null or agreement is null)
);
create index refund_payment on e_payment.refund (book, payment, created_at, id);
create index refund_agreement on e_payment.refund (book, agreement) where agreement is not null;
-- As with payments: of indexes that look equally good the planner takes the youngest.
alter table e_payment.refund add primary key (book, id);
alter table e_payment.refund add constraint refund_reference unique (book, reference, partner);

-- What entries of these kinds are about.
alter table e_payment.payment inherit bank.source;
alter table e_payment.refund inherit bank.source;
insert into bank.source_kind values ('payment', 'pay'), ('refund', 'rfd');

-- What a ledger refusal is called when a payment or refund fails for it. A refund runs the other way, so its debit side
-- is the payment's creditor.
create function e_payment.failure(code text, refund boolean) returns text
language sql immutable parallel safe security invoker
return case code
    when 'debit_account_closed'     then case when refund then 'creditor_account_closed' else 'debtor_account_closed' end
    when 'credit_account_closed'    then case when refund then 'debtor_account_closed' else 'creditor_account_closed' end
    when 'ceiling_exceeded'         then 'balance_limit_exceeded'
    when 'balance_overflow'         then 'balance_limit_exceeded'
    else code end;

create function e_payment.failure_json(code text) returns text
language sql stable parallel safe security invoker
return '{"code":"' || code || '","detail":"' || case code
    when 'insufficient_funds'      then 'the account to be debited has less available than the amount'
    when 'debtor_account_closed'   then 'the debtor account is closed'
    when 'creditor_account_closed' then 'the creditor account is closed'
    when 'single_limit_exceeded'   then 'the amount is above the limit of the account to be debited for one debit'
    when 'day_limit_exceeded'      then 'the limit of the account to be debited for the day would be exceeded'
    when 'balance_limit_exceeded'  then 'the account to be credited cannot hold that much'
    else 'the bank declined' end || '"}';

-- A payment on the wire, compact. The same text answers the POST and every GET.
create function e_payment.payment_json(p e_payment.payment) returns text
language sql stable parallel safe security invoker
return concat(
    '{"id":"', p.id, '","object":"payment","state":"', p.state, '","reference":', to_json(p.reference),
    ',"debtor_account":"', p.debtor_account, '","creditor_account":"', p.creditor_account,
    '","amount":', tb.money(p.amount, p.currency),
    ',"purpose":' || to_json(p.purpose)::text,
    ',"metadata":' || tb.compact(p.metadata),
    ',"consent":"' || p.consent || '"',
    ',"channel":' || to_json(p.channel)::text,
    ',"refunded":', tb.money(p.refunded, p.currency),
    ',"created_at":"', tb.rfc3339(p.created_at), '","updated_at":"', tb.rfc3339(p.updated_at), '"',
    ',"failure":' || e_payment.failure_json(p.failure), '}');

create function e_payment.refund_json(r e_payment.refund) returns text
language sql stable parallel safe security invoker
return concat(
    '{"id":"', r.id, '","object":"refund","state":"', r.state, '","payment":"', r.payment, '"',
    ',"reference":' || to_json(r.reference)::text,
    ',"amount":', tb.money(r.amount, r.currency),
    ',"reason":' || to_json(r.purpose)::text,
    ',"metadata":' || tb.compact(r.metadata),
    ',"consent":"' || r.consent || '"',
    ',"agreement":"' || r.agreement || '"',
    ',"created_at":"', tb.rfc3339(r.created_at), '","updated_at":"', tb.rfc3339(r.updated_at), '"',
    ',"failure":' || e_payment.failure_json(r.failure), '}');

-- A refusal: an answer with nothing but status, code and what to tell.
create function e_payment.refuse(n int, status int, code text, detail text, pointer text, extra jsonb) returns tb.answer
language sql immutable parallel safe security invoker
return row(n, status, code, detail, pointer, null, null, extra, false)::tb.answer;
