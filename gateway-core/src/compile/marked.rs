//! What is marked on the way and gone through once: sorted, each once.
//!
//! In: marks, in any order and as often as they come. Out: all of them. Where all is new there are thousands, mostly in order already, so
//! that to sort them at once takes less than to keep them sorted.

/// Marks that are not gone through yet.
#[derive(Debug)]
pub(super) struct Marked<K>(Vec<K>);

impl<K> Default for Marked<K> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Ord> Marked<K> {
    /// Marks one.
    pub(super) fn insert(&mut self, key: K) {
        self.0.push(key);
    }

    /// All that were marked since this was asked last.
    pub(super) fn take(&mut self) -> Vec<K> {
        let mut marked = std::mem::take(&mut self.0);
        marked.sort_unstable();
        marked.dedup();
        marked
    }
}

impl<K> Extend<K> for Marked<K> {
    fn extend<I: IntoIterator<Item = K>>(&mut self, keys: I) {
        self.0.extend(keys);
    }
}
