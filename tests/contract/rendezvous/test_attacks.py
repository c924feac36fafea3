"""What an invited login may try with its own connection, past the package: refused, or harmless."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from p2pgan.errors import InternalError, RendezvousRefused, RendezvousUnavailable, SchemaMismatch
from p2pgan.protocol.ids import Span
from p2pgan.rendezvous import PeerStat, Rendezvous
from tests.contract.rendezvous.guests import Guest
from tests.contract.rendezvous.scenes import Scene, make_snapshot, registration

FIRST = Span(0, 0, 0, 300)
REFUSED = psycopg.errors.InsufficientPrivilege

STATEMENTS = {
    "move the head": "update runs set version = version + 1, digest = 'forged'",
    "rewrite a version": "update manifests set digest = 'forged'",
    "add a version": "insert into manifests (run_id, version, digest, parent_digest, term, attempt, images) "
    "select id, 1, 'forged', digest, 1, 1, 0 from runs",
    "swap bytes": "update chunks set data = 'forged'",
    "add bytes": "insert into chunks (run_id, digest, data) select id, 'forged', 'forged' from runs",
    "drop bytes": "delete from chunks",
    "count images": "insert into contributions select id, 0, 'A', 0, 0, '[0,1)' from runs",
    "mark units": "update units set done = '{}'",
    "take the pen": "update leases set holder = null, term = term + 1000",
    "lock the pen": "select from leases for update",
    "lock the pen a little": "select from leases for key share",
    "lock all pens": "do $$ begin lock table leases in exclusive mode; end $$",
    "lock all peers": "do $$ begin lock table peers in row exclusive mode; end $$",
    "lock the head": "select from runs for no key update",
    "delete peers": "delete from peers",
    "insert a peer": "insert into peers (run_id, id, name, device, control_address, bulk_address, can_lead) "
    "select id, 'forged', 'x', 'x', 'x', 'x', true from runs",
    "become seen for ever": "update peers set last_seen = 'infinity'",
    "give a peer away": "update peers set login = 'postgres' where login = session_user",
    "rename a key": "update peers set id = 'forged' where login = session_user",
    "empty a table": "truncate events",
    "drop a table": "drop table samples",
    "drop the schema": "drop schema p2pgan cascade",
    "change a table": "alter table peers disable row level security",
    "change a function": "create or replace function is_trusted() returns boolean "
    "language sql as 'select true'",
    "shadow a name": "create function p2pgan.now() returns text language sql as $$ select 'x' $$",
    "turn triggers off": "set session_replication_role = replica",
    "become the owner": "do $$ begin execute format('set role %I', p2pgan.owner_role()); end $$",
    "become another": "set session authorization postgres",
    "create a login": "create role accomplice login superuser",
    "invite": "select admit_login('accomplice', 'SCRAM-SHA-256$x', 20)",
    "revoke": "select disable_login('postgres')",
    "dismiss": "select dismiss_peers('postgres')",
    "end sessions": "select end_sessions('postgres')",
    "settle roles": "select settle_roles()",
    "roll back": "select roll_back(1, 0)",
    "score": "insert into scores (run_id, version, peer) select id, 0, 'A' from runs",
    "prune": "select prune_snapshots(1)",
    "count": "select count_images(1, '[]')",
    "open epochs": "select open_epoch(1, 1000000)",
    "hold a pen": "select holds_pen(1, 'A', 1)",
    "read passwords": "select rolpassword from pg_authid",
    "read files": "select pg_read_file('postgresql.conf')",
    "write files": "copy runs to '/tmp/p2pgan-forged'",
    "run programs": "copy events (kind) from program 'id'",
}


@pytest.mark.parametrize("statement", STATEMENTS.values(), ids=STATEMENTS)
def test_statements_that_are_refused(alice: Guest, statement: str) -> None:
    with alice.connect() as connection:
        connection.execute("set search_path = p2pgan")
        with pytest.raises((REFUSED, psycopg.errors.InvalidParameterValue)) as caught:
            connection.execute(statement)
    assert caught.value.sqlstate in ("42501", "22023")


def test_only_the_calls_that_check_for_themselves_can_be_made(server: str, rendezvous: Rendezvous) -> None:
    with psycopg.connect(server) as admin:
        rows = admin.execute(
            "select proname, has_function_privilege('public', oid, 'execute'), "
            "has_function_privilege(p2pgan.peer_role(), oid, 'execute'), prosecdef, proconfig "
            "from pg_proc where pronamespace = 'p2pgan'::regnamespace"
        ).fetchall()
    assert {name for name, _, peers, _, _ in rows if peers} == {
        *("register_peer", "roll_up", "note_offences", "note_work", "finish_run"),
        *("acquire_lease", "renew_lease", "release_lease"),
        *("claim_units", "staged_chunks", "stage_chunk", "commit_weights"),
        *("write_sample", "write_event", "write_metrics"),
        *("begin_score", "write_score", "best_version"),
    }
    assert not any(everyone for _, everyone, _, _, _ in rows)
    assert all("search_path=p2pgan, pg_temp" in (config or []) for _, _, _, _, config in rows)
    assert rendezvous.migrate() == 0


def test_the_owner_cannot_log_in_and_is_no_superuser(server: str, rendezvous: Rendezvous) -> None:
    with psycopg.connect(server) as admin:
        owners = admin.execute(
            "select distinct rolname = p2pgan.owner_role(), rolcanlogin, rolsuper from pg_roles "
            "where oid in ("
            "select relowner from pg_class where relnamespace = 'p2pgan'::regnamespace union "
            "select proowner from pg_proc where pronamespace = 'p2pgan'::regnamespace)"
        ).fetchall()
    assert owners == [(True, False, False)]


def test_a_login_of_one_database_is_nobody_in_another(server: str, fresh: Rendezvous) -> None:
    elsewhere = make_conninfo(fresh.invite("neighbour"), dbname=conninfo_to_dict(server)["dbname"])
    # Without the right to the schema Postgres does not even say that the table is there.
    with Rendezvous(elsewhere) as other, pytest.raises((RendezvousRefused, SchemaMismatch)):
        other.list_runs()
    with psycopg.connect(elsewhere) as connection, pytest.raises(REFUSED):
        connection.execute("select from p2pgan.runs")


# Another's peer ----------------------------------------------------------------------------------


def test_another_peers_row_stays_as_it_is(scene: Scene, alice: Guest, mallory: Guest) -> None:
    before = scene.rendezvous.list_peers(scene.run.id)
    with mallory.connect() as connection:
        for change in ("state = 'left'", "control_address = 'tcp://evil:1'", "can_lead = false"):
            sent = sql.SQL("update p2pgan.peers set {} where id = {}")  # row-level security hides it
            assert connection.execute(sent.format(sql.SQL(change), alice.login)).rowcount == 0  # type: ignore[arg-type]
        locked = connection.execute("select from p2pgan.peers where id = %s for update", [alice.login])
        assert locked.fetchall() == []
    with pytest.raises(RendezvousRefused, match="registered by another login"):
        mallory.rendezvous.register_peer(scene.run.id, registration(alice.login, port=666))
    after = scene.rendezvous.list_peers(scene.run.id)
    assert [(p.id, p.state, p.control_address) for p in after.peers] == [
        (p.id, p.state, p.control_address) for p in before.peers
    ]


def test_nobody_acts_for_anothers_peer(scene: Scene, alice: Guest, mallory: Guest) -> None:
    db, run, victim = mallory.rendezvous, scene.run.id, alice.login
    term = scene.take_pen(victim)
    record = scene.record((victim, FIRST))
    manifest, chunks = scene.snapshot(record)
    for act in (
        lambda: db.acquire_lease(run, victim, 5),
        lambda: db.renew_lease(run, victim, term, 5),
        lambda: db.release_lease(run, victim, term),
        lambda: db.claim_units(run, term, victim, [(0, 0, 0, 300)], 5),
        lambda: db.stage_chunks(run, victim, term, chunks),
        lambda: db.commit_weights(run, victim, term, [record], manifest),
        lambda: db.roll_up(run, victim, term, [PeerStat("A", "lost", 0, 0, "")]),
        lambda: db.finish_run(run, victim, term),
        lambda: db.write_event(run, victim, "note", "forged"),
        lambda: db.write_event(run, None, "note", "forged"),
    ):
        with pytest.raises(RendezvousRefused, match="did not register the peer"):
            act()
    assert scene.rendezvous.read_lease(run).holder == victim
    assert scene.rendezvous.read_progress(run).version == 0
    assert scene.rendezvous.events(run) == ()


def test_keys_come_in_bounded_numbers(scene: Scene, mallory: Guest) -> None:
    for number in range(31):
        mallory.rendezvous.register_peer(scene.run.id, registration(f"{mallory.login}-{number}"))
    with pytest.raises(RendezvousRefused, match="has registered 32 peers already"):
        mallory.rendezvous.register_peer(scene.run.id, registration(f"{mallory.login}-more"))


def test_text_for_terminals_is_plain(scene: Scene, mallory: Guest) -> None:
    with pytest.raises(InternalError, match="peers_are_bounded"):
        mallory.rendezvous.register_peer(scene.run.id, registration(mallory.login, name="\x1b[2J"))
    mallory.rendezvous.write_event(scene.run.id, mallory.login, "note", "\x1b[2J" + "x" * 5000)
    (event,) = scene.rendezvous.events(scene.run.id)
    assert event.text.isprintable()
    assert len(event.text) == 2000


# The pen -----------------------------------------------------------------------------------------


def test_a_forged_term_changes_nothing(scene: Scene, mallory: Guest) -> None:
    db, run, me = mallory.rendezvous, scene.run.id, mallory.login
    record = scene.record((me, FIRST))
    manifest, chunks = scene.snapshot(record)
    for term in (0, 1, 2, 2**40):
        assert db.renew_lease(run, me, term, 5) is None
        assert not db.release_lease(run, me, term)
        assert db.claim_units(run, term, me, [(0, 0, 0, 300)], 5) is None
        assert db.stage_chunks(run, me, term, chunks) == 0
        assert not db.commit_weights(run, me, term, [record], manifest).committed
        assert not db.roll_up(run, me, term, [PeerStat("A", "lost", 0, 0, "")])
        assert not db.finish_run(run, me, term)
    assert scene.rendezvous.read_lease(run).holder == "A"
    assert scene.rendezvous.read_progress(run).version == 0


def test_a_leader_cannot_write_a_version_of_a_term_to_come(scene: Scene, mallory: Guest) -> None:
    term = scene.take_pen(mallory.login)
    made = scene.record((mallory.login, FIRST))
    forged = type(made)(**{name: getattr(made, name) for name in made.__struct_fields__} | {"term": term + 1})
    with pytest.raises(InternalError, match="which has not come"):
        Scene(mallory.rendezvous, scene.run).commit(forged, peer=mallory.login, term=term)
    assert scene.rendezvous.read_progress(scene.run.id).version == 0


def test_the_pen_cannot_be_had_for_longer_than_the_run_says(
    server: str, scene: Scene, mallory: Guest
) -> None:
    db, run, me = mallory.rendezvous, scene.run.id, mallory.login
    term = scene.take_pen("B")
    assert scene.rendezvous.release_lease(run, "B", term)
    for seconds in (1e9, float("inf"), float("nan")):
        lease = db.acquire_lease(run, me, seconds) or db.read_lease(run)
        assert lease.expires_in_s <= 60
        renewed = db.renew_lease(run, me, lease.term, seconds)
        assert renewed is not None
        assert renewed.expires_in_s <= 60
    assert db.release_lease(run, me, lease.term, me, 1e9)
    with psycopg.connect(server) as admin:
        reserved = admin.execute(
            "select reserved_until - clock_timestamp() < interval '11 s' "
            "from p2pgan.leases where run_id = %s",
            [run],
        ).fetchone()
    assert reserved == (True,)


def test_a_leader_cannot_end_the_run_before_its_goal(scene: Scene, mallory: Guest) -> None:
    term = scene.take_pen(mallory.login)
    with pytest.raises(RendezvousRefused, match="goal of the run is not reached"):
        mallory.rendezvous.finish_run(scene.run.id, mallory.login, term)
    assert scene.rendezvous.find_run(scene.run.name).state == "active"


def test_a_leader_cannot_say_that_others_left(scene: Scene, mallory: Guest) -> None:
    term = scene.take_pen(mallory.login)
    stats = [PeerStat("A", "left", 0, 0, "")]
    assert mallory.rendezvous.roll_up(scene.run.id, mallory.login, term, stats)
    assert {p.state for p in scene.rendezvous.list_peers(scene.run.id).peers} == {"joining"}


# Weights -----------------------------------------------------------------------------------------


def test_what_a_former_leader_staged_under_a_name_to_come_is_replaced(scene: Scene, mallory: Guest) -> None:
    """Every peer knows the next version, and so the names of its chunks, before it is committed."""
    record = scene.record(("A", FIRST))
    _, chunks = scene.snapshot(record)
    poison = [(name, b"poison".ljust(len(data), b"!")) for name, data in chunks]
    term = scene.take_pen(mallory.login)
    assert mallory.rendezvous.stage_chunks(scene.run.id, mallory.login, term, poison) == len(chunks)
    assert scene.commit(record, term=scene.take_pen("A")).committed
    kept = scene.rendezvous.read_chunks(scene.run.id, [name for name, _ in chunks])
    assert list(kept) == [data for _, data in chunks]


def test_chunks_of_stored_versions_cannot_be_replaced(scene: Scene, mallory: Guest) -> None:
    _, chunks = make_snapshot(0, scene.run.digest, 0)
    term = scene.take_pen(mallory.login)
    poison = [(name, b"poison") for name, _ in chunks]
    assert mallory.rendezvous.stage_chunks(scene.run.id, mallory.login, term, poison) == 0
    with mallory.connect() as connection:
        connection.execute(
            "select p2pgan.stage_chunk(%s, %s, %s, %s, %s)",
            [scene.run.id, mallory.login, term, chunks[0][0], b"poison"],
        )
    kept = scene.rendezvous.read_chunks(scene.run.id, [name for name, _ in chunks])
    assert list(kept) == [data for _, data in chunks]


def test_samples_are_pictures_of_versions_that_the_login_committed(scene: Scene, mallory: Guest) -> None:
    assert scene.commit(scene.record(("A", FIRST))).committed
    with pytest.raises(RendezvousRefused, match="did not commit version 1"):
        mallory.rendezvous.write_sample(scene.run.id, 1, b"\x89PNG")
    with pytest.raises(InternalError, match="a sample is a PNG"):
        scene.rendezvous.write_sample(scene.run.id, 1, b"<svg onload=...>")
    assert scene.rendezvous.samples(scene.run.id) == ()


# Time --------------------------------------------------------------------------------------------


def take(db: Rendezvous, run: int, peer: str) -> float:
    """Try to take the pen as a peer does, again and again; how long it took."""
    begun = time.monotonic()
    while time.monotonic() < begun + 60:
        try:
            if db.acquire_lease(run, peer, 5) is not None:
                return time.monotonic() - begun
        except RendezvousUnavailable:
            continue
    raise AssertionError("the pen stays locked")


@pytest.mark.parametrize("way", ["idle", "asleep"])
def test_a_lease_row_held_locked_without_limits_is_freed(
    server: str, scene: Scene, alice: Guest, mallory: Guest, way: str
) -> None:
    """Mallory lifts all limits of its session, takes the pen and keeps the transaction open."""
    lease = scene.rendezvous.read_lease(scene.run.id)
    assert scene.rendezvous.release_lease(scene.run.id, "A", lease.term)
    with mallory.connect() as connection, ThreadPoolExecutor(1) as pool:
        for limit in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"):
            connection.execute(f"set {limit} = 0")
        connection.execute("begin")
        connection.execute("select p2pgan.acquire_lease(%s, %s, 5)", [scene.run.id, mallory.login])
        asleep = pool.submit(connection.execute, "select pg_sleep(600)") if way == "asleep" else None
        # A transaction that keeps busy is given as long as the longest of the package's own: 30 s.
        assert take(alice.rendezvous, scene.run.id, alice.login) < (60 if asleep else 20)
        with pytest.raises(psycopg.OperationalError):
            asleep.result(30) if asleep else connection.execute("commit")
    assert scene.rendezvous.read_lease(scene.run.id).holder == alice.login


def test_a_locked_row_of_its_own_does_not_keep_the_leader_from_its_work(scene: Scene, mallory: Guest) -> None:
    """A change of its own peer locks the run's row as well, on which commits wait."""
    record = scene.record((mallory.login, FIRST))
    with mallory.connect() as connection:
        connection.execute("set idle_in_transaction_session_timeout = 0")
        connection.execute("begin")
        connection.execute("update p2pgan.peers set state = 'left' where login = session_user")
        deadline = time.monotonic() + 60
        committed = False
        while not committed:
            assert time.monotonic() < deadline
            try:
                committed = scene.commit(record).committed
            except RendezvousUnavailable:
                scene.rendezvous.roll_up(scene.run.id, "A", 1, [])
        with pytest.raises(psycopg.OperationalError):
            connection.execute("commit")


def test_an_advisory_lock_does_not_keep_the_owner_out(rendezvous: Rendezvous, alice: Guest) -> None:
    with alice.connect() as connection:
        connection.execute("select pg_advisory_lock(hashtext('p2pgan.migrations'))")
        assert rendezvous.migrate() == 0


def test_a_spoofed_notification_is_heard_by_nobody(scene: Scene, mallory: Guest) -> None:
    before = scene.rendezvous.status(scene.run.id)
    with mallory.connect() as connection:
        for channel in ("p2pgan", "p2pgan_lease", "lease", "peers"):
            connection.execute("select pg_notify(%s, %s)", [channel, '{"term": 99, "leader": "evil"}'])
    after = scene.rendezvous.status(scene.run.id)
    assert (after["term"], after["leader"], after["version"]) == (before["term"], before["leader"], 0)
    assert scene.commit(scene.record(("A", FIRST))).committed
