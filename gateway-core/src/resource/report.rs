//! What is wrong with a document, or odd about it, said so that its author can mend it: which object, which field, what was
//! expected.
//!
//! No message holds the contents of a Secret.

use std::fmt;

use serde_json::Value;

/// A field that is not what the schema demands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Invalid {
    /// The object, such as `HTTPRoute team-a/users`, as far as it is known.
    pub object: String,
    /// The field, such as `spec.rules[0].matches[1].path.value`; empty for the document as a whole.
    pub path: String,
    /// What was expected there, and what was found.
    pub expected: String,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        located(f, &self.object, &self.path, &self.expected)
    }
}

impl std::error::Error for Invalid {}

/// Something that is accepted, though it is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Warning {
    /// The object, such as `HTTPRoute team-a/users`.
    pub object: String,
    /// The field.
    pub path: String,
    /// What is odd about it, and what would be better.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        located(f, &self.object, &self.path, &self.message)
    }
}

fn located(f: &mut fmt::Formatter<'_>, object: &str, path: &str, message: &str) -> fmt::Result {
    match path {
        "" => write!(f, "{object}: {message}"),
        path => write!(f, "{object}: {path}: {message}"),
    }
}

/// What is found while one document is read.
#[derive(Debug)]
pub(super) struct Report {
    /// The object, as far as it is known.
    pub(super) object: String,
    /// What is wrong with it.
    pub(super) invalid: Vec<Invalid>,
    /// What is odd about it.
    pub(super) warnings: Vec<Warning>,
    /// How much more is wrong with it than is said.
    unsaid: usize,
}

impl Report {
    /// A report on `object` with nothing in it.
    pub(super) fn on(object: String) -> Self {
        Self { object, invalid: Vec::new(), warnings: Vec::new(), unsaid: 0 }
    }

    /// The field is not what was expected.
    pub(super) fn refuse(&mut self, path: impl Into<String>, expected: impl Into<String>) {
        if self.invalid.len() < MOST {
            self.invalid.push(Invalid { object: self.object.clone(), path: path.into(), expected: expected.into() });
        } else {
            self.unsaid += 1;
        }
    }

    /// All that is wrong, as far as a person can read.
    pub(super) fn into_invalid(mut self) -> Vec<Invalid> {
        if self.unsaid > 0 {
            let expected = format!("{} more fields are not what they should be", self.unsaid);
            self.invalid.push(Invalid { object: self.object, path: String::new(), expected });
        }
        self.invalid
    }

    /// The field is accepted with a remark.
    pub(super) fn warn(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.warnings.push(Warning { object: self.object.clone(), path: path.into(), message: message.into() });
    }
}

/// How many faults of one object are told.
const MOST: usize = 64;

/// What kind of value this is, without what it says.
pub(super) fn what(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(text) if text.is_empty() => "an empty string",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
