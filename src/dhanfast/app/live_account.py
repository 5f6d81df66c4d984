"""The broker account as a command of this machine has it: which folder, whose count of requests."""

import contextlib
from typing import TYPE_CHECKING, Any

from dhanfast._core.live.sharedbudget import SharedBudget
from dhanfast.app.config import Config
from dhanfast.clock import Clock
from dhanfast.engine.account import (
    BUDGET_FILE,
    AccountOrders,
    LiveAccount,
    Seat,
    account_digest,
    account_folder,
    stake_of,
)
from dhanfast.errors import DhanfastError

if TYPE_CHECKING:
    from dhanfast.app.live_traded import Traded
    from dhanfast.brokers.dhan.hosts import Hosts
    from dhanfast.brokers.dhan.rest import DhanRest


def live_account(
    config: Config, hosts: "Hosts", traded: "Traded", belt: str, stack: contextlib.AsyncExitStack
) -> LiveAccount:
    """Join the engines of the account, before anything is sent.

    Args:
        traded: what it will order. belt: the broker's own exit it wants, in words.
        stack: closes it with the engine.
    Raises:
        UsageError: another engine has what this one needs.
        BadData, DhanfastError: the account's files cannot be used.
    """
    from dhanfast.app.live_one import limits_of

    digest = account_digest(hosts.rest, config.client_id())
    folder = account_folder(config.folders.run, digest)
    ordered = traded.ordered()
    contracts = [one for one in traded.watched if (one.segment, str(one.security_id)) in ordered]
    seat = Seat(folder, stake_of(config.engine.run, contracts, belt))
    stack.callback(seat.close)
    limits: dict[str, Any] = limits_of(config)
    budget = SharedBudget(folder / BUDGET_FILE, digest, name=config.engine.run, **limits)
    return LiveAccount(budget, seat)


def count_with_engines(config: Config, rest: "DhanRest", clock: Clock) -> str:
    """Have calls that order count where the account's engines do; why not, empty when they do.

    Nothing of this keeps a way out from being asked for.
    """
    from dhanfast.app.broker_session import broker_hosts

    try:
        digest = account_digest(broker_hosts(config).rest, config.client_id())
        path = account_folder(config.folders.run, digest) / BUDGET_FILE
        rest.limits.share(AccountOrders(SharedBudget(path, digest), clock))
    except DhanfastError as error:
        return f"not counted with the account's engines: {error}"
    return ""
