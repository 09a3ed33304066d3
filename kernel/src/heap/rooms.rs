//! The pages with free objects: the one with the lowest address is found in constant time.
//!
//! Objects come from the lowest page of their class that has room, so that the pages behind it empty. What is moved by
//! its owner ([`Singles::compact`](store::Singles::compact)) moves down, until one page of a class at most is not full.

use super::page::NONE;

/// The number of size classes.
pub(super) const CLASSES: usize = 14;

/// Pages in a group, which have a word for each class.
const GROUP: usize = 64;

/// Words for groups of groups: as many as the largest heap has.
const ABOVE: usize = 16;

/// Pages of the largest heap.
pub(super) const PAGES_MAX: usize = GROUP * GROUP * ABOVE;

/// The words of one group of pages.
#[derive(Clone, Copy, Debug)]
pub struct Group([u64; CLASSES]);

impl Group {
    /// The words of a group without pages.
    pub const EMPTY: Group = Group([0; CLASSES]);

    /// Returns the number of groups that a heap of this number of pages needs.
    pub const fn count(pages: usize) -> usize {
        pages.div_ceil(GROUP)
    }
}

/// A bit for each page with free objects, by class; above them a bit for each word that is not 0, and so once more.
#[derive(Debug)]
pub(super) struct Rooms<'a> {
    groups: &'a mut [Group],
    above: [[u64; ABOVE]; CLASSES],
    top: [u16; CLASSES],
    /// The lowest page of each class with free objects.
    lowest: [u32; CLASSES],
}

impl<'a> Rooms<'a> {
    pub(super) const fn new(groups: &'a mut [Group]) -> Rooms<'a> {
        Rooms { groups, above: [[0; ABOVE]; CLASSES], top: [0; CLASSES], lowest: [NONE; CLASSES] }
    }

    /// Adds a page that has free objects now.
    pub(super) fn add(&mut self, class: usize, page: u32) {
        let (group, bit) = (page as usize / GROUP, page as usize % GROUP);
        self.groups[group].0[class] |= 1 << bit;
        self.above[class][group / GROUP] |= 1 << (group % GROUP);
        self.top[class] |= 1 << (group / GROUP);
        self.lowest[class] = self.lowest[class].min(page);
    }

    /// Removes a page that has none any more, or is no page of the class any more.
    pub(super) fn remove(&mut self, class: usize, page: u32) {
        let (group, bit) = (page as usize / GROUP, page as usize % GROUP);
        let word = &mut self.groups[group].0[class];
        *word &= !(1 << bit);
        if *word == 0 {
            let above = &mut self.above[class][group / GROUP];
            *above &= !(1 << (group % GROUP));
            if *above == 0 {
                self.top[class] &= !(1 << (group / GROUP));
            }
        }
        if page == self.lowest[class] {
            self.lowest[class] = self.find_lowest(class);
        }
    }

    fn find_lowest(&self, class: usize) -> u32 {
        let top = self.top[class];
        if top == 0 {
            return NONE;
        }
        let high = top.trailing_zeros() as usize;
        let group = high * GROUP + self.above[class][high].trailing_zeros() as usize;
        (group * GROUP) as u32 + self.groups[group].0[class].trailing_zeros()
    }

    /// Returns the lowest page of a class with free objects.
    #[inline(always)]
    pub(super) fn lowest(&self, class: usize) -> Option<u32> {
        let page = self.lowest[class];
        (page != NONE).then_some(page)
    }
}
