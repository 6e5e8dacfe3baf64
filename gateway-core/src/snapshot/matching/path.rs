//! The one form in which a path is compared and forwarded.
//!
//! In: the path of a request target, or of a route. Out: the same path with dot segments resolved, empty segments dropped, escaped
//! unreserved characters written plainly, other escapes in upper case and bytes beyond ASCII escaped; borrowed when it already is
//! so. An escaped slash is not a separator, an escaped backslash is data, and a semicolon means nothing; they stay as they are.
//!
//! Invariants: the form of a form is itself; it begins with `/`; no segment of it is `.` or `..`.

use std::borrow::Cow;

/// What becomes of empty segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slashes {
    /// `//` is `/`.
    Merge,
    /// `//` stays.
    Keep,
}

/// The path is not one: it does not begin with `/`, or holds a NUL, a backslash or a broken escape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadPath;

/// The normal form of a request path.
pub(crate) fn normal(path: &str, slashes: Slashes) -> Result<Cow<'_, str>, BadPath> {
    if !path.starts_with('/') {
        return Err(BadPath);
    }
    if is_plain(path.as_bytes()) {
        return Ok(Cow::Borrowed(path));
    }
    let mut form: Option<String> = None;
    let mut start = 1;
    loop {
        let rest = path.get(start..).unwrap_or_default();
        let length = rest.bytes().position(|byte| byte == b'/').unwrap_or(rest.len());
        let (segment, last) = (&rest[..length], length == rest.len());
        let written = plain(segment)?;
        let stays =
            matches!(written, Cow::Borrowed(_)) && !is_dots(segment) && (last || !segment.is_empty() || slashes == Slashes::Keep);
        if form.is_some() || !stays {
            append(form.get_or_insert_with(|| path[..start].to_owned()), &written, last, slashes);
        }
        if last {
            return Ok(form.map_or(Cow::Borrowed(path), Cow::Owned));
        }
        start += length + 1;
    }
}

/// The spelling of a route's path: as `normal`, but of the escapes alone, since a route's path may hold neither dot segments nor
/// `//`. One that no request can have stays as it is.
pub(super) fn spelling(value: &str) -> Cow<'_, str> {
    plain(value).unwrap_or(Cow::Borrowed(value))
}

/// Whether a path is surely in normal form, as most are. Looks at blocks, which take few instructions as their length is known.
fn is_plain(path: &[u8]) -> bool {
    let mut rest = path;
    while let Some(block) = rest.first_chunk() {
        if !is_plain_block(block) {
            return false;
        }
        rest = &rest[BLOCK..];
    }
    // What fills it is plain.
    let mut last = [b'a'; BLOCK + 1];
    last[..rest.len()].copy_from_slice(rest);
    is_plain_block(&last)
}

/// Bytes that are looked at together.
const BLOCK: usize = 64;

/// The same of one block, and whether the byte after it makes a pair with its last.
fn is_plain_block(block: &[u8; BLOCK + 1]) -> bool {
    let mut odd = 0;
    for at in 0..BLOCK {
        let (byte, next) = (block[at], block[at + 1]);
        odd |= u8::from(is_odd(byte)) | (u8::from(byte == b'/') & (u8::from(next == b'/') | u8::from(next == b'.')));
    }
    odd == 0
}

fn is_dots(segment: &str) -> bool {
    segment == "." || segment == ".."
}

/// Appends a segment to a form that ends with `/`.
fn append(form: &mut String, segment: &str, last: bool, slashes: Slashes) {
    match segment {
        "." => {}
        ".." => {
            let parent = form.len().saturating_sub(1);
            let cut = form[..parent].rfind('/').map_or(1, |slash| slash + 1);
            form.truncate(cut);
        }
        "" if !last && slashes == Slashes::Merge => {}
        _ => {
            form.push_str(segment);
            if !last {
                form.push('/');
            }
        }
    }
}

/// A segment with its escapes in the one form.
fn plain(segment: &str) -> Result<Cow<'_, str>, BadPath> {
    let bytes = segment.as_bytes();
    let Some(first) = bytes.iter().position(|byte| is_odd(*byte)) else { return Ok(Cow::Borrowed(segment)) };
    let mut form: Option<String> = None;
    let mut at = first;
    while let Some(byte) = bytes.get(at) {
        let (written, next) = match byte {
            0 | b'\\' => return Err(BadPath),
            b'%' => (Written::of_escape(bytes.get(at + 1..at + 3).ok_or(BadPath)?)?, at + 3),
            0x80.. => (Written::Escape(*byte), at + 1),
            plain => (Written::Plain(*plain), at + 1),
        };
        match (&mut form, written) {
            (None, written) if written.is(&bytes[at..next]) => {}
            (form, written) => written.push(form.get_or_insert_with(|| segment[..at].to_owned())),
        }
        at = next;
    }
    Ok(form.map_or(Cow::Borrowed(segment), Cow::Owned))
}

/// Whether a byte needs a look.
fn is_odd(byte: u8) -> bool {
    (byte == 0) | (byte == b'\\') | (byte == b'%') | (byte >= 0x80)
}

/// How a byte of a path is written.
#[derive(Clone, Copy)]
enum Written {
    Plain(u8),
    Escape(u8),
}

impl Written {
    /// The form of the escape with these two digits.
    fn of_escape(digits: &[u8]) -> Result<Self, BadPath> {
        let [high, low] = digits else { return Err(BadPath) };
        let byte = digit(*high).ok_or(BadPath)? << 4 | digit(*low).ok_or(BadPath)?;
        match byte {
            0 => Err(BadPath),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => Ok(Self::Plain(byte)),
            _ => Ok(Self::Escape(byte)),
        }
    }

    /// Whether `bytes` are this form.
    fn is(self, bytes: &[u8]) -> bool {
        match self {
            Self::Plain(byte) => bytes == [byte],
            Self::Escape(byte) => bytes == escape(byte),
        }
    }

    fn push(self, form: &mut String) {
        match self {
            Self::Plain(byte) => form.push(char::from(byte)),
            Self::Escape(byte) => form.extend(escape(byte).map(char::from)),
        }
    }
}

/// `%` and two digits in upper case.
pub(crate) fn escape(byte: u8) -> [u8; 3] {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    [b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]
}

/// The value of a hexadecimal digit.
pub(crate) fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dot_segments_empty_segments_and_escapes_have_one_form() {
        let rows = [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a/b/", "/a/b/"),
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/a/b/..", "/a/"),
            ("/a/b/.", "/a/b/"),
            ("/..", "/"),
            ("/../../a", "/a"),
            ("/a/%2e%2E/b", "/b"),
            ("/a/.%2e/b", "/b"),
            ("/a/%2e", "/a/"),
            ("/...", "/..."),
            ("/.well-known/x", "/.well-known/x"),
            ("//", "/"),
            ("///a//b//", "/a/b/"),
            ("/a//../b", "/b"),
            ("/%7euser", "/~user"),
            ("/%41%2d%5F", "/A-_"),
            ("/a%2fb", "/a%2Fb"),
            ("/a%2Fb", "/a%2Fb"),
            ("/a/..%2fb", "/a/..%2Fb"),
            ("/a%5cb", "/a%5Cb"),
            ("/a%20b%3f", "/a%20b%3F"),
            ("/%252e%252e/", "/%252e%252e/"),
            ("/a/..;/b", "/a/..;/b"),
            ("/caf\u{e9}", "/caf%C3%A9"),
        ];
        for (path, expected) in rows {
            let form = normal(path, Slashes::Merge).unwrap();
            assert_eq!(form, expected, "{path}");
            assert_eq!(matches!(form, Cow::Borrowed(_)), path == expected, "{path} is copied only when it must be");
        }
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for path in ["", "a", "*", "/%", "/%4", "/%4g", "/%%41", "/a%00b", "/\0", "/a\\b", "/%2", "/a/%c3%"] {
            assert_eq!(normal(path, Slashes::Merge), Err(BadPath), "{path:?}");
        }
    }

    #[test]
    fn empty_segments_may_be_kept() {
        for (path, expected) in [("//", "//"), ("/a//b", "/a//b"), ("/a//../b", "/a/b"), ("/a//../../b", "/b"), ("//..", "/")] {
            assert_eq!(normal(path, Slashes::Keep).unwrap(), expected, "{path}");
        }
    }

    fn paths() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("/".to_owned()),
            Just("..".to_owned()),
            Just(".".to_owned()),
            Just("%".to_owned()),
            Just("%2".to_owned()),
            "%[0-9a-fA-F]{2}",
            "[a-z;:+é~-]{1,3}",
            any::<char>().prop_map(String::from),
        ];
        prop::collection::vec(piece, 0..20).prop_map(|pieces| format!("/{}", pieces.concat()))
    }

    proptest! {
        #[test]
        fn the_form_of_a_form_is_itself_and_stays_below_the_root(path in paths(), keep in any::<bool>()) {
            let slashes = if keep { Slashes::Keep } else { Slashes::Merge };
            if let Ok(form) = normal(&path, slashes) {
                prop_assert_eq!(normal(&form, slashes), Ok(Cow::Borrowed(&*form)));
                prop_assert!(form.starts_with('/') && form.is_ascii());
                prop_assert!(form.split('/').all(|segment| !is_dots(segment)));
                prop_assert!(keep || !form.contains("//"));
            }
        }
    }
}
