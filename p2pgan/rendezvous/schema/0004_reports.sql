-- What people look at: speeds and losses over time, pictures, what happened.

create table p2pgan.metrics (
    run_id  bigint not null references p2pgan.runs,
    at      timestamptz not null default clock_timestamp(),
    term    bigint not null,
    data    jsonb not null
);

create index metrics_by_time on p2pgan.metrics (run_id, at);

create table p2pgan.samples (
    run_id  bigint not null references p2pgan.runs,
    version bigint not null,
    at      timestamptz not null default clock_timestamp(),
    png     bytea not null,
    primary key (run_id, version)
);

alter table p2pgan.samples alter column png set storage external;

create table p2pgan.events (
    id      bigint generated always as identity primary key,
    run_id  bigint not null references p2pgan.runs,
    at      timestamptz not null default clock_timestamp(),
    peer    text,
    kind    text not null,
    text    text not null
);

create index events_by_run on p2pgan.events (run_id, id);
