//! Tests of the heap, beside a model that knows every byte in use.

use super::*;
use std::collections::BTreeMap;

const PAGES: usize = 300;

struct Records(Vec<Page>, Vec<Group>);

impl Records {
    fn heap(&mut self) -> Heap<'_> {
        Heap::new(&mut self.0, &mut self.1)
    }
}

fn records() -> Records {
    Records(vec![Page::UNUSED; PAGES], vec![Group::EMPTY; Group::count(PAGES)])
}

/// The allocations of a heap, by offset: size and alignment.
#[derive(Default)]
struct Model(BTreeMap<usize, (usize, usize)>);

impl Model {
    /// Adds an allocation, which must be in the heap, aligned, and apart from all others.
    fn add(&mut self, heap: &Heap<'_>, offset: usize, size: usize, align: usize) {
        assert_eq!(offset % align, 0, "{size} bytes aligned to {align} are at {offset:#x}");
        assert!(offset + size <= heap.size(), "{size} bytes are at {offset:#x}");
        if let Some((&before, &(length, _))) = self.0.range(..=offset).next_back() {
            assert!(before + length.max(1) <= offset, "{size} bytes at {offset:#x} are in those at {before:#x}");
        }
        if let Some((&behind, _)) = self.0.range(offset..).next() {
            assert!(offset + size <= behind, "{size} bytes at {offset:#x} reach those at {behind:#x}");
        }
        self.0.insert(offset, (size, align));
    }

    fn take(&mut self, random: u64) -> Option<(usize, usize, usize)> {
        let number = random as usize % self.0.len().max(1);
        let (&offset, &(size, align)) = self.0.iter().nth(number)?;
        self.0.remove(&offset);
        Some((offset, size, align))
    }

    fn footprint(&self) -> usize {
        self.0.values().map(|&(size, align)| if align <= GRAIN { footprint(size) } else { 0 }).sum()
    }
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn size(&mut self) -> usize {
        let largest = [64, 400, SMALL_MAX, 5 * PAGE, 40 * PAGE][self.next() as usize % 5];
        self.next() as usize % (largest + 1)
    }

    fn align(&mut self) -> usize {
        [1, 8, 8, 16, 16, 64, 512, PAGE][self.next() as usize % 8]
    }
}

#[test]
fn random_operations_never_overlap_and_give_everything_back() {
    for seed in 1..=40 {
        let (mut random, mut records, mut model) = (Random(seed), records(), Model::default());
        let mut heap = records.heap();
        let mut refused = 0;
        for step in 0..4000 {
            // The heap is filled up and emptied in turn.
            let fills = step / 500 % 2 == 0;
            if random.next() % 8 < if fills { 6 } else { 2 } {
                let (size, align) = (random.size(), random.align());
                match heap.allocate(size, align) {
                    Some(offset) => model.add(&heap, offset, size, align),
                    None => {
                        let fits = size <= heap.largest_free() && heap.runs.free() > 0 && align <= GRAIN;
                        assert!(!fits, "{size} bytes are refused");
                        refused += 1;
                    }
                }
            } else if let Some((offset, size, align)) = model.take(random.next()) {
                heap.release(offset, size, align);
            }
            heap.runs.check(heap.pages);
        }
        assert!(refused > 0, "the heap of seed {seed} was full at times");
        while let Some((offset, size, align)) = model.take(random.next()) {
            heap.release(offset, size, align);
        }
        assert_eq!((heap.free_bytes(), heap.largest_free()), (PAGES * PAGE, PAGES * PAGE), "seed {seed}");
    }
}

#[test]
fn what_budgets_are_charged_with_covers_what_is_used() {
    let (mut random, mut records, mut model) = (Random(7), records(), Model::default());
    let mut heap = records.heap();
    loop {
        let size = random.size();
        assert!(footprint(size) >= size);
        let Some(offset) = heap.allocate(size, 8) else { break };
        model.add(&heap, offset, size, 8);
        assert!(model.footprint() >= heap.size() - heap.free_bytes());
    }
    // A page of a class is full when its objects are charged with a page.
    for (class, &count) in PER_PAGE.iter().enumerate() {
        assert!(footprint(CLASS[class].size) * count >= PAGE, "{} bytes", CLASS[class].size);
    }
}

#[test]
fn holes_of_one_size_are_no_hindrance_for_another() {
    let mut records = records();
    let mut heap = records.heap();
    // Another one fills the heap with small objects and keeps one of each page.
    let all: Vec<usize> = std::iter::from_fn(|| heap.allocate(400, 8)).collect();
    assert_eq!(all.len(), PAGES * 10);
    assert_eq!(heap.allocate(1, 1), None);
    let (kept, given): (Vec<usize>, Vec<usize>) = all.iter().partition(|&&offset| offset % PAGE == 0);
    given.iter().for_each(|&offset| heap.release(offset, 400, 8));
    assert_eq!((heap.largest_free(), heap.allocate(400, 8).is_some()), (400, true), "its own size fits");
    // When it is gone, so are the holes.
    for offset in kept.into_iter().skip(1) {
        heap.release(offset, 400, 8);
    }
    assert!(heap.largest_free() >= (PAGES - 2) * PAGE);
}

impl Heap<'_> {
    /// Returns the pages of a class that have free objects, in order.
    fn pages_with_room(&self, class: usize) -> Vec<u32> {
        let has_room = |&page: &u32| {
            let page = &self.pages[page as usize];
            page.kind == Kind::Objects && page.class as usize == class && page.free != 0
        };
        // The records within runs are not kept.
        let mut at = 0;
        let mut starts = Vec::new();
        while at < self.pages.len() as u32 {
            starts.push(at);
            at += if self.pages[at as usize].kind == Kind::Objects { 1 } else { self.pages[at as usize].length };
        }
        starts.into_iter().filter(has_room).collect()
    }
}

#[test]
fn objects_come_from_the_lowest_page_with_room() {
    let (mut random, mut records, mut model) = (Random(11), records(), Model::default());
    let mut heap = records.heap();
    for step in 0..6000 {
        if random.next() % 8 < if step / 700 % 2 == 0 { 6 } else { 2 } {
            let size = random.size() % SMALL_MAX;
            let lowest = heap.pages_with_room(CLASS_OF[size.div_ceil(GRAIN)].into()).first().copied();
            if let Some(offset) = heap.allocate(size, 8) {
                model.add(&heap, offset, size, 8);
                assert!(lowest.is_none_or(|page| offset / PAGE == page as usize), "{size} bytes are at {offset:#x}");
            }
        } else if let Some((offset, size, align)) = model.take(random.next()) {
            heap.release(offset, size, align);
        }
    }
}

/// An attacker uses up its budget with objects of each size in turn, and keeps one of each page. Without moves it would
/// keep nearly as many pages for each size as it could pay for in all. With moves it keeps those that it pays for, and one
/// more of each class.
#[test]
fn objects_that_move_down_leave_no_pages_for_which_nobody_pays() {
    const BUDGET: usize = 60 * PAGE;
    for moves in [false, true] {
        let mut records = records();
        let mut heap = records.heap();
        let (mut kept, mut paid) = (Vec::new(), 0);
        for class in CLASS {
            let mut held = Vec::new();
            while paid + footprint(class.size) <= BUDGET
                && let Some(offset) = heap.allocate(class.size, 8)
            {
                held.push(offset);
                paid += footprint(class.size);
            }
            let (one, rest): (Vec<_>, Vec<_>) = held.into_iter().partition(|offset| offset % PAGE == 0);
            rest.iter().for_each(|&offset| heap.release(offset, class.size, 8));
            paid -= rest.len() * footprint(class.size);
            kept.extend(one.into_iter().map(|offset| (offset, class.size)));
            for (offset, size) in kept.iter_mut().rev().filter(|_| moves) {
                let lower = heap.allocate(*size, 8).expect("its page has room");
                let (stays, goes) = (lower.min(*offset), lower.max(*offset));
                heap.release(goes, *size, 8);
                *offset = stays;
            }
        }
        let pages = PAGES - heap.runs.free() as usize;
        let paid = paid.div_ceil(PAGE);
        assert_eq!(pages <= paid + CLASSES, moves, "{pages} pages are kept, and {paid} paid for");
        assert!(moves || pages > 4 * paid, "{pages} pages are kept, and {paid} paid for");
    }
}

#[test]
fn the_largest_free_size_can_be_allocated_and_no_more() {
    let (mut random, mut records) = (Random(3), records());
    let mut heap = records.heap();
    for _ in 0..2000 {
        let held = heap.allocate(random.size(), 8);
        let largest = heap.largest_free();
        if largest > SMALL_MAX {
            let offset = heap.allocate(largest, 8).expect("the largest size fits");
            heap.release(offset, largest, 8);
        }
        assert_eq!(heap.allocate(PAGES * PAGE + 1, 8), None);
        if held.is_none() {
            return;
        }
    }
    panic!("the heap was never full");
}

#[test]
fn sizes_and_alignments_that_no_heap_has_are_refused() {
    let mut records = records();
    let mut heap = records.heap();
    for (size, align) in [(usize::MAX, 1), (isize::MAX as usize, 8), (usize::MAX, 4096), (1, 8192), (1 << 45, 16)] {
        assert_eq!(heap.allocate(size, align), None, "{size} bytes aligned to {align}");
    }
    assert_eq!(Heap::empty().allocate(1, 1), None);
    assert_eq!((Heap::empty().free_bytes(), Heap::empty().largest_free()), (0, 0));
    assert_eq!(heap.free_bytes(), PAGES * PAGE);
}

#[test]
fn an_allocation_grows_in_place_within_its_class_or_pages() {
    for (old, new, same) in [(65, 96, true), (64, 65, false), (2049, 4096, true), (4096, 4097, false), (0, 64, true)] {
        assert_eq!(Heap::is_same_place(old, new, 8), same, "{old} to {new}");
    }
}

#[test]
#[should_panic(expected = "memory is released that is not in use")]
fn an_object_that_is_released_twice_is_noticed() {
    let mut records = records();
    let mut heap = records.heap();
    let (kept, released) = (heap.allocate(100, 8), heap.allocate(100, 8).expect("there is room"));
    assert!(kept.is_some());
    heap.release(released, 100, 8);
    heap.release(released, 100, 8);
}

#[test]
#[should_panic(expected = "pages are released that are not in use")]
fn pages_that_are_released_with_another_size_are_noticed() {
    let mut records = records();
    let mut heap = records.heap();
    let run = heap.allocate(3 * PAGE, 8).expect("there is room");
    heap.release(run, 2 * PAGE, 8);
}
