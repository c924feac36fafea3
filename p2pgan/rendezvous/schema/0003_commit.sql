-- The only way in which canonical weights change.

-- Spans that the records (jsonb, as VersionRecord) cover, one row each.
create function p2pgan.spans_of(p_records jsonb)
returns table (version bigint, peer text, epoch integer, unit integer, span int4range)
language sql immutable set search_path = p2pgan, pg_temp as $$
    select (r->>'version')::bigint, c->>0, (s->>0)::integer, (s->>1)::integer,
           int4range((s->>2)::integer, (s->>3)::integer)
    from jsonb_array_elements(p_records) as r,
         jsonb_array_elements(r->'contributions') as c,
         jsonb_array_elements(c->1) as s
$$;

-- Marks the images of the records as done. Raises P2G02 for a span outside of its unit and an
-- exclusion violation for an image that is counted already.
create function p2pgan.count_images(p_run bigint, p_records jsonb) returns void
language plpgsql set search_path = p2pgan, pg_temp as $$
declare
    outside text;
begin
    perform open_epoch(p_run, e.epoch) from (select distinct epoch from spans_of(p_records)) as e;
    select string_agg(format('%s/%s%s', s.epoch, s.unit, s.span), ', ') into outside
    from spans_of(p_records) as s
    where isempty(s.span) or not exists (
        select from units u
        where u.run_id = p_run and u.epoch = s.epoch and u.unit = s.unit and s.span <@ u.span
    );
    if outside is not null then
        raise exception 'spans outside of their units: %', outside using errcode = 'P2G02';
    end if;
    insert into contributions (run_id, version, peer, epoch, unit, span)
    select p_run, s.version, s.peer, s.epoch, s.unit, s.span from spans_of(p_records) as s;
    update units u
    set done = u.done + s.covered,
        state = case when u.done + s.covered = int4multirange(u.span) then 'done' else u.state end
    from (select epoch, unit, range_agg(span) as covered from spans_of(p_records) group by epoch, unit) as s
    where u.run_id = p_run and u.epoch = s.epoch and u.unit = s.unit;
end
$$;

-- Deletes the bytes of all snapshots but the last few and the milestones, and chunks that were
-- staged for a commit that never came. The ledger stays.
create function p2pgan.prune_snapshots(p_run bigint) returns void
language plpgsql set search_path = p2pgan, pg_temp as $$
declare
    abandoned_after constant interval := '10 minutes';
    freed text[];
begin
    with dropped as (
        select version, chunks from manifests
        where run_id = p_run and stored and not milestone
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

-- Writes weights and unit progress as one fact, if the peer holds the pen in this term.
--
-- p_records: the versions since the committed one, oldest first; those that are committed already,
-- with the same digests, are passed over, so that the call can be repeated after a lost answer.
-- p_snapshot: the manifest of the last of them, whose chunks must have been staged.
-- Returns whether the last record's version is committed now, and why or why not. Raises, and so
-- changes nothing, when the records contradict themselves or the history.
create function p2pgan.commit_weights(p_run bigint, p_peer text, p_term bigint, p_records jsonb, p_snapshot jsonb)
returns table (committed boolean, reason text)
language plpgsql security definer set search_path = p2pgan, pg_temp as $$
declare
    pen leases;
    head runs;
    rec jsonb;
    known text;
    fresh jsonb := '[]';
    last_version bigint := (p_snapshot->>'version')::bigint;
    counted bigint;
    missing bigint;
    staged bigint;
begin
    select digest into known from manifests where run_id = p_run and version = last_version;
    if known = p_snapshot->>'digest' then
        return query select true, 'committed before';
        return;
    end if;
    if not holds_pen(p_run, p_peer, p_term) then
        select * into pen from leases where run_id = p_run;
        return query select false, format('the pen of term %s is lost: %s holds it in term %s',
                                          p_term, coalesce(pen.holder, 'nobody'), pen.term);
        return;
    end if;
    select * into head from runs where id = p_run for no key update;
    if p_snapshot->>'schema_hash' <> head.schema_hash then
        raise exception 'the weights are of another schema than the run' using errcode = 'P2G02';
    end if;

    for rec in select r from jsonb_array_elements(p_records) as r loop
        select digest into known from manifests where run_id = p_run and version = (rec->>'version')::bigint;
        if known = rec->>'digest' then
            continue;
        elsif known is not null then
            return query select false, format('version %s is committed with another digest', rec->>'version');
            return;
        elsif (rec->>'version')::bigint <> head.version + 1 then
            return query select false, format('version %s does not follow version %s', rec->>'version', head.version);
            return;
        elsif rec->>'parent_digest' <> head.digest then
            return query select false, format('version %s has another parent than version %s', rec->>'version', head.version);
            return;
        end if;
        select coalesce(sum(upper(span) - lower(span)), 0) into counted from spans_of(jsonb_build_array(rec));
        if (rec->>'images')::bigint <> head.images + counted then
            raise exception 'version % says % images where its contributions make %',
                rec->>'version', rec->>'images', head.images + counted using errcode = 'P2G02';
        end if;
        head.version := (rec->>'version')::bigint;
        head.digest := rec->>'digest';
        head.images := (rec->>'images')::bigint;
        fresh := fresh || jsonb_build_array(rec);
    end loop;

    if (head.version, head.digest, head.images)
       is distinct from (last_version, p_snapshot->>'digest', (p_snapshot->>'images')::bigint) then
        raise exception 'the snapshot is not of the last record' using errcode = 'P2G02';
    end if;
    select count(*) filter (where k.digest is null), sum(octet_length(k.data)) into missing, staged
    from jsonb_array_elements_text(p_snapshot->'chunks') as c (digest)
    left join chunks k on k.run_id = p_run and k.digest = c.digest;
    if missing > 0 then
        return query select false, format('%s chunks of version %s are not staged', missing, last_version);
        return;
    end if;
    if staged is distinct from (p_snapshot->>'length')::bigint then
        raise exception 'the chunks of version % have % bytes, not %', last_version, staged, p_snapshot->>'length'
            using errcode = 'P2G02';
    end if;

    insert into manifests (run_id, version, digest, parent_digest, term, attempt, leader, images)
    select p_run, (r->>'version')::bigint, r->>'digest', r->>'parent_digest', (r->>'term')::bigint,
           (r->>'attempt')::bigint, nullif(r->>'leader', ''), (r->>'images')::bigint
    from jsonb_array_elements(fresh) as r;
    update manifests
    set stored = true,
        milestone = head.snapshots % head.milestone_every = 0,
        length = staged,
        chunks = array(select jsonb_array_elements_text(p_snapshot->'chunks'))
    where run_id = p_run and version = last_version;
    perform count_images(p_run, fresh);
    update runs
    set version = head.version, digest = head.digest, images = head.images,
        snapshots = snapshots + 1, committed_at = clock_timestamp()
    where id = p_run;
    perform prune_snapshots(p_run);
    return query select true, 'committed';
end
$$;
