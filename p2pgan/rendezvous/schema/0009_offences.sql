-- How often a peer sent what no peer may send.

alter table p2pgan.peers add column offences bigint not null default 0;

-- The leader's word on it, summed over those who refused something; false if the pen is lost. The
-- counters of peers that have ended are gone from such a sum: the most ever seen stays.
create function p2pgan.note_offences(p_run bigint, p_peer text, p_term bigint, p_stats jsonb) returns boolean
language plpgsql security definer set search_path = p2pgan, pg_temp as $$
begin
    if not holds_pen(p_run, p_peer, p_term) then
        return false;
    end if;
    update peers p set offences = h.offences
    from jsonb_to_recordset(p_stats) as h (peer text, offences bigint)
    where p.run_id = p_run and p.id = h.peer and h.offences > p.offences;
    return true;
end
$$;
