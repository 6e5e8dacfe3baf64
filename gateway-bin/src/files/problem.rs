//! What is wrong with a manifest, told so that a person finds the place.
//!
//! In: file, line, object, field and reason, as far as each is known. Out: one line of text, in the form compilers and editors
//! use: `routes.yaml:12:7: HTTPRoute shop/cart: spec.rules[0].name: expected …`.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Problem {
    pub(crate) file: Arc<Path>,
    /// Line and column, the first being 1.
    pub(crate) at: Option<(usize, usize)>,
    pub(crate) severity: Severity,
    pub(crate) object: Option<String>,
    pub(crate) field: Option<String>,
    pub(crate) reason: String,
}

/// How much harm is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    /// Something stated is not in force.
    Error,
    /// All is in force, perhaps not as meant.
    Warning,
}

impl Problem {
    /// A problem of a whole file or folder.
    pub(crate) fn of_file(file: &Path, severity: Severity, reason: impl Into<String>) -> Self {
        Self { file: file.into(), at: None, severity, object: None, field: None, reason: reason.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.file.to_str() {
            Some("-") => f.write_str("<stdin>")?,
            // What flags stand for is kept under a name that sorts behind all files.
            Some(name) => f.write_str(name.trim_start_matches('\u{10ffff}'))?,
            None => write!(f, "{}", self.file.display())?,
        }
        if let Some((line, column)) = self.at {
            write!(f, ":{line}:{column}")?;
        }
        f.write_str(match self.severity {
            Severity::Error => ": ",
            Severity::Warning => ": warning: ",
        })?;
        for part in [&self.object, &self.field].into_iter().flatten() {
            write!(f, "{part}: ")?;
        }
        f.write_str(&self.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_names_what_is_known() {
        let mut problem = Problem::of_file(Path::new("a/b.yaml"), Severity::Error, "not UTF-8");
        assert_eq!(problem.to_string(), "a/b.yaml: not UTF-8");
        problem.at = Some((3, 5));
        problem.object = Some("HTTPRoute shop/cart".into());
        problem.field = Some("spec.rules".into());
        assert_eq!(problem.to_string(), "a/b.yaml:3:5: HTTPRoute shop/cart: spec.rules: not UTF-8");
        assert_eq!(Problem::of_file(Path::new("-"), Severity::Warning, "empty").to_string(), "<stdin>: warning: empty");
    }
}
