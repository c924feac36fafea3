-- An epoch is opened together with those before it: a leader may hand out a whole epoch while the
-- database is away, and commit work of the next one first.
create or replace function p2pgan.open_epoch(p_run bigint, p_epoch integer) returns void
language sql set search_path = p2pgan, pg_temp as $$
    insert into units (run_id, epoch, unit, span)
    select r.id, e, first / r.unit_images, int4range(first, least(first + r.unit_images, r.image_count))
    from runs r,
         generate_series((select coalesce(max(epoch) + 1, 0) from units where run_id = p_run), p_epoch) as e,
         generate_series(0, r.image_count - 1, r.unit_images) as first
    where r.id = p_run
    on conflict do nothing
$$;
