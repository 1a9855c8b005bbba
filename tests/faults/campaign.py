"""Round after round: load, one breakage, drain, judge. One set of processes lives through all."""

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from testbench.account import SessionAccount
from tests.faults.aftermath import never_repaired, wrong_energies
from tests.faults.breakages import BREAKAGES, OUR_CLOCK_JUMPS, SELDOM, Amiss
from tests.faults.dojot_breakages import (
    DOJOT_BREAKAGES,
    LOSE_IN_DOJOT,
    NEVER_DOUBLE_IN_DOJOT,
)
from tests.faults.load import Load
from tests.faults.plant import Plant, planted
from tests.faults.verdict import Verdict, copies_in_dojot, judge, missing_in_dojot

logger = logging.getLogger("faults")

_DRAIN_S = 180
_RELAY_S = 60


@dataclass
class Plan:
    """What a campaign does. The same plan picks the same breakages at the same moments.

    Attributes:
        seconds: Of load before and after each breakage, together.
        kinds: Names of breakages; each round has one of them.
    """

    seed: int
    rounds: int
    seconds: float = 2.0
    charge_points: int = 6
    with_dojot: bool = True
    kinds: Sequence[str] = ()

    def known_kinds(self) -> dict[str, object]:
        return {**BREAKAGES, **(DOJOT_BREAKAGES if self.with_dojot else {})}

    def picks(self) -> list[str]:
        """Every kind once in random order, then most of them again: few rounds cover much."""
        chance = random.Random(self.seed)
        kinds = list(self.kinds or self.known_kinds())
        again = [kind for kind in kinds if kind not in SELDOM] or kinds
        picks = chance.sample(kinds, len(kinds))
        while len(picks) < self.rounds:
            picks += chance.sample(again, len(again))
        return picks[: self.rounds]


@dataclass
class Outcome:
    """What a campaign came to.

    Attributes:
        defects: Everything else that must not be: stuck charge points, tracebacks, missing in
            DOJOT what nobody but DOJOT could lose, twice in DOJOT what nothing sent twice.
        doubled_in_dojot: Messages it has more than once, by what broke then.
    """

    rounds: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    confirmed: int = 0
    readings: int = 0
    sessions: int = 0
    given_up: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    defects: list[str] = field(default_factory=list)
    forgotten_by_dojot: int = 0
    doubled_in_dojot: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.doubled or self.defects)

    def add(self, kind: str, verdict: Verdict) -> None:
        self.rounds += 1
        self.kinds[kind] += 1
        for name in ("confirmed", "readings", "sessions", "given_up"):
            setattr(self, name, getattr(self, name) + getattr(verdict, name))
        self.lost += [f"round {self.rounds} ({kind}): {case}" for case in verdict.lost]
        self.doubled += [f"round {self.rounds} ({kind}): {case}" for case in verdict.doubled]


Progress = Callable[[str], None]


async def carry_out(plan: Plan, folder: Path, progress: Progress = print) -> Outcome:
    """Run the campaign; ``folder`` keeps the logs of the programs."""
    began, outcome = time.monotonic(), Outcome()
    async with planted(folder, with_dojot=plan.with_dojot) as plant:
        load = Load(plant.url, plan.charge_points, random.Random(plan.seed))
        async with load.running():
            campaign = _Campaign(plan, plant, load, outcome, progress)
            for number, kind in enumerate(plan.picks(), start=1):
                if not await campaign.round(number, kind):
                    break
        await campaign.close()
    outcome.seconds = time.monotonic() - began
    return outcome


@dataclass
class _Campaign:
    plan: Plan
    plant: Plant
    load: Load
    outcome: Outcome
    progress: Progress
    _sessions: list[SessionAccount] = field(default_factory=list)
    _since: datetime = field(default_factory=lambda: datetime.now(UTC))
    _sampled_since: datetime = field(default_factory=lambda: datetime.now(UTC))
    _forgotten: set[str] = field(default_factory=set)
    _copies: set[str] = field(default_factory=set)
    _tracebacks: Counter[str] = field(default_factory=Counter)

    async def round(self, number: int, kind: str) -> bool:
        """Carry out one round; False: going on would say nothing."""
        chance = random.Random(f"{self.plan.seed} {number}")
        began = time.monotonic()
        logger.info("round %d: %s", number, kind)
        self._sampled_since = self.load.clock.now() - timedelta(minutes=1)
        self.load.begin()
        share = chance.uniform(0.3, 0.7)
        await asyncio.sleep(self.plan.seconds * share)
        broke = time.monotonic()
        try:
            await self.plan.known_kinds()[kind](self.plant, chance)  # type: ignore[operator]
        except Amiss as exc:
            self.outcome.defects.append(f"round {number} ({kind}): {exc}")
        broken_s = time.monotonic() - broke
        await asyncio.sleep(self.plan.seconds * (1 - share))
        self._revive(number, kind)
        drained = time.monotonic()
        try:
            await self.load.end(_DRAIN_S)
        except TimeoutError:
            stuck = ", ".join(self.load.stuck())
            self.outcome.defects.append(f"round {number} ({kind}): stuck: {stuck}")
            return False
        drain_s = time.monotonic() - drained
        verdict = await self._judge(kind)
        self.outcome.add(kind, verdict)
        for case in (*verdict.lost, *verdict.doubled):
            logger.error("round %d: %s", number, case)
        await self._check_dojot(number, kind)
        await self._count_copies(number, kind)
        self._find_tracebacks(number, kind)
        self.progress(
            f"round {number:3} {kind:36} confirmed {verdict.confirmed:5}"
            f" lost {len(verdict.lost)} doubled {len(verdict.doubled)}"
            f" given up {verdict.given_up} broken {broken_s:4.1f} s drained {drain_s:4.1f} s"
            f" whole {time.monotonic() - began:4.1f} s"
        )
        return True

    def _revive(self, number: int, kind: str) -> None:
        """A program that ends by itself is a defect; somebody would start it again."""
        defects, dojot = self.outcome.defects, self.plant.dojot
        if not self.plant.central_system.is_alive:
            defects.append(f"round {number} ({kind}): ingest ended by itself")
            self.plant.central_system.start()
        if dojot is not None and not dojot.relay.is_alive:
            defects.append(f"round {number} ({kind}): the relay ended by itself")
            dojot.relay.start()

    async def _judge(self, kind: str) -> Verdict:
        account, book, since = self.load.account, self.load.book, self._since
        for charge_point in self.load.charge_points:  # those whose stop was given up, too
            account.close_all(charge_point.charge_point_id)
        sessions = list(account.closed)
        self._sessions += sessions

        def look() -> Verdict:
            with self.plant.connect() as conn:
                jumped = kind in OUR_CLOCK_JUMPS
                return judge(conn, book.exchanges, sessions, since, our_clock_jumped=jumped)

        verdict = await asyncio.to_thread(look)
        account.closed.clear()
        self._since = datetime.now(UTC)  # charge points send heartbeats between the rounds too
        book.turn_over()
        return verdict

    async def _check_dojot(self, number: int, kind: str) -> None:
        """Every committed reading reached DOJOT, but for what DOJOT itself forgot."""
        dojot = self.plant.dojot
        if dojot is None:
            return
        identities = [it.charge_point_id for it in self.load.charge_points]

        def look() -> tuple[int, list[str]]:
            with self.plant.connect() as conn:
                waiting = conn.execute("SELECT count(*) FROM dojot_outbox").fetchone()
                if waiting and waiting[0]:
                    return waiting[0], []
                return 0, missing_in_dojot(conn, dojot.database, identities, self._sampled_since)

        missing: list[str] = []
        waiting = 1
        give_up = time.monotonic() + _RELAY_S
        while time.monotonic() < give_up:
            waiting, missing = await asyncio.to_thread(look)
            if not waiting and not set(missing) - self._forgotten:
                return
            if not waiting and kind in LOSE_IN_DOJOT:
                break
            await asyncio.sleep(0.2)
        new = set(missing) - self._forgotten
        self._forgotten |= new
        self.outcome.forgotten_by_dojot += len(new)
        if waiting:
            self.outcome.defects.append(f"round {number} ({kind}): {waiting} rows never relayed")
        elif kind not in LOSE_IN_DOJOT:
            some = sorted(new)[:3]
            self.outcome.defects.append(f"round {number} ({kind}): {len(new)} not in DOJOT: {some}")

    async def _count_copies(self, number: int, kind: str) -> None:
        dojot = self.plant.dojot
        if dojot is None:
            return
        found = await asyncio.to_thread(copies_in_dojot, dojot.database, self._sampled_since)
        new = found - self._copies
        self._copies |= new
        self.outcome.doubled_in_dojot[kind] += len(new)
        if new and kind in NEVER_DOUBLE_IN_DOJOT:
            some = sorted(new)[:3]
            self.outcome.defects.append(f"round {number} ({kind}): twice in DOJOT: {some}")

    def _find_tracebacks(self, number: int, kind: str) -> None:
        """An exception that nobody expected is a finding, also where nothing was lost."""
        for name, text in self.plant.logs().items():
            if name == "stand-in.log":
                continue
            count = text.count("Traceback")
            if count > self._tracebacks[name]:
                self.outcome.defects.append(f"round {number} ({kind}): a traceback in {name}")
                self._tracebacks[name] = count

    async def close(self) -> None:
        """Let the flows see it all, then stop in order."""
        plant, defects = self.plant, self.outcome.defects
        self.outcome.lost += await asyncio.to_thread(wrong_energies, plant, self._sessions)
        if plant.dojot is not None:
            identities = [it.charge_point_id for it in self.load.charge_points]
            left = await never_repaired(plant, identities)
            if left:
                defects.append(f"{len(left)} never came back to DOJOT: {left[:3]}")
        code = await asyncio.to_thread(self.plant.central_system.stop)
        if code:
            self.outcome.defects.append(f"ingest ended with {code}")
