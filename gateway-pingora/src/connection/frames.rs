//! The frames of an HTTP/2 connection, as far as their headers tell, and what a client may send without content.
//!
//! In: bytes of both directions, split anyhow. Out: whether a header block is unfinished, whether we are between two frames of our
//! own, and whether the client floods. Frames are not judged otherwise: that is the business of who reads them.
//!
//! Invariants: **what is seen does not depend on how bytes are split**; a connection that carries requests and bodies regains more than
//! it honestly spends.

use std::time::Duration;

use tokio::time::Instant;

/// Watches both directions of one connection.
#[derive(Debug)]
pub(crate) struct Watcher {
    incoming: Scanner,
    outgoing: Scanner,
    budget: Budget,
    /// A block of header fields has begun and has not ended.
    block: bool,
    /// When it began, as far as reads tell.
    since: Option<Instant>,
    /// The last stream that the client opened.
    stream: u32,
}

impl Watcher {
    /// `preface` bytes come before the client's first frame; so many frames without content are allowed.
    pub(crate) fn new(preface: usize, frames: u32) -> Self {
        Self {
            incoming: Scanner { skip: preface, ..Scanner::default() },
            outgoing: Scanner::default(),
            budget: Budget::new(frames),
            block: false,
            since: None,
            stream: 0,
        }
    }

    /// Sees what the client sent; says whether it still may.
    pub(crate) fn received(&mut self, bytes: &[u8], now: Instant) -> bool {
        let Self { incoming, budget, block, stream, .. } = self;
        let mut may = true;
        let mut ended = false;
        incoming.scan(bytes, |frame| {
            match frame.kind {
                HEADERS | CONTINUATION => {
                    if frame.kind == HEADERS {
                        *stream = (*stream).max(frame.stream);
                    }
                    *block = frame.flags & END_HEADERS == 0;
                    ended |= !*block;
                }
                _ => {}
            }
            may &= match frame.kind {
                HEADERS => true,
                DATA if frame.length > 0 => {
                    budget.earn(frame.length);
                    true
                }
                DATA if frame.flags & END_STREAM != 0 => true,
                _ => budget.spend(now),
            };
        });
        // The block's last frame may still be on its way.
        let is_open = *block || incoming.is_within(|kind| matches!(kind, HEADERS | CONTINUATION));
        match self.since {
            Some(_) if is_open && !ended => {}
            _ => self.since = is_open.then_some(now),
        }
        may
    }

    /// Sees what we send: it pays for what the client sends in answer.
    pub(crate) fn sent(&mut self, bytes: &[u8]) {
        self.outgoing.scan(bytes, |_| {});
        self.budget.earn(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    }

    /// Since when a block of header fields is unfinished.
    pub(crate) fn unfinished(&self) -> Option<Instant> {
        self.since
    }

    /// The frame that ends the connection for good; `None` in the midst of another.
    pub(crate) fn goaway(&self) -> Option<[u8; 17]> {
        let mut frame = *b"\0\0\x08\x07\0\0\0\0\0....\0\0\0\x0b";
        frame[9..13].copy_from_slice(&self.stream.to_be_bytes());
        self.outgoing.is_between().then_some(frame)
    }
}

/// Finds the headers of frames (RFC 9113, section 4.1).
#[derive(Debug, Default)]
struct Scanner {
    /// Bytes that are no frames.
    skip: usize,
    header: [u8; 9],
    have: usize,
    /// Payload of the frame whose header was seen last.
    left: usize,
}

#[derive(Debug)]
struct Frame {
    length: u32,
    kind: u8,
    flags: u8,
    stream: u32,
}

impl Scanner {
    fn scan(&mut self, mut bytes: &[u8], mut see: impl FnMut(Frame)) {
        while !bytes.is_empty() {
            if self.skip > 0 {
                bytes = pass(bytes, &mut self.skip);
            } else if self.left > 0 {
                bytes = pass(bytes, &mut self.left);
            } else {
                let (part, rest) = bytes.split_at(bytes.len().min(self.header.len() - self.have));
                self.header[self.have..self.have + part.len()].copy_from_slice(part);
                self.have += part.len();
                bytes = rest;
                if self.have == self.header.len() {
                    let [a, b, c, kind, flags, stream @ ..] = self.header;
                    let length = u32::from_be_bytes([0, a, b, c]);
                    self.have = 0;
                    self.left = length as usize;
                    see(Frame { length, kind, flags, stream: u32::from_be_bytes(stream) & !RESERVED });
                }
            }
        }
    }

    fn is_between(&self) -> bool {
        self.skip == 0 && self.left == 0 && self.have == 0
    }

    /// Whether the payload of a frame of such a kind is still coming.
    fn is_within(&self, kind: impl Fn(u8) -> bool) -> bool {
        self.left > 0 && kind(self.header[3])
    }
}

/// Leaves out what is counted by `left`.
fn pass<'a>(bytes: &'a [u8], left: &mut usize) -> &'a [u8] {
    let passed = bytes.len().min(*left);
    *left -= passed;
    bytes.get(passed..).unwrap_or(&[])
}

/// What a client may send that carries nothing: a stock, regained by traffic and, slowly, by time.
#[derive(Debug)]
struct Budget {
    stock: u64,
    most: u64,
    regained: Option<Instant>,
}

impl Budget {
    fn new(frames: u32) -> Self {
        let most = u64::from(frames) * COST;
        Self { stock: most, most, regained: None }
    }

    fn earn(&mut self, bytes: u32) {
        self.stock = self.stock.saturating_add(u64::from(bytes)).min(self.most);
    }

    /// Pays for a frame; false when nothing is left to pay with.
    fn spend(&mut self, now: Instant) -> bool {
        if self.stock < self.most / 2 {
            let passed = now.saturating_duration_since(*self.regained.get_or_insert(now));
            // Less than a frame's worth is not counted yet, lest it be lost.
            let regained = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX).saturating_mul(self.most) / REGAIN_MILLIS;
            if regained >= COST {
                self.stock = self.stock.saturating_add(regained).min(self.most);
                self.regained = Some(now);
            }
        } else {
            self.regained = None;
        }
        match self.stock.checked_sub(COST) {
            Some(rest) => {
                self.stock = rest;
                true
            }
            None => false,
        }
    }
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const RESERVED: u32 = 1 << 31;
/// Bytes of traffic that pay for a frame without content.
const COST: u64 = 64;
/// Time in which the whole stock is regained.
const REGAIN_MILLIS: u64 = Duration::from_secs(10).as_millis() as u64;

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(length: usize, kind: u8, flags: u8, stream: u8) -> Vec<u8> {
        let [.., a, b, c] = (length as u32).to_be_bytes();
        let mut bytes = vec![a, b, c, kind, flags, 0, 0, 0, stream];
        bytes.resize(9 + length, b'x');
        bytes
    }

    const PING: u8 = 6;

    #[test]
    fn what_is_seen_does_not_depend_on_how_bytes_are_split() {
        let bytes = [
            vec![b'P'; 24],
            frame(0, 4, 0, 0),
            frame(300, HEADERS, 0, 3),
            frame(0, CONTINUATION, END_HEADERS, 3),
            frame(8, PING, 0, 0),
        ]
        .concat();
        let now = Instant::now();
        for size in 1..bytes.len() {
            let mut watcher = Watcher::new(24, 3);
            let mut unfinished = 0;
            for part in bytes.chunks(size) {
                assert!(watcher.received(part, now), "three frames are allowed");
                unfinished += usize::from(watcher.unfinished().is_some());
            }
            assert_eq!((watcher.stream, watcher.unfinished()), (3, None), "in parts of {size}");
            assert!(size > 100 || unfinished > 0, "in parts of {size}");
            assert!(!watcher.received(&frame(8, PING, 0, 0), now), "a fourth is not");
        }
    }

    #[test]
    fn a_block_of_fields_is_unfinished_from_its_first_byte_to_its_last() {
        let mut watcher = Watcher::new(0, 10);
        let start = Instant::now();
        let later = start + Duration::from_secs(1);
        watcher.received(&frame(9, HEADERS, END_HEADERS, 1)[..12], start);
        assert_eq!(watcher.unfinished(), Some(start));
        watcher.received(b"xxx", later);
        assert_eq!(watcher.unfinished(), Some(start), "more of it makes it no younger");
        watcher.received(b"xxx", later);
        assert_eq!(watcher.unfinished(), None);
        watcher.received(&frame(0, HEADERS, 0, 3), start);
        watcher.received(&[frame(0, CONTINUATION, END_HEADERS, 3), frame(0, HEADERS, 0, 5)].concat(), later);
        assert_eq!(watcher.unfinished(), Some(later), "another one");
    }

    #[test]
    fn traffic_pays_for_frames_without_content_and_so_does_time() {
        let now = Instant::now();
        let mut watcher = Watcher::new(0, 100);
        let ping = frame(8, PING, 0, 0);
        for _ in 0..10_000 {
            watcher.sent(&frame(120, DATA, 0, 1));
            assert!(watcher.received(&[ping.clone(), frame(4, 8, 0, 1)].concat(), now), "two for each piece that is sent");
        }
        for _ in 0..10_000 {
            assert!(watcher.received(&[frame(64, DATA, 0, 1), ping.clone()].concat(), now), "one for each piece that comes");
        }
        let flood = |watcher: &mut Watcher, at| (0..1000).take_while(|_| watcher.received(&ping, at)).count();
        assert_eq!(flood(&mut watcher, now), 98, "two are not yet paid");
        assert!((48..=50).contains(&flood(&mut watcher, now + Duration::from_secs(5))), "half of it after five seconds");
        let mut watcher = Watcher::new(0, 100);
        for frame in [frame(0, DATA, 0, 1), frame(0, CONTINUATION, END_HEADERS, 1), frame(4, 3, 0, 1), frame(0, 77, 0, 0)] {
            assert!(watcher.received(&frame, now));
        }
        assert_eq!(flood(&mut watcher, now), 96);
        assert!(
            watcher.received(&[frame(9, HEADERS, END_HEADERS, 1), frame(0, DATA, END_STREAM, 1)].concat(), now),
            "requests are no flood"
        );
    }

    #[test]
    fn we_never_break_into_a_frame_of_our_own() {
        let mut watcher = Watcher::new(0, 1);
        watcher.received(&frame(1, HEADERS, END_HEADERS, 7), Instant::now());
        assert_eq!(watcher.goaway().map(|frame| frame[9..].to_vec()), Some(vec![0, 0, 0, 7, 0, 0, 0, 11]));
        let data = frame(100, DATA, 0, 1);
        watcher.sent(&data[..50]);
        assert!(watcher.goaway().is_none());
        watcher.sent(&data[50..]);
        assert!(watcher.goaway().is_some());
    }
}
