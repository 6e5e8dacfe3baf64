//! Which trace a request belongs to (W3C Trace Context): the header `traceparent`, and with it `tracestate`.
//!
//! In: the headers of a request. Out: the span that they name as the request's parent, and the same headers with a span of ours in its
//! place. A `traceparent` that cannot be read, or stands there twice, begins no trace and ends one: what `tracestate` says then is
//! nobody's. Whether a span is sampled is not decided here.
//!
//! Invariants: neither id of a span is all zeros; `tracestate` is passed on as it came, or not at all.

use std::fmt;

use http::{HeaderMap, HeaderName};
use pingora_error::Result;
use pingora_http::RequestHeader;
use ring::error::Unspecified;
use ring::rand::{SecureRandom, SystemRandom};

/// The id of a trace.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct TraceId(u128);

/// The id of a span in its trace.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct SpanId(u64);

/// A span as others are told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TraceContext {
    pub(crate) trace: TraceId,
    pub(crate) span: SpanId,
    pub(crate) is_sampled: bool,
    /// The end of the trace's id is random: whoever began the trace says so (Level 2), and so do all after it.
    is_random: bool,
}

impl TraceId {
    pub(crate) fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// A number that is even over all of `u64`, the same for all who take part in the trace: the seven bytes of the id's end, which are
    /// random.
    pub(crate) fn number(self) -> u64 {
        (self.0 as u64) << 8
    }
}

impl SpanId {
    pub(crate) fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl TraceContext {
    /// The first span of a new trace.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub(crate) fn begin() -> Result<Self, Unspecified> {
        let mut bytes = [0; 24];
        SystemRandom::new().fill(&mut bytes)?;
        let (trace, span) = bytes.split_at(16);
        let trace = trace.iter().fold(0, |id, byte| id << 8 | u128::from(*byte));
        let span = span.iter().fold(0, |id, byte| id << 8 | u64::from(*byte));
        Ok(Self { trace: TraceId(trace.max(1)), span: SpanId(span.max(1)), is_sampled: false, is_random: false })
    }

    /// A further span of the same trace.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub(crate) fn child(&self) -> Result<Self, Unspecified> {
        Ok(Self { span: Self::begin()?.span, ..*self })
    }

    /// The span that a request names as its parent.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut stated = headers.get_all(TRACEPARENT).iter();
        match (stated.next(), stated.next()) {
            (Some(value), None) => Self::read(value.as_bytes()),
            _ => None,
        }
    }

    fn read(text: &[u8]) -> Option<Self> {
        let (known, more) = text.split_at_checked(LENGTH)?;
        let parts: Vec<&[u8]> = known.split(|byte| *byte == b'-').collect();
        let [version, trace, span, flags] = parts[..] else { return None };
        let version = hex(version, 2)?;
        // Later versions may go on, after another dash.
        let is_whole = if version == 0 { more.is_empty() } else { matches!(more, [] | [b'-', ..]) };
        let (trace, span, flags) = (hex(trace, 32)?, u64::try_from(hex(span, 16)?).ok()?, hex(flags, 2)?);
        (version != 0xff && is_whole && trace != 0 && span != 0).then_some(Self {
            trace: TraceId(trace),
            span: SpanId(span),
            is_sampled: flags & SAMPLED != 0,
            is_random: flags & RANDOM != 0,
        })
    }

    /// Makes it the parent that a request names. Where the request named none before, what its `tracestate` says goes.
    pub(crate) fn write(&self, head: &mut RequestHeader, has_parent: bool) -> Result<()> {
        if !has_parent && head.headers.contains_key(TRACESTATE) {
            head.remove_header(&TRACESTATE);
        }
        head.insert_header(TRACEPARENT, self.to_string())
    }

    /// The flags, in the form of one byte.
    pub(crate) fn flags(&self) -> u8 {
        let flag = |is_set: bool, flag: u128| if is_set { flag as u8 } else { 0 };
        flag(self.is_sampled, SAMPLED) | flag(self.is_random, RANDOM)
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace.0, self.span.0, self.flags())
    }
}

/// What a request's `tracestate` says, its fields in one; empty where it is longer than what everybody has to pass on, or unreadable.
pub(crate) fn trace_state(headers: &HeaderMap) -> String {
    let mut all = String::new();
    for value in headers.get_all(TRACESTATE) {
        let Ok(value) = value.to_str() else { return String::new() };
        if !all.is_empty() {
            all.push(',');
        }
        all.push_str(value.trim());
    }
    if all.len() > LONGEST_STATE { String::new() } else { all }
}

/// The number that so many digits, in lower case, are.
fn hex(text: &[u8], digits: usize) -> Option<u128> {
    let is_lower = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
    if text.len() != digits || !text.iter().all(is_lower) {
        return None;
    }
    u128::from_str_radix(std::str::from_utf8(text).ok()?, 16).ok()
}

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// Bytes of a `traceparent` of version 0.
const LENGTH: usize = 55;
const LONGEST_STATE: usize = 512;
const SAMPLED: u128 = 1;
const RANDOM: u128 = 2;

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const KNOWN: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn a_traceparent_is_written_as_it_is_read() {
        for flags in ["00", "01", "02", "03"] {
            let text = format!("{}{flags}", &KNOWN[..53]);
            let context = TraceContext::of(&headers(&[("traceparent", &text)])).unwrap();
            assert_eq!(context.to_string(), text);
            assert_eq!(context.is_sampled, flags.ends_with(['1', '3']));
        }
    }

    #[test]
    fn one_of_a_later_version_is_read_as_far_as_it_is_known() {
        let known = TraceContext::of(&headers(&[("traceparent", KNOWN)]));
        for (prefix, suffix) in [("01", ""), ("cc", "-what-comes"), ("fe", "-")] {
            let text = format!("{prefix}{}{suffix}", &KNOWN[2..]);
            assert_eq!(TraceContext::of(&headers(&[("traceparent", &text)])), known, "{text}");
        }
        let odd = KNOWN.replace("-01", "-f9");
        assert_eq!(TraceContext::of(&headers(&[("traceparent", &odd)])), known, "flags that are not known do not count");
    }

    #[test]
    fn what_is_no_traceparent_names_no_parent() {
        let rows = [
            String::new(),
            KNOWN[..54].to_owned(),
            format!("{KNOWN}-"),
            format!("{KNOWN}0"),
            format!("cc{}x", &KNOWN[2..]),
            KNOWN.replacen("00", "ff", 1),
            KNOWN.to_uppercase(),
            KNOWN.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            KNOWN.replace("b7ad6b7169203331", &"0".repeat(16)),
            KNOWN.replace('-', "_"),
            KNOWN.replace("-01", "-0x"),
            KNOWN.replace("-01", "-+1"),
        ];
        for text in rows {
            assert_eq!(TraceContext::of(&headers(&[("traceparent", &text)])), None, "{text}");
        }
        assert_eq!(TraceContext::of(&headers(&[("traceparent", KNOWN), ("traceparent", KNOWN)])), None, "which of the two?");
        assert_eq!(TraceContext::of(&HeaderMap::new()), None);
    }

    #[test]
    fn a_child_is_another_span_of_the_same_trace_and_no_two_traces_are_the_same() {
        let (one, other) = (TraceContext::begin().unwrap(), TraceContext::begin().unwrap());
        assert_ne!(one.trace, other.trace);
        let child = one.child().unwrap();
        assert_eq!(child.trace, one.trace);
        assert_ne!(child.span, one.span);
    }

    #[test]
    fn the_number_of_a_trace_is_its_end() {
        let context = TraceContext::of(&headers(&[("traceparent", KNOWN)])).unwrap();
        assert_eq!(context.trace.number(), 0x48eb211c80319c << 8);
    }

    #[test]
    fn the_state_of_a_trace_is_one_list_within_bounds() {
        let of = |fields: &[(&'static str, &str)]| trace_state(&headers(fields));
        assert_eq!(of(&[("tracestate", "a=1 "), ("tracestate", "b=2,c=3")]), "a=1,b=2,c=3");
        assert_eq!(of(&[]), "");
        assert_eq!(of(&[("tracestate", &"a".repeat(513))]), "");
    }
}
