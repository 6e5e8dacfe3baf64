//! Regular expressions as routes write them: RE2's dialect, matching the whole of a value.
//!
//! In: patterns, from people who may not be trusted. Out: a compiled expression of bounded size, or why there is none. Matching
//! takes time linear in the value; there is no backtracking without bound, no look-around and no back reference.
//!
//! Classes such as `\w` are those of ASCII, unless the pattern holds something only Unicode can mean.
//!
//! Invariants: no value beyond `LONGEST` bytes is ever tried; a pattern cannot reach outside the anchors put around it.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Weak};

use regex_automata::meta::{Builder, Config, Regex};
use regex_automata::nfa::thompson::WhichCaptures;
use regex_automata::{Anchored, Input};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::literal::{ExtractKind, Extractor};
use regex_syntax::hir::{Hir, Look};

/// The longest value an expression is tried on, in bytes.
pub const LONGEST: usize = 8 * 1024;

/// What a compiled expression may take, in bytes. Reached within milliseconds by patterns that would take seconds.
const SIZE_LIMIT: usize = 256 * 1024;

/// A compiled regular expression. Compared by its pattern.
pub struct Expression {
    pattern: Arc<str>,
    /// With what every match begins.
    head: Box<[u8]>,
    regex: Regex,
}

/// An expression was not tried, because the value is longer than `LONGEST`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

impl Expression {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// Why the pattern is wrong or too large, for the author of the route.
    pub fn new(pattern: &str) -> Result<Self, String> {
        let hir = parse(pattern)?;
        let head = Extractor::new().kind(ExtractKind::Prefix).extract(&hir);
        let head = head.longest_common_prefix().unwrap_or_default().into();
        let whole = Hir::concat(vec![Hir::look(Look::Start), hir, Hir::look(Look::End)]);
        let config = Config::new()
            .utf8_empty(false)
            .nfa_size_limit(Some(SIZE_LIMIT))
            .which_captures(WhichCaptures::None)
            // Their caches cost more memory, per thread and expression, than they gain in time.
            .hybrid(false)
            .onepass(false);
        let regex = Builder::new().configure(config).build_from_hir(&whole).map_err(|error| match error.size_limit() {
            Some(_) => "the compiled expression is too large".to_owned(),
            None => error.to_string(),
        })?;
        Ok(Self { pattern: pattern.into(), head, regex })
    }

    /// The pattern.
    pub fn as_str(&self) -> &str {
        &self.pattern
    }

    /// Whether the expression matches the whole of `value`.
    pub(crate) fn matches(&self, value: &[u8]) -> Result<bool, TooLong> {
        if !value.starts_with(&self.head) {
            return Ok(false);
        }
        if value.len() > LONGEST {
            return Err(TooLong);
        }
        Ok(self.regex.is_match(Input::new(value).anchored(Anchored::Yes)))
    }
}

/// Parses a pattern by itself, so that `a)|(b` stays an error, in ASCII where that can be.
pub(super) fn parse(pattern: &str) -> Result<Hir, String> {
    if let Ok(ascii) = ParserBuilder::new().unicode(false).utf8(false).build().parse(pattern) {
        return Ok(ascii);
    }
    ParserBuilder::new().utf8(false).build().parse(pattern).map_err(|error| match error {
        regex_syntax::Error::Parse(error) => error.kind().to_string(),
        regex_syntax::Error::Translate(error) => error.kind().to_string(),
        other => other.to_string(),
    })
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.pattern == other.pattern
    }
}

impl Eq for Expression {}

impl PartialOrd for Expression {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Expression {
    fn cmp(&self, other: &Self) -> Ordering {
        self.pattern.cmp(&other.pattern)
    }
}

impl Hash for Expression {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.pattern.hash(state);
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expression({:?})", self.pattern)
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.pattern)
    }
}

/// The compiled expressions in use, one for each pattern: an edit of a rule compiles only what is new.
#[derive(Debug, Default)]
pub struct Expressions {
    known: HashMap<Arc<str>, Weak<Expression>>,
    /// When so many are known, those no longer in use are forgotten.
    sweep_at: usize,
}

impl Expressions {
    /// The expression of a pattern.
    ///
    /// # Errors
    /// As for `Expression::new`.
    pub fn get(&mut self, pattern: &str) -> Result<Arc<Expression>, String> {
        if let Some(known) = self.known.get(pattern).and_then(Weak::upgrade) {
            return Ok(known);
        }
        let new = Arc::new(Expression::new(pattern)?);
        if self.known.len() >= self.sweep_at {
            self.known.retain(|_, expression| expression.strong_count() > 0);
            self.sweep_at = 2 * self.known.len() + 16;
        }
        self.known.insert(Arc::clone(&new.pattern), Arc::downgrade(&new));
        Ok(new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, value: &str) -> bool {
        Expression::new(pattern).unwrap().matches(value.as_bytes()).unwrap()
    }

    #[test]
    fn an_expression_matches_the_whole_value() {
        assert!(matches("/users/[0-9]+", "/users/42"));
        assert!(!matches("/users/[0-9]+", "/users/42/orders"));
        assert!(!matches("users", "/users"));
        assert!(matches("a|ab", "ab"), "no alternative is cut short");
        assert!(matches("", "") && !matches("", "a"));
        assert!(matches("^/a$", "/a"));
        assert!(matches("(?i)/Users", "/uSERS"));
        assert!(matches("/a\nb", "/a\nb"));
        assert!(!matches("/a", "/a\n"));
    }

    #[test]
    fn a_pattern_cannot_reach_outside_its_anchors() {
        for pattern in ["a)|(b", ")", "(a", "a)", "(?P<n>a", "[a", "*"] {
            assert!(Expression::new(pattern).is_err(), "{pattern}");
        }
        assert!(!matches("(?m)^a$", "b\na"), "a line is not the value");
        assert!(!matches("(?x)a # no end", "a b"));
    }

    #[test]
    fn classes_are_ascii_unless_the_pattern_needs_unicode() {
        assert!(matches(r"\w+", "abc_1") && !matches(r"\w+", "é"));
        assert!(matches("[é]", "é") && matches("é+", "éé"));
        assert!(matches(r"\p{Greek}+", "λόγος"));
        assert!(matches(".", "é") || matches("..", "é"), "a dot is one byte or one character");
    }

    #[test]
    fn a_pattern_that_would_be_too_large_is_refused() {
        assert_eq!(Expression::new(r"[0-9a-f]{900}{900}").unwrap_err(), "the compiled expression is too large");
        assert!(Expression::new(r"\pL{500}").is_err());
        assert!(Expression::new(&"(".repeat(4000)).is_err());
    }

    #[test]
    fn nothing_beyond_8_kib_is_tried_and_what_the_head_rules_out_need_not_be() {
        let expression = Expression::new("/files/.*").unwrap();
        let long = |head: &str| format!("{head}{}", "a".repeat(LONGEST));
        assert_eq!(expression.matches(long("/files/").as_bytes()), Err(TooLong));
        assert_eq!(expression.matches(long("/other/").as_bytes()), Ok(false));
        assert_eq!(expression.matches(&[b"/files/", [0xff; 100].as_slice()].concat()), Ok(true));
    }

    #[test]
    fn equal_patterns_share_one_expression_while_it_is_in_use() {
        let mut expressions = Expressions::default();
        let first = expressions.get("/a.*").unwrap();
        assert!(Arc::ptr_eq(&first, &expressions.get("/a.*").unwrap()));
        for n in 0..1000 {
            expressions.get(&format!("/{n}")).unwrap();
        }
        assert!(expressions.known.len() < 100, "those not in use are forgotten");
        assert!(Arc::ptr_eq(&first, &expressions.get("/a.*").unwrap()));
        assert!(expressions.get("(").is_err());
    }
}
