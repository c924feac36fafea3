-- How far ahead of the work an epoch may be opened: whoever holds the pen names epochs, and each one
-- opened is a row for each of its units.

-- An epoch begins when those before it are handed out, so their images are counted or on their way. The
-- protocol has at most 32,768 units of work on their way (see UnitPool), and takes up again what a
-- leader before may have begun, up to two epochs ahead.
create function p2pgan.epoch_is_near(p_run bigint, p_epoch integer, p_counted numeric) returns boolean
language sql stable set search_path = p2pgan, pg_temp as $$
    select p_epoch * image_count::numeric
           <= p_counted + 32768 * least(unit_images, image_count)::numeric + 2 * image_count::numeric
    from runs where id = p_run
$$;

-- Leases units to the leader; returns those it got: not the finished ones, nor those of an epoch that is
-- too far ahead, and none if it lost the pen.
create or replace function p2pgan.claim_units(p_run bigint, p_peer text, p_term bigint, p_units jsonb, p_lease_s float8)
returns table (epoch integer, unit integer, attempt integer)
language plpgsql security definer set search_path = p2pgan, pg_temp as $$
#variable_conflict use_column
declare
    counted bigint;
    unknown text;
begin
    if not holds_pen(p_run, p_peer, p_term) then
        return;
    end if;
    select images into counted from runs where id = p_run;
    perform open_epoch(p_run, e)
    from (select distinct (u->>0)::integer from jsonb_array_elements(p_units) u) as es (e)
    where epoch_is_near(p_run, e, counted);
    select string_agg(a.u::text, ', ') into unknown
    from jsonb_array_elements(p_units) as a (u)
    where epoch_is_near(p_run, (a.u->>0)::integer, counted) and not exists (
        select from units t
        where t.run_id = p_run and t.epoch = (a.u->>0)::integer and t.unit = (a.u->>1)::integer
          and t.span = int4range((a.u->>2)::integer, (a.u->>3)::integer)
    );
    if unknown is not null then
        raise exception 'not units of this run: %', unknown using errcode = 'P2G01';
    end if;
    return query
    update units t
    set state = 'leased',
        -- A lease that the same term still holds is only prolonged.
        attempt = case when t.leased_term = p_term and t.lease_expires_at > clock_timestamp()
                       then t.attempt else t.attempt + 1 end,
        leased_to = p_peer,
        leased_term = p_term,
        lease_expires_at = clock_timestamp() + make_interval(secs => p_lease_s)
    from jsonb_array_elements(p_units) as a (u)
    where t.run_id = p_run and t.epoch = (a.u->>0)::integer and t.unit = (a.u->>1)::integer
      and t.state <> 'done'
    returning t.epoch, t.unit, t.attempt;
end
$$;

-- Marks the images of the records as done. Raises P2G02 for a span outside of its unit or in an epoch
-- too far ahead, and an exclusion violation for an image that is counted already. All is checked by
-- arithmetic before an epoch is opened.
create or replace function p2pgan.count_images(p_run bigint, p_records jsonb) returns void
language plpgsql set search_path = p2pgan, pg_temp as $$
declare
    outside text;
    counted numeric;
    far integer;
begin
    select string_agg(format('%s/%s%s', s.epoch, s.unit, s.span), ', ') into outside
    from spans_of(p_records) as s, runs r
    where r.id = p_run
      and (isempty(s.span) or s.epoch < 0 or s.unit < 0
           or lower(s.span) < s.unit::bigint * r.unit_images
           or upper(s.span) > least((s.unit + 1::bigint) * r.unit_images, r.image_count));
    if outside is not null then
        raise exception 'spans outside of their units: %', outside using errcode = 'P2G02';
    end if;
    -- What the records name twice counts once here, so that it does not stretch the bound.
    select r.images + coalesce(sum(upper(piece) - lower(piece)), 0) into counted
    from runs r left join (
        select unnest(range_agg(span)) as piece from spans_of(p_records) group by epoch
    ) as pieces on true
    where r.id = p_run group by r.images;
    select max(s.epoch) into far from spans_of(p_records) as s where not epoch_is_near(p_run, s.epoch, counted);
    if far is not null then
        raise exception 'epoch % is too far ahead of % images counted', far, counted using errcode = 'P2G02';
    end if;
    perform open_epoch(p_run, e.epoch) from (select distinct epoch from spans_of(p_records)) as e;
    insert into contributions (run_id, version, peer, epoch, unit, span)
    select p_run, s.version, s.peer, s.epoch, s.unit, s.span from spans_of(p_records) as s;
    update units u
    set done = u.done + s.covered,
        state = case when u.done + s.covered = int4multirange(u.span) then 'done' else u.state end
    from (select epoch, unit, range_agg(span) as covered from spans_of(p_records) group by epoch, unit) as s
    where u.run_id = p_run and u.epoch = s.epoch and u.unit = s.unit;
end
$$;
