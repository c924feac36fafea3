-- Who trains what, who is here, who holds the pen.

create type p2pgan.run_state as enum (
    'active',    -- from creation; peers may register and the pen may be taken
    'finished'   -- active -> finished: the leader, when the goal is reached; never back
);

create type p2pgan.peer_state as enum (
    'joining',   -- (new), left, lost, active -> joining: the peer itself registers
    'active',    -- joining, lost -> active: the leader hears it
    'left',      -- joining, active -> left: the peer itself when it leaves
    'lost'       -- joining, active -> lost: the leader, when its heartbeats end
);

create table p2pgan.runs (
    id               bigint generated always as identity primary key,
    name             text not null unique check (name <> ''),
    state            p2pgan.run_state not null default 'active',
    config           jsonb not null,
    image_count      integer not null check (image_count > 0),
    resolution       integer not null check (resolution > 0),
    dataset_digest   text not null,
    schema_hash      text not null,
    unit_images      integer not null check (unit_images > 0),
    keep_last        integer not null default 3 check (keep_last > 0),
    milestone_every  integer not null default 50 check (milestone_every > 0),
    version          bigint not null default 0,
    digest           text not null,
    images           bigint not null default 0,
    snapshots        bigint not null default 1,
    committed_at     timestamptz not null default clock_timestamp(),
    peers_generation bigint not null default 0,
    created_at       timestamptz not null default clock_timestamp(),
    finished_at      timestamptz
);

create table p2pgan.peers (
    run_id          bigint not null references p2pgan.runs,
    id              text not null check (id <> ''),
    name            text not null,
    device          text not null,
    state           p2pgan.peer_state not null default 'joining',
    control_address text not null,
    bulk_address    text not null,
    can_lead        boolean not null,
    images_per_s    double precision not null default 0,
    version         bigint not null default 0,
    digest          text not null default '',
    joined_at       timestamptz not null default clock_timestamp(),
    last_seen       timestamptz not null default clock_timestamp(),
    primary key (run_id, id)
);

-- Peers compare one number with what they cached to know that the table of keys and addresses changed.
create function p2pgan.count_peers_generation() returns trigger
language plpgsql set search_path = p2pgan, pg_temp as $$
begin
    update runs set peers_generation = peers_generation + 1 where id = new.run_id;
    return null;
end
$$;

create trigger peer_registered after insert on p2pgan.peers
for each row execute function p2pgan.count_peers_generation();

create trigger peer_changed after update on p2pgan.peers
for each row when (
    (old.id, old.state, old.control_address, old.bulk_address)
    is distinct from (new.id, new.state, new.control_address, new.bulk_address)
)
execute function p2pgan.count_peers_generation();

create table p2pgan.leases (
    run_id         bigint primary key references p2pgan.runs,
    term           bigint not null default 0,
    holder         text,
    expires_at     timestamptz not null default clock_timestamp(),
    successor      text,
    reserved_until timestamptz not null default clock_timestamp(),
    foreign key (run_id, holder) references p2pgan.peers (run_id, id),
    foreign key (run_id, successor) references p2pgan.peers (run_id, id),
    -- Makes the term a key column: a commit locks the row FOR KEY SHARE, which holds up a change of
    -- the term (a new leader) until the commit is through, but not a renewal of the same term.
    unique (run_id, term)
);

-- True if the peer holds the pen in this term; it then goes on holding it until the transaction ends.
create function p2pgan.holds_pen(p_run bigint, p_peer text, p_term bigint) returns boolean
language plpgsql set search_path = p2pgan, pg_temp as $$
begin
    perform from leases where run_id = p_run and holder = p_peer and term = p_term for key share;
    return found;
end
$$;
