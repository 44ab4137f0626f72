-- The outbox: events are written in the transaction of the change they tell of, so an event exists exactly when its
-- change does. Nothing delivers them: whoever wants to know reads the table. Rows are kept as long as `events.retention`
-- says, then the clerk removes them (event.forget); nothing else changes or removes one.

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
