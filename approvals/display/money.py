"""Amounts in a currency's smallest units as people write them.

Only writing: no rates, no rounding, no arithmetic beyond moving the decimal point.
"""

from __future__ import annotations

# ISO 4217: the currencies by their decimal places.
_CODES = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: """
        AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD
        CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD
        GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA
        MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR
        RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD
        TZS UAH USD USN UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG
    """,
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
_PLACES = {code: places for places, codes in _CODES.items() for code in codes.split()}
# Signs that mean one currency only; every other dollar says whose it is.
_SIGNS = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "CAD": "CA$", "AUD": "A$", "NZD": "NZ$", "INR": "₹"}


def places_of(currency: str) -> int | None:
    """Decimal places of a currency by its ISO 4217 code in either case; None where it is unknown."""
    return _PLACES.get(currency.upper())


def money(amount: int, currency: str) -> str:
    """`4200, "usd"` → `$42.00`. An unknown currency says so and leaves the amount in smallest units."""
    code = currency.upper()
    places = places_of(code)
    if places is None:
        return f"{amount:,} smallest units of {code} (unknown currency)"
    digits = str(abs(amount)).rjust(places + 1, "0")
    whole, rest = (digits[:-places], f".{digits[-places:]}") if places else (digits, "")
    number = f"{int(whole):,}{rest}"
    minus = "−" if amount < 0 else ""
    return f"{minus}{_SIGNS[code]}{number}" if code in _SIGNS else f"{minus}{number} {code}"
