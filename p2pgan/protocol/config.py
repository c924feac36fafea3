"""Times and sizes the rules work with. All times in seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from p2pgan.protocol.codecs import CodecChoice


@dataclass(frozen=True)
class ProtocolConfig:
    """What a run's rules depend on; equal on all peers of a run."""

    images: int
    """Images in the data set."""
    unit_images: int
    microbatch: int
    vector_size: int
    """Elements of the flat canonical vector."""
    schema_hash: str
    vector_border: int = 0
    """Where a part of it ends that is exchanged before the rest is trained; 0 if none is."""
    codec: CodecChoice = "fp16"
    sync: Literal["deltas", "gradients", "gossip"] = "deltas"
    """What a contribution is: how far the weights moved, or their gradients."""
    mix_s: float | None = None
    """With ``gossip``: time between two steps in which peers mix their weights."""
    round_s: float = 5.0
    """Training time aimed at between two averagings."""
    local_steps: int | None = None
    """Steps of a microbatch between two averagings, in place of ``round_s``."""
    commit_s: float = 5.0
    """Least time between the starts of two commits."""
    rotate_every: int = 20
    """Commits after which the leader hands over the pen; 0 never."""
    parts: tuple[int, ...] = ()
    """Where the parts of an epoch end that should go to different peers; none if all images are alike."""
    goal_epochs: int | None = None
    goal_versions: int | None = None

    ttl_s: float = 6.0
    renew_s: float = 2.0
    margin_s: float = 1.0
    """A holder trusts its lease until request + ttl_s - margin_s on its own clock."""
    heartbeat_s: float = 0.5
    silence_s: float = 2.5
    """A peer not heard for this long is taken as gone."""
    link_ended_s: float = 1.0
    """So is one to which a connection ended, and which is not heard for this long after that."""
    poll_s: float = 0.5
    """Between two looks at the lease row while the leader is silent."""
    gather_s: float = 1.5
    """A new leader waits at most this long for the reports of the peers it knows."""
    resend_s: float = 1.0
    """Without progress for this long, what is missing is asked for again."""
    exchange_s: float = 8.0
    """An exchange among live members that takes longer than this is arranged anew."""
    stuck_s: float = 3.0
    """A member behind its leader for this long fetches a snapshot."""
    takeover_grace_s: float = 4.0
    """How long followers leave an expired lease to a leader they still hear."""
    leave_s: float = 5.0
    """A leaver waits at most this long for the exchange it takes part in."""
    set_aside_s: float = 120.0
    """A peer whose contributions are not valid gets no work for so long, at most until the term ends."""
    rollup_s: float = 2.0
    unit_lease_s: float = 120.0
    recent_records: int = 32
    """Committed records kept in the ledger for members that missed them."""

    @property
    def overlaps(self) -> bool:
        """Whether training goes on while a round is exchanged, on top of weights that the round replaces.

        A gradient is only of use at the weights it was taken at.
        """
        return self.sync != "gradients"
