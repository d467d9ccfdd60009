//! Times and sizes as people write them.

use std::time::Duration;

/// How times are written.
const TIME: &str = "write a time as 90s, 30m, 2h or 1d";

/// Reads `90s`, `30m`, `2h`, `1d`, or plain seconds; from 1 s to 365 days.
///
/// # Errors
/// A sentence on what is wrong.
pub(crate) fn duration(text: &str) -> Result<Duration, &'static str> {
    let (number, unit) = split(text);
    let factor = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86400,
        _ => return Err(TIME),
    };
    let number: u64 = number.parse().map_err(|_| TIME)?;
    match number.checked_mul(factor) {
        Some(seconds @ 1..=31_536_000) => Ok(Duration::from_secs(seconds)),
        _ => Err("a time must be from 1 second to 365 days"),
    }
}

/// Reads a time that is typed, where plain seconds would surprise: it needs its unit.
///
/// # Errors
/// A sentence on what is wrong.
pub(crate) fn age(text: &str) -> Result<Duration, &'static str> {
    match split(text) {
        (_, "") => Err(TIME),
        _ => duration(text),
    }
}

/// Reads `512MiB`, `4GiB`, or plain bytes; from 6 MiB (the least that Docker takes) to 1 TiB.
///
/// # Errors
/// A sentence on what is wrong.
pub(super) fn bytes(text: &str) -> Result<u64, &'static str> {
    let (number, unit) = split(text);
    let factor: u64 = match unit {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err("write a size as 512MiB or 4GiB"),
    };
    let number: u64 = number.parse().map_err(|_| "write a size as 512MiB or 4GiB")?;
    match number.checked_mul(factor) {
        Some(bytes) if (6 << 20..=1 << 40).contains(&bytes) => Ok(bytes),
        _ => Err("a size must be from 6 MiB to 1 TiB"),
    }
}

fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    // CASES 223
    #[test]
    fn times_and_sizes_are_bounded() {
        assert_eq!(duration("30m").unwrap(), Duration::from_secs(1800));
        assert_eq!(duration("1800").unwrap(), Duration::from_secs(1800));
        for bad in
            ["", "0", "0s", "-1s", "1e9h", "∞", "5 weeks", "99999999999999999999", "400d", "1.5h"]
        {
            assert!(duration(bad).is_err(), "{bad:?}");
        }
        assert_eq!(age("30d").unwrap(), Duration::from_hours(720));
        for bad in ["", "3", " 3 ", "d", "0d"] {
            assert!(age(bad).is_err(), "{bad:?}");
        }
        assert_eq!(bytes("4GiB").unwrap(), 4 << 30);
        for bad in ["", "0", "4G", "4 GB", "-1", "2048GiB", "1KiB", "18446744073709551615GiB"] {
            assert!(bytes(bad).is_err(), "{bad:?}");
        }
    }
}
