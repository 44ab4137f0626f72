-- The ledger: append-only transfers, each with both of its entries in one row, and holds. Because an amount is written
-- once and read by both sides, a transfer that does not sum to zero cannot be stored.

-- One movement of money, posted. The balance and version of either side are as after this entry; versions of an
-- account run 1, 2, 3, ... over both columns. `block` is the seal it belongs to (see bank.seal).
create table bank.transfer (
    amount         bigint      not null check (amount > 0),
    debit_balance  bigint      not null,
    debit_version  bigint      not null,
    credit_balance bigint      not null,
    credit_version bigint      not null,
    at             timestamptz not null,
    book           int         not null,
    block          int         not null,
    id             text        collate "C" not null,
    debit          text        collate "C" not null,
    credit         text        collate "C" not null check (credit <> debit),
    currency       text        collate "C" not null,
    kind           text        collate "C" not null,    -- what for: 'payment', 'refund', 'opening', ...
    hold           text        collate "C",             -- the hold it was posted from
    unique (book, debit, debit_version),
    unique (book, credit, credit_version)
);
create index transfer_block on bank.transfer (book, block);   -- always appended to, and deduplicated: next to nothing
create index transfer_hold on bank.transfer (book, hold) where hold is not null;
-- Last, because of indexes that look equally good, as all do while a table is small, the planner takes the youngest, and
-- plans made then are kept: a probe by id must not be left with an index that only shares the book.
alter table bank.transfer add primary key (book, id);

-- What transfers were made for, as a statement tells it. The table of a product whose objects move money inherits from this
-- one and is added to bank.source_kind, so that entries can be explained without knowing the products; no row is ever here.
create table bank.source (
    book      int  not null,
    id        text collate "C" not null,
    reference text collate "C",         -- the partner's own name for it
    purpose   text,                     -- for both statements
    primary key (book, id)
);

-- Whose id a transfer of a kind is made from: where the prefix is 'pay', xfr_X was moved for pay_X.
create table bank.source_kind (
    kind   text collate "C" primary key,
    prefix text collate "C" not null
);

-- The ledger as accountants read it: two entries per transfer, debits negative.
create view bank.entry as
select book, debit as account, debit_version as version, -amount as amount, debit_balance as balance,
       currency, at, kind, id as transfer, credit as counterparty
  from bank.transfer
union all
select book, credit, credit_version, amount, credit_balance, currency, at, kind, id, debit
  from bank.transfer;

-- A two-phase transfer's first phase. `remaining` is still reserved, `posted` was moved; what is in neither was
-- released. States: open -> posted | voided | expired.
create table bank.hold (
    amount     bigint      not null check (amount > 0),
    remaining  bigint      not null check (remaining >= 0),
    posted     bigint      not null default 0 check (posted >= 0),
    at         timestamptz not null,
    expires_at timestamptz not null default 'infinity',
    changed_at timestamptz not null,
    book       int         not null,
    id         text        collate "C" not null,
    debit      text        collate "C" not null,
    credit     text        collate "C" not null check (credit <> debit),
    currency   text        collate "C" not null,
    kind       text        collate "C" not null,
    state      text        collate "C" not null check (state in ('open', 'posted', 'voided', 'expired')),
    primary key (book, id),
    check (posted + remaining <= amount),
    check (case state when 'open' then remaining > 0 else remaining = 0 end)
) with (fillfactor = 80);
create index hold_due on bank.hold (book, expires_at) where state = 'open';
create index hold_debit on bank.hold (book, debit) where state = 'open';

-- One order to the ledger. Which members count depends on `verb`:
--   'transfer'  id, debit, credit, amount, currency          moves money at once
--   'hold'      the same and expires_at                      reserves it
--   'post'      id, hold, amount (null: all that remains)    moves reserved money; release_remainder frees the rest
--   'void'      hold                                         frees all that remains
-- `limited` debits count against the account's limits. Neighbours with the same `chain` succeed together or not at all.
create type bank.instruction as (
    verb              text,
    id                text,
    debit             text,
    credit            text,
    amount            bigint,
    currency          text,
    kind              text,
    at                timestamptz,
    limited           boolean,
    chain             int,
    hold              text,
    release_remainder boolean,
    expires_at        timestamptz
);

-- What became of an instruction: `code` null = done, now or (`existed`) by an earlier one with the same id and content.
create type bank.outcome as (
    n       int,        -- place of the instruction, from 1
    code    text,
    existed boolean
);
