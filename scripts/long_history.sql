-- What a run looks like after a long time: rows as its peers would have written them, without training anything.
-- Peers p1, p2, ...: the first few told in every version, the others in the last hundred.

set search_path = p2pgan;
set session_replication_role = replica;  -- no triggers and no foreign keys: that would take hours

insert into peers (run_id, id, name, device, state, control_address, bulk_address, can_lead, images_per_s, version, last_seen,
                   spans, reached)
select %(run)s, 'p' || p, 'peer ' || p, 'cpu', 'active', '', '', true, 10, %(versions)s, clock_timestamp() + interval '1 day',
       p %% 4, true
from generate_series(1, %(peers)s) as p;

update leases set term = %(versions)s / 20, holder = 'p1', expires_at = clock_timestamp() + interval '1 day'
where run_id = %(run)s;

insert into manifests (run_id, version, digest, parent_digest, term, attempt, leader, images, committed_at)
select %(run)s, v, 'd' || v, 'd' || v - 1, 1 + v / 20, 1, 'p' || 1 + v / 20 %% %(peers)s, v * 10 * %(peers)s,
       clock_timestamp() - make_interval(secs => 2 * (%(versions)s - v))
from generate_series(1, %(versions)s) as v;

insert into metrics (run_id, version, seconds, images, loss_g, loss_d, d_real, d_fake, sign_real, r1, grad_g, grad_d, cosine,
                     drift, bytes_sent, bytes_received)
select %(run)s, v, 2, 10 * %(peers)s, 1 + sin(v / 1e4), 1, 0.6, 0.4, 0.5, 1, 1, 1, 0.5, 1, 5e5, 5e5
from generate_series(1, %(versions)s) as v;

insert into peer_metrics (run_id, peer, version, images, images_per_s, loss_g, loss_d, d_real, d_fake, sign_real, r1, grad_g,
                          grad_d, cosine, drift, bytes_sent, bytes_received)
select %(run)s, 'p' || p, v, 10, 5, 1 + sin(v / 1e4), 1, 0.6, 0.4, 0.5, 1, 1, 1, 0.5, 1, 500000, 500000
from generate_series(1, %(peers)s) as p,
     generate_series(case when p <= %(telling)s then 1 else %(versions)s - 99 end, %(versions)s) as v;

insert into contributions (run_id, version, peer, epoch, unit, span)
select %(run)s, v, 'p' || p, v, p, int4range(10 * p, 10 * p + 10)
from generate_series(%(versions)s - 99, %(versions)s) as v, generate_series(1, %(peers)s) as p;

-- Work goes once over the data in two versions; of the last epoch half is done, and a part handed out.
insert into units (run_id, epoch, unit, span, state, leased_to, leased_term, lease_expires_at, done)
select %(run)s, e, u, int4range(u * r.unit_images, (u + 1) * r.unit_images),
       case when e < last or u < units / 2 then 'done' when u < units * 3 / 4 then 'leased' else 'open' end::unit_state,
       'p1', %(versions)s / 20, clock_timestamp() + interval '1 day',
       case when e < last or u < units / 2
            then int4multirange(int4range(u * r.unit_images, (u + 1) * r.unit_images)) else '{}' end
from runs r, lateral (select r.image_count / r.unit_images as units, %(versions)s / 2 as last) as whole,
     generate_series(0, last) as e, generate_series(0, units - 1) as u
where r.id = %(run)s;

insert into samples (run_id, version, png)
select %(run)s, v, case when v %% 20 = 0 then %(even)s::bytea else %(odd)s::bytea end
from generate_series(10, %(versions)s, 10) as v;

insert into scores (run_id, version, peer, fid, floor, images, extractor, extractor_digest)
select %(run)s, v, 'p1', 1 + 100000.0 / v, 0.25, 1000, 'classifier', 'x'
from generate_series(100, %(versions)s, 100) as v;

-- Marks of each kind in the last hundredth, the pen passed on every twenty versions, and what peers noted.
insert into events (run_id, peer, kind, text, version)
select %(run)s, 'p2', kind, text, %(versions)s - %(versions)s / 100 + %(versions)s / 500 * n
from (values (0, 'joined', 'joined'), (1, 'left', 'left'), (2, 'lost', 'was lost'), (3, 'set aside', 'was set aside: why'),
             (4, 'away', 'did not reach the database')) as marks (n, kind, text);

insert into events (run_id, peer, kind, text, version)
select %(run)s, 'p' || 1 + v / 20 %% %(peers)s, case when n = 0 then 'pen' else 'round' end,
       case when n = 0 then 'holds the pen of term ' || 1 + v / 20 else format('round %%s: note %%s', v, n) end,
       case when n = 0 then v end
from generate_series(20, %(versions)s, 20) as v, generate_series(0, %(notes)s) as n;

update runs set version = %(versions)s, images = %(versions)s::bigint * 10 * %(peers)s, digest = 'd' || %(versions)s,
                committed_at = clock_timestamp()
where id = %(run)s;

set session_replication_role = default;
analyze;
