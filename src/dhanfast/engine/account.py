"""What the engines of one broker account share on this machine, and what each has for itself.

The account's folder is named by a digest, never by the client's id. In it stand

    requests.budget   what all of them have sent (`_core.live.sharedbudget`)
    NAME.engine       one a live engine, locked while it runs: the contracts it trades, the broker's
                      own exit it wants; what a dead one has left is taken away by the next
    join.lock         held by who compares itself with the others

A position at the broker is of a contract, not of an engine: two engines that trade one contract
would each take the other's units for a difference. So a contract has one engine.
"""

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from dhanfast._core.live.sharedbudget import SharedBudget
from dhanfast.clock import Clock
from dhanfast.engine.belt import Held
from dhanfast.errors import DhanfastError, UsageError

BUDGET_FILE: Final = "requests.budget"
DAMAGED: Final = "the count of the account's requests is not whole"
LOOK_S: Final = 1.0
SHOWN: Final = 3  # contracts in a message
SUFFIX: Final = ".engine"
_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


def account_digest(address: str, client: str) -> bytes:
    """What tells an account from others.

    Args:
        address: of the broker's REST API. client: the account's id there.
    """
    return hashlib.sha256(f"dhanfast account\0{address}\0{client}".encode()).digest()


def account_folder(run: Path, digest: bytes) -> Path:
    """The account's folder, made when it is not there.

    Args:
        run: the user's folder of running engines.
    Raises:
        DhanfastError: it cannot be made.
    """
    folder = run / f"account-{digest.hex()[:16]}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise DhanfastError(
            f"{folder}: the account's folder cannot be made ({error.strerror}); look at the owner "
            "and mode of the folder above it"
        ) from error
    return folder


@dataclass(frozen=True, slots=True)
class Stake:
    """What an engine has for itself of an account.

    Attributes:
        run: its name. contracts: it trades, "SEGMENT ID" -> name.
        belt: the broker's own exit that it wants, in words; empty: none.
        pid: of its process.
    """

    run: str
    contracts: Mapping[str, str]
    belt: str = ""
    pid: int = 0

    def against(self, other: "Stake") -> str:
        """Why both cannot run; empty when they can."""
        both = sorted(self.contracts.keys() & other.contracts.keys())
        who = f"engine {other.run} (pid {other.pid})"
        if both:
            names = ", ".join(self.contracts[one] for one in both[:SHOWN])
            more = f" and {len(both) - SHOWN} more" if len(both) > SHOWN else ""
            return (
                f"{who} trades {names}{more} on this account: the broker has one position of a "
                "contract, and nobody could tell whose it is; end that engine, or have this one "
                "trade another underlying or expiry, or both as one blend"
            )
        if self.belt and other.belt and self.belt != other.belt:
            return (
                f"{who} has the broker's own exit at {other.belt}, this one wants it at "
                f"{self.belt}, and an account has one: give both the same amounts in rupees "
                "(risk.broker_loss_exit, risk.broker_profit_exit), or this one none"
            )
        return ""


class Claim:
    """An engine's place among those of its account, until it is closed or its process ends.

    Args:
        folder: of the account. stake: what it needs for itself.
    Attributes:
        others: engines that ran on the account when it joined.
    Raises:
        UsageError: another engine has what this one needs; the message names it.
        DhanfastError: the folder cannot be written.
    """

    def __init__(self, folder: Path, stake: Stake) -> None:
        self._folder, self._path = folder, folder / f"{stake.run}{SUFFIX}"
        try:
            with _alone(folder):
                self.others = tuple(_running(folder, besides=self._path))
                self._handle = self._taken(stake)
        except OSError as error:
            raise DhanfastError(
                f"{folder}: engines of the account cannot be told apart ({error.strerror}); look "
                "at the owner and mode of the folder and what is in it"
            ) from error

    def _taken(self, stake: Stake) -> int:
        """Its own file, locked, in which the others read."""
        for other in self.others:
            reason = stake.against(other)
            if reason:
                raise UsageError(reason)
        handle = os.open(self._path, _FLAGS, 0o600)
        try:
            if not _locked(handle):
                raise UsageError(
                    f"engine {stake.run} trades on this account already; give this one another "
                    "name (engine.run)"
                )
            told = {
                "run": stake.run, "pid": os.getpid(), "belt": stake.belt,
                "contracts": dict(stake.contracts),
            }  # fmt: skip
            os.ftruncate(handle, 0)
            os.pwrite(handle, json.dumps(told).encode(), 0)
        except BaseException:
            os.close(handle)
            raise
        return handle

    def close(self) -> None:
        """Give the place up; a second time does nothing."""
        if self._handle >= 0:
            with _alone(self._folder):
                self._path.unlink(missing_ok=True)
                os.close(self._handle)
            self._handle = -1

    def __enter__(self) -> Self:
        """As it is."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Nobody else joins or leaves meanwhile."""
    door = os.open(folder / "join.lock", _FLAGS, 0o600)
    try:
        fcntl.flock(door, fcntl.LOCK_EX)
        yield
    finally:
        os.close(door)


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _running(folder: Path, *, besides: Path) -> Iterator[Stake]:
    """What the engines that run have; files of dead ones are taken away."""
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        if path == besides:
            continue
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            if _locked(handle):
                path.unlink(missing_ok=True)
            else:
                yield _read(path)
        finally:
            os.close(handle)


def _read(path: Path) -> Stake:
    """What an engine that runs has written of itself.

    Raises:
        DhanfastError: it cannot be read: nobody could tell what that engine trades.
    """
    try:
        told = json.loads(path.read_text())
        contracts = {str(key): str(name) for key, name in told["contracts"].items()}
        return Stake(str(told["run"]), contracts, str(told["belt"]), int(told["pid"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DhanfastError(
            f"{path}: what a running engine trades cannot be read from it; end that engine and "
            "start it again"
        ) from error


class AccountOrders:
    """The account's limits for who orders without an engine; `brokers.dhan.limits.SharedOrders`.

    Args:
        budget: of the account. clock: of the machine.
    """

    def __init__(self, budget: SharedBudget, clock: Clock) -> None:
        self._budget, self._clock = budget, clock
        self._prepaid = 0

    def wait_ns(self, *, urgent: bool) -> int:
        """Nanoseconds until another request may leave; 0 = now."""
        return self._budget.wait_of(self._clock.now_ns(), urgent=urgent)

    def prepay(self, *, urgent: bool) -> int:
        """As `wait_ns`; at 0 it is counted, and `spend` follows."""
        wait_ns = self._budget.reserve(self._clock.now_ns(), urgent=urgent)
        self._prepaid += wait_ns == 0
        return wait_ns

    def spend(self, count: int) -> None:
        """So many have left, now."""
        paid = min(self._prepaid, count)
        self._prepaid -= paid
        if count > paid:
            self._budget.spend(self._clock.now_ns(), count - paid)


@dataclass(frozen=True, slots=True)
class LiveAccount:
    """The account of a live engine.

    Attributes:
        budget: of requests. claim: its place among the account's engines.
    """

    budget: SharedBudget
    claim: Claim

    def belt_is_set(self, belt: str) -> bool:
        """Whether another engine has asked for the same exit: it is looked at, not set again."""
        return bool(belt) and any(one.belt == belt for one in self.claim.others)

    def requests(self, now_ns: int) -> dict[str, Sequence[int]]:
        """What all engines have sent, and what is allowed: second, minute, hour, day."""
        limits = self.budget.limits()
        return {name: (used, limits[name]) for name, used in self.budget.used(now_ns).items()}

    async def watch(self, engine: Held, clock: Clock) -> None:
        """Hold entries while the count is not whole; until cancelled."""
        said = ""
        while True:
            trouble = self.budget.trouble()
            if trouble != said:
                engine.remark(trouble, said)
                if trouble:
                    engine.hold(DAMAGED)
                else:
                    engine.let_go(DAMAGED)
                said = trouble
            await clock.sleep(LOOK_S)


def stake_of(run: str, contracts: Sequence[Any], belt: str) -> Stake:
    """What an engine that trades these contracts has for itself.

    Args:
        contracts: with segment, security_id and symbol.
    """
    named = {f"{one.segment} {one.security_id}": str(one.symbol) for one in contracts}
    return Stake(run, named, belt, os.getpid())
