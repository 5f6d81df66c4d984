"""The order path inside the process: the request's bytes, the journal's record, the answer's bytes.

The whole way over a socket, beside other clients, is `scripts/bench-orders`.
"""

from pathlib import Path

import numpy as np
import pytest

from dhanfast._core.live.answerhttp import AnswerReader, Reading
from dhanfast._core.live.journal import Journal
from dhanfast._core.live.journal_header import JournalHeader
from dhanfast._core.live.journal_scan import JournalReader
from dhanfast._core.live.orderhttp import RequestBook
from dhanfast._core.live.records import INTENT_DTYPE, IntentKind

OFTEN = 2_000
TABLE = [("NSE_FNO", str(40_000 + n), "INTRADAY") for n in range(5_000)]


@pytest.mark.parametrize("kind", [IntentKind.PLACE, IntentKind.MODIFY, IntentKind.CANCEL])
def test_request(benchmark, kind: IntentKind) -> None:
    """ns a request = median / requests_per_round."""
    book = RequestBook("api.dhan.co", "/v2", "1000000001", "df00c0ffee", TABLE)
    book.set_token("t" * 300)
    intent = np.zeros(1, INTENT_DTYPE)[0]
    intent["id"], intent["order"], intent["instrument"] = 1, 123_456, 4_321
    intent["price"], intent["qty"], intent["side"], intent["kind"] = 1_234_505, 1_800, -1, kind
    if kind != IntentKind.PLACE:
        intent["broker_id"] = b"112111182198"
    benchmark.extra_info["requests_per_round"] = OFTEN
    assert benchmark(book._write_often, intent, OFTEN) == OFTEN * len(book.request(intent))


@pytest.mark.parametrize("size", [72, 104])
def test_append(benchmark, tmp_path: Path, size: int) -> None:
    """ns a record = median / records_per_round; rounds small enough for the warm pages ahead."""
    header = JournalHeader(1, 20260101, "bench", bytes(32), 0, "")
    journal = Journal(str(tmp_path / "b.dfj"), header, sync_ns=0)
    benchmark.extra_info["records_per_round"] = OFTEN
    benchmark.pedantic(journal._append_often, (size, OFTEN), setup=journal.prepare, rounds=200)
    journal.close()


def test_read(benchmark, tmp_path: Path) -> None:
    """ns a record = median / records_per_round: every checksum, no payload copied."""
    header = JournalHeader(1, 20260101, "bench", bytes(32), 0, "")
    journal = Journal(str(tmp_path / "b.dfj"), header, sync_ns=0)
    journal._append_often(72, 100_000)
    journal.close()
    benchmark.extra_info["records_per_round"] = 100_000

    def all_of_it() -> int:
        with JournalReader(journal.path) as reader:
            return reader.skim()

    assert benchmark(all_of_it) == 100_000


def test_answer(benchmark) -> None:
    """ns an answer = median."""
    body = b'{"orderId":"112111182198","orderStatus":"TRANSIT"}'
    raw = (
        b"HTTP/1.1 200 OK\r\nDate: Mon, 23 Nov 2026 03:45:00 GMT\r\nContent-Type: application/json"
    )
    raw += b"\r\nConnection: keep-alive\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    reader = AnswerReader()

    def one() -> Reading:
        reader.clear()
        return reader.take(raw)

    assert benchmark(one) == Reading.WHOLE
