//! How many connections the system lets the process have.
//!
//! In: how many are wanted. Out: how many can be had, once the process has all descriptors it may give itself. A third of them is left
//! for backends, listeners, files and the admin server: of clients that keep their connection most are idle.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises the soft limit of open files to the hard one, and says how many of `wanted` connections fit.
pub(crate) fn connections(wanted: u32) -> usize {
    let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "cannot raise the limit of open files");
        limit = getrlimit(Resource::Nofile);
    }
    let Some(files) = limit.current else { return wanted };
    let fit = fitting(files);
    if fit < wanted {
        tracing::warn!(files, connections = fit, wanted, "the limit of open files allows fewer connections than wanted");
    }
    wanted.min(fit)
}

fn fitting(files: u64) -> usize {
    usize::try_from(files - files / 3).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_third_is_left_for_all_else() {
        assert_eq!(fitting(20_000), 13_334);
        assert_eq!(fitting(1024), 683);
        assert_eq!(fitting(0), 1);
    }

    #[test]
    fn what_fits_is_given() {
        assert_eq!(connections(7), 7);
    }
}
