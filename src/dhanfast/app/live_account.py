"""The broker account as a command of this machine has it: which folder, whose count of requests."""

import contextlib
from typing import TYPE_CHECKING, Any

from dhanfast._core.live.sharedbudget import SharedBudget
from dhanfast.app.config import Config
from dhanfast.clock import Clock
from dhanfast.engine.account import (
    BUDGET_FILE,
    AccountOrders,
    Claim,
    LiveAccount,
    account_digest,
    account_folder,
    stake_of,
)
from dhanfast.engine.belt import Belt, BeltPlan, was_set
from dhanfast.errors import DhanfastError

if TYPE_CHECKING:
    from dhanfast.app.live_traded import Traded
    from dhanfast.brokers.dhan.hosts import Hosts
    from dhanfast.brokers.dhan.rest import DhanRest


def live_account(
    config: Config, hosts: "Hosts", traded: "Traded", belt: BeltPlan | None,
    stack: contextlib.AsyncExitStack,
) -> LiveAccount:  # fmt: skip
    """Join the engines of the account, before anything is sent.

    Args:
        traded: what it will order. belt: the broker's own exit it wants; None: none.
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
    wanted = "" if belt is None else belt.text
    claim = stack.enter_context(Claim(folder, stake_of(config.engine.run, contracts, wanted)))
    limits: dict[str, Any] = limits_of(config)
    budget = SharedBudget(folder / BUDGET_FILE, digest, name=config.engine.run, **limits)
    return LiveAccount(budget, claim)


def belt_plan(config: Config, capital: int) -> BeltPlan | None:
    """The broker's own exit on profit or loss, as [risk] says; None: none is wanted."""
    risk = config.risk
    loss = risk.broker_loss_exit.paise_of(capital)
    profit = risk.broker_profit_exit.paise_of(capital)
    if not loss and not profit:
        return None
    return BeltPlan(
        loss,
        profit,
        products=("INTRADAY",) if config.broker.product == "INTRADAY" else ("DELIVERY",),
        kill=risk.broker_exit_kill,
        holds=risk.without_broker_exit == "hold",
    )


def belt_of(
    plan: BeltPlan | None, rest: Any, clock: Clock, notes: list[dict[str, Any]],
    account: LiveAccount | None,
) -> Belt | None:  # fmt: skip
    """The belt of the account, which paper has none of; one that another engine has set is only
    looked at."""
    if plan is None or account is None:
        return None
    return Belt(rest, clock, plan, was_set=account.belt_is_set(plan.text) or was_set(notes))


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
