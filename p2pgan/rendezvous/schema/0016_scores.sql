-- How good drawn images are, by version, and the version with the best ones, whose weights are kept.

create table p2pgan.scores (
    run_id           bigint not null,
    version          bigint not null,
    peer             text not null,
    begun_at         timestamptz not null default clock_timestamp(),
    -- Nothing until it is computed.
    fid              double precision check (fid between 0 and 1e12),
    -- The same between two halves of the real images.
    floor            double precision check (floor between 0 and 1e12),
    images           integer check (images > 0),
    extractor        text check (length(extractor) <= 200 and extractor !~ '[[:cntrl:]]'),
    extractor_digest text check (length(extractor_digest) <= 64 and extractor_digest !~ '[[:cntrl:]]'),
    primary key (run_id, version),
    foreign key (run_id, version) references p2pgan.manifests (run_id, version),
    foreign key (run_id, peer) references p2pgan.peers (run_id, id)
);

-- Says that the peer scores a version that it committed, which is kept meanwhile; false if somebody did before.
create function p2pgan.begin_score(p_run bigint, p_peer text, p_version bigint) returns boolean
language plpgsql security definer set search_path = p2pgan, pg_temp as $$
begin
    perform check_login(p_run, p_peer);
    insert into scores (run_id, version, peer)
    select p_run, m.version, p_peer from manifests m
    where m.run_id = p_run and m.version = p_version and m.stored and m.leader = p_peer
      and (is_trusted() or m.committed_by = session_user)
    on conflict do nothing;
    return found;
end
$$;

-- What came out, once.
create function p2pgan.write_score(p_run bigint, p_peer text, p_version bigint, p_fid float8, p_floor float8,
                                   p_images integer, p_extractor text, p_digest text) returns void
language plpgsql security definer set search_path = p2pgan, pg_temp as $$
begin
    perform check_login(p_run, p_peer);
    update scores
    set fid = p_fid, floor = p_floor, images = p_images, extractor = p_extractor, extractor_digest = p_digest
    where run_id = p_run and version = p_version and peer = p_peer and fid is null;
end
$$;

-- The stored version with the lowest FID; only those count that compare with the newest.
create function p2pgan.best_version(p_run bigint) returns bigint
language sql stable security definer set search_path = p2pgan, pg_temp as $$
    select s.version
    from scores s join manifests m on m.run_id = s.run_id and m.version = s.version,
         (select extractor_digest, images from scores where run_id = p_run and fid is not null
          order by version desc limit 1) as newest
    where s.run_id = p_run and m.stored and s.fid is not null
      and (s.extractor_digest, s.images) = (newest.extractor_digest, newest.images)
    order by s.fid, s.version desc
    limit 1
$$;

-- Deletes the bytes of all snapshots but the last few, the milestones, the best one and those being
-- scored, and chunks that were staged for a commit that never came. The ledger stays.
create or replace function p2pgan.prune_snapshots(p_run bigint) returns void
language plpgsql set search_path = p2pgan, pg_temp as $$
declare
    abandoned_after constant interval := '10 minutes';
    best bigint := best_version(p_run);
    freed text[];
begin
    with dropped as (
        select version, chunks from manifests m
        where run_id = p_run and stored and not milestone and version is distinct from best
          and not exists (select from scores s where s.run_id = p_run and s.version = m.version and s.fid is null
                                                 and s.begun_at > clock_timestamp() - abandoned_after)
        order by version desc
        offset (select keep_last from runs where id = p_run)
    ), emptied as (
        update manifests m set stored = false, length = 0, chunks = '{}'
        from dropped d where m.run_id = p_run and m.version = d.version
    )
    select coalesce(array_agg(c.digest), '{}') into freed from dropped, unnest(chunks) as c (digest);
    delete from chunks k
    where k.run_id = p_run
      and (k.digest = any(freed) or k.staged_at < clock_timestamp() - abandoned_after)
      and not exists (select from manifests m where m.run_id = p_run and m.stored and k.digest = any(m.chunks));
end
$$;
