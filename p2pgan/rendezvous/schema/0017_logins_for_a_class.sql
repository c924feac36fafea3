-- A login may be one person's, with connections for several peers and a few looks, or a whole class's.

drop function p2pgan.admit_login(name, text);

-- Makes a login with SCRAM verifier p_verifier (so that the password itself stays with the caller), or
-- gives one that was invited before a new password. It may have p_connections at
-- once. False if the name is that of any other role.
create function p2pgan.admit_login(p_login name, p_verifier text, p_connections integer)
returns boolean
language plpgsql set search_path = p2pgan, pg_temp as $$
declare
    setting text;
begin
    if to_regrole(quote_ident(p_login)) is null then
        execute format('create role %I', p_login);
    elsif not exists (select from invited_logins() as i where i.login = p_login) then
        return false;
    end if;
    execute format('alter role %I login password %L connection limit %s', p_login, p_verifier, p_connections);
    foreach setting in array array['statement_timeout = ''60s''', 'lock_timeout = ''10s''',
                                   'idle_in_transaction_session_timeout = ''10s'''] loop
        execute format('alter role %I set %s', p_login, setting);
    end loop;
    execute format('grant %I to %I', peer_role(), p_login);
    -- Who is a member of a role may end its sessions: how the owner's functions get rid of locks.
    execute format('grant %I to %I', p_login, owner_role());
    return true;
end
$$;

-- Enters a peer as joining, or updates its entry when it comes back. Says 'registered', 'not active' of
-- the run, or 'in use' while a process elsewhere takes part under this identity.
create or replace function p2pgan.register_peer(p_run bigint, p_id text, p_name text, p_device text,
                                     p_control_address text, p_bulk_address text, p_can_lead boolean,
                                     p_instance text)
returns text
language plpgsql security definer set search_path = p2pgan, pg_temp as $$
declare
    -- A login for a whole class may have more connections than that, and as many keys.
    most_peers constant integer := greatest(32, (select rolconnlimit from pg_roles where rolname = session_user));
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
