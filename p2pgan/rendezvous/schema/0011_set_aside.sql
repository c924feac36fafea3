-- Peers whose contributions the leader rejects again and again.

-- Why the leader gives the peer no work in its term; empty if it does.
alter table p2pgan.peers add column set_aside text not null default '';
alter table p2pgan.peers add constraint set_aside_is_bounded check (
    length(set_aside) <= 300 and set_aside !~ '[[:cntrl:]]'
);

-- The leader's word on everyone, and metrics; false, and nothing is written, if the pen is lost.
create or replace function p2pgan.roll_up(p_run bigint, p_peer text, p_term bigint, p_stats jsonb, p_metrics jsonb)
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
        last_seen = case when h.state in ('joining', 'active') then clock_timestamp() else p.last_seen end,
        set_aside = regexp_replace(left(coalesce(h.set_aside, ''), 300), '[[:cntrl:]]', ' ', 'g')
    from jsonb_to_recordset(p_stats)
        as h (peer text, state text, images_per_s float8, version bigint, digest text, set_aside text)
    where p.run_id = p_run and p.id = h.peer
      and p.state <> 'left' and h.state <> 'left';  -- a peer leaves, and comes back, by its own word only
    return true;
end
$$;
