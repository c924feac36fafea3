-- What a round took on the wire.

-- Means over the contributors who told.
alter table p2pgan.metrics
    add column bytes_sent double precision,
    add column bytes_received double precision;

alter table p2pgan.peer_metrics
    add column bytes_sent bigint check (bytes_sent between 0 and 1000000000000000),
    add column bytes_received bigint check (bytes_received between 0 and 1000000000000000);

-- Notes how rounds went whose versions are committed; rules as before, and bytes are means over peers.
create or replace function p2pgan.write_metrics(p_run bigint, p_peer text, p_metrics jsonb) returns void
language plpgsql security definer set search_path = p2pgan, pg_temp as $$
begin
    perform check_login(p_run, p_peer);
    with told as (
        select t.version, t.seconds, t.peers
        from jsonb_to_recordset(p_metrics) as t (version bigint, seconds real, peers jsonb)
        join manifests m on m.run_id = p_run and m.version = t.version and m.leader = p_peer
        where (is_trusted() or m.committed_by = session_user)
          and not exists (select from metrics k where k.run_id = p_run and k.version = t.version)
    ), counted as (
        select c.version, c.peer, sum(upper(c.span) - lower(c.span))::integer as images
        from contributions c where c.run_id = p_run and c.version in (select version from told)
        group by c.version, c.peer
    ), parts as (
        insert into peer_metrics (run_id, peer, version, images, images_per_s, loss_g, loss_d, d_real, d_fake,
                                  sign_real, sign_held_out, r1, grad_g, grad_d, diversity, cosine, drift,
                                  bytes_sent, bytes_received)
        select p_run, c.peer, c.version, c.images, greatest(0, least(1e9, (p.word->>'images_per_s')::real)),
               (p.word#>>'{losses,0}')::real, (p.word#>>'{losses,1}')::real,
               (p.word#>>'{losses,2}')::real, (p.word#>>'{losses,3}')::real,
               (p.word#>>'{losses,4,0}')::real, (p.word#>>'{losses,4,4}')::real,
               (p.word#>>'{losses,4,3}')::real, (p.word#>>'{losses,4,1}')::real,
               (p.word#>>'{losses,4,2}')::real, (p.word#>>'{losses,4,5}')::real,
               (p.word#>>'{losses,5,0}')::real, (p.word#>>'{losses,5,1}')::real,
               (p.word#>>'{traffic,0}')::bigint, (p.word#>>'{traffic,1}')::bigint
        from told t cross join lateral jsonb_each(t.peers) as p (peer, word)
        join counted c on c.version = t.version and c.peer = p.peer
        on conflict do nothing
        returning *
    ), means as (
        select version,
               sum(loss_g * images) / sum(images) filter (where loss_g is not null) as loss_g,
               sum(loss_d * images) / sum(images) filter (where loss_d is not null) as loss_d,
               sum(d_real * images) / sum(images) filter (where d_real is not null) as d_real,
               sum(d_fake * images) / sum(images) filter (where d_fake is not null) as d_fake,
               sum(sign_real * images) / sum(images) filter (where sign_real is not null) as sign_real,
               sum(sign_held_out * images) / sum(images) filter (where sign_held_out is not null) as sign_held_out,
               sum(r1 * images) / sum(images) filter (where r1 is not null) as r1,
               sum(grad_g * images) / sum(images) filter (where grad_g is not null) as grad_g,
               sum(grad_d * images) / sum(images) filter (where grad_d is not null) as grad_d,
               sum(diversity * images) / sum(images) filter (where diversity is not null) as diversity,
               sum(cosine * images) / sum(images) filter (where cosine is not null) as cosine,
               sum(drift * images) / sum(images) filter (where drift is not null) as drift,
               avg(bytes_sent) as bytes_sent, avg(bytes_received) as bytes_received
        from parts group by version
    )
    insert into metrics (run_id, version, seconds, images, loss_g, loss_d, d_real, d_fake,
                         sign_real, sign_held_out, r1, grad_g, grad_d, diversity, cosine, drift, bytes_sent, bytes_received)
    select p_run, t.version, greatest(0, least(1e6, t.seconds)), (select sum(images) from counted c where c.version = t.version),
           m.loss_g, m.loss_d, m.d_real, m.d_fake,
           m.sign_real, m.sign_held_out, m.r1, m.grad_g, m.grad_d, m.diversity, m.cosine, m.drift,
           m.bytes_sent, m.bytes_received
    from told t left join means m on m.version = t.version
    on conflict do nothing;
end
$$;
