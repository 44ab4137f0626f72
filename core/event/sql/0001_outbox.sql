-- The outbox: events are written in the transaction of the change they tell of, so an event exists exactly when its
-- change does. The courier numbers and delivers them; nothing else changes or removes a row.

create schema event;

create table event.outbox (
    at      timestamptz not null,
    book    int         not null,
    id      text        collate "C" not null,
    partner text        collate "C" not null,   -- whose object it is
    type    text        collate "C" not null,   -- 'payment.succeeded'
    object  text        collate "C" not null,   -- id of the object
    data    text        not null,               -- compact JSON, the event's `data`
    primary key (book, id)
);
