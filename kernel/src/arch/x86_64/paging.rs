//! Address spaces: page tables of four levels.
//!
//! The lower half belongs to users and differs; the higher half is the boot loader's and the same for all, in global
//! pages. An entry that is not zero holds a frame: one that is not present has memory that may not be accessed.

use super::frame_allocator::{FrameAllocator, PhysicalMap};
use core::arch::asm;
use kernel::limits::CPUS_MAX;
use kernel::machine::{AddressSpace, NoMemory, Protection, UserAddr};
use x86_64::instructions::tlb;
use x86_64::registers::control::Cr3;
use x86_64::structures::paging::page_table::PageTableEntry;
use x86_64::structures::paging::{PageTable, PageTableFlags, PhysFrame};
use x86_64::{PhysAddr, VirtAddr};

const PAGE_SIZE: u64 = 4096;
const ENTRIES: usize = 512;
/// Entries of the top table that map users.
const USER_ENTRIES: usize = 256;
/// The levels, the top one first, as shifts of an address.
const LEVELS: [u32; 4] = [39, 30, 21, 12];
const LEAF: usize = 3;

/// Pages from which on flushing the whole TLB is cheaper than page by page.
const FLUSH_ALL: u64 = 32;

/// Frames and tables go back to the allocator before the translations that lead to them are flushed, and CR3 tells which
/// translations there are. With several processors another one, in user mode, could still write to a frame that is
/// allocated again already, or walk through a table that is not one any more: [`unmap`](Paging::unmap) would keep the
/// frames in a list, have every processor that has the address space in its CR3 flush (`active` would be one for each of
/// them), and free them after that. [`protect`](Paging::protect) would wait for the others likewise.
const _: () = assert!(CPUS_MAX == 1, "other processors have to flush before frames are given back");

/// Entries of a table that are looked at together.
const AT_ONCE: usize = 16;

/// The rights in the entry of a table; each page's own entry decides.
const TABLE_FLAGS: PageTableFlags =
    PageTableFlags::PRESENT.union(PageTableFlags::WRITABLE).union(PageTableFlags::USER_ACCESSIBLE);

/// All address spaces. It owns every page table, and the processor's CR3.
#[derive(Debug)]
pub struct Paging {
    physical_map: PhysicalMap,
    /// The tables that the boot loader made: the kernel alone.
    kernel: PhysFrame,
    /// The address space in CR3.
    active: AddressSpace,
    /// The address space in CR3 while user code runs.
    running: AddressSpace,
}

impl Paging {
    /// Takes over the tables that are in use.
    pub fn new(physical_map: PhysicalMap) -> Paging {
        let kernel = Cr3::read().0;
        let active = AddressSpace(kernel.start_address().as_u64());
        Paging { physical_map, kernel, active, running: active }
    }

    /// Makes the user memory of `space` the one that can be accessed.
    #[inline]
    pub fn activate(&mut self, space: AddressSpace) {
        if self.active != space {
            self.active = space;
            // The number of a space is the address of its top table: no flags of CR3 are set in it.
            // SAFETY: All address spaces have the kernel's higher half, and the kernel is nowhere else.
            unsafe { asm!("mov cr3, {}", in(reg) space.0, options(nostack, preserves_flags)) };
        }
    }

    /// Makes `space` the one in which user code runs from now on. Returns true if it ran in another one before.
    #[inline]
    pub fn run_in(&mut self, space: AddressSpace) -> bool {
        let before = core::mem::replace(&mut self.running, space);
        self.activate(space);
        before != space
    }

    /// Goes back to the address space in which user code ran last.
    #[inline]
    pub fn restore(&mut self) {
        self.activate(self.running);
    }

    /// Creates an address space without user memory.
    ///
    /// # Errors
    /// [`NoMemory`].
    pub fn create(&mut self, frames: &mut FrameAllocator) -> Result<AddressSpace, NoMemory> {
        let frame = frames.allocate()?;
        for index in USER_ENTRIES..ENTRIES {
            let entry = self.table(self.kernel)[index].clone();
            self.table(frame)[index] = entry;
        }
        Ok(AddressSpace(frame.start_address().as_u64()))
    }

    /// Destroys an address space, whose user memory has been unmapped.
    pub fn destroy(&mut self, frames: &mut FrameAllocator, space: AddressSpace) {
        if self.active == space {
            self.activate(AddressSpace(self.kernel.start_address().as_u64()));
        }
        assert!(are_unused(self.table(root(space)), USER_ENTRIES), "an address space with memory is destroyed");
        frames.free(root(space));
    }

    /// Maps fresh, zeroed frames where nothing is mapped.
    ///
    /// # Errors
    /// [`NoMemory`]; nothing is mapped then.
    pub fn map(
        &mut self,
        frames: &mut FrameAllocator,
        space: AddressSpace,
        at: UserAddr,
        pages: u64,
        protection: Protection,
    ) -> Result<(), NoMemory> {
        let flags = leaf_flags(protection);
        let mut table = None;
        for done in 0..pages {
            if let Err(error) = self.map_page(frames, space, at.0 + done * PAGE_SIZE, flags, &mut table) {
                self.unmap(frames, space, at, done);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Maps a page. `last` is the last table on the way to the page before it, if that was mapped just now; it becomes
    /// the one of this page.
    fn map_page(
        &mut self,
        frames: &mut FrameAllocator,
        space: AddressSpace,
        address: u64,
        flags: PageTableFlags,
        last: &mut Option<PhysFrame>,
    ) -> Result<(), NoMemory> {
        // The frame comes before the tables: without it there would be tables that map nothing.
        let frame = frames.allocate()?;
        let table = match last.filter(|_| index(address, LEAF) != 0) {
            Some(table) => table,
            None => self.make_tables(frames, space, address).inspect_err(|_| frames.free(frame))?,
        };
        *last = Some(table);
        let entry = &mut self.table(table)[index(address, LEAF)];
        assert!(entry.is_unused(), "memory is mapped where there is some, at {address:#x}");
        entry.set_frame(frame, flags);
        Ok(())
    }

    /// Makes the tables that are missing on the way to `address`. Returns the last one.
    fn make_tables(
        &mut self,
        frames: &mut FrameAllocator,
        space: AddressSpace,
        address: u64,
    ) -> Result<PhysFrame, NoMemory> {
        let mut table = root(space);
        for level in 0..LEAF {
            let entry = &mut self.table(table)[index(address, level)];
            if entry.is_unused() {
                match frames.allocate() {
                    Ok(frame) => entry.set_frame(frame, TABLE_FLAGS),
                    Err(error) => {
                        self.free_empty_tables(frames, space, address);
                        // The processor may have looked at the tables on its own account in the meantime.
                        self.flush(space, UserAddr(address), 1);
                        return Err(error);
                    }
                }
            }
            table = frame_of(&self.table(table)[index(address, level)]);
        }
        Ok(table)
    }

    /// Unmaps a range that is mapped completely, and frees its frames and the tables that are empty then.
    pub fn unmap(&mut self, frames: &mut FrameAllocator, space: AddressSpace, at: UserAddr, pages: u64) {
        let end = at.0 + pages * PAGE_SIZE;
        let mut start = at.0;
        while start < end {
            // These pages have their entries in the same table.
            let next = end.min((start + 1).next_multiple_of(ENTRIES as u64 * PAGE_SIZE));
            let table = self.leaf_table(space, start);
            let table = table.unwrap_or_else(|| panic!("memory is taken away where there is none, at {start:#x}"));
            for page in 0..(next - start) / PAGE_SIZE {
                let address = start + page * PAGE_SIZE;
                let entry = &mut self.table(table)[index(address, LEAF)];
                assert!(!entry.is_unused(), "memory is taken away where there is none, at {address:#x}");
                let frame = frame_of(entry);
                entry.set_unused();
                // Until the flush a translation may still lead to the frame, but no user code runs until then: there is
                // one processor, and it is here.
                frames.free(frame);
            }
            self.free_empty_tables(frames, space, start);
            start = next;
        }
        self.flush(space, at, pages);
    }

    /// Frees the tables on the way to `address` that map nothing.
    fn free_empty_tables(&mut self, frames: &mut FrameAllocator, space: AddressSpace, address: u64) {
        let mut path = [root(space); LEVELS.len()];
        let mut depth = 0;
        while depth < LEAF {
            let entry = &self.table(path[depth])[index(address, depth)];
            if entry.is_unused() {
                break;
            }
            depth += 1;
            path[depth] = frame_of(entry);
        }
        for level in (1..=depth).rev() {
            if !are_unused(self.table(path[level]), ENTRIES) {
                return;
            }
            self.table(path[level - 1])[index(address, level - 1)].set_unused();
            frames.free(path[level]);
        }
    }

    /// Changes the protection of a range that is mapped completely.
    pub fn protect(&mut self, space: AddressSpace, at: UserAddr, pages: u64, protection: Protection) {
        for page in 0..pages {
            let address = at.0 + page * PAGE_SIZE;
            let entry = self.leaf(space, address).filter(|entry| !entry.is_unused());
            let entry = entry.unwrap_or_else(|| panic!("memory is protected where there is none, at {address:#x}"));
            entry.set_flags(leaf_flags(protection));
        }
        self.flush(space, at, pages);
    }

    /// Writes to mapped memory whatever its protection.
    pub fn load(&mut self, space: AddressSpace, to: UserAddr, from: &[u8]) {
        let (mut address, mut rest) = (to.0, from);
        while !rest.is_empty() {
            let entry = self.leaf(space, address).filter(|entry| !entry.is_unused());
            let frame = frame_of(entry.expect("memory that is loaded is mapped"));
            let offset = address % PAGE_SIZE;
            let (piece, later) = rest.split_at(rest.len().min((PAGE_SIZE - offset) as usize));
            let target = self.physical_map.address::<u8>(frame.start_address().as_u64() + offset);
            // SAFETY: The frame belongs to a user, no reference of the kernel points into it, and the piece ends
            // within it.
            unsafe { core::ptr::copy_nonoverlapping(piece.as_ptr(), target, piece.len()) };
            (address, rest) = (address + piece.len() as u64, later);
        }
    }

    /// Unmaps a page of the kernel's image, so that touching it is an error.
    pub fn unmap_kernel_page(&mut self, address: VirtAddr) {
        let mut table = self.kernel;
        for level in 0..LEAF {
            let entry = &self.table(table)[index(address.as_u64(), level)];
            assert!(!entry.flags().contains(PageTableFlags::HUGE_PAGE), "the image is mapped by small pages");
            table = frame_of(entry);
        }
        self.table(table)[index(address.as_u64(), LEAF)].set_unused();
        tlb::flush(address);
    }

    /// Returns the entry of a user page, if there are tables for it.
    fn leaf(&mut self, space: AddressSpace, address: u64) -> Option<&mut PageTableEntry> {
        let table = self.leaf_table(space, address)?;
        Some(&mut self.table(table)[index(address, LEAF)])
    }

    /// Returns the table that has the entry of a user page, if there is one.
    fn leaf_table(&mut self, space: AddressSpace, address: u64) -> Option<PhysFrame> {
        let mut table = root(space);
        for level in 0..LEAF {
            let entry = &self.table(table)[index(address, level)];
            if entry.is_unused() {
                return None;
            }
            table = frame_of(entry);
        }
        Some(table)
    }

    fn table(&mut self, frame: PhysFrame) -> &mut PageTable {
        // SAFETY: Only frames that hold tables come here: roots, and those to which entries of tables refer. They
        // belong to `self`, which is borrowed as long as the reference lives. The processor changes only the bits
        // "accessed" and "dirty", which the kernel does not read.
        unsafe { &mut *self.physical_map.address::<PageTable>(frame.start_address().as_u64()) }
    }

    fn flush(&self, space: AddressSpace, at: UserAddr, pages: u64) {
        if self.active != space {
            // Its entries went when CR3 changed.
        } else if pages > FLUSH_ALL {
            tlb::flush_all();
        } else {
            (0..pages).for_each(|page| tlb::flush(VirtAddr::new(at.0 + page * PAGE_SIZE)));
        }
    }
}

fn root(space: AddressSpace) -> PhysFrame {
    PhysFrame::containing_address(PhysAddr::new_truncate(space.0))
}

/// Returns true if the first `count` entries of a table hold nothing; `count` is a multiple of [`AT_ONCE`].
fn are_unused(table: &PageTable, count: usize) -> bool {
    // A table is scanned whenever it may have become empty, so there is no branch for each entry.
    (0..count).step_by(AT_ONCE).all(|from| (from..from + AT_ONCE).fold(true, |all, at| all & table[at].is_unused()))
}

fn index(address: u64, level: usize) -> usize {
    (address >> LEVELS[level]) as usize % ENTRIES
}

/// Returns the frame that an entry holds, present or not.
fn frame_of(entry: &PageTableEntry) -> PhysFrame {
    PhysFrame::containing_address(entry.addr())
}

fn leaf_flags(protection: Protection) -> PageTableFlags {
    let mut flags = PageTableFlags::empty();
    if !protection.is_empty() {
        // This architecture has no page that can be written or executed but not read.
        flags |= PageTableFlags::PRESENT | PageTableFlags::USER_ACCESSIBLE;
    }
    if protection.contains(Protection::WRITE) {
        flags |= PageTableFlags::WRITABLE;
    }
    if !protection.contains(Protection::EXECUTE) {
        flags |= PageTableFlags::NO_EXECUTE;
    }
    flags
}
