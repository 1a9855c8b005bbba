"""The switches of the stand-in: how far it misbehaves, changeable while it runs."""

import random
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Rate = Annotated[float, Field(ge=0, le=1)]
Answers = Annotated[int, Field(ge=-1)]  # how many of the next answers; -1 = all of them
Seconds = Annotated[float, Field(ge=0)]

WEEK_S = 7 * 24 * 3600


class Faults(BaseModel):
    """The defaults are DOJOT 0.7.1 on a good day: no faults, but all of its manners."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    # MQTT and what lies behind it
    drop_rate: Rate = 0  # acknowledged, then lost between broker and history
    forget: bool = False  # every message acknowledged and lost (Kafka down)
    duplicate_rate: Rate = 0  # stored twice (producer retries)
    delay_s: Seconds = 0  # from broker to history
    refuse_publishes: bool = False  # as if every device published to another one's topic
    silent_for: str = ""  # user name of a device, * for all: its publications vanish unanswered
    refuse_connect_of: str = ""  # the same: CONNECT is answered with "not authorized"
    cut_after_s: Seconds | None = 1800  # age at which a connection is cut; None = never
    commit_every_s: Seconds = 5  # what was stored since comes again after a poison
    kafka_retention_s: Seconds = 1800  # how long the persister may be down
    retention_s: Seconds | None = WEEK_S  # from the timestamp of the row; None = 0.7.0, for ever
    sweep_every_s: Seconds = 60

    # Gateway and login
    limit_logins: bool = True  # 5 per minute and 40 per hour and address
    token_lifetime_s: Seconds = 420
    enforce_exp: bool = False  # a plain installation never checks it

    # Answers over HTTP, counted down as they are used
    http_scope: str = "/"  # only paths that begin so suffer
    next_429: Answers = 0
    next_403: Answers = 0  # empty body: the permission service is down
    next_500: Answers = 0  # nothing was done
    next_500_but_done: Answers = 0  # the 500 that means "created"
    next_html: Answers = 0
    next_half_json: Answers = 0
    next_wrong_types: Answers = 0  # valid JSON of another shape
    http_delay_s: Seconds = 0
    refuse_label: str | None = None  # a device with this label is answered 500 and never made

    # History
    ts_form: str = Field(default="real", pattern="^(real|fraction)$")  # fraction: six digits always

    def take(self, name: str, path: str) -> bool:
        """Use up one answer of the counted fault ``name``, if it is on for ``path``."""
        left: int = getattr(self, name)
        if not left or not path.startswith(self.http_scope):
            return False
        if left > 0:
            setattr(self, name, left - 1)
        return True

    def change(self, changes: dict[str, object]) -> None:
        """Apply all of ``changes`` or none; raises pydantic.ValidationError."""
        checked = Faults.model_validate({**self.model_dump(), **changes})
        for name in changes:
            setattr(self, name, getattr(checked, name))


class Dice:
    """Random faults that can be repeated."""

    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(seed)

    def falls(self, rate: float) -> bool:
        return rate > 0 and self._random.random() < rate
