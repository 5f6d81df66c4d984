"""The typed client of Dhan's REST API: every call of the documents as one method.

    async with DhanRest(Hosts(), tokens, SystemClock()) as dhan:
        book = await dhan.orders()
        outcome = await dhan.place(PlaceOrder(side="BUY", segment="NSE_FNO", ...))

Reads are tried again where that is safe and raise `BrokerError` when nothing helped. What changes
something is sent once and ends as Accepted, Refused or Unknown; see `brokers.base`.
"""

from dhanfast.brokers.dhan.rest_account import AccountCalls
from dhanfast.brokers.dhan.rest_data import DataCalls
from dhanfast.brokers.dhan.rest_orders import OrderCalls


class DhanRest(OrderCalls, AccountCalls, DataCalls):
    """All calls; see `Caller` for the arguments."""
