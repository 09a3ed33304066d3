//! The records of the heap's pages.

/// No page.
pub(super) const NONE: u32 = u32::MAX;

/// What a page is. Of a run only its first and last page say so, the others are never asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Of a free run.
    Free,
    /// Of a run that is in use.
    Run,
    /// A page of objects of a class.
    Objects,
}

/// The record of a page.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// The bits of the free objects.
    pub(super) free: u64,
    /// The run before it in its bin.
    pub(super) previous: u32,
    /// The one behind it.
    pub(super) next: u32,
    /// The number of pages in the run.
    pub(super) length: u32,
    pub(super) kind: Kind,
    pub(super) class: u8,
}

impl Page {
    /// The record of a page before it belongs to a heap.
    pub const UNUSED: Page = Page { free: 0, previous: NONE, next: NONE, length: 0, kind: Kind::Run, class: 0 };
}
