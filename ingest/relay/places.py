"""Which devices keep a connection when there are more of them than connections. Pure.

Closing the least used one would close each just before it is needed, as devices send in turn.
So most places belong to devices that keep them, and the others share a few.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)

_SHARED_AT_MOST = 256
_UNUSED_S = 600.0  # a place that was not used for so long is given to another device


class Places(Generic[T]):
    """At most ``limit`` holders of a place; all keep theirs until there are more than that.

    Args:
        is_idle: Whether a holder has nothing to do, so that its place may be taken.
        clock: Seconds.
    """

    def __init__(
        self, limit: int, is_idle: Callable[[T], bool], clock: Callable[[], float]
    ) -> None:
        self._limit = limit
        self._shared_at_most = 0  # as long as there is a place for each
        self._is_idle = is_idle
        self._clock = clock
        self._kept: OrderedDict[T, float] = OrderedDict()  # when last used, least used first
        self._shared: OrderedDict[T, None] = OrderedDict()  # least used first

    def __len__(self) -> int:
        return len(self._kept) + len(self._shared)

    def __iter__(self) -> Iterator[T]:
        yield from list(self._kept)
        yield from list(self._shared)

    def __contains__(self, holder: T) -> bool:
        return holder in self._kept or holder in self._shared

    @property
    def has_room_to_keep(self) -> bool:
        """Whether the next one to come would keep its place."""
        return len(self._kept) < self._limit - self._shared_at_most

    def take(self, holder: T) -> bool:
        """Give it a place if there is a free one."""
        if self.has_room_to_keep:
            self._kept[holder] = self._clock()
        elif len(self._shared) < self._shared_at_most:
            self._shared[holder] = None
        else:
            return False
        return True

    def share(self) -> None:
        """There are more than places: from now on some places are for all who have none."""
        if not self._shared_at_most:
            self._shared_at_most = max(1, min(_SHARED_AT_MOST, self._limit // 8))
            while len(self._kept) > self._limit - self._shared_at_most:
                self._shared[self._kept.popitem(last=False)[0]] = None

    def used(self, holder: T) -> None:
        if holder in self._kept:
            self._kept[holder] = self._clock()
            self._kept.move_to_end(holder)
        elif holder in self._shared:
            self._shared.move_to_end(holder)

    def is_shared(self, holder: T) -> bool:
        """Whether its place is wanted as soon as it rests, if anybody waits for one."""
        return holder in self._shared

    def free(self, holder: T) -> None:
        self._kept.pop(holder, None)
        self._shared.pop(holder, None)

    def unused(self) -> T | None:
        """One that kept its place without need; another device may have more use for it."""
        first, used_at = next(iter(self._kept.items()), (None, 0.0))
        is_unused = first is not None and self._clock() - used_at > _UNUSED_S
        return first if is_unused and first is not None and self._is_idle(first) else None

    def resting(self) -> T | None:
        """One of a shared place that has nothing to do."""
        return next(filter(self._is_idle, self._shared), None)
