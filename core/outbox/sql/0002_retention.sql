-- The end of events. The audit asks for an event of every payment, so it must know which it may miss.

create table event.forgotten (
    upto timestamptz not null,  -- events at or before this may be gone
    book int         primary key
);

-- Remove at most `rows_n` of the oldest events of a book that are older than `before`; returns how many. Ids grow with time.
-- Locks: the events, then the book's row.
create function event.forget(book int, before timestamptz, rows_n int) returns int
language sql volatile strict security invoker
begin atomic
    with old as (
        select o.ctid, o.at from event.outbox o
         where o.book = forget.book order by o.id limit forget.rows_n),
    gone as (
        delete from event.outbox e
         where e.ctid = any(array(select o.ctid from old o where o.at < forget.before))
        returning e.at),
    marked as (
        insert into event.forgotten as f (upto, book)
        select max(g.at), forget.book from gone g having count(*) > 0
        on conflict (book) do update set upto = greatest(f.upto, excluded.upto))
    select count(*)::int from gone;
end;
