-- Rate limits agreed with an app, instead of those of the configuration. An empty product means all the app does, an
-- empty route all it does with the product; the route is the operation's name, 'POST /e-payment/v1/payments'.
create table bank.app_limit (
    app       text   collate "C" not null references bank.app,
    product   text   collate "C" not null default '',
    route     text   collate "C" not null default '',
    name      text   collate "C" not null check (name ~ '^[a-z][a-z0-9_]{0,14}$'),
    quota     bigint not null check (quota > 0),
    window_ms bigint not null check (window_ms between 1 and 366 * 86400000::bigint),
    primary key (app, product, route, name),
    check (route = '' or product <> '')
);
