//! Hash maps of the compiler's own books, with the compiler's seed. Nothing here is iterated to make output: what is collected from
//! them is sorted first.

use std::collections::{HashMap, HashSet};

use crate::snapshot::Seed;

/// A hash map with the compiler's seed.
pub(super) type Hashed<K, V> = HashMap<K, V, Seed>;

/// A hash set with the compiler's seed.
pub(super) type HashedSet<K> = HashSet<K, Seed>;
