//! Times and sizes as people write them: `"250ms"`, `"1h 30min"`, `"30 days"`, `"4 MiB"`.
//!
//! # Invariants
//!
//! * What is written here is read back as the same value.
//! * A number without its unit is no time and no size, except 0, which is the same in all of them.

use std::time::Duration;

/// Milliseconds of each unit, by the name it is written with, and its other names.
const TIMES: [(u64, &str, &[&str]); 5] = [
    (86_400_000, " days", &["d", "day", "days"]),
    (3_600_000, "h", &["h", "hour", "hours"]),
    (60_000, "min", &["min", "m", "minute", "minutes"]),
    (1_000, "s", &["s", "sec", "second", "seconds"]),
    (1, "ms", &["ms", "millisecond", "milliseconds"]),
];

/// Bytes of each unit, in the same shape. Powers of ten are read, and written as what they are.
const SIZES: [(u64, &str, &[&str]); 7] = [
    (1 << 30, " GiB", &["gib"]),
    (1 << 20, " MiB", &["mib"]),
    (1 << 10, " KiB", &["kib"]),
    (1_000_000_000, " GB", &["gb"]),
    (1_000_000, " MB", &["mb"]),
    (1_000, " kB", &["kb"]),
    (1, " B", &["b", "byte", "bytes"]),
];

type Units = [(u64, &'static str, &'static [&'static str])];

/// Reads a time; whole numbers, each with its unit, are added up.
#[must_use]
pub fn time(text: &str) -> Option<Duration> {
    sum(text, &TIMES).map(Duration::from_millis)
}

/// Reads a size in bytes.
#[must_use]
pub fn size(text: &str) -> Option<u64> {
    sum(text, &SIZES)
}

/// Writes a time, in the largest unit of which it is a whole number. Below a millisecond is cut off.
#[must_use]
pub fn of_time(time: Duration) -> String {
    let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    if ms == TIMES[0].0 { "1 day".to_owned() } else { written(ms, "0s", &TIMES) }
}

/// Writes a size, in the largest unit of which it is a whole number.
#[must_use]
pub fn of_size(bytes: u64) -> String {
    written(bytes, "0 B", &SIZES)
}

fn written(value: u64, nothing: &str, units: &Units) -> String {
    if value == 0 {
        return nothing.to_owned();
    }
    let fitting = units.iter().find(|(worth, ..)| value.is_multiple_of(*worth));
    fitting.map_or_else(|| value.to_string(), |(worth, name, _)| format!("{}{name}", value / worth))
}

fn sum(text: &str, units: &Units) -> Option<u64> {
    let mut rest = text.trim();
    if rest == "0" {
        return Some(0);
    }
    let mut sum = None;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        let unit = rest[digits..].trim_start();
        let letters = unit.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(unit.len());
        let name = unit[..letters].to_ascii_lowercase();
        let (worth, ..) = units.iter().find(|(_, _, names)| names.contains(&name.as_str()))?;
        sum = Some(number.checked_mul(*worth)?.checked_add(sum.unwrap_or(0))?);
        rest = unit[letters..].trim_start();
    }
    sum
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_and_sizes_are_read_as_people_write_them() {
        let ms = |text| time(text).map(|time| time.as_millis());
        for (text, wanted) in [
            ("5s", 5_000),
            ("250ms", 250),
            ("30 days", 30 * 86_400_000),
            ("1 day", 86_400_000),
            ("1h 30min", 5_400_000),
            ("2m", 120_000),
            (" 7 Seconds ", 7_000),
            ("0", 0),
        ] {
            assert_eq!(ms(text), Some(wanted), "{text}");
        }
        assert_eq!(size("4 MiB"), Some(4 << 20));
        assert_eq!(size("64kib"), Some(64 << 10));
        assert_eq!(size("2 GB"), Some(2_000_000_000));
        assert_eq!(size("1 MiB 1 B"), Some((1 << 20) + 1));
    }

    #[test]
    fn a_number_without_its_unit_and_a_unit_of_the_other_kind_are_refused() {
        for text in ["", "5", "5 parsecs", "s", "-5s", "1.5h", "5s!", "18446744073709551615 days", "4 MiB"] {
            assert_eq!(time(text), None, "{text}");
        }
        for text in ["", "4", "4 M", "MiB", "-1 B", "5s", "99999999999999999999 B"] {
            assert_eq!(size(text), None, "{text}");
        }
    }

    #[test]
    fn the_largest_fitting_unit_is_written() {
        let written = |ms| of_time(Duration::from_millis(ms));
        assert_eq!(written(900_000), "15min");
        assert_eq!(written(86_400_000), "1 day");
        assert_eq!(written(30 * 86_400_000), "30 days");
        assert_eq!(written(1_500), "1500ms");
        assert_eq!(of_size(4 << 20), "4 MiB");
        assert_eq!(of_size(1_000), "1 kB");
        assert_eq!(of_size(0), "0 B");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_written_is_read_back(value in any::<u64>(), unit in 0..7_usize, few in 0..10_000_u64) {
            let time_of = Duration::from_millis(value);
            prop_assert_eq!(time(&of_time(time_of)), Some(time_of));
            prop_assert_eq!(size(&of_size(value)), Some(value));
            let round = few * SIZES[unit].0;
            prop_assert_eq!(size(&of_size(round)), Some(round));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC*", near in "[0-9]{0,3} ?[a-zA-Z]{0,4} ?[0-9a-z]{0,4}") {
            for text in [text, near] {
                // Whatever it is, it does not panic, and what is read stands for a number.
                if let Some(bytes) = size(&text) {
                    prop_assert!(text.contains(|c: char| c.is_ascii_digit()), "{text:?} is {bytes}");
                }
                if let Some(time) = time(&text) {
                    prop_assert!(text.contains(|c: char| c.is_ascii_digit()), "{text:?} is {time:?}");
                }
            }
        }
    }
}
