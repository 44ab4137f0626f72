-- What a customer lets a partner see under a consent. The rows stand exactly while the consent is in force; whoever
-- keeps consents writes them (schema `consent`), the reads of accounts only look here.
create table bank.consent_access (
    book              int     not null,
    can_read_balances boolean not null,
    can_read_entries  boolean not null,
    consent           text    collate "C" not null,
    account           text    collate "C" not null,
    primary key (book, consent, account),
    foreign key (book, account) references bank.account
);
