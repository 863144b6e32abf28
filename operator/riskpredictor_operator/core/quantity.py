"""Kubernetes quantities in the canonical form in which the API server returns them.

Source: the documentation of ``k8s.io/apimachinery/pkg/api/resource.Quantity``, and the rounding to
thousandths by ``SetDefaults_ResourceList`` of a container's resources. Fractions of a thousandth,
and of a byte, round up, no fractional digits remain and the suffix is as large as possible, so that
what the operator renders compares equal to what it reads back ("0.2" becomes "200m", "100u" "1m",
"1024Mi" "1Gi").
"""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Decimal

_PATTERN = re.compile(
    r"^(?P<number>[+-]?(\d+(\.\d*)?|\.\d+))"
    r"(?P<suffix>[KMGTPE]i|[numkMGTPE]?|[eE][+-]?\d+)$",
    re.ASCII,
)
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_MILLI = Decimal("1e-3")


def canonical(text: str | int) -> str:
    """The canonical form of a quantity.

    Raises:
        ValueError: not a quantity.
    """
    suffix, amount = _parsed(text)
    if suffix in _BINARY:
        if abs(amount) < 1024:
            return _decimal(amount)
        return _binary(int(amount.to_integral_value(rounding=ROUND_CEILING)))
    return _exponent(amount) if _is_exponent(suffix) else _decimal(amount)


def amount_of(text: str | int) -> Decimal:
    """What a quantity is worth.

    Raises:
        ValueError: not a quantity.
    """
    return _parsed(text)[1]


def _parsed(text: str | int) -> tuple[str, Decimal]:
    match = _PATTERN.match(str(text).strip())
    if match is None:
        raise ValueError(f"{text!r} is not a quantity such as 100m, 0.5 or 128Mi")
    number, suffix = Decimal(match["number"]), match["suffix"]
    if suffix in _BINARY:
        return suffix, number * 1024 ** _BINARY[suffix]
    power = int(suffix[1:]) if _is_exponent(suffix) else _DECIMAL[suffix]
    return suffix, number.scaleb(power)


def _is_exponent(suffix: str) -> bool:
    return suffix[:1] in ("e", "E") and len(suffix) > 1


def _binary(value: int) -> str:
    power = 0
    while power < 6 and value % 1024 == 0 and value != 0:
        value //= 1024
        power += 1
    suffix = next((name for name, index in _BINARY.items() if index == power), "")
    return f"{value}{suffix}"


def _thousands(value: Decimal) -> tuple[int, int]:
    """Integer mantissa and the largest exponent of ten, a multiple of 3 in -3..18."""
    mantissa = int((value / _MILLI).to_integral_value(rounding=ROUND_CEILING))
    if mantissa == 0:
        return 0, 0
    exponent = -3
    while exponent < 18 and mantissa % 1000 == 0:
        mantissa //= 1000
        exponent += 3
    return mantissa, exponent


def _decimal(value: Decimal) -> str:
    mantissa, exponent = _thousands(value)
    suffix = next(name for name, power in _DECIMAL.items() if power == exponent)
    return f"{mantissa}{suffix}"


def _exponent(value: Decimal) -> str:
    mantissa, exponent = _thousands(value)
    return f"{mantissa}e{exponent}" if exponent else str(mantissa)
