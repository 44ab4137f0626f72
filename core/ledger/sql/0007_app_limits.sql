-- Rate limits agreed with an app, instead of those of the configuration. An empty product means all the app does, an
-- empty route all it does with the product; the route is the operation's name, 'POST /e-payment/v1/payments'.
-- A rolling limit lets its quota through at once and returns it evenly over the window; a day's or a month's (of UTC)
-- lets its quota through in each and no more, and has no window.
create table bank.app_limit (
    app       text   collate "C" not null references bank.app,
    product   text   collate "C" not null default '',
    route     text   collate "C" not null default '',
    name      text   collate "C" not null check (name ~ '^[a-z][a-z0-9_]{0,14}$'),
    quota     bigint not null check (quota > 0),
    window_ms bigint check (window_ms between 1000 and 366 * 86400000::bigint),
    period    text   collate "C" not null default 'rolling' check (period in ('rolling', 'day', 'month')),
    primary key (app, product, route, name),
    check (route = '' or product <> ''),
    check ((period = 'rolling') = (window_ms is not null))
);
