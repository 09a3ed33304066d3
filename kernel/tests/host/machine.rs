//! A machine made of data structures: memory in a map, a clock that the test advances, and failures on demand.

use abi::task::PAGE_SIZE;
use kernel::machine::{AddressSpace, Cpu, Fault, Machine, Nanos, NoMemory, Protection, Stamp, UserAddr};
use kernel::rate::{Clock, Rate};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;

/// The free bytes that the fake machine tells of the kernel's heap, which is the host's.
pub const HEAP_FREE: u64 = 0x1_2345_6789;
/// The number of page frames of the machine.
const FRAMES: u64 = 100_000_000;

/// The stamp at time 0.
const FIRST_STAMP: Stamp = Stamp(1000);

/// How fast stamps grow.
const STAMPS_PER_NANO: u64 = 4;

struct Page {
    bytes: Box<[u8; PAGE_SIZE as usize]>,
    protection: Protection,
}

/// A failure that a test injects: the n-th use from now on fails, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A copy from or to user memory faults.
    Copy(u64),
    /// A request for page frames is refused.
    Memory(u64),
}

pub struct FakeMachine {
    spaces: BTreeMap<u64, HashMap<u64, Page>>,
    next_space: u64,
    used_frames: u64,
    now: Nanos,
    /// The deadline that the kernel set last; the test clears it when it has expired.
    pub timer: Option<Nanos>,
    /// The bytes that were typed at the console.
    pub input: VecDeque<u8>,
    /// The bytes that programs wrote to the console.
    pub console: Vec<u8>,
    /// The bytes for which the console has room.
    pub console_room: usize,
    /// The bytes that the kernel wrote to the trace device.
    pub trace: Vec<u8>,
    /// The lines that the kernel wrote to its log.
    pub log: Vec<String>,
    /// The time that each change of page tables takes.
    pub table_time: Nanos,
    failure: Option<Failure>,
    /// A write by another processor that takes effect right after the copy of this number.
    concurrent_write: Option<(u64, AddressSpace, UserAddr, Vec<u8>)>,
    copies: u64,
    requests: u64,
}

impl FakeMachine {
    pub fn new() -> FakeMachine {
        FakeMachine {
            spaces: BTreeMap::new(),
            next_space: 1,
            used_frames: 0,
            now: 1,
            timer: None,
            input: VecDeque::new(),
            console: Vec::new(),
            console_room: usize::MAX,
            trace: Vec::new(),
            log: Vec::new(),
            table_time: 0,
            failure: None,
            concurrent_write: None,
            copies: 0,
            requests: 0,
        }
    }

    /// Returns what makes times of the machine's stamps.
    pub fn clock() -> Clock {
        Clock::new(FIRST_STAMP, Rate::measured(STAMPS_PER_NANO, 1))
    }

    /// Advances the clock.
    pub fn advance(&mut self, by: Nanos) {
        self.now += by;
    }

    /// Injects a failure, once, or none. Restarts the counts that [`uses`](FakeMachine::uses) returns.
    pub fn fail(&mut self, failure: Option<Failure>) {
        self.failure = failure;
        (self.copies, self.requests) = (0, 0);
    }

    /// Makes another processor write into user memory right after the n-th copy from now on, counted from 0, if that is
    /// a copy from user memory.
    pub fn write_after_copy(&mut self, number: u64, space: AddressSpace, to: UserAddr, bytes: &[u8]) {
        self.fail(None);
        self.concurrent_write = Some((number, space, to, bytes.to_vec()));
    }

    /// Returns the number of copies and of requests for page frames since [`fail`](FakeMachine::fail).
    pub fn uses(&self) -> (u64, u64) {
        (self.copies, self.requests)
    }

    /// Reads a task's memory, or returns `None` if a page of it is not mapped.
    pub fn read(&self, space: AddressSpace, from: UserAddr, size: usize) -> Option<Vec<u8>> {
        let pages = self.spaces.get(&space.0)?;
        let mut bytes = Vec::with_capacity(size);
        for (page, offset, range) in Self::pieces(from, size) {
            bytes.extend_from_slice(&pages.get(&page)?.bytes[offset..offset + range.len()]);
        }
        Some(bytes)
    }

    /// Returns the protection of a task's page, or `None` if it is not mapped.
    pub fn protection(&self, space: AddressSpace, at: UserAddr) -> Option<Protection> {
        self.spaces.get(&space.0)?.get(&(at.0 / PAGE_SIZE)).map(|page| page.protection)
    }

    /// Writes into a task's memory as the task's own instructions would.
    pub fn write(&mut self, space: AddressSpace, to: UserAddr, bytes: &[u8]) {
        self.load(space, to, bytes);
    }

    fn request(&mut self, frames: u64) -> Result<(), NoMemory> {
        let number = self.requests;
        self.requests += 1;
        if self.failure == Some(Failure::Memory(number)) || self.used_frames + frames > FRAMES {
            return Err(NoMemory);
        }
        self.used_frames += frames;
        Ok(())
    }

    /// Splits a range at page boundaries: page number, offset in the page, part of the range.
    fn pieces(from: UserAddr, size: usize) -> impl Iterator<Item = (u64, usize, std::ops::Range<usize>)> {
        let mut done = 0;
        std::iter::from_fn(move || {
            if done >= size {
                return None;
            }
            let at = from.0 + done as u64;
            let offset = (at % PAGE_SIZE) as usize;
            let piece = (PAGE_SIZE as usize - offset).min(size - done);
            let range = done..done + piece;
            done += piece;
            Some((at / PAGE_SIZE, offset, range))
        })
    }

    fn check_copy(&mut self, space: AddressSpace, at: UserAddr, size: usize, need: Protection) -> Result<(), Fault> {
        let number = self.copies;
        self.copies += 1;
        if self.failure == Some(Failure::Copy(number)) || !at.contains_range(size as u64) {
            return Err(Fault);
        }
        let pages = self.spaces.get(&space.0).expect("the kernel copies in address spaces that exist");
        let mapped = |page: u64| pages.get(&page).is_some_and(|page| page.protection.contains(need));
        if Self::pieces(at, size).all(|(page, _, _)| mapped(page)) { Ok(()) } else { Err(Fault) }
    }
}

impl Machine for FakeMachine {
    fn now(&mut self) -> Nanos {
        self.now
    }

    fn stamp(&mut self) -> Stamp {
        Stamp(FIRST_STAMP.0 + STAMPS_PER_NANO * self.now)
    }

    fn set_timer(&mut self, cpu: Cpu, deadline: Nanos) {
        assert_eq!(cpu, 0);
        self.timer = Some(deadline);
    }

    fn copy_in(&mut self, space: AddressSpace, from: UserAddr, to: &mut [u8]) -> Result<(), Fault> {
        self.check_copy(space, from, to.len(), Protection::READ)?;
        let pages = &self.spaces[&space.0];
        for (page, offset, range) in Self::pieces(from, to.len()) {
            let size = range.len();
            to[range].copy_from_slice(&pages[&page].bytes[offset..offset + size]);
        }
        let done = self.copies - 1;
        if let Some((_, space, to, bytes)) = self.concurrent_write.take_if(|(number, ..)| *number == done) {
            self.load(space, to, &bytes);
        }
        Ok(())
    }

    fn copy_out(&mut self, space: AddressSpace, to: UserAddr, from: &[u8]) -> Result<(), Fault> {
        self.check_copy(space, to, from.len(), Protection::WRITE)?;
        self.load(space, to, from);
        Ok(())
    }

    fn create_address_space(&mut self) -> Result<AddressSpace, NoMemory> {
        self.request(1)?;
        let id = self.next_space;
        self.next_space += 1;
        self.spaces.insert(id, HashMap::new());
        Ok(AddressSpace(id))
    }

    fn destroy_address_space(&mut self, space: AddressSpace) {
        let pages = self.spaces.remove(&space.0).expect("an address space is destroyed once");
        assert!(pages.is_empty(), "an address space with memory is destroyed");
        self.used_frames -= 1;
    }

    fn map(&mut self, space: AddressSpace, at: UserAddr, pages: u64, protection: Protection) -> Result<(), NoMemory> {
        assert!(at.is_page_aligned() && at.contains_range(pages * PAGE_SIZE), "the core checks ranges");
        assert!(!protection.contains(Protection::WRITE | Protection::EXECUTE), "no page is writable and executable");
        self.now += self.table_time;
        self.request(pages)?;
        let memory = self.spaces.get_mut(&space.0).expect("the address space exists");
        for page in at.0 / PAGE_SIZE..at.0 / PAGE_SIZE + pages {
            let fresh = Page { bytes: Box::new([0; PAGE_SIZE as usize]), protection };
            assert!(memory.insert(page, fresh).is_none(), "memory is mapped where there is some");
        }
        Ok(())
    }

    fn unmap(&mut self, space: AddressSpace, at: UserAddr, pages: u64) {
        self.now += self.table_time;
        let memory = self.spaces.get_mut(&space.0).expect("the address space exists");
        for page in at.0 / PAGE_SIZE..at.0 / PAGE_SIZE + pages {
            assert!(memory.remove(&page).is_some(), "memory is taken away where there is none");
        }
        self.used_frames -= pages;
    }

    fn protect(&mut self, space: AddressSpace, at: UserAddr, pages: u64, protection: Protection) {
        self.now += self.table_time;
        let memory = self.spaces.get_mut(&space.0).expect("the address space exists");
        for page in at.0 / PAGE_SIZE..at.0 / PAGE_SIZE + pages {
            memory.get_mut(&page).expect("the range is mapped").protection = protection;
        }
    }

    fn load(&mut self, space: AddressSpace, to: UserAddr, from: &[u8]) {
        let memory = self.spaces.get_mut(&space.0).expect("the address space exists");
        for (page, offset, range) in Self::pieces(to, from.len()) {
            let page = memory.get_mut(&page).expect("memory that is loaded is mapped");
            page.bytes[offset..offset + range.len()].copy_from_slice(&from[range]);
        }
    }

    fn free_frames(&self) -> u64 {
        FRAMES - self.used_frames
    }

    fn free_heap(&self) -> u64 {
        HEAP_FREE
    }

    fn largest_allocation(&self) -> u64 {
        HEAP_FREE / 2
    }

    fn other_clock(&mut self) -> Option<Nanos> {
        Some(self.now / 2)
    }

    fn cpu_count(&self) -> u32 {
        1
    }

    fn console_read(&mut self, buffer: &mut [u8]) -> usize {
        let taken = self.input.len().min(buffer.len());
        buffer.iter_mut().zip(self.input.drain(..taken)).for_each(|(to, byte)| *to = byte);
        taken
    }

    fn console_write(&mut self, bytes: &[u8]) -> bool {
        let fits = bytes.len() <= self.console_room;
        if fits {
            self.console_room -= bytes.len();
            self.console.extend_from_slice(bytes);
        }
        fits
    }

    fn trace_write(&mut self, bytes: &[u8]) {
        self.trace.extend_from_slice(bytes);
    }

    fn log(&mut self, line: fmt::Arguments<'_>) {
        self.log.push(line.to_string());
    }
}
