"""How fast this peer's uplink is, from what its links deliver while they wait for acknowledgements.

A link is slow because of the uplink, or because of what lies behind it: the receiver's own line, or a
receiver that stands still. Only the first is asked for, and one link alone cannot tell. So each link is
judged for itself, over the time in which frames of its own were on their way up to an acknowledgement,
by what *all* links delivered in that time, and the best of them counts. Where the uplink is the
bottleneck, every busy link sees the whole of it; where one receiver is, its own link sees little, those
that are busy beside it see what there is, and a receiver from which nothing comes says nothing at all.
With one receiver alone the figure is that of the way to it.
"""

from __future__ import annotations

MEASURE_S = 0.05
"""Busy time that makes one measurement; shorter ones say more about the scheduler than about the wire."""
NEWEST = 0.3
"""Weight of a link's newest measurement."""
KEPT_S = 120.0
"""A link that was measured longer ago has no say, so that an uplink that became slow is noticed."""


class Meter:
    """All links of one transport, since they share its uplink. Used by its thread alone."""

    def __init__(self) -> None:
        self.bytes_per_s = 0.0
        """Of late; 0 before the first measurement. May be read from any thread."""
        self._busy: set[LinkMeter] = set()
        self._measured: dict[LinkMeter, float] = {}
        """When each link was measured last."""

    def link(self) -> LinkMeter:
        """The meter of one more link."""
        return LinkMeter(self)

    def began(self, link: LinkMeter) -> None:
        self._busy.add(link)

    def ended(self, link: LinkMeter) -> None:
        self._busy.discard(link)

    def delivered(self, link: LinkMeter, size: int, since: float, now: float) -> None:
        """By ``link``, evenly between ``since`` and ``now``: others that are busy take note."""
        for other in self._busy:
            if other is not link:
                together = max(0.0, now - max(since, other.counts_from))
                other.beside += size * together / (now - since) if now > since else size

    def measured(self, link: LinkMeter, now: float) -> None:
        """``link`` has a new figure."""
        self._measured[link] = now
        self._measured = {each: at for each, at in self._measured.items() if now - at < KEPT_S}
        self.bytes_per_s = max(each.bytes_per_s for each in self._measured)


class LinkMeter:
    """One link's part. Times are seconds of one monotonic clock."""

    def __init__(self, meter: Meter) -> None:
        self.bytes_per_s = 0.0
        """Of all links, while this one was busy."""
        self.counts_from = 0.0
        """Since when this link is busy, or was measured last."""
        self.beside = 0.0
        """Bytes that others delivered since this link's last acknowledgement."""
        self._meter = meter
        self._on_their_way = 0
        self._since = 0.0
        """When this link began to be busy, or something of it was acknowledged last."""
        self._busy_s = 0.0
        self._delivered = 0.0

    def sent(self, size: int, now: float) -> None:
        """A frame of ``size`` bytes left."""
        if not self._on_their_way:
            self._since = self.counts_from = now
            self._meter.began(self)
        self._on_their_way += size

    def acknowledged(self, size: int, now: float) -> None:
        """The receiver has so many bytes."""
        self._meter.delivered(self, size, self._since, now)
        self._delivered += size + self.beside
        self._busy_s += now - self._since
        self._since, self.beside = now, 0.0
        self._on_their_way -= size
        if not self._on_their_way:
            self._meter.ended(self)
        if self._busy_s >= MEASURE_S:
            fresh = self._delivered / self._busy_s
            known = self.bytes_per_s or fresh
            self.bytes_per_s = known + NEWEST * (fresh - known)
            self._busy_s, self._delivered, self.counts_from = 0.0, 0.0, now
            self._meter.measured(self, now)

    def lost(self) -> None:
        """What is on its way will not be acknowledged, since its connection ended: that time says nothing."""
        self._on_their_way, self.beside = 0, 0.0
        self._meter.ended(self)
