-- What invited logins may do beyond reading and updating their own peers' rows. Each function says
-- for itself what it demands; trusted logins (see is_trusted) are bound by the pen alone.

-- Peers -------------------------------------------------------------------------------------------

-- Enters a peer as joining, or updates its entry when it comes back; false if the run is not active.
create function p2pgan.register_peer(p_run bigint, p_id text, p_name text, p_device text,
                                     p_control_address text, p_bulk_address text, p_can_lead boolean)
returns boolean
language plpgsql security definer set search_path = p2pgan, pg_temp as $$
declare
    most_peers constant integer := 32;
begin
    if not is_trusted() then
        -- A key is its login's in all runs, or somebody could take it where its owner is not yet.
        if exists (select from peers where id = p_id and login <> session_user) then
            raise exception 'the peer % was registered by another login than %', left(p_id, 64), session_user
                using errcode = 'insufficient_privilege';
        end if;
        if (select count(*) from peers where run_id = p_run and login = session_user and id <> p_id) >= most_peers then
            raise exception 'the login % has registered % peers already', session_user, most_peers
                using errcode = 'insufficient_privilege';
        end if;
    end if;
    insert into peers (run_id, id, name, device, control_address, bulk_address, can_lead)
    select id, p_id, p_name, p_device, p_control_address, p_bulk_address, p_can_lead
    from runs where id = p_run and state = 'active'
    on conflict (run_id, id) do update
    set name = excluded.name, device = excluded.device, control_address = excluded.control_address,
        bulk_address = excluded.bulk_address, can_lead = excluded.can_lead, state = 'joining',
        images_per_s = 0, last_seen = clock_timestamp();
    return found;
end
$$;

-- The leader's word on everyone, and metrics; false, and nothing is written, if the pen is lost.
create function p2pgan.roll_up(p_run bigint, p_peer text, p_term bigint, p_stats jsonb, p_metrics jsonb)
returns boolean
language plpgsql security definer set search_path = p2pgan, pg_temp as $$
begin
    perform end_stalled_transactions();
    if not holds_pen(p_run, p_peer, p_term) then
        return false;
    end if;
    insert into metrics (run_id, term, data) select p_run, p_term, m from jsonb_array_elements(p_metrics) as m;
    update peers p
    set state = h.state::peer_state, images_per_s = h.images_per_s, version = h.version, digest = h.digest,
        last_seen = case when h.state in ('joining', 'active') then clock_timestamp() else p.last_seen end
    from jsonb_to_recordset(p_stats) as h (peer text, state text, images_per_s float8, version bigint, digest text)
    where p.run_id = p_run and p.id = h.peer
      and p.state <> 'left' and h.state <> 'left';  -- a peer leaves, and comes back, by its own word only
    return true;
end
$$;

-- The pen -----------------------------------------------------------------------------------------

-- How long an invited login may ask for: the run's own setting at most, or p_else if there is none.
create function p2pgan.bounded(p_run bigint, p_seconds float8, p_setting text[], p_else float8) returns float8
language sql stable set search_path = p2pgan, pg_temp as $$
    select case when is_trusted() then p_seconds
           else least(p_seconds, coalesce((config #>> p_setting)::float8, p_else)) end
    from runs where id = p_run
$$;

-- Takes the pen if it is free, in a new term; no row if it is not.
create function p2pgan.acquire_lease(p_run bigint, p_peer text, p_ttl_s float8)
returns table (term bigint, holder text, expires_in_s float8, successor text)
language plpgsql security definer set search_path = p2pgan, pg_temp as $$
#variable_conflict use_column
begin
    perform check_login(p_run, p_peer);
    perform end_stalled_transactions();
    return query
    update leases l
    set term = l.term + 1, holder = p_peer, successor = null,
        expires_at = clock_timestamp() + make_interval(secs => bounded(p_run, p_ttl_s, '{leadership,ttl_s}', 60))
    where l.run_id = p_run
      and l.expires_at <= clock_timestamp()
      and (l.successor is null or l.successor = p_peer or l.reserved_until <= clock_timestamp())
      and exists (select from runs r where r.id = p_run and r.state = 'active')
      and exists (select from peers p where p.run_id = p_run and p.id = p_peer and p.can_lead)
    returning l.term, l.holder, extract(epoch from l.expires_at - clock_timestamp())::float8, l.successor;
end
$$;

-- Prolongs the lease of the same holder in the same term; no row if the pen is lost.
create function p2pgan.renew_lease(p_run bigint, p_peer text, p_term bigint, p_ttl_s float8)
returns table (expires_in_s float8, peers_generation bigint)
language plpgsql security definer set search_path = p2pgan, pg_temp as $$
begin
    perform check_login(p_run, p_peer);
    return query
    update leases l
    set expires_at = clock_timestamp() + make_interval(secs => bounded(p_run, p_ttl_s, '{leadership,ttl_s}', 60))
    from runs r
    where l.run_id = p_run and l.holder = p_peer and l.term = p_term and r.id = p_run
    returning extract(epoch from l.expires_at - clock_timestamp())::float8, r.peers_generation;
end
$$;

-- Lays down the pen, which waits for the successor, if any; false if it was lost before.
create function p2pgan.release_lease(p_run bigint, p_peer text, p_term bigint, p_successor text, p_reserve_s float8)
returns boolean
language plpgsql security definer set search_path = p2pgan, pg_temp as $$
begin
    perform check_login(p_run, p_peer);
    update leases
    set holder = null, expires_at = clock_timestamp(), successor = p_successor,
        reserved_until = clock_timestamp() + make_interval(secs => bounded(p_run, p_reserve_s, null, 10))
    where run_id = p_run and holder = p_peer and term = p_term;
    return found;
end
$$;

-- Whether the committed weights have come to where the run's configuration ends it.
create function p2pgan.goal_is_reached(p_run bigint) returns boolean
language sql stable set search_path = p2pgan, pg_temp as $$
    select coalesce(version >= (config #>> '{goal,versions}')::bigint, false)
        or coalesce((select sum(upper(span) - lower(span)) from units u
                     where u.run_id = p_run and u.state = 'done' and u.epoch < (config #>> '{goal,epochs}')::bigint)
                    >= (config #>> '{goal,epochs}')::bigint * image_count, false)
    from runs where id = p_run
$$;

-- active -> finished, by the leader; false if the pen is lost or it was finished before.
create function p2pgan.finish_run(p_run bigint, p_peer text, p_term bigint) returns boolean
language plpgsql security definer set search_path = p2pgan, pg_temp as $$
begin
    if not holds_pen(p_run, p_peer, p_term) then
        return false;
    end if;
    if not is_trusted() and not goal_is_reached(p_run) then
        raise exception 'the goal of the run is not reached' using errcode = 'insufficient_privilege';
    end if;
    update runs set state = 'finished', finished_at = clock_timestamp() where id = p_run and state = 'active';
    return found;
end
$$;

-- Weights -----------------------------------------------------------------------------------------

-- Which of the chunks need not be staged in this term: stored versions have them, or it staged them.
-- One that another term staged may be anything under the name that everyone knew in advance.
create function p2pgan.staged_chunks(p_run bigint, p_term bigint, p_digests text[]) returns setof text
language sql stable security definer set search_path = p2pgan, pg_temp as $$
    select k.digest from chunks k
    where k.run_id = p_run and k.digest = any(p_digests)
      and (k.staged_term = p_term
           or exists (select from manifests m where m.run_id = p_run and m.stored and k.digest = any(m.chunks)))
$$;

-- Puts a chunk where the next commit finds it; false if the pen is lost. It does not keep the pen.
create function p2pgan.stage_chunk(p_run bigint, p_peer text, p_term bigint, p_digest text, p_data bytea)
returns boolean
language plpgsql security definer set search_path = p2pgan, pg_temp as $$
begin
    perform check_login(p_run, p_peer);
    if not exists (select from leases where run_id = p_run and holder = p_peer and term = p_term) then
        return false;
    end if;
    if octet_length(p_data) > 1048576 or length(p_digest) > 128 then
        raise exception 'a chunk has at most 1 MiB and its digest at most 128 characters' using errcode = 'P2G01';
    end if;
    delete from chunks
    where run_id = p_run and digest = p_digest and digest not in (select staged_chunks(p_run, p_term, array[p_digest]));
    insert into chunks (run_id, digest, data, staged_term) values (p_run, p_digest, p_data, p_term)
    on conflict do nothing;
    return true;
end
$$;

-- No version is of a term that has not come, whatever its record says.
create function p2pgan.check_manifest_term() returns trigger
language plpgsql security definer set search_path = p2pgan, pg_temp as $$
begin
    if new.term > (select term from leases where run_id = new.run_id) then
        raise exception 'version % is of term %, which has not come', new.version, new.term using errcode = 'P2G02';
    end if;
    return null;
end
$$;

create trigger manifest_is_of_a_past_term after insert on p2pgan.manifests
for each row when (new.version > 0) execute function p2pgan.check_manifest_term();

-- What people look at -----------------------------------------------------------------------------

-- Stores the grid of samples of a version; an invited login does so for versions that it committed.
create function p2pgan.write_sample(p_run bigint, p_version bigint, p_png bytea) returns void
language plpgsql security definer set search_path = p2pgan, pg_temp as $$
begin
    if not is_trusted() and not exists (
        select from manifests where run_id = p_run and version = p_version and committed_by = session_user
    ) then
        raise exception 'the login % did not commit version %', session_user, p_version
            using errcode = 'insufficient_privilege';
    end if;
    if octet_length(p_png) > 16777216 or substring(p_png for 4) <> '\x89504e47' then
        raise exception 'a sample is a PNG of at most 16 MiB' using errcode = 'P2G01';
    end if;
    insert into samples (run_id, version, png) values (p_run, p_version, p_png)
    on conflict (run_id, version) do update set png = excluded.png, at = clock_timestamp();
end
$$;

-- Notes that something happened to a peer, for people to read.
create function p2pgan.write_event(p_run bigint, p_peer text, p_kind text, p_text text) returns void
language plpgsql security definer set search_path = p2pgan, pg_temp as $$
begin
    perform check_login(p_run, p_peer);
    insert into events (run_id, peer, kind, text)
    values (p_run, p_peer, left(p_kind, 100), regexp_replace(left(p_text, 2000), '[[:cntrl:]]', ' ', 'g'));
end
$$;
