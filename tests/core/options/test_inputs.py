"""What the options functions take and refuse: kinds of numbers, arrays and rights."""

import numpy as np
import pytest

from dhanfast import options
from dhanfast.errors import UsageError

AT = (25_180.0, 25_200.0, 7 / 365)
DOORS = [options.price, options.stock_price]


@pytest.mark.parametrize("right", [np.array("CE"), np.array("CE", dtype="U5"), np.str_("CE")])
def test_a_single_right_gives_a_single_number(right: object) -> None:
    """An array of no dimension is one value, as it is of the other arguments."""
    for door in (*DOORS, options.implied_volatility, options.stock_implied_volatility):
        found = door(0.2, *AT, right) if door in DOORS else door(312.4, *AT, right)
        alone = door(0.2, *AT, "CE") if door in DOORS else door(312.4, *AT, "CE")
        assert isinstance(found, float) and found == alone
    assert isinstance(options.greeks(0.2, *AT, right).delta, float)
    assert options.solve(312.4, *AT, right).volatility.shape == ()


def test_masked_values_are_not_known() -> None:
    masked = np.ma.MaskedArray([0.2, 0.3], mask=[False, True])
    found = options.price(masked, *AT, "CE")
    assert found[0] == options.price(0.2, *AT, "CE") and np.isnan(found[1])
    whole = np.ma.MaskedArray([1, 2], mask=[True, False])
    assert np.isnan(options.price(0.2, 25_180.0, whole, 7 / 365, "CE")[0])


@pytest.mark.parametrize("values", [
    np.array([0.2 + 1j]), np.array(["2026-01-27"], "M8[D]"), np.array([5], "m8[D]"),
])  # fmt: skip
def test_what_is_no_real_number_is_refused_by_name(values: np.ndarray) -> None:
    for door in DOORS:
        with pytest.raises(UsageError, match=r"^volatility has type .*: give real numbers"):
            door(values, *AT, "CE")


def test_whole_numbers_of_any_size_are_numbers_or_refused() -> None:
    assert options.price(1, 100, 10**30, 1, "PE") == options.price(1.0, 100.0, 1e30, 1.0, "PE")
    for given in (10**400, [10**400]):
        with pytest.raises(UsageError, match=r"^forward cannot be read as numbers"):
            options.price(0.2, given, 100.0, 1.0, "CE")  # type: ignore[arg-type]
