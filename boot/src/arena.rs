//! The memory that boot takes for the kernel's image, stack, tables and boot information: one contiguous range, in
//! pieces.

use crate::fault::Fault;
use crate::image::KernelImage;
use crate::layout::{LARGE_PAGE, Layout};
use crate::paging::{tables_for, tables_to_split};
use crate::plan::Machine;
use crate::span::{PAGE, Span, align_up};

/// The pieces of the arena, the one range of memory that boot leaves to the kernel. All are whole frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arena {
    /// The kernel's segments by address; two that share a page share the frame.
    pub image: Span,
    /// The kernel's stack.
    pub stack: Span,
    /// `BootInfo` and the memory regions.
    pub boot_info: Span,
    /// The GDT and the jump to the kernel.
    pub handover: Span,
    /// The page tables, the top one first.
    pub tables: Span,
}

impl Arena {
    pub(crate) fn whole(&self) -> Span {
        Span { start: self.image.start, end: self.tables.end }
    }

    /// Takes memory for all of it, besides boot and the bundle.
    ///
    /// # Errors
    /// `TooLittleMemory`.
    pub(crate) fn take(
        machine: &Machine<'_>,
        layout: &Layout,
        bundle: Span,
        image: &KernelImage<'_>,
        image_length: u64,
    ) -> Result<Self, Fault> {
        let page = |start| Span { start, end: start + PAGE };
        let mut tables = 1;
        for segment in &image.segments {
            tables += tables_for(segment.pages(), PAGE);
        }
        for pages in [Some(layout.stack), Some(page(layout.boot_info)), Some(page(layout.handover)), layout.bundle] {
            tables += pages.map_or(0, |pages| tables_for(pages, PAGE));
        }
        if let Some(start) = layout.physical {
            let pages = Span { start, end: start + physical_end(machine) };
            tables += tables_for(pages, LARGE_PAGE) + tables_to_split(Span { start: 0, end: image_length }) + 1;
        }
        let rest = layout.stack.length() + 2 * PAGE + tables * PAGE;
        let boot = align_up(machine.boot.end, PAGE).ok_or(Fault::Internal)?;
        let in_use = [Span { start: machine.boot.start, end: boot }, bundle];
        let needed = image_length.saturating_add(rest);
        let mut next = machine.memory.take(needed, &in_use)?.start;
        let mut piece = |length| {
            let start = next;
            next += length;
            Span { start, end: next }
        };
        Ok(Self {
            image: piece(image_length),
            stack: piece(layout.stack.length()),
            boot_info: piece(PAGE),
            handover: piece(PAGE),
            tables: piece(tables * PAGE),
        })
    }
}

/// The end of the mapping of physical memory: all memory, and all devices that are below 4 GiB on every PC.
pub(crate) fn physical_end(machine: &Machine<'_>) -> u64 {
    machine.memory.end().max(1 << 32).next_multiple_of(LARGE_PAGE)
}
