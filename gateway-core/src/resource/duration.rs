//! Durations as GEP-2257 writes them: one to four groups of one to five digits and a unit of `h`, `m`, `s` or `ms`.
//!
//! In: text such as `1h30m` or `500ms`. Out: whole milliseconds. There is no sign and no fraction, and groups may stand in any
//! order, as in the pattern of the schema. `Display` writes the shortest form with descending units.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, de};

/// A span of time in whole milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration {
    millis: u64,
}

impl Duration {
    /// `0s`, which disables a timeout.
    pub const ZERO: Self = Self { millis: 0 };

    /// A span of whole seconds.
    pub const fn from_secs(seconds: u32) -> Self {
        Self { millis: seconds as u64 * 1_000 }
    }

    /// A span of whole milliseconds.
    pub const fn from_millis(millis: u32) -> Self {
        Self { millis: millis as u64 }
    }

    /// Whether this is `0s`.
    pub const fn is_zero(self) -> bool {
        self.millis == 0
    }

    /// The same span for the standard library.
    pub const fn to_std(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.millis)
    }
}

impl From<Duration> for std::time::Duration {
    fn from(duration: Duration) -> Self {
        duration.to_std()
    }
}

impl From<std::time::Duration> for Duration {
    /// In whole milliseconds.
    fn from(duration: std::time::Duration) -> Self {
        Self { millis: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX) }
    }
}

/// The text is not a duration of GEP-2257.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a duration such as 1h30m, 10s or 500ms (GEP-2257)")]
pub struct NotADuration;

impl FromStr for Duration {
    type Err = NotADuration;

    fn from_str(text: &str) -> Result<Self, NotADuration> {
        let mut rest = text;
        let mut millis = 0;
        for _ in 0..MAX_GROUPS {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            if !(1..=MAX_DIGITS).contains(&digits) {
                return Err(NotADuration);
            }
            let (number, tail) = rest.split_at(digits);
            let number: u64 = number.parse().map_err(|_| NotADuration)?;
            let (unit, tail) = unit(tail).ok_or(NotADuration)?;
            millis += number * unit;
            if tail.is_empty() {
                return Ok(Self { millis });
            }
            rest = tail;
        }
        Err(NotADuration)
    }
}

/// The milliseconds of the unit the text begins with, and what follows it.
fn unit(text: &str) -> Option<(u64, &str)> {
    UNITS.iter().find_map(|(name, millis)| text.strip_prefix(name).map(|rest| (*millis, rest)))
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_zero() {
            return f.write_str("0s");
        }
        let mut rest = self.millis;
        for (name, millis) in [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)] {
            if rest >= millis {
                write!(f, "{}{name}", rest / millis)?;
                rest %= millis;
            }
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// Takes a text, and says what is expected where something else stands.
        struct Text;

        impl de::Visitor<'_> for Text {
            type Value = Duration;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{NotADuration}")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
                text.parse().map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }

        deserializer.deserialize_str(Text)
    }
}

const MAX_GROUPS: usize = 4;
const MAX_DIGITS: usize = 5;

/// Longest names first where one begins another.
const UNITS: [(&str, u64); 4] = [("ms", 1), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_pattern_admits_is_read() {
        for (text, millis, shown) in [
            ("0s", 0, "0s"),
            ("1h30m", 5_400_000, "1h30m"),
            ("500ms", 500, "500ms"),
            ("90s", 90_000, "1m30s"),
            ("1ms1s", 1_001, "1s1ms"),
            ("99999h99999h99999h99999h", 4 * 99_999 * 3_600_000, "399996h"),
        ] {
            let duration: Duration = text.parse().unwrap();
            assert_eq!(duration.to_std().as_millis(), millis, "{text}");
            assert_eq!(duration.to_string(), shown, "{text}");
        }
    }

    #[test]
    fn what_the_pattern_refuses_is_refused() {
        for text in ["", "1", "s", "-1s", "+1s", "1.5s", "1d", "100000s", "1s ", " 1s", "1s1s1s1s1s", "1µs", "1M", "1mss"] {
            assert_eq!(text.parse::<Duration>(), Err(NotADuration), "{text:?}");
        }
    }
}
