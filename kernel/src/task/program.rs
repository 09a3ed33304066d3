//! Programs: loading a static ELF file into a new task's memory.

use super::Tasks;
use super::regions::Place;
use crate::ids::TaskId;
use crate::limits::{SEGMENTS_MAX, STACK_PAGES};
use crate::machine::{AddressSpace, Machine, Protection, USER_END, UserAddr};
use abi::KernReturn;
use abi::code::*;
use abi::task::PAGE_SIZE;
use elf::abi::{ELFMAGIC, EM_X86_64, ET_DYN, ET_EXEC, PF_R, PF_W, PF_X, PT_INTERP, PT_LOAD};
use elf::endian::LittleEndian;
use elf::file::{Class, FileHeader, parse_ident};
use elf::segment::{ProgramHeader, SegmentTable};
use heapless::Vec;

/// The address to which position-independent programs are loaded.
const PIE_BASE: u64 = 0x1000_0000;

const EHDR_SIZE: usize = 64;
const PHDR_SIZE: usize = 56;

/// Bytes of a program's first stack.
const STACK_SIZE: u64 = STACK_PAGES * PAGE_SIZE;

/// The address behind it. One page above stays unmapped, so that an access beyond the top faults.
const STACK_TOP: u64 = USER_END - PAGE_SIZE;

/// Bytes that are copied at a time.
const PIECE: usize = 1024;

/// The place of a program's file.
#[derive(Clone, Copy, Debug)]
pub enum Image {
    /// In the bundle.
    Bundle(&'static [u8]),
    /// In a task's memory.
    Memory {
        /// The task's memory.
        space: AddressSpace,
        /// The address of the file.
        start: UserAddr,
        /// Its length in bytes.
        size: u64,
    },
}

impl Image {
    fn size(&self) -> u64 {
        match self {
            Image::Bundle(bytes) => bytes.len() as u64,
            Image::Memory { size, .. } => *size,
        }
    }

    /// Reads a part of the file.
    ///
    /// # Errors
    /// `KERN_FAILURE` if the part is not within the file in the bundle; `KERN_MEMORY_ERROR` if it cannot be read.
    fn read(&self, machine: &mut dyn Machine, offset: u64, to: &mut [u8]) -> Result<(), KernReturn> {
        match *self {
            Image::Bundle(bytes) => {
                let from = bytes.get(offset as usize..).and_then(|rest| rest.get(..to.len())).ok_or(KERN_FAILURE)?;
                to.copy_from_slice(from);
                Ok(())
            }
            Image::Memory { space, start, .. } => {
                machine.copy_in(space, start.plus(offset), to).map_err(|_| KERN_MEMORY_ERROR)
            }
        }
    }
}

/// A loaded program, as its first thread must know it.
#[derive(Clone, Copy, Debug)]
pub struct Loaded {
    /// The address of the first instruction.
    pub entry: u64,
    /// The address of the program headers, if they are loaded.
    pub headers: Option<u64>,
    /// The number of program headers.
    pub header_count: u64,
}

/// A segment to load.
#[derive(Clone, Copy, Debug)]
struct Segment {
    /// The first page.
    start: u64,
    /// The address behind the last page.
    end: u64,
    /// The address for the contents from the file. The rest of the pages is zero.
    address: u64,
    /// The place of the contents in the file.
    offset: u64,
    /// The length of the contents in the file.
    file_size: u64,
    protection: Protection,
}

/// The reason why a file cannot be loaded.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// The file is no program that can run here; the text says why.
    NoProgram(&'static str),
    /// The file cannot be read.
    Unreadable(KernReturn),
}

use Fault::NoProgram;

/// The checked headers of a program.
#[derive(Debug)]
struct Program {
    segments: Vec<Segment, SEGMENTS_MAX>,
    loaded: Loaded,
}

/// A program that is being loaded.
#[derive(Debug)]
pub(crate) struct Loading {
    image: Image,
    program: Program,
    /// The segment that is loaded next.
    segment: usize,
    /// How many bytes of its pages are there.
    done: u64,
}

/// Page tables that a range needs at most, but for those of which it fills more than one.
const TABLES_PER_RANGE: u64 = 6;
/// Pages whose entries are in one page table.
const PAGES_PER_TABLE: u64 = 512;

impl Loading {
    /// Returns the number of page frames that a task needs to start the program, at most.
    pub(crate) fn frames(&self) -> u64 {
        let segments = self.program.segments.iter().map(|segment| (segment.end - segment.start) / PAGE_SIZE);
        let ranges = segments.chain(core::iter::once(STACK_PAGES));
        let with_tables = ranges.map(|pages| pages + pages / PAGES_PER_TABLE + TABLES_PER_RANGE);
        with_tables.fold(1, u64::saturating_add)
    }

    /// Returns true if the program is there as a whole.
    pub(crate) fn is_complete(&self) -> bool {
        self.segment == self.program.segments.len()
    }

    /// Returns what the first thread must know.
    pub(crate) fn loaded(&self) -> &Loaded {
        &self.program.loaded
    }
}

impl Tasks {
    /// Begins to load a program for a new task of this name. The log says what is wrong with a file that is no program.
    ///
    /// # Errors
    /// `KERN_FAILURE` if the file is not a static program for this machine; `KERN_MEMORY_ERROR` if it cannot be read.
    pub(crate) fn begin_loading(
        &self,
        machine: &mut dyn Machine,
        name: &str,
        image: Image,
    ) -> Result<Loading, KernReturn> {
        let program = read_program(machine, &image).map_err(|fault| match fault {
            NoProgram(reason) => {
                let pid = self.next_pid();
                machine.log(format_args!("task {pid} ({name}) does not start: {reason}"));
                KERN_FAILURE
            }
            Fault::Unreadable(code) => code,
        })?;
        Ok(Loading { image, program, segment: 0, done: 0 })
    }

    /// Loads at most `count` pages of a program. Returns true if it is there as a whole then.
    ///
    /// # Errors
    /// `KERN_MEMORY_ERROR` if the file cannot be read; `KERN_RESOURCE_SHORTAGE` if memory runs out or the program has more
    /// pages than a task may have. The task may then have a part of the program's memory.
    pub(crate) fn load_some(
        &mut self,
        machine: &mut dyn Machine,
        task: TaskId,
        loading: &mut Loading,
        count: u64,
    ) -> Result<bool, KernReturn> {
        let mut left = count * PAGE_SIZE;
        while let Some(&segment) = loading.program.segments.get(loading.segment)
            && left > 0
        {
            let Segment { start, end, address, offset, file_size, protection } = segment;
            if loading.done == 0 {
                self.find_room(task, Place::At(UserAddr(start)), end - start)?;
            }
            let from = start + loading.done;
            let to = end.min(from + left);
            self.map_new(machine, task, (from, to), protection)?;
            let space = self.tasks[task].address_space;
            let mut at = from.max(address);
            let file_end = to.min(address + file_size);
            while at < file_end {
                let mut piece = [0; PIECE];
                let piece = &mut piece[..PIECE.min((file_end - at) as usize)];
                loading.image.read(machine, offset + (at - address), piece)?;
                machine.load(space, UserAddr(at), piece);
                at += piece.len() as u64;
            }
            left -= to - from;
            (loading.segment, loading.done) =
                if to == end { (loading.segment + 1, 0) } else { (loading.segment, to - start) };
        }
        Ok(loading.is_complete())
    }

    /// Maps the stack of a task's first thread.
    ///
    /// # Errors
    /// `KERN_NO_SPACE` if the program is where the stack goes; `KERN_RESOURCE_SHORTAGE` if memory runs out.
    pub(crate) fn map_stack(&mut self, machine: &mut dyn Machine, task: TaskId) -> Result<(), KernReturn> {
        let range = self.find_room(task, Place::At(UserAddr(STACK_TOP - STACK_SIZE)), STACK_SIZE)?;
        self.map_new(machine, task, range, Protection::READ | Protection::WRITE)
    }

    /// Writes a block of data to the top of the stack of a task's first thread, and returns the block's address. `block`
    /// returns the data for the address at which it ends.
    ///
    /// # Errors
    /// `KERN_INVALID_ARGUMENT` if the block takes more than half of the stack; those of `block`.
    pub(crate) fn fill_stack(
        &mut self,
        machine: &mut dyn Machine,
        task: TaskId,
        block: impl FnOnce(u64) -> Result<alloc::vec::Vec<u8>, KernReturn>,
    ) -> Result<u64, KernReturn> {
        let bytes = block(STACK_TOP)?;
        if bytes.len() as u64 > STACK_SIZE / 2 {
            return Err(KERN_INVALID_ARGUMENT);
        }
        let start = STACK_TOP - bytes.len() as u64;
        machine.load(self.tasks[task].address_space, UserAddr(start), &bytes);
        Ok(start)
    }
}

/// Reads and checks the headers of a program. They are read once only, because a program in another task's memory may
/// change meanwhile.
///
/// # Errors
/// [`Fault`].
fn read_program(machine: &mut dyn Machine, image: &Image) -> Result<Program, Fault> {
    const CUT_OFF: Fault = NoProgram("the file is cut off: its program headers are not there");
    let mut bytes = [0; EHDR_SIZE];
    if image.size() < EHDR_SIZE as u64 {
        return Err(NoProgram("the file is no ELF file"));
    }
    image.read(machine, 0, &mut bytes).map_err(Fault::Unreadable)?;
    let header = read_header(&bytes).map_err(NoProgram)?;
    let mut table = [0; SEGMENTS_MAX * PHDR_SIZE];
    let count = usize::from(header.e_phnum);
    let table = table.get_mut(..count * PHDR_SIZE).ok_or(NoProgram("the file has too many program headers"))?;
    let end = header.e_phoff.checked_add(table.len() as u64).ok_or(CUT_OFF)?;
    if end > image.size() {
        return Err(CUT_OFF);
    }
    image.read(machine, header.e_phoff, table).map_err(Fault::Unreadable)?;
    let base = if header.e_type == ET_DYN { PIE_BASE } else { 0 };
    let mut segments: Vec<Segment, SEGMENTS_MAX> = Vec::new();
    let mut headers = None;
    for part in SegmentTable::new(LittleEndian, Class::ELF64, table).iter() {
        match part.p_type {
            PT_INTERP => return Err(NoProgram("the program needs a dynamic linker: link it with -static")),
            PT_LOAD if part.p_memsz > 0 => {
                let segment = read_segment(&part, base, image.size()).map_err(NoProgram)?;
                if segments.iter().any(|other| other.start < segment.end && segment.start < other.end) {
                    return Err(NoProgram("two segments share a page"));
                }
                let in_file = part.p_offset..part.p_offset + part.p_filesz;
                if in_file.contains(&header.e_phoff) && end <= in_file.end {
                    headers = Some(segment.address + (header.e_phoff - part.p_offset));
                }
                segments.push(segment).expect("there are at most as many segments as program headers");
            }
            _ => {}
        }
    }
    if segments.is_empty() {
        return Err(NoProgram("the file has nothing to load: it is not linked, or the linker dropped everything"));
    }
    let contains_entry = |entry: &u64| {
        let executable = segments.iter().filter(|segment| segment.protection.contains(Protection::EXECUTE));
        executable.into_iter().any(|segment| (segment.start..segment.end).contains(entry))
    };
    let entry = base.checked_add(header.e_entry).filter(contains_entry);
    let entry = entry.ok_or(NoProgram("the entry point is in no executable segment: is there a _start?"))?;
    Ok(Program { segments, loaded: Loaded { entry, headers, header_count: count as u64 } })
}

/// Returns the file header of a program for this machine.
///
/// # Errors
/// A text that says what is wrong.
fn read_header(bytes: &[u8; EHDR_SIZE]) -> Result<FileHeader<LittleEndian>, &'static str> {
    const OTHER_MACHINE: &str = "the program is for another machine than x86_64";
    if !bytes.starts_with(&ELFMAGIC) {
        return Err("the file is no ELF file");
    }
    let ident = parse_ident::<LittleEndian>(&bytes[..16]).map_err(|_| OTHER_MACHINE)?;
    if ident.1 != Class::ELF64 {
        return Err("the program is not for 64 bits");
    }
    let header = FileHeader::parse_tail(ident, &bytes[16..]).map_err(|_| OTHER_MACHINE)?;
    if header.e_machine != EM_X86_64 {
        return Err(OTHER_MACHINE);
    }
    if !matches!(header.e_type, ET_EXEC | ET_DYN) {
        return Err("the file is no program but an object file or a core dump: link it");
    }
    if usize::from(header.e_phentsize) != PHDR_SIZE {
        return Err("the file has program headers of another size, or none");
    }
    Ok(header)
}

/// Returns the segment that a program header describes.
///
/// # Errors
/// A text that says what is wrong.
fn read_segment(part: &ProgramHeader, base: u64, file_size: u64) -> Result<Segment, &'static str> {
    const OUTSIDE: &str = "a segment is outside of the addresses for programs";
    let address = base.checked_add(part.p_vaddr).ok_or(OUTSIDE)?;
    let start = address & !(PAGE_SIZE - 1);
    let end = address.checked_add(part.p_memsz).and_then(|end| end.checked_next_multiple_of(PAGE_SIZE));
    let end = end.filter(|&end| start >= crate::machine::USER_START && end <= USER_END).ok_or(OUTSIDE)?;
    let mut protection = Protection::empty();
    for (flag, allows) in [(PF_R, Protection::READ), (PF_W, Protection::WRITE), (PF_X, Protection::EXECUTE)] {
        protection.set(allows, part.p_flags & flag != 0);
    }
    if protection.contains(Protection::WRITE | Protection::EXECUTE) {
        return Err("a segment is writable and executable");
    }
    if part.p_filesz > part.p_memsz || part.p_offset.checked_add(part.p_filesz).is_none_or(|end| end > file_size) {
        return Err("the file is cut off: a segment is not in it");
    }
    let protection = protection | Protection::READ;
    Ok(Segment { start, end, address, offset: part.p_offset, file_size: part.p_filesz, protection })
}
