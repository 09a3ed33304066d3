//! What the program uses of its heap.

/// Returns the bytes that the program has allocated and not given back, for tests of leaks. On the host, whose heap is
/// another one, this is 0.
pub fn used() -> usize {
    #[cfg(target_os = "none")]
    return crate::sys::heap::used();
    #[cfg(not(target_os = "none"))]
    0
}
