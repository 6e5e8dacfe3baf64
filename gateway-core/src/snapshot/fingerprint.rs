//! Fingerprints of configuration: equal for equal content, and for no other that anybody can find.
//!
//! In: the parts of a content, in order. Out: a value to compare, and a key for state derived from the content. Certificates, trust
//! and what guards connections are told apart by it, so it is cryptographic: who writes one object cannot make it pass for another.

use std::fmt;

use ring::digest::{Context, SHA256};

/// Stands for a content.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 16]);

impl Fingerprint {
    /// The fingerprint of these parts. Where one ends and the next begins counts.
    ///
    /// ```
    /// use gateway_core::snapshot::Fingerprint;
    ///
    /// assert_eq!(Fingerprint::of([b"ab", b"c "]), Fingerprint::of([b"ab", b"c "]));
    /// assert_ne!(Fingerprint::of([&b"ab"[..], b"c"]), Fingerprint::of([&b"a"[..], b"bc"]));
    /// ```
    pub fn of<P: AsRef<[u8]>>(parts: impl IntoIterator<Item = P>) -> Self {
        let mut context = Context::new(&SHA256);
        for part in parts {
            let part = part.as_ref();
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let digest = context.finish();
        let mut short = [0; 16];
        short.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
        Self(short)
    }
}

impl AsRef<[u8]> for Fingerprint {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
