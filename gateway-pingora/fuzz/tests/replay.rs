//! The target holds on what is known and on a few thousand inputs drawn anew from fixed seeds, without a fuzzer.

use gateway_pingora_fuzz::frames;

/// Frames whose kinds, flags and lengths depend on nothing but the seed; the last one may be cut.
fn drawn(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
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
