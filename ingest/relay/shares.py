"""Which shards a relay holds, so that all of them have about as many. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

SHARDS = 8


@dataclass(frozen=True, slots=True)
class Shares:
    """What to do next.

    Attributes:
        hold: Claim or go on claiming, and send from.
        leave: Ours and too many: send nothing new from them, release them once empty.
    """

    hold: frozenset[int]
    leave: frozenset[int]


def divide(holders: Mapping[int, UUID | None], me: UUID, relays: int) -> Shares:
    """Judge by who holds each shard (None: nobody any more) and by how many relays live."""
    fair = -(-SHARDS // max(relays, 1))
    mine = sorted(shard for shard, holder in holders.items() if holder == me)
    free = sorted(shard for shard, holder in holders.items() if holder is None)
    wanted = [*mine, *free][:fair]
    return Shares(frozenset(wanted), frozenset(mine[fair:]))
