//! The bookkeeping of the kernel's heap: which bytes of it are in use. The memory itself is in `arch`, so that this is
//! safe code and is tested on the host.
//!
//! Every allocation and every release takes constant time, whatever others have allocated or released before:
//!
//! | size in bytes | where it comes from |
//! |---|---|
//! | up to [`SMALL_MAX`] | the lowest page with room of one size class (`rooms.rs`), which has a bit for each free object |
//! | more | whole pages, a run of them (`runs.rs`) |
//!
//! A page whose last object is released becomes free at once, and free runs that touch become one. So when the objects
//! of a task are gone, nothing of them is left here: every size can be allocated again that could be before.

mod page;
mod rooms;
mod runs;

use page::Kind;
pub use page::Page;
pub use rooms::Group;
use rooms::{CLASSES, PAGES_MAX, Rooms};
use runs::Runs;
use store::Singles;

/// Size of a page in bytes.
pub const PAGE: usize = 4096;

/// The largest size in bytes that shares a page with others.
pub const SMALL_MAX: usize = PAGE / 2;

/// All of these move.
const _: () = assert!(SMALL_MAX == store::LARGEST);

/// The smallest class has one bit of a word for each object of its page.
const PER_PAGE_MAX: usize = 64;

/// All objects start at a multiple of this, and classes are looked up by it.
const GRAIN: usize = 16;

/// The number of objects on a page, for each class. The classes of powers of two serve larger alignments.
const PER_PAGE: [usize; CLASSES] = [64, 42, 32, 25, 21, 16, 12, 10, 8, 6, 5, 4, 3, 2];

/// A size class.
#[derive(Clone, Copy, Debug)]
struct Class {
    /// The size of its objects in bytes.
    size: usize,
    /// The bits of all objects of a page.
    all: u64,
    /// Multiplying by this and shifting by [`INVERSE_BITS`] divides an offset in a page by the size.
    inverse: usize,
}

/// An offset in a page is below 2^12, so the product is exact for multiples of the size.
const INVERSE_BITS: u32 = 24;

const CLASS: [Class; CLASSES] = {
    let mut classes = [Class { size: 0, all: 0, inverse: 0 }; CLASSES];
    let mut at = 0;
    while at < CLASSES {
        let size = PAGE / PER_PAGE[at] / GRAIN * GRAIN;
        let all = u64::MAX >> (PER_PAGE_MAX - PER_PAGE[at]);
        classes[at] = Class { size, all, inverse: (1 << INVERSE_BITS) / size + 1 };
        at += 1;
    }
    classes
};

/// The class of each number of grains.
const CLASS_OF: [u8; SMALL_MAX / GRAIN + 1] = {
    let mut table = [0; SMALL_MAX / GRAIN + 1];
    let (mut grains, mut class) = (0, 0);
    while grains < table.len() {
        while CLASS[class].size < grains * GRAIN {
            class += 1;
        }
        table[grains] = class as u8;
        grains += 1;
    }
    table
};

/// Returns the bytes of the heap that an allocation of `size` bytes takes up: its part of a page, or whole pages. This
/// is what a budget must be charged with, so that what budgets promise is there.
pub const fn footprint(size: usize) -> usize {
    if size > SMALL_MAX {
        return size.div_ceil(PAGE) * PAGE;
    }
    PAGE.div_ceil(PER_PAGE[CLASS_OF[size.div_ceil(GRAIN)] as usize])
}

/// Returns the bytes of the heap that an object in [`Singles`] takes up, with its share of the table.
pub const fn footprint_of_single<T>() -> usize {
    footprint(Singles::<T>::MEMORY) + Singles::<T>::SHARE
}

/// Returns the bytes of the heap that an object of `size` bytes takes up if so many are allocated together.
pub const fn footprint_of_part(size: usize, together: usize) -> usize {
    footprint(size * together).div_ceil(together)
}

/// What a heap is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Request {
    Class(usize),
    Pages(u32),
}

/// The heap's state. Addresses are offsets from its beginning, which is the beginning of a page.
#[derive(Debug)]
pub struct Heap<'a> {
    pages: &'a mut [Page],
    runs: Runs,
    /// The pages that have free objects.
    rooms: Rooms<'a>,
    /// The bytes of all allocations, with what lies behind each up to the next.
    used: usize,
}

impl<'a> Heap<'a> {
    /// Returns a heap without memory.
    pub const fn empty() -> Heap<'a> {
        Heap { pages: &mut [], runs: Runs::new(), rooms: Rooms::new(&mut []), used: 0 }
    }

    /// Returns a heap of as many pages as there are records, all free. For these there are empty
    /// [groups](Group::count).
    pub fn new(pages: &'a mut [Page], groups: &'a mut [Group]) -> Heap<'a> {
        assert!(pages.len() <= PAGES_MAX && groups.len() >= Group::count(pages.len()), "the heap has records");
        let mut heap = Heap { pages, rooms: Rooms::new(groups), ..Heap::empty() };
        let length = heap.pages.len() as u32;
        if length > 0 {
            heap.runs.release(heap.pages, 0, length);
        }
        heap
    }

    /// Returns its size in bytes.
    pub fn size(&self) -> usize {
        self.pages.len() * PAGE
    }

    /// Returns the number of free bytes: of free pages, and of free objects.
    pub fn free_bytes(&self) -> usize {
        self.size() - self.used
    }

    /// Returns the size in bytes of the largest allocation that would succeed.
    pub fn largest_free(&self) -> usize {
        match self.runs.longest(self.pages) {
            0 => (0..CLASSES)
                .rev()
                .find(|&class| self.rooms.lowest(class).is_some())
                .map_or(0, |class| CLASS[class].size),
            pages => pages as usize * PAGE,
        }
    }

    /// Returns the class or number of pages for a size and an alignment. `None` for an alignment above that of pages,
    /// or a size that no heap has.
    #[inline(always)]
    fn request(size: usize, align: usize) -> Option<Request> {
        // Only classes of powers of two are aligned to more than a grain.
        let size =
            if align <= GRAIN { size } else { size.max(align).max(PAGE / PER_PAGE_MAX).checked_next_power_of_two()? };
        if size <= SMALL_MAX {
            Some(Request::Class(CLASS_OF[size.div_ceil(GRAIN)].into()))
        } else if align <= PAGE {
            u32::try_from(size.div_ceil(PAGE)).ok().map(Request::Pages)
        } else {
            None
        }
    }

    /// Allocates `size` bytes and returns their offset, a multiple of `align`; `None` if there is no room.
    #[inline]
    pub fn allocate(&mut self, size: usize, align: usize) -> Option<usize> {
        match Self::request(size, align)? {
            Request::Class(class) => self.allocate_object(class),
            Request::Pages(length) => self.allocate_run(length),
        }
    }

    #[inline]
    fn allocate_object(&mut self, class: usize) -> Option<usize> {
        let first = match self.rooms.lowest(class) {
            Some(page) => page,
            None => self.add_page(class)?,
        };
        let page = &mut self.pages[first as usize];
        let object = page.free.trailing_zeros() as usize;
        page.free &= page.free - 1;
        if page.free == 0 {
            self.rooms.remove(class, first);
        }
        let size = CLASS[class].size;
        self.used += size;
        Some(first as usize * PAGE + object * size)
    }

    /// Makes a free page one of a class.
    #[cold]
    fn add_page(&mut self, class: usize) -> Option<u32> {
        let page = self.runs.take(self.pages, 1)?;
        self.pages[page as usize] =
            Page { free: CLASS[class].all, kind: Kind::Objects, class: class as u8, ..Page::UNUSED };
        self.rooms.add(class, page);
        Some(page)
    }

    #[inline(never)]
    fn allocate_run(&mut self, length: u32) -> Option<usize> {
        let first = self.runs.take(self.pages, length)?;
        self.used += length as usize * PAGE;
        Some(first as usize * PAGE)
    }

    /// Releases what [`allocate`](Heap::allocate) returned for this size and alignment.
    #[inline]
    pub fn release(&mut self, offset: usize, size: usize, align: usize) {
        match Self::request(size, align) {
            Some(Request::Class(class)) => self.release_object(offset, class),
            Some(Request::Pages(length)) => self.release_run(offset, length),
            None => panic!("{size} bytes with an alignment of {align} are released, and never were allocated"),
        }
    }

    #[inline]
    fn release_object(&mut self, offset: usize, class: usize) {
        let at = (offset / PAGE) as u32;
        let Class { size, all, inverse } = CLASS[class];
        let bit = 1 << ((offset % PAGE * inverse) >> INVERSE_BITS);
        let page = &mut self.pages[at as usize];
        let before = page.free;
        assert!(
            page.kind == Kind::Objects && page.class as usize == class && before & bit == 0,
            "memory is released that is not in use"
        );
        page.free = before | bit;
        self.used -= size;
        if page.free == all {
            self.rooms.remove(class, at);
            self.runs.release(self.pages, at, 1);
        } else if before == 0 {
            self.rooms.add(class, at);
        }
    }

    #[inline(never)]
    fn release_run(&mut self, offset: usize, length: u32) {
        let first = (offset / PAGE) as u32;
        let page = self.pages[first as usize];
        assert!(page.kind == Kind::Run && page.length == length, "pages are released that are not in use");
        self.used -= length as usize * PAGE;
        self.runs.release(self.pages, first, length);
    }

    /// Returns true if an allocation can have the new size where it is, because the old one takes up the same memory.
    pub fn is_same_place(old: usize, new: usize, align: usize) -> bool {
        Self::request(old, align) == Self::request(new, align)
    }
}

#[cfg(test)]
mod tests;
