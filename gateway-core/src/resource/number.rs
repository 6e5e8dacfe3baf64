//! Numbers with a range of the schema: read as what they are, refused with the range in words.
//!
//! In: a number of a manifest. Out: the smallest type that holds the range, or an error that says what was expected.

use serde::{Deserialize, Deserializer, de};

/// A port, 1 to 65535.
pub(super) fn port<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    within(i64::deserialize(deserializer)?, 1, u16::MAX, "a port from 1 to 65535")
}

/// A port, 1 to 65535, that may be absent.
pub(super) fn optional_port<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u16>, D::Error> {
    port(deserializer).map(Some)
}

/// A list of ports.
pub(super) fn ports<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u16>, D::Error> {
    #[derive(Deserialize)]
    struct Port(#[serde(deserialize_with = "port")] u16);
    Vec::<Port>::deserialize(deserializer).map(|ports| ports.into_iter().map(|port| port.0).collect())
}

/// A weight, 0 to 1,000,000.
pub(super) fn weight<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    within(i64::deserialize(deserializer)?, 0, 1_000_000, "a weight from 0 to 1000000")
}

/// A share in percent, 0 to 100, that may be absent.
pub(super) fn optional_percent<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u8>, D::Error> {
    percent(deserializer).map(Some)
}

/// A share in percent, 0 to 100.
pub(super) fn percent<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u8, D::Error> {
    within(i64::deserialize(deserializer)?, 0, 100, "a percentage from 0 to 100")
}

/// A count of one to a million.
pub(super) fn million<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    within(i64::deserialize(deserializer)?, 1, 1_000_000, "a whole number from 1 to 1000000")
}

/// A count that may be zero.
pub(super) fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    within(i64::deserialize(deserializer)?, 0, i32::MAX as u32, "a whole number from 0 to 2147483647")
}

/// A count that may be zero, or absent.
pub(super) fn optional_count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    count(deserializer).map(Some)
}

/// A count of one or more.
pub(super) fn positive<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    within(i64::deserialize(deserializer)?, 1, i32::MAX as u32, "a whole number from 1 to 2147483647")
}

/// A count of one or more that may be absent.
pub(super) fn optional_positive<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    positive(deserializer).map(Some)
}

/// A status code of the protocol; which ones a field admits is checked elsewhere.
pub(super) fn status_code<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    within(i64::deserialize(deserializer)?, 100, 599, "a status code from 100 to 599")
}

/// A final status code, 200 to 599.
pub(super) fn final_status<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    within(i64::deserialize(deserializer)?, 200, 599, "a status code from 200 to 599")
}

/// A list of status codes from 400 to 599.
pub(super) fn error_statuses<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u16>, D::Error> {
    #[derive(Deserialize)]
    struct ErrorStatus(#[serde(deserialize_with = "error_status")] u16);
    Vec::<ErrorStatus>::deserialize(deserializer).map(|codes| codes.into_iter().map(|code| code.0).collect())
}

fn error_status<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    within(i64::deserialize(deserializer)?, 400, 599, "a status code from 400 to 599")
}

fn within<T: TryFrom<i64> + PartialOrd, E: de::Error>(number: i64, min: T, max: T, expected: &str) -> Result<T, E> {
    T::try_from(number)
        .ok()
        .filter(|number| (&min..=&max).contains(&number))
        .ok_or_else(|| E::invalid_value(de::Unexpected::Signed(number), &expected))
}

/// The weight of a backend that states none.
pub(super) fn one() -> u32 {
    1
}
