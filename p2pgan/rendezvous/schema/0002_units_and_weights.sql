-- The work of each epoch, the canonical weights, and which images are in them.

create type p2pgan.unit_state as enum (
    'open',    -- from creation with its epoch; also what a leased unit is again once its lease ran out
    'leased',  -- open -> leased: the leader claims it; leased -> leased: claimed again (attempt + 1 if lost)
    'done'     -- open, leased -> done: the commit that covers its last image; never back
);

create table p2pgan.units (
    run_id           bigint not null references p2pgan.runs,
    epoch            integer not null check (epoch >= 0),
    unit             integer not null check (unit >= 0),
    span             int4range not null check (not isempty(span)),
    state            p2pgan.unit_state not null default 'open',
    attempt          integer not null default 0,
    leased_to        text,
    leased_term      bigint,
    lease_expires_at timestamptz,
    done             int4multirange not null default '{}',
    primary key (run_id, epoch, unit),
    foreign key (run_id, leased_to) references p2pgan.peers (run_id, id),
    check (done <@ span),
    check ((state = 'done') = (done = int4multirange(span)))
);

create index units_unfinished on p2pgan.units (run_id, epoch) where state <> 'done';

create table p2pgan.manifests (
    run_id        bigint not null references p2pgan.runs,
    version       bigint not null check (version >= 0),
    digest        text not null check (digest <> ''),
    parent_digest text not null,
    term          bigint not null,
    attempt       bigint not null,
    leader        text,
    images        bigint not null,
    stored        boolean not null default false,
    milestone     boolean not null default false,
    length        bigint not null default 0,
    chunks        text[] not null default '{}',
    committed_at  timestamptz not null default clock_timestamp(),
    primary key (run_id, version),
    foreign key (run_id, leader) references p2pgan.peers (run_id, id),
    check (stored = (cardinality(chunks) > 0))
);

create index manifests_stored on p2pgan.manifests (run_id, version) where stored;

create table p2pgan.chunks (
    run_id    bigint not null references p2pgan.runs,
    digest    text not null check (digest <> ''),
    data      bytea not null,
    staged_at timestamptz not null default clock_timestamp(),
    primary key (run_id, digest)
);

-- Weights do not compress: store them out of line as they are.
alter table p2pgan.chunks alter column data set storage external;

create table p2pgan.contributions (
    run_id  bigint not null,
    version bigint not null,
    peer    text not null,
    epoch   integer not null,
    unit    integer not null,
    span    int4range not null check (not isempty(span)),
    foreign key (run_id, version) references p2pgan.manifests (run_id, version),
    foreign key (run_id, peer) references p2pgan.peers (run_id, id),
    foreign key (run_id, epoch, unit) references p2pgan.units (run_id, epoch, unit),
    -- Each image of an epoch counts once. Run and epoch are written as ranges of one number because
    -- a GiST index takes ranges without an extension.
    constraint contributions_count_once exclude using gist (
        int8range(run_id, run_id, '[]') with &&,
        int4range(epoch, epoch, '[]') with &&,
        span with &&
    )
);

create index contributions_by_version on p2pgan.contributions (run_id, version);

-- Opens all units of an epoch; does nothing if they are there.
create function p2pgan.open_epoch(p_run bigint, p_epoch integer) returns void
language sql set search_path = p2pgan, pg_temp as $$
    insert into units (run_id, epoch, unit, span)
    select r.id, p_epoch, first / r.unit_images, int4range(first, least(first + r.unit_images, r.image_count))
    from runs r, generate_series(0, r.image_count - 1, r.unit_images) as first
    where r.id = p_run
      and not exists (select from units u where u.run_id = p_run and u.epoch = p_epoch)
    on conflict do nothing
$$;

-- Leases units to the leader; returns those it got: not the finished ones, and none if it lost the pen.
create function p2pgan.claim_units(p_run bigint, p_peer text, p_term bigint, p_units jsonb, p_lease_s float8)
returns table (epoch integer, unit integer, attempt integer)
language plpgsql security definer set search_path = p2pgan, pg_temp as $$
#variable_conflict use_column
declare
    unknown text;
begin
    if not holds_pen(p_run, p_peer, p_term) then
        return;
    end if;
    perform open_epoch(p_run, e) from (select distinct (u->>0)::integer from jsonb_array_elements(p_units) u) as es (e);
    select string_agg(a.u::text, ', ') into unknown
    from jsonb_array_elements(p_units) as a (u)
    where not exists (
        select from units t
        where t.run_id = p_run and t.epoch = (a.u->>0)::integer and t.unit = (a.u->>1)::integer
          and t.span = int4range((a.u->>2)::integer, (a.u->>3)::integer)
    );
    if unknown is not null then
        raise exception 'not units of this run: %', unknown using errcode = 'P2G01';
    end if;
    return query
    update units t
    set state = 'leased',
        -- A lease that the same term still holds is only prolonged.
        attempt = case when t.leased_term = p_term and t.lease_expires_at > clock_timestamp()
                       then t.attempt else t.attempt + 1 end,
        leased_to = p_peer,
        leased_term = p_term,
        lease_expires_at = clock_timestamp() + make_interval(secs => p_lease_s)
    from jsonb_array_elements(p_units) as a (u)
    where t.run_id = p_run and t.epoch = (a.u->>0)::integer and t.unit = (a.u->>1)::integer
      and t.state <> 'done'
    returning t.epoch, t.unit, t.attempt;
end
$$;
