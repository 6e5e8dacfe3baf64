//! Hash maps of the compiler's own books, with the compiler's seed. Nothing here is iterated to make output: what is collected from
//! them is sorted first.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use crate::snapshot::Seed;

/// A hash map with the compiler's seed.
pub(super) type Hashed<K, V> = HashMap<K, V, Seed>;

/// A hash set with the compiler's seed.
pub(super) type HashedSet<K> = HashSet<K, Seed>;

/// Gives back the room of a map most of which went: a compiler lives on when thousands of objects are gone.
pub(super) fn shrink<K: Eq + Hash, V>(map: &mut Hashed<K, V>) {
    if map.capacity() > SPARSE * map.len().max(ROOM) {
        map.shrink_to(2 * map.len());
    }
}

/// A map is sparse when it has room for so many times what it holds.
const SPARSE: usize = 8;

/// Entries for which room is never given back.
const ROOM: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_given_back_once_most_is_gone_and_not_at_each_change() {
        let mut map = Hashed::with_hasher(Seed::new(1));
        map.extend((0..10_000).map(|key| (key, ())));
        map.retain(|key, ()| *key < 5_000);
        shrink(&mut map);
        assert!(map.capacity() > 10_000);
        map.retain(|key, ()| *key < 100);
        shrink(&mut map);
        assert!(map.capacity() < 500 && map.len() == 100);
        map.clear();
        shrink(&mut map);
        assert!(map.capacity() < 500);
    }
}
