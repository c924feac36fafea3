-- What each peer has to do at the moment, and whether the leader reaches it.

alter table p2pgan.peers
    add column spans integer not null default 0 check (spans >= 0),
    add column reached boolean not null default false;

-- The leader's word on both; false if the pen is lost.
create function p2pgan.note_work(p_run bigint, p_peer text, p_term bigint, p_stats jsonb) returns boolean
language plpgsql security definer set search_path = p2pgan, pg_temp as $$
begin
    if not holds_pen(p_run, p_peer, p_term) then
        return false;
    end if;
    update peers p set spans = greatest(0, least(h.spans, 1000000)), reached = h.reached
    from jsonb_to_recordset(p_stats) as h (peer text, spans bigint, reached boolean)
    where p.run_id = p_run and p.id = h.peer and h.spans is not null and h.reached is not null;
    return true;
end
$$;
