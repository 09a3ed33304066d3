//! Page tables, written into a piece of memory without reading any address from it.

use x86_64::structures::paging::{PageTable, PageTableFlags, PageTableIndex};
use x86_64::{PhysAddr, VirtAddr};

use crate::layout::LARGE_PAGE;
use crate::span::{PAGE, Span, align_down};

/// Entries that refer to another table: the rights are those of the last level.
const TO_TABLE: PageTableFlags = PageTableFlags::PRESENT.union(PageTableFlags::WRITABLE);

/// The rights of a mapping. There is no value for writable and executable at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read.
    Read,
    /// Read and write.
    Write,
    /// Read and execute.
    Execute,
}

/// Page tables for the higher half under construction. The first table is the top one.
#[derive(Debug)]
pub struct PageTables<'a> {
    /// The physical address of the first table; the others follow.
    base: u64,
    tables: &'a mut [PageTable],
    used: usize,
    /// `GLOBAL` if the processor has global pages.
    global: PageTableFlags,
}

impl<'a> PageTables<'a> {
    /// Starts with `tables`, which are all empty and lie at the physical address `base`.
    pub fn new(base: u64, tables: &'a mut [PageTable], global_pages: bool) -> Self {
        let global = if global_pages { PageTableFlags::GLOBAL } else { PageTableFlags::empty() };
        Self { base, tables, used: 1, global }
    }

    /// Maps the whole pages of `pages` to consecutive frames from `frame` on.
    ///
    /// # Panics
    /// If a page is mapped already to something else, or the tables run out; see [`tables_for`].
    pub fn map(&mut self, pages: Span, frame: u64, access: Access) {
        let flags = self.flags(access);
        for offset in (0..pages.length()).step_by(PAGE as usize) {
            self.map_page(pages.start + offset, frame + offset, flags);
        }
    }

    /// Maps one large page.
    ///
    /// # Panics
    /// As [`PageTables::map`].
    pub fn map_large(&mut self, page: u64, frame: u64, access: Access, cached: bool) {
        let mut flags = self.flags(access) | PageTableFlags::HUGE_PAGE;
        if !cached {
            flags |= PageTableFlags::NO_CACHE | PageTableFlags::WRITE_THROUGH;
        }
        let page = VirtAddr::new(page);
        let third = self.next(0, page.p4_index());
        let second = self.next(third, page.p3_index());
        self.set(second, page.p2_index(), frame, flags);
    }

    /// Makes entry `index` of the top table refer to the top table itself.
    ///
    /// # Panics
    /// If the entry is in use.
    pub fn map_recursively(&mut self, index: u16) {
        let flags = TO_TABLE | PageTableFlags::NO_EXECUTE;
        self.set(0, PageTableIndex::new(index), self.base, flags);
    }

    fn flags(&self, access: Access) -> PageTableFlags {
        let rights = match access {
            Access::Read => PageTableFlags::NO_EXECUTE,
            Access::Write => PageTableFlags::WRITABLE | PageTableFlags::NO_EXECUTE,
            Access::Execute => PageTableFlags::empty(),
        };
        PageTableFlags::PRESENT | self.global | rights
    }

    fn map_page(&mut self, page: u64, frame: u64, flags: PageTableFlags) {
        let page = VirtAddr::new(page);
        let third = self.next(0, page.p4_index());
        let second = self.next(third, page.p3_index());
        let first = self.next(second, page.p2_index());
        self.set(first, page.p1_index(), frame, flags);
    }

    /// The table that the entry refers to, made if there is none yet.
    fn next(&mut self, table: usize, index: PageTableIndex) -> usize {
        let entry = &mut self.tables[table][index];
        if entry.is_unused() {
            let new = self.used;
            entry.set_addr(PhysAddr::new(self.base + new as u64 * PAGE), TO_TABLE);
            self.used += 1;
            return new;
        }
        assert!(!entry.flags().contains(PageTableFlags::HUGE_PAGE), "a page within a large page is mapped");
        ((entry.addr().as_u64() - self.base) / PAGE) as usize
    }

    fn set(&mut self, table: usize, index: PageTableIndex, frame: u64, flags: PageTableFlags) {
        let entry = &mut self.tables[table][index];
        let (old, old_flags) = (entry.addr(), entry.flags());
        entry.set_addr(PhysAddr::new(frame), flags);
        let unchanged = (old, old_flags) == (entry.addr(), entry.flags());
        assert!(old_flags.is_empty() || unchanged, "a page is mapped twice");
    }
}

/// The most tables that mapping `pages` with pages of `page_size` (4 KiB or 2 MiB) can need, without the top one.
pub fn tables_for(pages: Span, page_size: u64) -> u64 {
    let mut tables = 0;
    let mut covered = page_size * 512;
    while covered <= 1 << 39 {
        let last = align_down(pages.end - 1, covered);
        tables += (last - align_down(pages.start, covered)) / covered + 1;
        covered *= 512;
    }
    tables
}

/// The most additional tables for mapping the frames of `frames` by small pages within a mapping by large ones.
pub fn tables_to_split(frames: Span) -> u64 {
    frames.length() / LARGE_PAGE + 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Walk, walk};
    use std::vec::Vec;

    const BASE: u64 = 0x40_0000;
    const PAGES: u64 = 0xFFFF_FFFF_801F_F000;

    fn tables(count: usize) -> Vec<PageTable> {
        (0..count).map(|_| PageTable::new()).collect()
    }

    #[test]
    fn pages_are_mapped_to_consecutive_frames_with_the_rights_asked_for() {
        let mut memory = tables(5);
        let pages = Span { start: PAGES, end: PAGES + 2 * PAGE };
        let mut tables = PageTables::new(BASE, &mut memory, true);
        tables.map(pages, 0x7000, Access::Execute);
        assert_eq!(tables.used, 5, "two lowest tables, because a 2 MiB boundary is crossed");
        assert_eq!(tables_for(pages, PAGE) + 1, 5);
        let page =
            |start, frame| Walk { start, size: PAGE, frame, access: Access::Execute, cached: true, global: true };
        assert_eq!(walk(BASE, &memory), [page(PAGES, 0x7000), page(PAGES + PAGE, 0x8000)]);
    }

    #[test]
    fn nothing_is_both_writable_and_executable() {
        for access in [Access::Read, Access::Write, Access::Execute] {
            let mut memory = tables(4);
            PageTables::new(BASE, &mut memory, false).map(Span { start: PAGES, end: PAGES + PAGE }, 0, access);
            let flags = memory[3][511].flags();
            assert_eq!(flags.contains(PageTableFlags::WRITABLE), access == Access::Write);
            assert_eq!(!flags.contains(PageTableFlags::NO_EXECUTE), access == Access::Execute);
            assert!(!flags.intersects(PageTableFlags::USER_ACCESSIBLE | PageTableFlags::GLOBAL));
        }
    }

    #[test]
    fn large_pages_can_be_uncached() {
        let mut memory = tables(3);
        let mut tables = PageTables::new(BASE, &mut memory, true);
        tables.map_large(0xFFFF_8000_0020_0000, 0x20_0000, Access::Write, true);
        tables.map_large(0xFFFF_8000_0040_0000, 0x40_0000, Access::Write, false);
        let cached: Vec<_> = walk(BASE, &memory).iter().map(|w| (w.frame, w.size, w.cached)).collect();
        assert_eq!(cached, [(0x20_0000, LARGE_PAGE, true), (0x40_0000, LARGE_PAGE, false)]);
    }

    #[test]
    fn the_recursive_entry_refers_to_the_top_table() {
        let mut memory = tables(1);
        PageTables::new(BASE, &mut memory, true).map_recursively(510);
        assert_eq!(memory[0][510].addr().as_u64(), BASE);
    }

    #[test]
    #[should_panic(expected = "mapped twice")]
    fn a_page_cannot_be_mapped_to_two_frames() {
        let mut memory = tables(4);
        let mut tables = PageTables::new(BASE, &mut memory, true);
        let page = Span { start: PAGES, end: PAGES + PAGE };
        tables.map(page, 0x1000, Access::Read);
        tables.map(page, 0x1000, Access::Read);
        tables.map(page, 0x2000, Access::Read);
    }

    #[test]
    fn the_bound_on_tables_covers_every_position() {
        for (length, offset) in [(1, 0), (512, 0), (512, 1), (513, 511), (512 * 512, 3), (512 * 512 + 1, 511)] {
            let pages = Span { start: PAGES & !0x3FFF_FFFF, end: 0 };
            let pages = Span { start: pages.start + offset * PAGE, end: pages.start + (offset + length) * PAGE };
            let bound = tables_for(pages, PAGE) as usize + 1;
            let mut memory = tables(bound);
            let mut tables = PageTables::new(BASE, &mut memory, true);
            tables.map(pages, 0, Access::Read);
            assert_eq!(tables.used, bound);
        }
    }
}
