"""Calls to the modelled rendezvous: what the database does with each effect."""

from __future__ import annotations

from p2pgan.protocol.effects import (
    AcquireLease,
    ClaimUnits,
    Commit,
    Effect,
    FinishRun,
    LoadFromRendezvous,
    ReadLease,
    ReadPeers,
    ReadProgress,
    ReleaseLease,
    RenewLease,
    RollUp,
)
from p2pgan.protocol.events import (
    CommitDone,
    CommitRefused,
    Event,
    FinishDone,
    LeaseAcquired,
    LeaseLost,
    LeaseRefused,
    LeaseReleased,
    LeaseRenewed,
)
from p2pgan.protocol.ids import PeerId
from p2pgan.simulation.world import World


def execute_at_database(world: World, me: PeerId, effect: Effect) -> Event | None:
    """Execute ``effect`` for the peer ``me``; its answer, or None if nobody waits for one."""
    db, config, now = world.rendezvous, world.config, world.now
    match effect:
        case ReadLease():
            return db.read_lease(now)
        case AcquireLease():
            acquired = db.acquire(me, config.ttl_s, now)
            return LeaseRefused() if acquired is None else LeaseAcquired(acquired)
        case RenewLease(term):
            renewed = db.renew(me, term, config.ttl_s, now)
            return LeaseRenewed(term, db.generation) if renewed else LeaseLost(term)
        case ReleaseLease(term, successor):
            released = db.release(me, term, successor, now)
            return LeaseReleased(term) if released else LeaseLost(term)
        case ReadPeers():
            if me not in db.peers:
                db.register(me, now)
            return db.read_peers(now)
        case ReadProgress():
            return db.progress(config.images)
        case Commit(term, records):
            refused = db.commit(me, term, records)
            return CommitDone(records[-1].version) if refused is None else CommitRefused(term, refused)
        case FinishRun(term):
            return FinishDone() if db.finish(me, term) else LeaseLost(term)
        case RollUp(term, stats):
            db.roll_up(me, term, tuple(s.peer for s in stats if s.alive), now)
            return None
        case ClaimUnits() | LoadFromRendezvous():
            return None
        case _:
            raise AssertionError(f"no model for {effect}")
