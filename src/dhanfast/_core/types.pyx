"""Record layouts as seen from Python (numpy dtypes), checked against the C structs at import."""

import numpy as np

TICK_DTYPE = np.dtype([
    ("exch_ns", "<i8"), ("recv_ns", "<i8"), ("price", "<i8"), ("bid", "<i8"), ("ask", "<i8"),
    ("volume", "<u8"), ("instrument", "<u4"), ("qty", "<u4"), ("bid_qty", "<u4"),
    ("ask_qty", "<u4"), ("oi", "<u4"), ("flags", "<u4"),
])
BAR_DTYPE = np.dtype([
    ("start_ns", "<i8"), ("open", "<i8"), ("high", "<i8"), ("low", "<i8"), ("close", "<i8"),
    ("volume", "<i8"), ("oi", "<i8"), ("instrument", "<u4"), ("ticks", "<u4"),
])
ORDER_DTYPE = np.dtype([
    ("id", "<u8"), ("created_ns", "<i8"), ("price", "<i8"), ("trigger", "<i8"), ("qty", "<i8"),
    ("group", "<u8"), ("instrument", "<u4"), ("strategy", "<u4"), ("side", "i1"), ("kind", "u1"),
    ("validity", "u1"), ("flags", "u1"), ("reason", "u1"), ("spare", "u1", 3),
])
REPORT_DTYPE = np.dtype([
    ("order_id", "<u8"), ("time_ns", "<i8"), ("price", "<i8"), ("qty", "<i8"), ("left", "<i8"),
    ("instrument", "<u4"), ("strategy", "<u4"), ("side", "i1"), ("kind", "u1"), ("reason", "u1"),
    ("flags", "u1"), ("why", "u1"), ("spare", "u1", 3),
])
CHARGE_RATES_DTYPE = np.dtype([
    ("brokerage_flat", "<i8"), ("brokerage_rate_e9", "<i8"), ("exchange_rate_e9", "<i8"),
    ("sebi_rate_e9", "<i8"), ("ipft_rate_e9", "<i8"), ("stamp_buy_e9", "<i8"),
    ("stamp_sell_e9", "<i8"), ("stt_buy_e9", "<i8"), ("stt_sell_e9", "<i8"),
    ("gst_rate_e9", "<i8"), ("gst_on_sebi", "<i4"), ("gst_on_ipft", "<i4"),
])
SESSION_DTYPE = np.dtype([
    ("open_ns", "<i8"), ("close_ns", "<i8"), ("open2_ns", "<i8"), ("close2_ns", "<i8"),
    ("entry_from_ns", "<i8"), ("entry_until_ns", "<i8"), ("square_off_ns", "<i8"),
    ("expiry_ns", "<i8"), ("lot", "<i8"), ("tick", "<i8"), ("freeze", "<i8"),
    ("band_low", "<i8"), ("band_high", "<i8"), ("margin_rate_e9", "<i8"), ("basis", "<i8"),
    ("contract", "<i8"), ("date", "<i4"), ("flags", "<i4"), ("spare", "<i8", 2),
    ("charges", CHARGE_RATES_DTYPE),
])
DEPTH_DTYPE = np.dtype([
    ("exch_ns", "<i8"), ("recv_ns", "<i8"), ("seq", "<u8"), ("price", "<i8"),
    ("instrument", "<u4"), ("qty", "<u4"), ("orders", "<u4"), ("side", "i1"), ("op", "u1"),
    ("flags", "<u2"),
])
EVENT_DTYPE = np.dtype([
    ("kind", "u1"), ("source", "u1"), ("size", "<u2"), ("seq", "<u4"), ("payload", "u1", 72),
])

for _name, _dtype, _size in (
    ("Tick", TICK_DTYPE, sizeof(Tick)),
    ("Bar", BAR_DTYPE, sizeof(Bar)),
    ("Order", ORDER_DTYPE, sizeof(Order)),
    ("Report", REPORT_DTYPE, sizeof(Report)),
    ("ChargeRates", CHARGE_RATES_DTYPE, sizeof(ChargeRates)),
    ("Session", SESSION_DTYPE, sizeof(Session)),
    ("DepthRow", DEPTH_DTYPE, sizeof(DepthRow)),
    ("Event", EVENT_DTYPE, sizeof(Event)),
):
    if _dtype.itemsize != _size:
        raise ImportError(f"{_name}: the C struct has {_size} bytes, the dtype {_dtype.itemsize}")
