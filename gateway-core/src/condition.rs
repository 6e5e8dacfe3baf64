//! Conditions as the Gateway API defines them.
//!
//! In: nothing. Out: the vocabulary of types and reasons that judges may use, and one condition as data.

use serde::Serialize;

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum Truth {
    /// It holds.
    True,
    /// It does not.
    False,
    /// Not known yet.
    Unknown,
}

/// One condition of a desired status. The time of its last transition is added when it is merged with what is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// The type, such as `Accepted`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Whether it holds.
    pub status: Truth,
    /// The machine's reason, such as `NotAllowedByListeners`.
    pub reason: &'static str,
    /// The person's reason: what is so, and what to change.
    pub message: String,
    /// The generation of the object that was judged.
    pub observed_generation: i64,
}
