-- All SQL of the package but the schema. Parameters are psycopg's: %(name)s, or %(name)b for bytes.

-- Session and schema ---------------------------------------------------------------------------

-- name: settle_session
select set_config('search_path', 'p2pgan, pg_temp', false),
       set_config('statement_timeout', %(statement_timeout)s, false),
       set_config('lock_timeout', %(lock_timeout)s, false),
       set_config('idle_in_transaction_session_timeout', '10s', false),
       set_config('default_transaction_isolation', 'read committed', false),
       set_config('default_transaction_read_only', %(read_only)s, false),
       set_config('client_min_messages', 'warning', false)

-- name: lock_migrations
select pg_advisory_xact_lock(hashtext('p2pgan.migrations'))

-- name: find_migrations
-- Not by to_regclass: that remembers that the table was not there while this session waited for the lock.
select exists (select from pg_tables where schemaname = 'p2pgan' and tablename = 'migrations') as found

-- name: create_migrations
create schema if not exists p2pgan;
create table p2pgan.migrations (
    number     integer primary key,
    name       text not null,
    applied_at timestamptz not null default clock_timestamp()
)

-- name: applied_migrations
select number from p2pgan.migrations order by number

-- name: record_migration
insert into p2pgan.migrations (number, name) values (%(number)s, %(name)s)

-- name: find_settle_roles
select to_regprocedure('p2pgan.settle_roles()') is not null as found

-- name: settle_roles
select settle_roles()

-- name: read_clock
select extract(epoch from clock_timestamp())::float8

-- name: server_facts
-- Nothing of p2pgan's own schema: it may not be there, or not for this login.
select current_setting('server_version') as release, session_user::text as login,
       r.rolsuper as superuser, r.rolsuper or r.rolcreaterole as may_invite,
       has_database_privilege(current_database(), 'create') as may_create
from pg_roles r where r.rolname = session_user

-- name: login_standing
-- By the catalog alone: the schema's own functions are not for every login.
select case when pg_has_role(session_user, n.nspowner, 'member') then 'trusted'
            when exists (select from pg_roles r where r.rolname = format('p2pgan_peer_%%s', d.oid)
                                                  and pg_has_role(session_user, r.oid, 'member')) then 'invited'
            else 'reader' end
from pg_namespace n, pg_database d
where n.nspname = 'p2pgan' and d.datname = current_database()

-- name: count_others
select count(*) from pg_stat_activity where application_name = 'p2pgan' and pid <> pg_backend_pid()

-- name: end_others
select count(pg_terminate_backend(pid)) from pg_stat_activity
where application_name = 'p2pgan' and pid <> pg_backend_pid()

-- Logins ---------------------------------------------------------------------------------------

-- name: admit_login
select admit_login(%(login)s, %(verifier)s, %(connections)s)

-- name: disable_login
select disable_login(%(login)s)

-- name: end_sessions
select end_sessions(%(login)s)

-- name: dismiss_peers
select dismiss_peers(%(login)s)

-- name: list_logins
select coalesce(i.login, p.login)::text as login, coalesce(i.enabled, true) as enabled, r.name as run, p.id as peer,
       p.name, p.state::text,
       greatest(0, extract(epoch from clock_timestamp() - greatest(least(p.last_seen, clock_timestamp()), 'epoch')))
           ::float8 as last_seen_s
from invited_logins() i full join (peers p join runs r on r.id = p.run_id) on p.login = i.login
order by r.id nulls last, p.state in ('joining', 'active') desc, p.name, p.id, i.login

-- Runs -----------------------------------------------------------------------------------------

-- name: create_run
insert into runs (name, config, image_count, resolution, dataset_digest, schema_hash, unit_images, keep_last,
                  milestone_every, digest)
values (%(name)s, %(config)s, %(count)s, %(resolution)s, %(dataset_digest)s, %(schema_hash)s, %(unit_images)s,
        %(keep_last)s, %(milestone_every)s, %(digest)s)
returning id

-- name: create_lease
insert into leases (run_id) values (%(run_id)s)

-- name: store_seed
insert into manifests (run_id, version, digest, parent_digest, term, attempt, images, stored, milestone, length,
                       chunks)
values (%(run_id)s, 0, %(digest)s, '', 0, 0, 0, true, true, %(length)s, %(chunks)s)

-- name: store_seed_chunk
insert into chunks (run_id, digest, data) values (%(run_id)s, %(digest)s, %(data)b) on conflict do nothing

-- name: list_runs
select id, name, state::text, config,
       jsonb_build_object('count', image_count, 'resolution', resolution, 'digest', dataset_digest) as dataset,
       schema_hash, unit_images, version, digest, images, peers_generation
from runs
order by id

-- name: finish_run
select finish_run(%(run_id)s, %(peer)s, %(term)s)

-- Peers ----------------------------------------------------------------------------------------

-- name: register_peer
select register_peer(%(run_id)s, %(id)s, %(name)s, %(device)s, %(control_address)s, %(bulk_address)s,
                     %(can_lead)s, %(instance)s)

-- name: read_generation
select peers_generation from runs where id = %(run_id)s

-- name: set_peer_state
update peers set state = %(state)s where run_id = %(run_id)s and id = %(id)s

-- name: list_peers
select p.id, p.name, p.device, p.state::text, p.control_address, p.bulk_address, p.can_lead, p.images_per_s,
       p.version, p.digest,
       greatest(0, extract(epoch from clock_timestamp() - greatest(least(p.last_seen, clock_timestamp()), 'epoch')))
           ::float8 as last_seen_s,
       r.peers_generation
from runs r left join peers p on p.run_id = r.id
where r.id = %(run_id)s
order by p.state in ('joining', 'active') desc, p.id

-- name: roll_up
select case when roll_up(%(run_id)s, %(peer)s, %(term)s, %(stats)s)
            then note_offences(%(run_id)s, %(peer)s, %(term)s, %(stats)s)
                 and note_work(%(run_id)s, %(peer)s, %(term)s, %(stats)s) else false end

-- The pen --------------------------------------------------------------------------------------

-- name: read_lease
select term, holder, extract(epoch from expires_at - clock_timestamp())::float8 as expires_in_s, successor,
    runs.state = 'finished' as finished
from leases join runs on runs.id = run_id
where run_id = %(run_id)s

-- name: acquire_lease
select term, holder, expires_in_s, successor from acquire_lease(%(run_id)s, %(peer)s, %(ttl_s)s)

-- name: renew_lease
select expires_in_s, peers_generation from renew_lease(%(run_id)s, %(peer)s, %(term)s, %(ttl_s)s)

-- name: release_lease
select release_lease(%(run_id)s, %(peer)s, %(term)s, %(successor)s, %(reserve_s)s)

-- Work and weights -----------------------------------------------------------------------------

-- name: read_progress
with shown as (  -- the first incomplete epoch and all after it, or the last one
    select distinct epoch from units
    where run_id = %(run_id)s
      and epoch >= coalesce((select min(epoch) from units where run_id = %(run_id)s and state <> 'done'),
                            (select max(epoch) from units where run_id = %(run_id)s))
), progress as (
    select u.epoch, coalesce(range_agg(d.piece), '{}') as done
    from units u left join lateral unnest(u.done) as d (piece) on true
    where u.run_id = %(run_id)s and u.epoch in (select epoch from shown)
    group by u.epoch
)
select l.term, r.version, r.digest, coalesce(m.term, 0) as made_in, r.images, e.epoch, e.done
from runs r
join leases l on l.run_id = r.id
left join manifests m on m.run_id = r.id and m.version = r.version  -- a damaged run may lack it
left join progress e on true
where r.id = %(run_id)s
order by e.epoch

-- name: claim_units
select pen.held, c.epoch, c.unit, c.attempt
from (select exists (select from leases where run_id = %(run_id)s and holder = %(peer)s and term = %(term)s) as held)
    as pen
left join claim_units(%(run_id)s, %(peer)s, %(term)s, %(units)s, %(lease_s)s) as c on true
order by c.epoch, c.unit

-- name: staged_chunks
select staged_chunks(%(run_id)s, %(term)s, %(digests)s)

-- name: stage_chunk
-- It need not be on the disk yet: the commit that names it is not before all that was written until then.
select stage_chunk(%(run_id)s, %(peer)s, %(term)s, %(digest)s, %(data)b)
from (select set_config('synchronous_commit', 'off', true) offset 0) as soon

-- name: commit_weights
select committed, reason from commit_weights(%(run_id)s, %(peer)s, %(term)s, %(records)s, %(snapshot)s)

-- name: roll_back
select version, reason from roll_back(%(run_id)s, %(version)s)

-- name: sound_version
-- The newest that is stored and did not show what is named here; of those that showed nothing at all only if there
-- is no other. A version that went back to another has the metrics of that one: the weights are the same.
with shown as (
    select m.digest, bool_or(t.grad_g is not null) as known,
           bool_or(t.diversity < %(diversity)s or abs(t.d_real - t.d_fake) < %(apart)s and t.grad_g < %(gradient)s) as ill
    from manifests m join metrics t on t.run_id = m.run_id and t.version = m.version
    where m.run_id = %(run_id)s
    group by m.digest
)
select m.version
from manifests m left join shown s on s.digest = m.digest
where m.run_id = %(run_id)s and m.stored and m.version > 0 and s.ill is not true
order by s.known is true desc, m.version desc
limit 1

-- name: begin_score
select begin_score(%(run_id)s, %(peer)s, %(version)s)

-- name: write_score
select write_score(%(run_id)s, %(peer)s, %(version)s, %(fid)s, %(floor)s, %(images)s, %(extractor)s, %(digest)s)

-- name: best_version
select best_version(%(run_id)s)

-- name: stored_versions
select version from manifests where run_id = %(run_id)s and stored order by version

-- name: read_manifest
select m.version, m.digest, r.schema_hash, m.images, m.length, m.chunks
from manifests m join runs r on r.id = m.run_id
where m.run_id = %(run_id)s and m.stored and (%(version)s::bigint is null or m.version = %(version)s)
order by m.version desc
limit 1

-- name: read_chunk
select data from chunks where run_id = %(run_id)s and digest = %(digest)s

-- name: read_history
select m.version, m.digest, m.parent_digest, m.term, m.attempt, coalesce(m.leader, 'nobody') as leader, m.images,
       coalesce((
           select jsonb_agg(jsonb_build_array(c.peer, c.spans) order by c.peer)
           from (select peer, jsonb_agg(jsonb_build_array(epoch, unit, lower(span), upper(span))
                                        order by epoch, span) as spans
                 from contributions where run_id = m.run_id and version = m.version
                 group by peer) as c
       ), '[]') as contributions
from manifests m
where m.run_id = %(run_id)s and m.version > 0
order by m.version

-- What people look at --------------------------------------------------------------------------

-- name: status
-- Whoever wrote a row, its time is between 1970 and now and its speed a number: what is shown can be printed.
with shown as (
    select *, state in ('joining', 'active') and last_seen > clock_timestamp() - interval '15 s' as live,
           greatest(0, extract(epoch from clock_timestamp() - greatest(least(last_seen, clock_timestamp()), 'epoch')))
               as last_seen_s,
           case when images_per_s between 0 and 1e9 then images_per_s else 0 end as pace
    from peers where run_id = %(run_id)s
)
select json_build_object(
    'run', r.name,
    'version', greatest(r.version, (select max(version) from shown where live)),
    'committed_version', r.version,
    'digest', r.digest,
    'term', l.term,
    'leader', case when l.expires_at > clock_timestamp() and r.state = 'active' then l.holder end,
    'epoch', now.epoch,
    'images', r.images,
    'images_per_s', coalesce((select sum(pace) from shown where live), 0),
    'last_commit_age_s',
        greatest(0, extract(epoch from clock_timestamp()
                                       - greatest(least(r.committed_at, clock_timestamp()), 'epoch'))),
    'units', (select json_build_object(
                  'open', count(*) filter (where state <> 'done' and not leased),
                  'leased', count(*) filter (where state <> 'done' and leased),
                  -- All epochs before are done, and have the same units: a long history is not counted anew.
                  'done', count(*) filter (where state = 'done')
                          + now.epoch::bigint * ((r.image_count + r.unit_images - 1) / r.unit_images))
              from (select state, state = 'leased' and lease_expires_at > clock_timestamp()
                                  -- The next leader hands out anew what an earlier one had handed out.
                                  and leased_term = l.term and l.holder is not null
                                  and l.expires_at > clock_timestamp() and r.state = 'active' as leased
                    from units where run_id = r.id and epoch >= now.epoch) as u),
    'peers', coalesce((select json_agg(json_build_object(
                  'id', id, 'name', name, 'state', state, 'device', device,
                  'images_per_s', case when live then pace else 0 end, 'last_seen_s', last_seen_s,
                  'version', version, 'digest', digest, 'set_aside', set_aside,
                  'offences', offences, 'spans', case when live then spans else 0 end,
                  'reached', live and reached, 'signals', told.signals, 'traffic', took.traffic)
                  order by live desc, name, id)
              from shown left join lateral (
                  select json_build_object('version', t.version, 'loss_g', t.loss_g, 'loss_d', t.loss_d, 'd_real', t.d_real, 'd_fake', t.d_fake,
                         'sign_real', t.sign_real, 'sign_held_out', t.sign_held_out, 'r1', t.r1, 'grad_g', t.grad_g,
                         'grad_d', t.grad_d, 'diversity', t.diversity, 'cosine', t.cosine, 'drift', t.drift) as signals
                  from peer_metrics t where t.run_id = %(run_id)s and t.peer = shown.id and t.loss_g is not null
                  order by t.version desc limit 1) as told on true
              left join lateral (
                  -- Of its last version alone: a long history in which nobody told is not searched.
                  select case when t.bytes_sent is not null then
                             json_build_object('version', t.version, 'sent', t.bytes_sent, 'received', t.bytes_received)
                         end as traffic
                  from peer_metrics t
                  where t.run_id = %(run_id)s and t.peer = shown.id
                  order by t.version desc limit 1) as took on true), '[]'::json),
    'signals', (select json_build_object('version', t.version, 'loss_g', t.loss_g, 'loss_d', t.loss_d, 'd_real', t.d_real, 'd_fake', t.d_fake,
                       'sign_real', t.sign_real, 'sign_held_out', t.sign_held_out, 'r1', t.r1, 'grad_g', t.grad_g,
                       'grad_d', t.grad_d, 'diversity', t.diversity, 'cosine', t.cosine, 'drift', t.drift)
                from metrics t where t.run_id = r.id and t.loss_g is not null order by t.version desc limit 1),
    'traffic', (select case when t.bytes_sent is not null then
                           json_build_object('version', t.version, 'sent', round(t.bytes_sent)::bigint,
                                             'received', round(t.bytes_received)::bigint)
                       end
                from metrics t where t.run_id = r.id order by t.version desc limit 1),
    'best_version', best_version(r.id),
    'scores', coalesce((select json_agg(json_build_object('version', version, 'fid', fid, 'floor', floor,
                                                          'images', images, 'extractor', extractor) order by version)
                        from (select * from scores where run_id = r.id and fid is not null
                              order by version desc limit 100) as s), '[]'::json)
) as status
from runs r join leases l on l.run_id = r.id cross join lateral (
    select coalesce((select min(epoch) from units where run_id = r.id and state <> 'done'),
                    (select max(epoch) + 1 from units where run_id = r.id), 0) as epoch
) as now
where r.id = %(run_id)s

-- name: count_handed_out_again
select coalesce(sum(attempt - 1), 0) from units where run_id = %(run_id)s and attempt > 1

-- name: write_sample
select write_sample(%(run_id)s, %(version)s, %(png)b)

-- name: list_samples
select version, png from samples where run_id = %(run_id)s order by version

-- name: newest_versions
-- A row is a leader's word: its numbers are cut to what can be printed.
select m.version, extract(epoch from greatest(least(m.committed_at, clock_timestamp()), 'epoch'))::float8 as at,
       m.digest, m.term, m.leader, coalesce(p.name, '') as name, m.images,
       m.images - coalesce(b.images, 0) as gained, m.stored,
       (select count(distinct c.peer) from contributions c where c.run_id = m.run_id and c.version = m.version)
           as peers
from manifests m
left join manifests b on b.run_id = m.run_id and b.version = m.version - 1
left join peers p on p.run_id = m.run_id and p.id = m.leader
where m.run_id = %(run_id)s
order by m.version desc
limit %(most)s

-- name: count_contributors
select count(distinct peer) from contributions where run_id = %(run_id)s and version <= %(version)s

-- name: score_up_to
-- Of that version, or of the newest one before it that has one.
select version, fid, floor, images, extractor, extractor_digest from scores
where run_id = %(run_id)s and version <= %(version)s and fid is not null
order by version desc limit 1

-- name: write_event
select write_event(%(run_id)s, %(peer)s, %(kind)s, %(text)s)

-- name: list_events
select extract(epoch from at)::float8 as at, peer, kind, text
from events where run_id = %(run_id)s and version is null order by id

-- name: write_metrics
select write_metrics(%(run_id)s, %(peer)s, %(metrics)s)

-- What the dashboard draws ---------------------------------------------------------------------
-- Thinned out here, so that what crosses the wire does not grow with the history.

-- name: overview
select json_build_object(
    'id', r.id,
    'name', r.name,
    'state', r.state,
    'dataset', r.config->>'dataset',
    'image_count', r.image_count,
    'resolution', r.resolution,
    'unit_images', r.unit_images,
    'classes', case when jsonb_typeof(r.config#>'{gan,model,num_classes}') = 'number'
                    then least((r.config#>>'{gan,model,num_classes}')::numeric, 1e6)::integer else 0 end,
    'created_at', extract(epoch from r.created_at),
    'successor', l.successor,
    'newest_sample', (select max(version) from samples where run_id = r.id),
    'newest_mark', (select max(id) from events where run_id = r.id and version is not null),
    'newest_event', (select max(id) from events where run_id = r.id),
    'shares', coalesce((select json_object_agg(peer, images)
                        from (select peer, sum(upper(span) - lower(span)) as images from contributions
                              where run_id = r.id and version > r.version - %(recent)s group by peer) as c), '{}'::json)
)
from runs r join leases l on l.run_id = r.id
where r.id = %(run_id)s

-- name: sample_versions
select version
from (select version, row_number() over (order by version) - 1 as n, count(*) over () as total
      from samples where run_id = %(run_id)s) as s
where total <= %(most)s or n = 0 or n = total - 1 or n * %(most)s / total <> (n - 1) * %(most)s / total
order by version

-- name: read_sample
select png from samples where run_id = %(run_id)s and version = %(version)s

-- name: curves
-- Speed is that of a version and those just before it: what was trained ahead counts in the next version alone,
-- which is then over in no time, and after a slow one, as at a handover, a single version's ratio is far off.
with part as (
    select greatest(%(first)s::bigint, 1) as first, least(%(last)s::bigint, version) as last
    from runs where id = %(run_id)s
), buckets as (
    select max(t.version) as version, count(*) as rounds, sum(t.images) as images, sum(t.seconds) as seconds,
           avg(t.loss_g) as loss_g, avg(t.loss_d) as loss_d, avg(t.d_real) as d_real, avg(t.d_fake) as d_fake,
           avg(t.sign_real) as sign_real, avg(t.sign_held_out) as sign_held_out, avg(t.r1) as r1,
           avg(t.grad_g) as grad_g, avg(t.grad_d) as grad_d, avg(t.diversity) as diversity,
           avg(t.cosine) as cosine, avg(t.drift) as drift,
           avg(t.bytes_sent) as bytes_sent, avg(t.bytes_received) as bytes_received
    from part, metrics t
    where t.run_id = %(run_id)s and t.version between part.first - %(together)s + 1 and part.last
    -- Those before the first count for its speed alone.
    group by case when t.version < part.first then t.version - part.first
                  else (t.version - part.first) * %(points)s / (part.last - part.first + 1) end
), paced as (
    select *, sum(images) over lately / nullif(sum(seconds) over lately, 0) as images_per_s
    from buckets window lately as (order by version range between %(together)s - 1 preceding and current row)
)
select b.version, extract(epoch from m.committed_at)::float8 as at, b.loss_g::float8, b.loss_d::float8,
       b.d_real::float8, b.d_fake::float8, b.images_per_s::float8,
       (b.seconds / b.rounds)::float8 as round_s, b.sign_real::float8, b.sign_held_out::float8, b.r1::float8,
       b.grad_g::float8, b.grad_d::float8, b.diversity::float8, b.cosine::float8, b.drift::float8,
       b.bytes_sent, b.bytes_received
from part, paced b join manifests m on m.run_id = %(run_id)s and m.version = b.version
where b.version >= part.first
order by b.version

-- name: peer_curves
-- Of a long part some versions stand for all, always the same: each peer has as many rows as the run has versions.
with part as (
    select first, last, greatest(1, (last - first + 1) / (%(points)s * %(examples)s)) as stride
    from (select greatest(%(first)s::bigint, 1) as first, least(%(last)s::bigint, version) as last
          from runs where id = %(run_id)s) as whole
), told as (
    select t.*, (t.version - part.first) * %(points)s / (part.last - part.first + 1) as bucket
    from part, peer_metrics t
    where t.run_id = %(run_id)s and t.peer = any(%(peers)s) and t.version between part.first and part.last
      and t.version %% part.stride = 0
)
-- A point is at the last version of its part of the history, as in the curve of all, whether the peer was in it or not.
select t.peer, part.first + ((t.bucket + 1) * (part.last - part.first + 1) - 1) / %(points)s as version,
       avg(t.loss_g)::float8 as loss_g, avg(t.loss_d)::float8 as loss_d,
       avg(t.d_real)::float8 as d_real, avg(t.d_fake)::float8 as d_fake,
       avg(nullif(t.images_per_s, 0))::float8 as images_per_s,
       avg(t.sign_real)::float8 as sign_real, avg(t.sign_held_out)::float8 as sign_held_out,
       avg(t.r1)::float8 as r1, avg(t.grad_g)::float8 as grad_g, avg(t.grad_d)::float8 as grad_d,
       avg(t.diversity)::float8 as diversity, avg(t.cosine)::float8 as cosine, avg(t.drift)::float8 as drift,
       avg(t.bytes_sent)::float8 as bytes_sent, avg(t.bytes_received)::float8 as bytes_received
from part, told t
group by t.peer, t.bucket, part.first, part.last
order by t.peer, 2

-- name: score_curve
-- Of those scores that compare with the newest: by the same extractor, on as many images.
with part as (
    select greatest(%(first)s::bigint, 0) as first, least(%(last)s::bigint, version) as last
    from runs where id = %(run_id)s
), newest as (
    select extractor_digest, images from scores
    where run_id = %(run_id)s and fid is not null order by version desc limit 1
)
select max(s.version) as version, avg(s.fid) as fid, avg(s.floor) as floor
from part, newest, scores s
where s.run_id = %(run_id)s and s.fid is not null and s.version between part.first and part.last
  and (s.extractor_digest, s.images) = (newest.extractor_digest, newest.images)
group by (s.version - part.first) * %(points)s / (part.last - part.first + 1)
order by 1

-- name: marks
-- The first of each kind in each part of the history, and how many there are.
with part as (
    select greatest(%(first)s::bigint, 0) as first, least(%(last)s::bigint, version) as last
    from runs where id = %(run_id)s
), marked as (
    select e.*, (e.version - part.first) * %(points)s / (part.last - part.first + 1) as bucket
    from part, events e
    where e.run_id = %(run_id)s and e.version is not null and e.version between part.first and part.last
)
select m.version, extract(epoch from m.at)::float8 as at, m.kind, m.text, coalesce(p.name, '') as name, m.number
from (select distinct on (bucket, kind) *, count(*) over (partition by bucket, kind) as number
      from marked order by bucket, kind, id) as m
left join peers p on p.run_id = %(run_id)s and p.id = m.peer
order by m.version, m.id

-- name: unit_cells
with pen as (
    select l.term, l.holder is not null and l.expires_at > clock_timestamp() and r.state = 'active' as held
    from leases l join runs r on r.id = l.run_id where l.run_id = %(run_id)s
), numbered as (
    select u.unit, u.state = 'done' as done,
           u.state = 'leased' and u.lease_expires_at > clock_timestamp() and pen.held and u.leased_term = pen.term
               as leased,
           count(*) over () as total
    from units u, pen where u.run_id = %(run_id)s and u.epoch = %(epoch)s
)
select min(unit) as first, max(unit) as last, count(*) filter (where done) as done,
       count(*) filter (where leased) as leased
from numbered
group by unit::bigint * least(%(most)s, total) / total
order by 1

-- name: events_page
select e.id, extract(epoch from e.at)::float8 as at, e.peer, coalesce(p.name, '') as name, e.kind, e.text,
       e.version is not null as mark
from events e left join peers p on p.run_id = e.run_id and p.id = e.peer
where e.run_id = %(run_id)s
  and (%(before)s::bigint is null or e.id < %(before)s)
  and (%(kind)s::text is null or e.kind = %(kind)s)
  and (%(peer)s::text is null or e.peer = %(peer)s)
  and (not %(marks)s or e.version is not null)
  and (%(words)s::text is null
       or strpos(lower(concat(p.name, ' ', e.kind, ' ', e.text)), lower(%(words)s)) > 0)
order by e.id desc
limit %(most)s

-- name: event_kinds
-- Of late; and of marks, of which there are few, for longer.
select kind
from ((select kind from events where run_id = %(run_id)s order by id desc limit %(recent)s)
      union all
      (select kind from events where run_id = %(run_id)s and version is not null order by id desc limit %(recent)s)) as e
group by kind order by count(*) desc limit 30

-- name: peer_facts
select json_build_object(
    'id', p.id,
    'name', p.name,
    'joined_at', extract(epoch from p.joined_at),
    'can_lead', p.can_lead,
    'images', coalesce((select sum(images) from peer_metrics where run_id = p.run_id and peer = p.id), 0),
    'versions', (select count(*) from peer_metrics where run_id = p.run_id and peer = p.id),
    'versions_led', (select count(*) from manifests where run_id = p.run_id and leader = p.id)
)
from peers p where p.run_id = %(run_id)s and p.id = %(peer)s
