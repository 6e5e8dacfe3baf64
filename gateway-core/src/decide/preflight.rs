//! Preflights: requests by which browsers ask what they may send (Fetch, "CORS-preflight request").
//!
//! In: a head. Out: whether it is a preflight, and what it asks about. A preflight has neither the method nor the headers of the
//! request it is for; a match of a rule that answers preflights takes them as there when they are asked about.

use std::cell::OnceCell;

use http::header::{ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN};
use http::request::Parts;
use http::{HeaderName, Method};

/// What a preflight asks about.
pub(super) struct Preflight<'a> {
    head: &'a Parts,
    method: &'a [u8],
    /// In lower case, sorted; read when first asked for.
    headers: OnceCell<Vec<String>>,
}

/// Names that are looked at, so that many of them cost no more than reading them.
const MOST: usize = 256;

impl<'a> Preflight<'a> {
    /// Whether a request is a preflight.
    pub(super) fn is(head: &Parts) -> bool {
        let has = |name| head.headers.contains_key(name);
        head.method == Method::OPTIONS && has(&ORIGIN) && has(&ACCESS_CONTROL_REQUEST_METHOD)
    }

    /// What a request asks about, if it is a preflight.
    pub(super) fn of(head: &'a Parts) -> Option<Self> {
        if !Self::is(head) {
            return None;
        }
        let method = head.headers.get(ACCESS_CONTROL_REQUEST_METHOD)?.as_bytes();
        Some(Self { head, method, headers: OnceCell::new() })
    }

    /// Whether it asks about this method.
    pub(super) fn asks_for(&self, method: &Method) -> bool {
        self.method == method.as_str().as_bytes()
    }

    /// Whether it asks about this header.
    pub(super) fn names(&self, header: &HeaderName) -> bool {
        let names = self.headers.get_or_init(|| {
            let lines = self.head.headers.get_all(ACCESS_CONTROL_REQUEST_HEADERS).iter();
            let listed = lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(','));
            let mut names: Vec<String> = listed.take(MOST).map(|name| name.trim().to_ascii_lowercase()).collect();
            names.sort_unstable();
            names
        });
        names.binary_search_by(|name| name.as_str().cmp(header.as_str())).is_ok()
    }
}
