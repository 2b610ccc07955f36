"""Times as RFC 3339, without the module ``time``, which reads /etc/localtime when it is imported."""


def timestamp(nanoseconds: int) -> str:
    """Returns ``nanoseconds`` since 1970 as RFC 3339 in UTC (runc's ``created``)."""
    seconds, fraction = divmod(nanoseconds, 1_000_000_000)
    days, second = divmod(seconds, 86400)
    # Days to civil date (Howard Hinnant's algorithms): years begin in March, so that a leap day is the last day of one.
    era, day_of_era = divmod(days + 719468, 146097)
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36524 - day_of_era // 146096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * month + 2) // 5 + 1
    month += 3 if month < 10 else -9
    year = year_of_era + era * 400 + (month <= 2)
    clock = f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}.{fraction:09d}Z"
    return f"{year:04d}-{month:02d}-{day:02d}T{clock}"
