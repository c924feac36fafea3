-- What training showed, version by version, and marks of what happened in between.

-- Nothing was ever written to the old table.
drop function p2pgan.roll_up(bigint, text, bigint, jsonb, jsonb);
drop table p2pgan.metrics;

-- How the round went that made a version: means over all images in it, and how long it took.
create table p2pgan.metrics (
    run_id  bigint not null,
    version bigint not null,
    seconds real not null check (seconds between 0 and 1e6),
    images  integer not null check (images > 0),
    loss_g  real,
    loss_d  real,
    d_real  real,
    d_fake  real,
    primary key (run_id, version),
    foreign key (run_id, version) references p2pgan.manifests (run_id, version)
);

-- The same for each contributor, as it told it.
create table p2pgan.peer_metrics (
    run_id       bigint not null,
    peer         text not null,
    version      bigint not null,
    images       integer not null check (images > 0),
    images_per_s real not null check (images_per_s between 0 and 1e9),
    loss_g       real check (loss_g between -1e6 and 1e6),
    loss_d       real check (loss_d between -1e6 and 1e6),
    d_real       real check (d_real between 0 and 1),
    d_fake       real check (d_fake between 0 and 1),
    primary key (run_id, peer, version),
    foreign key (run_id, version) references p2pgan.metrics (run_id, version),
    foreign key (run_id, peer) references p2pgan.peers (run_id, id)
);

-- The committed version when it happened; only for what the database itself saw happen.
alter table p2pgan.events add column version bigint;
create index events_marks on p2pgan.events (run_id, id) where version is not null;

-- The leader's word on everyone; false, and nothing is written, if the pen is lost.
create function p2pgan.roll_up(p_run bigint, p_peer text, p_term bigint, p_stats jsonb) returns boolean
language plpgsql security definer set search_path = p2pgan, pg_temp as $$
begin
    perform end_stalled_transactions();
    if not holds_pen(p_run, p_peer, p_term) then
        return false;
    end if;
    update peers p
    set state = h.state::peer_state, images_per_s = h.images_per_s, version = h.version, digest = h.digest,
        last_seen = case when h.state in ('joining', 'active') then clock_timestamp() else p.last_seen end,
        set_aside = regexp_replace(left(coalesce(h.set_aside, ''), 300), '[[:cntrl:]]', ' ', 'g')
    from jsonb_to_recordset(p_stats)
        as h (peer text, state text, images_per_s float8, version bigint, digest text, set_aside text)
    where p.run_id = p_run and p.id = h.peer
      and p.state <> 'left' and h.state <> 'left';  -- a peer leaves, and comes back, by its own word only
    return true;
end
$$;

-- Notes how rounds went whose versions are committed. Not fenced by the pen, which may have gone on by
-- then, but by the ledger: only who led a round tells of it, once, and only of its contributors; an
-- invited login only of what it committed itself. What does not fit is passed over.
create function p2pgan.write_metrics(p_run bigint, p_peer text, p_metrics jsonb) returns void
language plpgsql security definer set search_path = p2pgan, pg_temp as $$
begin
    perform check_login(p_run, p_peer);
    with told as (
        select t.version, t.seconds, t.peers
        from jsonb_to_recordset(p_metrics) as t (version bigint, seconds real, peers jsonb)
        join manifests m on m.run_id = p_run and m.version = t.version and m.leader = p_peer
        where (is_trusted() or m.committed_by = session_user)
          and not exists (select from metrics k where k.run_id = p_run and k.version = t.version)
    ), counted as (
        select c.version, c.peer, sum(upper(c.span) - lower(c.span))::integer as images
        from contributions c where c.run_id = p_run and c.version in (select version from told)
        group by c.version, c.peer
    ), parts as (
        insert into peer_metrics (run_id, peer, version, images, images_per_s, loss_g, loss_d, d_real, d_fake)
        select p_run, c.peer, c.version, c.images, greatest(0, least(1e9, (p.word->>'images_per_s')::real)),
               (p.word#>>'{losses,0}')::real, (p.word#>>'{losses,1}')::real,
               (p.word#>>'{losses,2}')::real, (p.word#>>'{losses,3}')::real
        from told t cross join lateral jsonb_each(t.peers) as p (peer, word)
        join counted c on c.version = t.version and c.peer = p.peer
        on conflict do nothing
        returning *
    ), means as (
        select version, sum(loss_g * images) / sum(images) as loss_g, sum(loss_d * images) / sum(images) as loss_d,
               sum(d_real * images) / sum(images) as d_real, sum(d_fake * images) / sum(images) as d_fake
        from parts where loss_g is not null group by version
    )
    insert into metrics (run_id, version, seconds, images, loss_g, loss_d, d_real, d_fake)
    select p_run, t.version, greatest(0, least(1e6, t.seconds)), (select sum(images) from counted c where c.version = t.version),
           m.loss_g, m.loss_d, m.d_real, m.d_fake
    from told t left join means m on m.version = t.version
    on conflict do nothing;
end
$$;

-- Marks -------------------------------------------------------------------------------------------

create function p2pgan.mark(p_run bigint, p_peer text, p_kind text, p_text text) returns void
language sql set search_path = p2pgan, pg_temp as $$
    insert into events (run_id, peer, kind, text, version)
    select p_run, p_peer, p_kind, p_text, version from runs where id = p_run
$$;

-- A peer comes, goes, is set aside or counts again.
create function p2pgan.mark_peer() returns trigger
language plpgsql security definer set search_path = p2pgan, pg_temp as $$
begin
    if tg_op = 'INSERT' then
        perform mark(new.run_id, new.id, 'joined', 'joined');
        return null;
    end if;
    if new.state = 'left' and old.state <> 'left' then
        perform mark(new.run_id, new.id, 'left', 'left');
    elsif new.state = 'lost' and old.state in ('joining', 'active') then
        perform mark(new.run_id, new.id, 'lost', 'was lost: nothing was heard of it any more');
    elsif new.state in ('joining', 'active') and old.state in ('left', 'lost') then
        perform mark(new.run_id, new.id, 'joined', 'is back');
    end if;
    if old.set_aside = '' and new.set_aside <> '' then
        perform mark(new.run_id, new.id, 'set aside', 'was set aside: ' || new.set_aside);
    elsif old.set_aside <> '' and new.set_aside = '' then
        perform mark(new.run_id, new.id, 'set aside', 'gets work again');
    end if;
    return null;
end
$$;

create trigger peer_came after insert on p2pgan.peers
for each row execute function p2pgan.mark_peer();

create trigger peer_turned after update on p2pgan.peers
for each row when (old.state <> new.state or (old.set_aside = '') <> (new.set_aside = ''))
execute function p2pgan.mark_peer();

-- The pen changes hands; or its holder could not renew it in time, and nobody else took it: from where
-- the leader is, the database was away.
create function p2pgan.mark_lease() returns trigger
language plpgsql security definer set search_path = p2pgan, pg_temp as $$
begin
    if new.term <> old.term then
        perform mark(new.run_id, new.holder, 'pen', 'holds the pen of term ' || new.term);
    else
        perform mark(new.run_id, new.holder, 'away', format(
            'did not reach the database: its lease had run out %s s before it could renew it',
            round(extract(epoch from clock_timestamp() - old.expires_at))));
    end if;
    return null;
end
$$;

create trigger pen_passed after update on p2pgan.leases
for each row when (new.term <> old.term
                   or new.holder = old.holder and new.expires_at > old.expires_at + interval '1 s'
                      and old.expires_at < clock_timestamp() - interval '1 s')
execute function p2pgan.mark_lease();
