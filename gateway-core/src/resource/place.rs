//! Where something stands in an object, put into words only when there is something to say about it.

use std::fmt;

/// A field, an entry of a list or an entry of a map, and what holds it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    holder: Option<&'a Self>,
    step: Step<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Step<'a> {
    Field(&'a str),
    Index(usize),
}

impl<'a> Place<'a> {
    /// A field at the top of an object.
    pub(super) const fn top(field: &'a str) -> Self {
        Self { holder: None, step: Step::Field(field) }
    }

    /// A field, or an entry of a map, of what stands here.
    pub(super) const fn field(&'a self, name: &'a str) -> Self {
        Self { holder: Some(self), step: Step::Field(name) }
    }

    /// An entry of the list that stands here.
    pub(super) const fn entry(&'a self, index: usize) -> Self {
        Self { holder: Some(self), step: Step::Index(index) }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(holder) = self.holder {
            holder.fmt(f)?;
        }
        match (self.step, self.holder) {
            (Step::Index(index), _) => write!(f, "[{index}]"),
            (Step::Field(name), None) => f.write_str(name),
            (Step::Field(name), Some(_)) => write!(f, ".{name}"),
        }
    }
}

impl From<&Place<'_>> for String {
    fn from(place: &Place<'_>) -> Self {
        place.to_string()
    }
}
