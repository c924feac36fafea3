-- Who may do what. The schema belongs to a role that nobody logs in as; invited logins may read,
-- write the rows of the peers that they registered, and call the functions marked SECURITY DEFINER.
-- The other logins that count, the trusted ones, are members of the owner: whoever migrates.

-- Which login registered the peer: session_user does not change within a session, whatever it calls.
alter table p2pgan.peers add column login name not null default session_user;

-- What people read of a peer goes to terminals and logs.
alter table p2pgan.peers add constraint peers_are_bounded check (
    length(id) <= 64 and length(name) <= 200 and length(device) <= 200
    and length(control_address) <= 300 and length(bulk_address) <= 300
    and concat(id, name, device, control_address, bulk_address) !~ '[[:cntrl:]]'
);

-- Which login committed a version, whatever its record says.
alter table p2pgan.manifests add column committed_by name not null default session_user;

-- A chunk that nothing names yet is taken for staged only in the term that staged it.
alter table p2pgan.chunks add column staged_term bigint not null default 0;

alter table p2pgan.peers enable row level security;
create policy everyone_is_seen on p2pgan.peers for select using (true);
create policy own_peers_change on p2pgan.peers for update
using (login = session_user) with check (login = session_user);

-- It writes to runs, where an invited login may not.
alter function p2pgan.count_peers_generation() security definer;

-- True for superusers, the owner of the schema and its members.
create function p2pgan.is_trusted() returns boolean
language sql stable set search_path = p2pgan, pg_temp as $$
    select pg_has_role(session_user, nspowner, 'member') from pg_namespace where nspname = 'p2pgan'
$$;

-- Raises unless the session's login registered the peer or is trusted.
create function p2pgan.check_login(p_run bigint, p_peer text) returns void
language plpgsql stable set search_path = p2pgan, pg_temp as $$
begin
    if not is_trusted()
       and not exists (select from peers where run_id = p_run and id = p_peer and login = session_user) then
        raise exception 'the login % did not register the peer %', session_user, left(p_peer, 64)
            using errcode = 'insufficient_privilege';
    end if;
end
$$;

create or replace function p2pgan.holds_pen(p_run bigint, p_peer text, p_term bigint) returns boolean
language plpgsql set search_path = p2pgan, pg_temp as $$
begin
    perform check_login(p_run, p_peer);
    perform from leases where run_id = p_run and holder = p_peer and term = p_term for key share;
    return found;
end
$$;

-- Roles belong to the whole server, a rendezvous to one database: hence names with its number, which
-- it keeps when it is renamed.
create function p2pgan.owner_role() returns name
language sql stable set search_path = p2pgan, pg_temp as $$
    select format('p2pgan_owner_%s', oid)::name from pg_database where datname = current_database()
$$;

create function p2pgan.peer_role() returns name
language sql stable set search_path = p2pgan, pg_temp as $$
    select format('p2pgan_peer_%s', oid)::name from pg_database where datname = current_database()
$$;

-- Gives everything in the schema to the owner's role and the peers' role its rights; to be called
-- after each migration. Where the caller may not create roles all stays the caller's, and nobody can
-- be invited. Returns whether there are roles.
create function p2pgan.settle_roles() returns boolean
language plpgsql set search_path = p2pgan, pg_temp as $$
declare
    change text;
begin
    -- Functions are open to everyone by default.
    revoke all on all routines in schema p2pgan from public;
    if to_regrole(owner_role()::text) is null or to_regrole(peer_role()::text) is null then
        if not (select rolsuper or rolcreaterole from pg_roles where rolname = current_user) then
            return false;
        end if;
        execute format('create role %I nologin', owner_role());
        execute format('create role %I nologin', peer_role());
    end if;
    if not pg_has_role(current_user, owner_role(), 'usage') then
        execute format('grant %I to current_user', owner_role());
    end if;
    for change in
        select 'schema p2pgan' from pg_namespace where nspname = 'p2pgan' and nspowner <> owner_role()::regrole
        union all
        select format('table %s', oid::regclass) from pg_class
        where relnamespace = 'p2pgan'::regnamespace and relkind = 'r' and relowner <> owner_role()::regrole
        union all
        select format('type %s', oid::regtype) from pg_type
        where typnamespace = 'p2pgan'::regnamespace and typtype = 'e' and typowner <> owner_role()::regrole
        union all
        select format('routine %s', oid::regprocedure) from pg_proc
        where pronamespace = 'p2pgan'::regnamespace and proowner <> owner_role()::regrole
    loop
        execute format('alter %s owner to %I', change, owner_role());
    end loop;
    for change in
        select 'usage on schema p2pgan'
        union all select 'select on all tables in schema p2pgan'
        union all select 'update (name, device, control_address, bulk_address, can_lead, state) on peers'
        union all
        select format('execute on function %s', oid::regprocedure) from pg_proc
        where pronamespace = 'p2pgan'::regnamespace and prosecdef and prorettype <> 'trigger'::regtype
    loop
        execute format('grant %s to %I', change, peer_role());
    end loop;
    return true;
end
$$;

-- The logins that were ever invited to this database.
create function p2pgan.invited_logins() returns table (login name, enabled boolean)
language sql stable set search_path = p2pgan, pg_temp as $$
    select r.rolname, r.rolcanlogin
    from pg_auth_members m join pg_roles r on r.oid = m.member, pg_namespace n
    where m.roleid = to_regrole(peer_role()::text)
      -- Whoever creates a role is a member of it as well, from Postgres 16 on.
      and n.nspname = 'p2pgan' and not pg_has_role(r.oid, n.nspowner, 'member')
$$;

-- Makes a login with SCRAM verifier p_verifier (so that the password itself stays with the caller), or
-- gives one that was invited before a new password. False if the name is that of any other role.
create function p2pgan.admit_login(p_login name, p_verifier text) returns boolean
language plpgsql set search_path = p2pgan, pg_temp as $$
declare
    setting text;
begin
    if to_regrole(quote_ident(p_login)) is null then
        execute format('create role %I', p_login);
    elsif not exists (select from invited_logins() as i where i.login = p_login) then
        return false;
    end if;
    -- Two connections a peer: enough for several peers and a few looks, not for all of the server.
    execute format('alter role %I login password %L connection limit 20', p_login, p_verifier);
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

-- Nobody can log in under this name any more; sessions go on. False if it was never invited.
create function p2pgan.disable_login(p_login name) returns boolean
language plpgsql set search_path = p2pgan, pg_temp as $$
begin
    if not exists (select from invited_logins() as i where i.login = p_login) then
        return false;
    end if;
    execute format('alter role %I nologin password null', p_login);
    return true;
end
$$;

-- Ends all sessions of a login, waiting for each; returns how many there are still.
create function p2pgan.end_sessions(p_login name) returns bigint
language sql set search_path = p2pgan, pg_temp as $$
    select count(*) filter (where not pg_terminate_backend(pid, 5000))
    from pg_stat_activity where usename = p_login
$$;

-- Takes the peers of a login out of every run, and the pen from them.
create function p2pgan.dismiss_peers(p_login name) returns bigint
language plpgsql set search_path = p2pgan, pg_temp as $$
declare
    dismissed bigint;
begin
    update leases l set holder = null, expires_at = clock_timestamp(), reserved_until = clock_timestamp()
    where exists (select from peers p where p.run_id = l.run_id and p.id = l.holder and p.login = p_login);
    update leases l set successor = null
    where exists (select from peers p where p.run_id = l.run_id and p.id = l.successor and p.login = p_login);
    update peers set state = 'left' where login = p_login and state <> 'left';
    get diagnostics dismissed = row_count;
    return dismissed;
end
$$;

-- Ends transactions in which an invited login holds locks while it waits or idles: a peer makes each
-- change in one statement, so only a frozen one, or one that means harm, is found like that.
create function p2pgan.end_stalled_transactions() returns bigint
language sql set search_path = p2pgan, pg_temp as $$
    select count(pg_terminate_backend(a.pid))
    from pg_stat_activity a
    where a.datname = current_database() and a.pid <> pg_backend_pid() and a.backend_xid is not null
      and a.usename in (select login from invited_logins())
      and (a.wait_event = 'ClientRead' and a.state_change < clock_timestamp() - interval '3 s'
           or a.xact_start < clock_timestamp() - interval '30 s')
$$;
