"""Calls about the market: snapshots, option chains, candles, expired options, contract lists."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import msgspec
import numpy as np

from dhanfast.brokers.dhan import checks
from dhanfast.brokers.dhan.answers_data import (
    Candles,
    Chain,
    ExpiredCandles,
    Snapshot,
    candles_of,
    chain_of,
    expired_of,
    expiries_of,
    joined,
    joined_expired,
    snapshots_of,
    without_flat_tail,
)
from dhanfast.brokers.dhan.caller import Caller
from dhanfast.brokers.dhan.errors import BrokerError, ErrorKind, error_of
from dhanfast.brokers.dhan.hosts import LOOPBACK
from dhanfast.brokers.dhan.limits import CallClass
from dhanfast.brokers.dhan.requests_data import (
    ChainQuery,
    DailyQuery,
    ExpiredQuery,
    IntradayQuery,
    quote_body,
)
from dhanfast.errors import BadData, UsageError
from dhanfast.market.calendar import midnight_ns

REDIRECTS_MAX: Final = 3
Ids = Mapping[str, Sequence[int]]
Aside = Callable[..., Awaitable[Any]]
Snapshots = dict[tuple[str, int], Snapshot]


class DataCalls(Caller):
    """The market."""

    async def ltp(self, ids: Ids) -> Snapshots:
        """Last prices of up to 1,000 instruments, by segment and security id."""
        return await self._snapshots("/marketfeed/ltp", ids)

    async def ohlc(self, ids: Ids) -> Snapshots:
        """Last prices and the day's candle."""
        return await self._snapshots("/marketfeed/ohlc", ids)

    async def quote(self, ids: Ids) -> Snapshots:
        """Everything of an instrument now, five levels of the book included."""
        return await self._snapshots("/marketfeed/quote", ids)

    async def chain(self, query: ChainQuery, *, aside: Aside | None = None) -> Chain:
        """An option chain: each underlying and expiry once in 3 s, one a second in all.

        Args:
            aside: reads what the broker sent, milliseconds of work, without holding others up.
        """
        if not query.expiry:
            raise UsageError("Expiry: a chain needs one; `expiries` lists them")
        said = await self._chain("/optionchain", query)
        return chain_of(said) if aside is None else await aside(chain_of, said)

    async def expiries(self, query: ChainQuery) -> list[str]:
        """Expiries of an underlying, as dates."""
        if query.expiry:
            raise UsageError(f"Expiry: {query.expiry} has no meaning for the list of expiries")
        return expiries_of(await self._chain("/optionchain/expirylist", query))

    async def daily(self, query: DailyQuery) -> Candles:
        """Daily candles of the dates asked for, both included.

        An option is asked from one day earlier and its flat candle without volume at the end is
        dropped: the broker makes one up on the last day of a range.

        Raises:
            BadData: they are not in order of time.
        """
        first = checks.day("fromDate", query.first)
        option = query.instrument.startswith("OPT")
        asked = query
        if option:
            earlier = (first - timedelta(days=1)).isoformat()
            asked = msgspec.structs.replace(query, first=earlier)
        body = asked.body(await self.client_id())
        candles = candles_of(await self._charts("/charts/historical", body))
        if np.any(np.diff(candles.start_ns) < 0):
            raise BadData("charts: the broker's candles are not in order of time")
        if option:
            candles = without_flat_tail(candles)
        return _from(candles, midnight_ns(first))

    async def intraday(self, query: IntradayQuery) -> Candles:
        """Candles of minutes of any span, in pieces of 90 days; empty is an answer.

        Raises:
            BadData: they are not in order of time.
        """
        return joined(await self.intraday_pieces(query))

    async def intraday_pieces(self, query: IntradayQuery) -> list[Candles]:
        """As `intraday`, each answer as it came: in any order, a candle perhaps twice.

        When all is empty for a future or option, it is asked once more with expiryCode 0, which
        one source needs.
        """
        client = await self.client_id()
        pieces = [
            candles_of(await self._charts("/charts/intraday", body))
            for body in query.bodies(client)
        ]
        derivative = query.instrument.startswith(("FUT", "OPT"))
        if derivative and query.expiry_code is None and not any(map(len, pieces)):
            again = msgspec.structs.replace(query, expiry_code=0)
            pieces = [
                candles_of(await self._charts("/charts/intraday", body))
                for body in again.bodies(client)
            ]
        return pieces

    async def expired_options(self, query: ExpiredQuery) -> ExpiredCandles:
        """Candles of expired options by distance from the money, in pieces of 30 days.

        Rows can be missing at the broker: count them (375 one-minute bars a day of NSE).
        """
        client = await self.client_id()
        pieces = [
            expired_of(await self._charts("/charts/rollingoption", body), query.side)
            for body in query.bodies(client)
        ]
        return joined_expired(pieces)

    async def instruments(self, segment: str) -> bytes:
        """The contract list of a segment, as CSV in the detailed form.

        Raises:
            BrokerError: it cannot be had, or a redirect leads where it must not.
        """
        checks.chosen("exchangeSegment", segment, checks.QUOTE_SEGMENTS)
        url = self.url(f"/instrument/{segment}")
        reply = await self.raw(f"/instrument/{segment}", CallClass.DATA)
        for _ in range(REDIRECTS_MAX):
            if reply.status not in (301, 302, 303, 307, 308):
                break
            url = _next(url, reply.header("Location"))
            reply = await self.fetch(url)  # without the token: it may be another host
        if reply.status != 200:
            raise error_of(reply.status, reply.body)
        return reply.body

    async def _snapshots(self, path: str, ids: Ids) -> Snapshots:
        """A snapshot of any form."""
        body = quote_body(ids, await self.client_id())
        said = await self.read(path, method="POST", body=body, kind=CallClass.QUOTE)
        return snapshots_of(said)

    async def _chain(self, path: str, query: ChainQuery) -> Any:
        """A chain, or its expiries."""
        body = query.body(await self.client_id())
        return await self.read(
            path, method="POST", body=body, kind=CallClass.CHAIN, key=f"{path} {query.key}"
        )

    async def _charts(self, path: str, body: Mapping[str, Any]) -> Any:
        """Columns of candles; DH-907 is no data."""
        return await self.read(
            path, method="POST", body=body, kind=CallClass.DATA, read_s=self.settings.chart_s,
            empty_on_no_data=True,
        )  # fmt: skip


def _from(candles: Candles, start_ns: int) -> Candles:
    """Candles that start at or after a time."""
    first = int(np.searchsorted(candles.start_ns, start_ns))
    if not first:
        return candles
    names = candles.__struct_fields__
    return Candles(**{name: getattr(candles, name)[first:] for name in names})


def _next(url: str, location: str) -> str:
    """Where a redirect leads: never out of encryption.

    Raises:
        BrokerError: nowhere, or to an address that is not safe.
    """
    target = urljoin(url, location)
    new = urlsplit(target)
    safe = new.scheme == "https" or (new.scheme == "http" and new.hostname in LOOPBACK)
    if not location or not safe or "@" in new.netloc:
        raise BrokerError(
            "", 0, ErrorKind.OTHER, f"a redirect leads to {new.scheme}://{new.hostname}"
        )
    return target
