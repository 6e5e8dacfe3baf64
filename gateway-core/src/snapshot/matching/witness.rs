//! Values that an expression matches, so that it can be asked about without a person who knows one.
//!
//! In: an expression. Out: a few texts it matches as a whole: the shortest that its structure tells, one in which what repeats does
//! so once more, and the same of later alternatives, with the ends of ranges for their members: where two expressions differ by a range,
//! one of its ends shows it. None where those do not match, as between two letters with a word boundary.
//!
//! Invariants: every text that is given matches.

use regex_syntax::hir::{Class, Hir, HirKind};

use super::expression::{Expression, parse};

/// How many ways through the structure are tried.
const WAYS: usize = 8;

/// The longest text that is made, in bytes.
const LONGEST: usize = 512;

impl Expression {
    /// Texts that the expression matches, each once; possibly none.
    pub(crate) fn witnesses(&self) -> Vec<String> {
        let Ok(hir) = parse(self.as_str()) else { return Vec::new() };
        let mut found = Vec::new();
        for way in 0..WAYS {
            let way = Way { extra: way % 2, alternative: way / 2 };
            let mut text = Vec::new();
            if way.append(&hir, &mut text).is_some()
                && let Ok(text) = String::from_utf8(text)
                && self.matches(text.as_bytes()) == Ok(true)
                && !found.contains(&text)
            {
                found.push(text);
            }
        }
        found
    }
}

/// One way through the structure of an expression.
struct Way {
    /// How often what repeats does so beyond what it must, where it may.
    extra: usize,
    /// Which alternative is taken, counted round.
    alternative: usize,
}

impl Way {
    /// Appends a text that the structure matches; `None` where there is no telling.
    fn append(&self, hir: &Hir, text: &mut Vec<u8>) -> Option<()> {
        match hir.kind() {
            HirKind::Empty => {}
            HirKind::Literal(literal) => text.extend_from_slice(&literal.0),
            HirKind::Class(class) => append_member(class, self.alternative, text)?,
            // Whether it holds shows when the whole is tried.
            HirKind::Look(_) => {}
            HirKind::Repetition(repetition) => {
                let least = usize::try_from(repetition.min).ok()?;
                let most = repetition.max.map_or(usize::MAX, |max| usize::try_from(max).unwrap_or(usize::MAX));
                for _ in 0..least.saturating_add(self.extra).min(most.max(least)) {
                    self.append(&repetition.sub, text)?;
                }
            }
            HirKind::Capture(capture) => self.append(&capture.sub, text)?,
            HirKind::Concat(parts) => parts.iter().try_for_each(|part| self.append(part, text))?,
            HirKind::Alternation(ways) => self.append(ways.get(self.alternative % ways.len().max(1))?, text)?,
        }
        (text.len() <= LONGEST).then_some(())
    }
}

/// A member of a class: at first one that is at home in paths and headers where there is any, then the ends of its ranges.
fn append_member(class: &Class, alternative: usize, text: &mut Vec<u8>) -> Option<()> {
    let ends = ends(class);
    if let Some(end) = alternative.checked_sub(1).and_then(|at| ends.get(at % ends.len().max(1))) {
        text.push(*end);
        return Some(());
    }
    const LIKED: &[u8] = b"ax019A-_.~/!";
    let liked = LIKED.iter().copied().chain(b'!'..=b'~').find(|byte| match class {
        Class::Bytes(class) => class.iter().any(|range| (range.start()..=range.end()).contains(byte)),
        Class::Unicode(class) => class.iter().any(|range| (range.start()..=range.end()).contains(&char::from(*byte))),
    });
    match (liked, class) {
        (Some(byte), _) => text.push(byte),
        (None, Class::Bytes(class)) => text.push(class.iter().next()?.start()),
        (None, Class::Unicode(class)) => {
            let member = class.iter().next()?.start();
            text.extend_from_slice(member.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    Some(())
}

/// The ends of the ranges of a class, each once; of none that goes beyond what can be seen, such as those of `.` and `[^/]`.
fn ends(class: &Class) -> Vec<u8> {
    let mut ends: Vec<u8> = match class {
        Class::Bytes(class) => class.iter().flat_map(|range| seen(range.start().into(), range.end().into())).collect(),
        Class::Unicode(class) => class.iter().flat_map(|range| seen(range.start().into(), range.end().into())).collect(),
    };
    ends.dedup();
    ends
}

fn seen(start: u32, end: u32) -> Vec<u8> {
    let both = u8::try_from(start).ok().zip(u8::try_from(end).ok()).filter(|(start, end)| *start > b' ' && *end <= b'~');
    both.map_or_else(Vec::new, |(start, end)| vec![start, end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn witnesses(pattern: &str) -> Vec<String> {
        Expression::new(pattern).unwrap().witnesses()
    }

    #[test]
    fn an_expression_tells_what_it_matches() {
        let rows: [(&str, &[&str]); 13] = [
            ("/users/[0-9]+", &["/users/0", "/users/00", "/users/9", "/users/99"]),
            ("/users/.*", &["/users/", "/users/a"]),
            ("/(cart|checkout)(/.*)?", &["/cart", "/cart/a", "/checkout", "/checkout/a"]),
            ("(?i)/Users", &["/USERS", "/users"]),
            ("/v[12]/[a-z]{3}", &["/v1/aaa", "/v2/zzz"]),
            ("/M(a|b|c)", &["/Ma", "/Mc"]),
            ("^/a$", &["/a"]),
            ("[^a-z]", &["0"]),
            ("", &[""]),
            (r"/\w+\b", &["/a", "/aa", "/0", "/00", "/9", "/99", "/A", "/AA"]),
            (r"/a\Bb", &["/ab"]),
            (r"/a\bb", &[]),
            (r"\p{Greek}", &["\u{370}"]),
        ];
        for (pattern, expected) in rows {
            assert_eq!(witnesses(pattern), expected, "{pattern}");
        }
    }

    #[test]
    fn what_would_be_too_long_is_not_made() {
        assert_eq!(witnesses("(a{30}){30}").len(), 0);
    }
}
