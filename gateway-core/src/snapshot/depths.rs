//! How deep the keys of a table are, so that a look-up tries only depths that exist.
//!
//! In: keys as they come and go. Out: the prefixes of a path, or the suffixes of a host name, that may be keys, longest first.
//! Trying every boundary of a path would cost the square of a length the client chooses.
//!
//! Invariants: a walk tries at most one key for each depth in use, none longer than the longest key of that depth, and reads of
//! the path or host only as many bytes as the longest key has.

use std::sync::Arc;

/// The depths in use, deepest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Depths(Arc<[Depth]>);

#[derive(Clone, Copy, Debug)]
struct Depth {
    /// Separators in a path prefix, labels in a host suffix.
    depth: u32,
    /// Keys that have it.
    keys: u32,
    /// Bytes of the longest key there was since the depth came into use.
    longest: u32,
}

impl Depths {
    /// A key joined the table.
    pub(crate) fn add(&mut self, depth: usize, length: usize) {
        let (depth, length) = (clamp(depth), clamp(length));
        let mut all = self.0.to_vec();
        match all.binary_search_by(|known| depth.cmp(&known.depth)) {
            Ok(at) => {
                all[at].keys += 1;
                all[at].longest = all[at].longest.max(length);
            }
            Err(at) => all.insert(at, Depth { depth, keys: 1, longest: length }),
        }
        self.0 = all.into();
    }

    /// A key left the table.
    pub(crate) fn remove(&mut self, depth: usize) {
        let depth = clamp(depth);
        let Ok(at) = self.0.binary_search_by(|known| depth.cmp(&known.depth)) else { return };
        let mut all = self.0.to_vec();
        all[at].keys -= 1;
        if all[at].keys == 0 {
            all.remove(at);
        }
        self.0 = all.into();
    }

    /// The prefixes of `path` that end before a `/` or at its end and may be keys, longest first. The empty prefix has depth 0.
    pub(crate) fn prefixes<'p>(&self, path: &'p str) -> impl Iterator<Item = &'p str> {
        let mut left = &*self.0;
        let mut cut = left.first().and_then(|deepest| first_prefix(path.as_bytes(), deepest.depth, self.longest()));
        std::iter::from_fn(move || {
            loop {
                let (depth, end) = cut?;
                let (known, shallower) = left.split_first()?;
                if known.depth > depth {
                    left = shallower;
                    continue;
                }
                cut = path.as_bytes()[..end].iter().rposition(|byte| *byte == b'/').map(|slash| (depth - 1, slash));
                if known.depth == depth {
                    left = shallower;
                    if end <= known.longest as usize {
                        return path.get(..end);
                    }
                }
            }
        })
    }

    /// The suffixes of `host` that follow a dot and may be keys, longest first.
    pub(crate) fn suffixes<'h>(&self, host: &'h str) -> impl Iterator<Item = &'h str> {
        let mut left = &*self.0;
        let mut cut = left.first().and_then(|deepest| first_suffix(host.as_bytes(), deepest.depth, self.longest()));
        std::iter::from_fn(move || {
            loop {
                let (depth, start) = cut?;
                let (known, shallower) = left.split_first()?;
                if known.depth > depth {
                    left = shallower;
                    continue;
                }
                cut = host.as_bytes()[start..].iter().position(|byte| *byte == b'.').map(|dot| (depth - 1, start + dot + 1));
                if known.depth == depth {
                    left = shallower;
                    if host.len() - start <= known.longest as usize {
                        return host.get(start..);
                    }
                }
            }
        })
    }

    fn longest(&self) -> usize {
        self.0.iter().map(|known| known.longest as usize).max().unwrap_or(0)
    }
}

/// Depth and end of the longest prefix no deeper than `deepest` and no longer than `longest`.
fn first_prefix(path: &[u8], deepest: u32, longest: usize) -> Option<(u32, usize)> {
    let mut found = None;
    let mut depth = 0;
    for (at, byte) in path.iter().enumerate().take(longest.saturating_add(1)) {
        if *byte == b'/' {
            found = Some((depth, at));
            if depth == deepest {
                return found;
            }
            depth += 1;
        }
    }
    if path.len() <= longest { Some((depth, path.len())) } else { found }
}

/// Labels and start of the longest proper suffix with no more than `deepest` labels and no more than `longest` bytes.
fn first_suffix(host: &[u8], deepest: u32, longest: usize) -> Option<(u32, usize)> {
    let mut found = None;
    let mut labels = 0;
    for (at, byte) in host.iter().enumerate().rev().take(longest.saturating_add(1)) {
        if *byte == b'.' {
            labels += 1;
            found = Some((labels, at + 1));
            if labels == deepest {
                break;
            }
        }
    }
    found
}

fn clamp(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::collection::{btree_set, vec};
    use proptest::prelude::*;

    use super::*;

    fn depths(keys: &[&str], separator: char, extra: usize) -> Depths {
        let mut depths = Depths::default();
        for key in keys {
            depths.add(key.matches(separator).count() + extra, key.len());
        }
        depths
    }

    #[test]
    fn only_prefixes_of_depths_in_use_are_tried() {
        let depths = depths(&["", "/aa/b", "/c/d/e/f"], '/', 0);
        let tried = |path| depths.prefixes(path).collect::<Vec<_>>();
        assert_eq!(tried("/"), [""]);
        assert_eq!(tried("/x"), [""]);
        assert_eq!(tried("/x/y"), ["/x/y", ""]);
        assert_eq!(tried("/x/y/"), ["/x/y", ""]);
        assert_eq!(tried("/1/2/3/4/5/6"), ["/1/2/3/4", "/1/2", ""]);
        assert_eq!(tried("/longer/than/any"), [""]);
        assert_eq!(tried(&"/a".repeat(1000)).len(), 3);
        assert_eq!(Depths::default().prefixes("/a/b").count(), 0);
    }

    #[test]
    fn only_suffixes_of_depths_in_use_are_tried() {
        let depths = depths(&["com", "b.example.com"], '.', 1);
        let tried = |host| depths.suffixes(host).collect::<Vec<_>>();
        assert_eq!(tried("a.b.example.com"), ["b.example.com", "com"]);
        assert_eq!(tried("b.example.com"), ["com"], "a suffix leaves at least one label");
        assert_eq!(tried("com"), Vec::<&str>::new());
        assert_eq!(tried("a.long-label.example.com"), ["com"]);
        assert_eq!(tried(&"a.".repeat(120)).len(), 2);
    }

    #[test]
    fn a_depth_is_tried_while_a_key_has_it() {
        let mut depths = depths(&["/a", "/b"], '/', 0);
        depths.remove(1);
        assert_eq!(depths.prefixes("/x").count(), 1);
        depths.remove(1);
        depths.remove(1);
        assert_eq!(depths.prefixes("/x").count(), 0);
    }
    proptest! {
        #[test]
        fn every_key_is_tried_and_no_more_than_one_of_each_depth(
            keys in btree_set(vec(prop::sample::select(vec!["a", "bb", "ccc"]), 0..6), 0..12),
            asked in vec(prop::sample::select(vec!["a", "bb", "ccc", ""]), 0..80),
        ) {
            let paths: BTreeSet<String> = keys.iter().map(|key| key.iter().map(|part| format!("/{part}")).collect()).collect();
            let known = depths(&paths.iter().map(String::as_str).collect::<Vec<_>>(), '/', 0);
            let path: String = format!("/{}", asked.join("/"));
            let tried: Vec<_> = known.prefixes(&path).collect();
            let is_prefix = |key: &&String| format!("{path}/").starts_with(&format!("{key}/"));
            prop_assert!(paths.iter().filter(is_prefix).all(|key| tried.contains(&key.as_str())), "{:?}", tried);
            prop_assert!(tried.is_sorted_by(|a, b| a.len() > b.len()) && tried.len() <= known.0.len());

            let names: BTreeSet<String> = keys.iter().filter(|key| !key.is_empty()).map(|key| key.join(".")).collect();
            let known = depths(&names.iter().map(String::as_str).collect::<Vec<_>>(), '.', 1);
            let host = asked.join(".");
            let tried: Vec<_> = known.suffixes(&host).collect();
            let is_suffix = |key: &&String| host.ends_with(&format!(".{key}"));
            prop_assert!(names.iter().filter(is_suffix).all(|key| tried.contains(&key.as_str())), "{:?}", tried);
            prop_assert!(tried.is_sorted_by(|a, b| a.len() > b.len()) && tried.len() <= known.0.len());
        }
    }
}
