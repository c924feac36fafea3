-- A peer's identity is one process's at a time: a copy of its key elsewhere does not get in beside it.

-- What tells the place where the peer keeps its key from a copy of it; empty if it does not say.
alter table p2pgan.peers add column instance text not null default '';
alter table p2pgan.peers add constraint instance_is_bounded check (
    length(instance) <= 64 and instance !~ '[[:cntrl:]]'
);

-- Nobody but the peer itself registers, so only this changes the place.
drop function p2pgan.register_peer(bigint, text, text, text, text, text, boolean);

-- Enters a peer as joining, or updates its entry when it comes back. Says 'registered', 'not active' of
-- the run, or 'in use' while a process elsewhere takes part under this identity.
create function p2pgan.register_peer(p_run bigint, p_id text, p_name text, p_device text,
                                     p_control_address text, p_bulk_address text, p_can_lead boolean,
                                     p_instance text)
returns text
language plpgsql security definer set search_path = p2pgan, pg_temp as $$
declare
    most_peers constant integer := 32;
    -- A leader writes everyone's last sign every two seconds.
    gone_after constant interval := '15 s';
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
    insert into peers as p (run_id, id, name, device, control_address, bulk_address, can_lead, instance)
    select id, p_id, p_name, p_device, p_control_address, p_bulk_address, p_can_lead, p_instance
    from runs where id = p_run and state = 'active'
    on conflict (run_id, id) do update
    set name = excluded.name, device = excluded.device, control_address = excluded.control_address,
        bulk_address = excluded.bulk_address, can_lead = excluded.can_lead, state = 'joining',
        images_per_s = 0, last_seen = clock_timestamp(), instance = excluded.instance
    where p.instance = '' or p.instance = excluded.instance or p.state in ('left', 'lost')
       or p.last_seen < clock_timestamp() - gone_after;
    return case
        when found then 'registered'
        when exists (select from runs where id = p_run and state = 'active') then 'in use'
        else 'not active'
    end;
end
$$;
