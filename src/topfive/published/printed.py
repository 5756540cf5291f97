"""Numbers as papers print them: "6.10", "< 0.1", "60M", "3.6e9", "best of 5"; and what rounds to one."""

import re
from decimal import Decimal

from topfive.published.entries import Size

RATE = re.compile(r"([<>] )?[+-]?\d+(\.\d+)?")
COUNT = re.compile(r"(?P<number>\d[\d,]*(?:\.\d+)?)(?P<unit>[MB]|e\d+)?")
STATISTIC = re.compile(r"single|(best|mean|median)( of \d+)?")
_UNITS = {"": "1", "M": "1e6", "B": "1e9"}


def met(size: Size, ours: int) -> bool:
    """Whether `ours` rounds to the printed figure at the precision it is printed with.

    Half a unit of the last digit is met on either side: papers do not say how they round.
    """
    printed = COUNT.fullmatch(size.value)
    assert printed is not None  # else refused on reading
    number, unit = Decimal(printed["number"].replace(",", "")), printed["unit"] or ""
    last_digit = int(number.as_tuple().exponent)
    scale = Decimal(_UNITS.get(unit, f"1{unit}"))
    return abs(Decimal(ours) / scale - number) <= Decimal(5).scaleb(last_digit - 1)
