-- Reads answer ready JSON text too. A page is one row: C checks the cursor's signature before and puts the envelope
-- around it after. `first` and `last` are the positions a cursor is made of.
create type tb.page as (
    data     text,          -- compact JSON array
    has_more boolean,       -- in the direction of the walk
    first    text,
    last     text
);

-- Makes a page of what a walk found: up to rows_n + 1 rows, nearest first. Walking backwards (ending_before) they come
-- in reverse and are turned round.
create function tb.page(places text[], bodies text[], rows_n int, backwards boolean) returns tb.page
language plpgsql immutable strict parallel safe security invoker
set search_path = pg_catalog
as $$
declare
    more boolean := cardinality(places) > rows_n;
    r    record;
begin
    select array_agg(t.place order by t.i) as places, string_agg(t.body, ',' order by t.i) as data into r
      from (select p.place, p.body, case when backwards then -p.i else p.i end as i
              from unnest(places, bodies) with ordinality p (place, body, i) where p.i <= rows_n) t;
    return row(concat('[', r.data, ']'), more, r.places[1], r.places[cardinality(r.places)])::tb.page;
end
$$;
