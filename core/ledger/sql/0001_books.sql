-- Worlds, books, who takes part and what they may touch. World, book, partner, app and currency are small reference
-- tables shared by all books; everything else belongs to a book, and its keys start with it.

create schema bank;

-- ISO 4217, active list: minor-unit exponents 0 to 4. Funds codes that have no minor unit (XAU, XTS, ...) are no money.
create table bank.currency (
    code     text collate "C" primary key check (code ~ '^[A-Z]{3}$'),
    exponent int  not null check (exponent between 0 and 4)
);
insert into bank.currency (exponent, code)
select 0, unnest(string_to_array('BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF', ' '))
union all
select 3, unnest(string_to_array('BHD IQD JOD KWD LYD OMR TND', ' '))
union all
select 4, unnest(string_to_array('CLF UYW', ' '))
union all
select 2, unnest(string_to_array(
    'AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW CNY '
    'COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS '
    'INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR '
    'MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP '
    'STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG', ' '));

-- A world is live or one sandbox. Its clock is the wall clock plus an offset; its dates are those of its time zone.
create table bank.world (
    id              text        collate "C" primary key,
    name            text        not null,
    kind            text        not null check (kind in ('live', 'sandbox')),
    time_zone       text        not null default 'Asia/Shanghai',
    clock_offset_ms bigint      not null default 0,
    created_at      timestamptz not null
);

-- A book is the unit of atomicity and of distribution. `block` is the number that new transfers are filed under until
-- bank.seal() closes it.
create table bank.book (
    book  int  primary key check (book between 1 and 65535),
    world text collate "C" not null references bank.world,
    block int  not null default 1 check (block > 0),
    unique (book, world)    -- for what is of a book and of an app: both must be of one world
);

create table bank.partner (
    id         text        collate "C" primary key,
    name       text        not null,
    state      text        not null default 'active' check (state in ('active', 'suspended', 'revoked')),
    created_at timestamptz not null
);

-- A pending app waits for the bank's approval; a revoked one, like a revoked partner, does not come back.
create table bank.app (
    id           text        collate "C" primary key,
    partner      text        collate "C" not null references bank.partner,
    world        text        collate "C" not null references bank.world,
    name         text        not null,
    state        text        not null default 'active' check (state in ('pending', 'active', 'suspended', 'revoked')),
    plain_tokens boolean     not null default false,    -- may use tokens bound to nobody; counts in a sandbox only
    created_at   timestamptz not null,
    unique (id, world)
);
create index on bank.app (partner);

-- What an app may use; what is not here is refused. An empty product means every product, an empty operation all of the
-- product; an operation is named as in its route, 'POST /e-payment/v1/payments'. The environment must be that of the
-- app's world: what was agreed for a sandbox says nothing about live money.
create table bank.entitlement (
    app         text        collate "C" not null references bank.app,
    product     text        collate "C" not null default '',
    environment text        collate "C" not null check (environment in ('live', 'sandbox')),
    operation   text        collate "C" not null default '',
    since       timestamptz not null,
    primary key (app, environment, product, operation),
    check (operation = '' or product <> '')
);

-- Interfaces the bank has stopped for everybody: a product, or one operation of it.
create table bank.stop (
    product   text        collate "C" not null check (product <> ''),
    operation text        collate "C" not null default '',
    reason    text        not null,
    since     timestamptz not null,
    primary key (product, operation)
);

create table bank.party (
    book            int         not null references bank.book,
    id              text        collate "C" not null,
    kind            text        not null check (kind in ('bank', 'company', 'person')),
    name            text        not null,
    registration_no text,       -- unified social credit code or its like
    created_at      timestamptz not null,
    primary key (book, id)
);

-- Credits raise a balance and debits lower it: what the bank owes the party. Amounts are minor units of the account's
-- currency. `held` and `incoming` are reserved by open holds, out of and into the account, and two rules are kept by
-- bank.post() under the row's lock: balance - held >= floor, balance + incoming <= ceiling.
-- The columns that move stand together and pages keep room, so that an update stays on its page and its WAL is short.
create table bank.account (
    balance     bigint      not null default 0,
    version     bigint      not null default 0,     -- number of entries so far
    held        bigint      not null default 0 check (held >= 0),
    incoming    bigint      not null default 0 check (incoming >= 0),
    day_out     bigint      not null default 0,     -- debits of `day` that count against day_limit
    day         date        not null default '-infinity',
    book        int         not null,
    floor       bigint      default 0 check (floor >= -4611686018427387903),    -- null: no floor
    ceiling     bigint      check (ceiling <= 4611686018427387903),             -- null: no ceiling
    limit_each  bigint,                             -- largest single limited debit, null: none
    limit_day   bigint,                             -- sum of limited debits of one world date, null: none
    opened_at   timestamptz not null,
    id          text        collate "C" not null,
    party       text        collate "C" not null,
    currency    text        collate "C" not null references bank.currency,
    state       text        collate "C" not null default 'open' check (state in ('open', 'closed')),
    name        text        not null,
    primary key (book, id),
    foreign key (book, party) references bank.party,
    check (balance - held >= floor),
    check (balance + incoming <= ceiling),
    check (state = 'open' or (balance = 0 and held = 0 and incoming = 0))
) with (fillfactor = 70);

-- What the holder of an account lets a partner do with it. An account without a row here does not exist for the
-- partner, except as somebody to pay.
create table bank.account_access (
    book      int         not null,
    can_debit boolean     not null,
    since     timestamptz not null,
    partner   text        collate "C" not null references bank.partner,
    account   text        collate "C" not null,
    primary key (book, partner, account),
    foreign key (book, account) references bank.account
);

-- What a customer lets a partner see under a consent. The rows stand exactly while the consent is in force; whoever
-- keeps consents writes them (schema `consent`), the reads of accounts only look here.
create table bank.consent_access (
    book              int     not null,
    can_read_details  boolean not null,     -- its name and age; id, currency and state are always told
    can_read_balances boolean not null,
    can_read_entries  boolean not null,
    consent           text    collate "C" not null,
    account           text    collate "C" not null,
    primary key (book, consent, account),
    foreign key (book, account) references bank.account
);

-- What the owner of an account has agreed to: a partner that may not debit the account takes from it what the kind says,
-- within the limits here, and nothing else. Kind `refund`: money goes back to whoever paid it, at most what the payment
-- brought, within `days` of the payment. A kind is added to the check by whatever product takes money by it.
create table bank.agreement (
    max_each   bigint      check (max_each > 0),        -- largest single debit; null: the kind's own bound
    max_period bigint      check (max_period > 0),      -- sum of the debits of one period; null: none
    created_at timestamptz not null,
    valid_to   timestamptz not null default 'infinity',
    ended_at   timestamptz,
    book       int         not null,
    days       int         not null default 365 check (days between 1 and 365),
    id         text        collate "C" not null check (id like 'agr\_%'),
    account    text        collate "C" not null,
    kind       text        collate "C" not null check (kind in ('refund')),
    partner    text        collate "C" not null references bank.partner,    -- who may take
    period     text        collate "C" not null default 'Whole'             -- of the world's calendar, or all of its life
                           check (period in ('Day', 'Week', 'Month', 'Year', 'Whole')),
    document   text,                                                        -- the paper it stands on
    made_by    text        collate "C" not null,                            -- kind and who: 'customer usr_…', 'partner ptr_…',
    ended_by   text        collate "C",                                     -- 'bank operator:…', 'time clock'
    primary key (book, id),
    foreign key (book, account) references bank.account,
    check ((ended_at is null) = (ended_by is null))
) with (fillfactor = 80);
create unique index agreement_in_force on bank.agreement (book, account, partner, kind) where ended_at is null;
create index agreement_account on bank.agreement (book, account, id);

-- What was taken under an agreement, by period. Exact, because whoever changes a row holds the agreement's.
create table bank.agreement_use (
    amount    bigint      not null check (amount >= 0),
    last_at   timestamptz not null,
    book      int         not null,
    uses_n    int         not null check (uses_n >= 0),
    period    date        not null,     -- its first day
    agreement text        collate "C" not null,
    primary key (book, agreement, period),
    foreign key (book, agreement) references bank.agreement
);
