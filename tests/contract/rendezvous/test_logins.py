from __future__ import annotations

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from p2pgan.errors import ConfigError, RendezvousRefused, RendezvousUnavailable
from p2pgan.protocol.ids import Span
from p2pgan.rendezvous import PeerStat, Rendezvous
from tests.contract.rendezvous.guests import Guest, invite_guest
from tests.contract.rendezvous.scenes import Scene, open_scene, registration


def test_an_invited_login_can_do_all_that_a_run_needs(scene: Scene, alice: Guest) -> None:
    db, run, me = alice.rendezvous, scene.run.id, alice.login
    db.check_schema()
    assert db.find_run(scene.run.name).id == run
    term = scene.take_pen(me)
    assert db.read_lease(run).holder == me
    assert db.renew_lease(run, me, term, 5) is not None
    assert db.claim_units(run, term, me, [(0, 0, 0, 300)], 5) is not None
    record = scene.record((me, Span(0, 0, 0, 300)), ("B", Span(0, 1, 300, 600)))
    guest_scene = Scene(db, scene.run, scene.records)
    assert guest_scene.commit(record, peer=me, term=term).committed
    db.write_sample(run, record.version, b"\x89PNG")
    db.write_event(run, me, "note", "committed")
    assert db.roll_up(run, me, term, [PeerStat("B", "active", 1.0, 1, "v1")])
    manifest = db.read_manifest(run)
    assert list(db.read_chunks(run, manifest.chunks)) == [part for _, part in scene.snapshot(record)[1]]
    assert db.status(run)["leader"] == me
    assert db.read_history(run) == (record,)
    assert db.release_lease(run, me, term, "B", 1)
    db.set_peer_state(run, me, "left")


def test_an_invitation_leads_to_the_same_database_and_keeps_the_password_from_the_server(
    server: str, rendezvous: Rendezvous, alice: Guest
) -> None:
    own, theirs = conninfo_to_dict(server), conninfo_to_dict(alice.dsn)
    assert {key: own[key] for key in ("host", "port", "dbname")} == {
        key: theirs[key] for key in ("host", "port", "dbname")
    }
    with psycopg.connect(server) as admin:
        (kept,) = admin.execute(
            "select rolpassword from pg_authid where rolname = %s", [alice.login]
        ).fetchone() or ("",)
    assert kept.startswith("SCRAM-SHA-256$")
    assert str(theirs["password"]) not in kept
    assert conninfo_to_dict(rendezvous.invite(alice.login, "db.example.org"))["host"] == "db.example.org"


def test_each_login_has_its_limits(server: str, alice: Guest) -> None:
    with alice.connect() as connection:
        for setting in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"):
            assert connection.execute(f"show {setting}").fetchone() != ("0",)
    with psycopg.connect(server) as admin:
        role = admin.execute(
            "select rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls, rolconnlimit "
            "from pg_roles where rolname = %s",
            [alice.login],
        ).fetchone()
    assert role == (False, False, False, False, False, 20)


def test_a_second_invitation_replaces_the_password(rendezvous: Rendezvous, alice: Guest) -> None:
    again = Rendezvous(rendezvous.invite(alice.login))
    assert again.list_runs()
    again.close()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        alice.connect()


@pytest.mark.parametrize(
    "name", ["", "Alice", "a b", "pg_alice", "p2pgan_owner", "public", "none", "a" * 41, 'a"b']
)
def test_what_is_not_a_name(rendezvous: Rendezvous, name: str) -> None:
    with pytest.raises(ConfigError, match="is not a name for a login"):
        rendezvous.invite(name)


def test_a_user_who_was_not_invited_keeps_the_password(server: str, rendezvous: Rendezvous) -> None:
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute("drop role if exists registrar")
        admin.execute("create role registrar login password 'own'")
    with pytest.raises(ConfigError, match="registrar is a user of that server already"):
        rendezvous.invite("registrar")
    with pytest.raises(ConfigError, match="nobody was invited as registrar"):
        rendezvous.revoke("registrar")
    psycopg.connect(make_conninfo(server, user="registrar", password="own")).close()


def test_a_revoked_login_is_out_at_once(rendezvous: Rendezvous, scene: Scene, alice: Guest) -> None:
    run = scene.run.id
    scene.take_pen(alice.login)
    generation = rendezvous.list_peers(run).generation
    with alice.connect() as connection:
        assert rendezvous.revoke(alice.login) == 1
        with pytest.raises(psycopg.OperationalError):
            connection.execute("select 1")
    with pytest.raises(RendezvousUnavailable):
        alice.rendezvous.list_runs()  # its session was ended
    with pytest.raises(RendezvousRefused, match="this login was revoked"):
        alice.rendezvous.list_runs()
    with Rendezvous(alice.dsn) as stranger, pytest.raises(RendezvousRefused, match="wrong user or password"):
        stranger.list_runs()
    peers = rendezvous.list_peers(run)
    assert peers.generation > generation
    assert [p.state for p in peers.peers if p.id == alice.login] == ["left"]
    assert rendezvous.read_lease(run).holder is None
    assert rendezvous.acquire_lease(run, "B", 60) is not None
    assert rendezvous.revoke(alice.login) == 0


def test_a_revoked_login_can_be_invited_again(rendezvous: Rendezvous, scene: Scene, alice: Guest) -> None:
    rendezvous.revoke(alice.login)
    with Rendezvous(rendezvous.invite(alice.login)) as again:
        again.register_peer(scene.run.id, registration(alice.login))
        assert again.acquire_lease(scene.run.id, alice.login, 5) is None


def test_peers_are_listed_with_their_logins(rendezvous: Rendezvous, scene: Scene, alice: Guest) -> None:
    idle = f"{alice.login}-idle"
    rendezvous.invite(idle)
    rendezvous.revoke(alice.login)
    rows = {row.login: row for row in rendezvous.list_logins() if row.run in (scene.run.name, None)}
    mine = rows[alice.login]
    assert (mine.peer, mine.name, mine.state, mine.enabled) == (
        alice.login,
        f"name of {alice.login}",
        "left",
        False,
    )
    assert (rows[idle].peer, rows[idle].enabled) == (None, True)


def test_a_peer_belongs_to_its_login_in_every_run(
    rendezvous: Rendezvous, alice: Guest, mallory: Guest
) -> None:
    other = open_scene(rendezvous)
    with pytest.raises(RendezvousRefused, match="registered by another login"):
        mallory.rendezvous.register_peer(other.run.id, registration(alice.login))
    alice.rendezvous.register_peer(other.run.id, registration(alice.login))


def test_an_owner_without_the_right_to_create_roles_leads_but_cannot_invite(
    server: str, fresh_dsn: str
) -> None:
    database = str(conninfo_to_dict(fresh_dsn)["dbname"])
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute("drop role if exists plain_owner")
        admin.execute("create role plain_owner login password 'plain'")
        admin.execute(sql.SQL("alter database {} owner to plain_owner").format(sql.Identifier(database)))
    with Rendezvous(make_conninfo(fresh_dsn, user="plain_owner", password="plain")) as owner:
        owner.migrate()
        scene = open_scene(owner)
        assert scene.commit(scene.record(("A", Span(0, 0, 0, 300)))).committed
        with pytest.raises(RendezvousRefused, match="CREATEROLE"):
            owner.invite("somebody")


def test_an_owner_with_createrole_needs_no_superuser(server: str, fresh_dsn: str) -> None:
    database = str(conninfo_to_dict(fresh_dsn)["dbname"])
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(
            sql.SQL("create role {} login createrole password 'teach'").format(sql.Identifier(database))
        )
        admin.execute(sql.SQL("alter database {} owner to {}").format(*[sql.Identifier(database)] * 2))
    with Rendezvous(make_conninfo(fresh_dsn, user=database, password="teach")) as teacher:
        teacher.migrate()
        scene = open_scene(teacher)
        guest = invite_guest(teacher, scene)
        term = scene.take_pen(guest.login)
        record = scene.record((guest.login, Span(0, 0, 0, 300)))
        assert Scene(guest.rendezvous, scene.run).commit(record, peer=guest.login, term=term).committed
        assert teacher.revoke(guest.login) == 1
        guest.close()
        assert [row.enabled for row in teacher.list_logins() if row.login == guest.login] == [False]
        assert teacher.migrate() == 0


def test_the_login_of_a_class_has_room_for_a_class(fresh: Rendezvous, fresh_dsn: str) -> None:
    scene = open_scene(fresh)
    dsn = fresh.invite("wholeclass", password="blackboard-1", connections=40)
    assert conninfo_to_dict(dsn)["password"] == "blackboard-1"
    with Rendezvous(dsn) as guest:
        for number in range(40):
            guest.register_peer(scene.run.id, registration(f"pupil {number}"))
        with pytest.raises(RendezvousRefused, match="has registered 40 peers already"):
            guest.register_peer(scene.run.id, registration("pupil 40"))
    with psycopg.connect(fresh_dsn) as admin:
        admin.execute("drop owned by wholeclass")
        admin.execute("drop role wholeclass")
