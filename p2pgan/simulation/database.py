"""Calls to the modelled rendezvous: what the database does with each effect."""

from __future__ import annotations

from p2pgan.errors import InternalError
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
from p2pgan.simulation.invariants import EXACTLY_ONCE
from p2pgan.simulation.rendezvous import RESERVE_S
from p2pgan.simulation.world import World


def execute_at_database(world: World, me: PeerId, effect: Effect) -> Event | None:
    """Execute ``effect`` for the peer ``me``; its answer, or None if nobody waits for one."""
    db, config, now = world.rendezvous, world.config, world.now
    world.statements += 1
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
            released = db.release(me, term, successor, RESERVE_S, now)
            return LeaseReleased(term) if released else LeaseLost(term)
        case ReadPeers():
            return db.read_peers(now)
        case ReadProgress():
            return db.progress()
        case Commit():
            return _commit(world, me, effect)
        case FinishRun(term):
            return FinishDone() if db.finish(me, term) else LeaseLost(term)
        case RollUp(term, stats):
            db.roll_up(me, term, {s.peer: s.alive for s in stats}, now)
            return None
        case ClaimUnits(term, units):
            db.claim(me, term, units)
            return None
        case LoadFromRendezvous():
            return None
        case _:
            raise AssertionError(f"no model for {effect}")


def _commit(world: World, me: PeerId, effect: Commit) -> Event:
    try:
        refused, fresh = world.rendezvous.commit(me, effect.term, effect.records)
    except InternalError as error:
        world.violated(EXACTLY_ONCE, str(error))
        return CommitRefused(effect.term, str(error))
    world.invariants.committed(fresh)
    if refused is not None:
        return CommitRefused(effect.term, refused)
    return CommitDone(effect.records[-1].version)
