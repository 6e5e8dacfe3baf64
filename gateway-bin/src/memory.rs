//! How little memory the program occupies.
//!
//! In: nothing. Out: nothing but effects on the process. The allocator keeps what a thread freed for that thread's next needs. A configuration of thousands of routes is freed by the
//! thread that applies changes, which may then have none for days.

/// Keeps memory in small pages. Huge ones hold on to megabytes for the sake of a few bytes, and nearly double what a program of
/// this size occupies.
pub(crate) fn keep_pages_small() {
    // Where the system cannot, it is only larger.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

/// Gives back what the allocator keeps for this thread. Costs milliseconds after much was freed, next to nothing otherwise.
#[expect(
    unsafe_code,
    reason = "the allocator's own function has no safe wrapper; it takes no pointers and any thread may call it"
)]
pub(crate) fn give_back() {
    // SAFETY: `mi_collect` has no preconditions. Where another allocator is in use it finds nothing to do.
    unsafe { libmimalloc_sys::mi_collect(true) }
}
