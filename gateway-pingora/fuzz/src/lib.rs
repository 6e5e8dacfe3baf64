//! The body of the fuzz target: what the watcher of frames sees must not depend on how bytes are split, and must be what a plain reading
//! of the same bytes finds.
//!
//! The watcher is taken from its source: it knows neither Pingora nor sockets, so that nothing else has to be built.

#[path = "../../src/connection/frames.rs"]
mod watcher;

use std::time::Duration;

use tokio::time::Instant;

use watcher::Watcher;

/// The first two bytes say how many frames are allowed and how the rest, sent by a client, is split.
pub fn frames(bytes: &[u8]) {
    let [allowed, sizes, input @ ..] = bytes else { return };
    let allowed = u32::from(*allowed) + 1;
    let start = Instant::now();
    let mut whole = Watcher::new(0, allowed);
    let mut split = Watcher::new(0, allowed);
    let may_whole = whole.received(input, start);
    let mut may_split = true;
    let mut rest = input;
    let mut size = usize::from(*sizes);
    while !rest.is_empty() {
        size = (size * 31 + 7) % 61 + 1;
        let (part, more) = rest.split_at(size.min(rest.len()));
        may_split &= split.received(part, start);
        rest = more;
    }
    assert_eq!(may_whole, may_split, "a flood is one however it is split");
    assert_eq!(whole.unfinished().is_some(), split.unfinished().is_some(), "a head is unfinished however it is split");
    assert_eq!(whole.goaway(), split.goaway(), "the last stream is known however it is split");
    whole.sent(input);
    input.chunks(usize::from(*sizes) + 1).for_each(|part| split.sent(part));
    assert_eq!(whole.goaway(), split.goaway(), "a frame of our own has its end however it is split");
    assert_eq!(may_whole, is_paid(input, u64::from(allowed)), "what is paid is paid");
    // Time gives back: after long enough one more frame is allowed whatever came.
    let later = start + Duration::from_secs(60);
    let mut fresh = Watcher::new(0, allowed);
    fresh.received(&[0, 0, 0, 6, 0, 0, 0, 0, 0].repeat(300), start);
    assert!(fresh.received(&[0, 0, 0, 6, 0, 0, 0, 0, 0], later), "a minute pays for one");
}

/// The same judgement by a plain walk over whole frames.
fn is_paid(mut rest: &[u8], allowed: u64) -> bool {
    let most = allowed * 64;
    let mut stock = most;
    while let Some((header, more)) = rest.split_at_checked(9) {
        let length = u64::from(header[0]) << 16 | u64::from(header[1]) << 8 | u64::from(header[2]);
        match (header[3], header[4]) {
            (1, _) => {}
            (0, flags) if length == 0 && flags & 1 == 1 => {}
            (0, _) if length > 0 => stock = (stock + length).min(most),
            _ if stock < 64 => return false,
            _ => stock -= 64,
        }
        rest = more.get(usize::try_from(length).unwrap_or(usize::MAX)..).unwrap_or(&[]);
    }
    true
}
