-- Each commit writes megabytes and deletes as many. The server's defaults vacuum a table once a fifth of its
-- rows are dead, slowly; by then the files have grown to many times of what is kept, and never shrink.
--
-- About 64 MiB of dead bytes are enough, whatever the size: 64 chunks, and the 526 pieces in which the server
-- stores each of them out of line. No pauses: a pause lets the next commit take new room.
alter table p2pgan.chunks set (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 64,
    autovacuum_vacuum_cost_delay = 0,
    toast.autovacuum_vacuum_scale_factor = 0,
    toast.autovacuum_vacuum_threshold = 33664,
    toast.autovacuum_vacuum_cost_delay = 0
);
