-- Going back to weights of before, without taking anything back.

-- Only rounds have leaders: a version that goes back to another is made by whoever may write to the schema.
create or replace function p2pgan.mark_lease() returns trigger
language plpgsql security definer set search_path = p2pgan, pg_temp as $$
begin
    if new.holder is null then
        return null;  -- taken away, not passed on: who did it leaves a mark of its own
    elsif new.term <> old.term then
        perform mark(new.run_id, new.holder, 'pen', 'holds the pen of term ' || new.term);
    else
        perform mark(new.run_id, new.holder, 'away', format(
            'did not reach the database: its lease had run out %s s before it could renew it',
            round(extract(epoch from clock_timestamp() - old.expires_at))));
    end if;
    return null;
end
$$;

-- Makes the weights of a stored version the newest ones, as a version of their own, and takes the pen from
-- whoever holds it, in a new term: what its peers have that is not committed comes too late. The images
-- counted stay counted. Returns the new version, or why there is none.
--
-- Locks as commit_weights does, the lease before the run: a commit under way is waited for.
create function p2pgan.roll_back(p_run bigint, p_version bigint) returns table (version bigint, reason text)
language plpgsql set search_path = p2pgan, pg_temp as $$
#variable_conflict use_column
declare
    head runs;
    old manifests;
    new_term bigint;
begin
    perform from leases l where l.run_id = p_run for update;
    select * into head from runs r where r.id = p_run for no key update;
    if head.state <> 'active' then
        return query select null::bigint, 'the run is finished';
        return;
    end if;
    select * into old from manifests m where m.run_id = p_run and m.version = p_version and m.stored;
    if old.version is null then
        return query select null::bigint, format('the weights of version %s are not stored', p_version);
        return;
    elsif old.digest = head.digest then
        return query select null::bigint, format('version %s has the weights of version %s', head.version, p_version);
        return;
    end if;
    update leases l
    set term = l.term + 1, holder = null, successor = null, expires_at = clock_timestamp(),
        reserved_until = clock_timestamp()
    where l.run_id = p_run returning l.term into new_term;
    insert into manifests (run_id, version, digest, parent_digest, term, attempt, images, stored, milestone, length,
                           chunks)
    values (p_run, head.version + 1, old.digest, head.digest, new_term, 0, head.images, true,
            head.snapshots % head.milestone_every = 0, old.length, old.chunks);
    update runs r
    set version = head.version + 1, digest = old.digest, snapshots = r.snapshots + 1, committed_at = clock_timestamp()
    where r.id = p_run;
    perform prune_snapshots(p_run);
    perform mark(p_run, null, 'rollback',
                 format('the run went back to the weights of version %s, as version %s', p_version, head.version + 1));
    return query select head.version + 1, 'rolled back';
end
$$;
