//! The targets hold on what is known and on a few thousand inputs drawn anew from fixed seeds, without a fuzzer.

use gateway_pingora_fuzz::{frames, headers};

/// Bytes that depend on nothing but the seed.
fn noise(seed: u64) -> impl FnMut() -> u8 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    }
}

/// Frames of any kinds, flags and lengths; the last one may be cut.
fn drawn(seed: u64) -> Vec<u8> {
    let mut next = noise(seed);
    let mut bytes = vec![next() % 20, next()];
    for _ in 0..next() % 40 {
        let length = [0, 0, 4, 8, next()][usize::from(next() % 5)];
        bytes.extend([0, 0, length, next() % 11, next() & 5, 0, 0, 0, next() % 8]);
        bytes.extend((0..length).map(|_| next()));
    }
    let cut = usize::from(next() % 12);
    bytes.truncate(bytes.len().saturating_sub(cut));
    bytes
}

#[test]
fn frames_of_all_sorts_break_no_law() {
    for known in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/known")).unwrap() {
        frames(&std::fs::read(known.unwrap().path()).unwrap());
    }
    for seed in 0..5000 {
        frames(&drawn(seed));
    }
}

/// A header that is good but for a byte or two, with what a client says behind it; often it is cut.
fn drawn_header(seed: u64) -> Vec<u8> {
    let mut next = noise(seed);
    let mut bytes = vec![next()];
    if next() % 2 == 0 {
        let four = || "PROXY TCP4 203.0.113.7 192.0.2.1 40000 80\r\n".to_owned();
        bytes.extend(
            match next() % 6 {
                0 => "PROXY UNKNOWN\r\n".to_owned(),
                1 => "PROXY UNKNOWN and whatever it likes\r\n".to_owned(),
                2 => "PROXY TCP6 2001:db8::7 2001:db8::1 40000 80\r\n".to_owned(),
                3 => format!("PROXY TCP4 {}\r\n", "1".repeat(usize::from(next()))),
                _ => four(),
            }
            .into_bytes(),
        );
    } else {
        let family = [0x11, 0x12, 0x21, 0x31, 0x00, next()][usize::from(next() % 6)];
        let addresses = [12, 36, 216, 0, usize::from(next())][usize::from(next() % 5)];
        let length = (addresses + usize::from(next() % 3) * 100).to_be_bytes();
        bytes.extend(b"\r\n\r\n\0\r\nQUIT\n");
        bytes.extend([[0x21, 0x20, next()][usize::from(next() % 3)], family]);
        bytes.extend(&length[length.len() - 2..]);
        bytes.extend((0..usize::from_be_bytes(length)).map(|_| next()));
    }
    bytes.extend(b"GET / HTTP/1.1\r\n\r\n");
    for _ in 0..next() % 3 {
        let at = usize::from(next()) % bytes.len();
        bytes[at] = next();
    }
    if next() % 3 == 0 {
        bytes.truncate(usize::from(next()));
    }
    bytes
}

#[test]
fn headers_of_all_sorts_are_read_alike_and_nothing_behind_them() {
    for seed in 0..20_000 {
        headers(&drawn_header(seed));
    }
}
