//! Programs: reading a static ELF file and laying it out in a new address space.

use super::Tasks;
use crate::ids::TaskId;
use crate::limits::{SEGMENTS_MAX, STACK_PAGES};
use crate::machine::{AddressSpace, Machine, Protection, USER_END, UserAddr};
use abi::KernReturn;
use abi::code::*;
use abi::task::PAGE_SIZE;
use elf::abi::{EM_X86_64, ET_DYN, ET_EXEC, PF_R, PF_W, PF_X, PT_INTERP, PT_LOAD};
use elf::endian::LittleEndian;
use elf::file::{Class, FileHeader, parse_ident};
use elf::segment::{ProgramHeader, SegmentTable};
use heapless::Vec;

/// Where position-independent programs go.
const PIE_BASE: u64 = 0x1000_0000;

const EHDR_SIZE: usize = 64;
const PHDR_SIZE: usize = 56;

/// Bytes copied at a time.
const PIECE: usize = 1024;

/// Where a program's file is.
#[derive(Clone, Copy, Debug)]
pub enum Image {
    /// In the bundle.
    Bundle(&'static [u8]),
    /// In a task's memory.
    Memory {
        /// The memory.
        space: AddressSpace,
        /// Where it begins.
        start: UserAddr,
        /// How long it is.
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

    /// Reads from inside the file.
    fn read(&self, m: &mut dyn Machine, offset: u64, to: &mut [u8]) -> Result<(), KernReturn> {
        match *self {
            Image::Bundle(bytes) => {
                let from = bytes.get(offset as usize..).and_then(|rest| rest.get(..to.len())).ok_or(KERN_FAILURE)?;
                to.copy_from_slice(from);
                Ok(())
            }
            Image::Memory { space, start, .. } => {
                m.copy_in(space, start.plus(offset), to).map_err(|_| KERN_MEMORY_ERROR)
            }
        }
    }
}

/// A program laid out in memory: what its first thread must know.
#[derive(Clone, Copy, Debug)]
pub struct Loaded {
    /// Where it starts.
    pub entry: u64,
    /// Where its program headers are in its memory, if they are.
    pub headers: Option<u64>,
    /// How many there are.
    pub header_count: u64,
}

/// What is wanted of a file's part.
#[derive(Clone, Copy, Debug)]
struct Segment {
    start: u64,
    end: u64,
    address: u64,
    offset: u64,
    file_size: u64,
    protection: Protection,
}

/// A file that was found to be a program.
#[derive(Debug)]
struct Program {
    segments: Vec<Segment, SEGMENTS_MAX>,
    loaded: Loaded,
}

impl Tasks {
    /// Lays a program out in a task that has no memory yet.
    ///
    /// # Errors
    /// `KERN_FAILURE` if the file is no static program for this machine; `KERN_MEMORY_ERROR` if it cannot be read;
    /// `KERN_RESOURCE_SHORTAGE`. The task's memory is then in no particular state.
    pub(crate) fn load_program(
        &mut self,
        m: &mut dyn Machine,
        task: TaskId,
        image: &Image,
    ) -> Result<Loaded, KernReturn> {
        let program = read_program(m, image)?;
        for segment in &program.segments {
            let Segment { start, end, address, offset, file_size, protection } = *segment;
            self.vm_allocate(m, task, Some(UserAddr(start)), end - start, protection)?;
            let space = self.tasks[task].address_space;
            let mut done = 0;
            while done < file_size {
                let mut piece = [0; PIECE];
                let piece = &mut piece[..PIECE.min((file_size - done) as usize)];
                image.read(m, offset + done, piece)?;
                m.load(space, UserAddr(address + done), piece);
                done += piece.len() as u64;
            }
        }
        Ok(program.loaded)
    }

    /// Gives a task its first stack and puts `block` at the top of it; returns where that is.
    ///
    /// # Errors
    /// `KERN_INVALID_ARGUMENT` if the block takes more than half of the stack; `KERN_RESOURCE_SHORTAGE`.
    pub(crate) fn make_stack(
        &mut self,
        m: &mut dyn Machine,
        task: TaskId,
        block: impl FnOnce(u64) -> Result<alloc::vec::Vec<u8>, KernReturn>,
    ) -> Result<u64, KernReturn> {
        let size = STACK_PAGES * PAGE_SIZE;
        // One page above stays free, so that running over the end faults.
        let top = USER_END - PAGE_SIZE;
        let writable = Protection::READ | Protection::WRITE;
        self.vm_allocate(m, task, Some(UserAddr(top - size)), size, writable)?;
        let bytes = block(top)?;
        if bytes.len() as u64 > size / 2 {
            return Err(KERN_INVALID_ARGUMENT);
        }
        let start = top - bytes.len() as u64;
        m.load(self.tasks[task].address_space, UserAddr(start), &bytes);
        Ok(start)
    }
}

/// Reads and checks the headers of a program, once.
fn read_program(m: &mut dyn Machine, image: &Image) -> Result<Program, KernReturn> {
    let mut bytes = [0; EHDR_SIZE];
    if image.size() < EHDR_SIZE as u64 {
        return Err(KERN_FAILURE);
    }
    image.read(m, 0, &mut bytes)?;
    let header = read_header(&bytes).ok_or(KERN_FAILURE)?;
    let mut table = [0; SEGMENTS_MAX * PHDR_SIZE];
    let count = usize::from(header.e_phnum);
    let table = table.get_mut(..count * PHDR_SIZE).ok_or(KERN_FAILURE)?;
    let end = header.e_phoff.checked_add(table.len() as u64).ok_or(KERN_FAILURE)?;
    if end > image.size() {
        return Err(KERN_FAILURE);
    }
    image.read(m, header.e_phoff, table)?;
    let base = if header.e_type == ET_DYN { PIE_BASE } else { 0 };
    let mut segments: Vec<Segment, SEGMENTS_MAX> = Vec::new();
    let mut headers = None;
    for part in SegmentTable::new(LittleEndian, Class::ELF64, table).iter() {
        match part.p_type {
            // A program that needs an interpreter is not static.
            PT_INTERP => return Err(KERN_FAILURE),
            PT_LOAD if part.p_memsz > 0 => {
                let segment = read_segment(&part, base, image.size()).ok_or(KERN_FAILURE)?;
                if segments.iter().any(|other| other.start < segment.end && segment.start < other.end) {
                    return Err(KERN_FAILURE);
                }
                let in_file = part.p_offset..part.p_offset + part.p_filesz;
                if in_file.contains(&header.e_phoff) && end <= in_file.end {
                    headers = Some(segment.address + (header.e_phoff - part.p_offset));
                }
                segments.push(segment).map_err(|_| KERN_FAILURE)?;
            }
            _ => {}
        }
    }
    let entry = base.checked_add(header.e_entry).ok_or(KERN_FAILURE)?;
    let runs = |segment: &Segment| {
        segment.protection.contains(Protection::EXECUTE) && (segment.start..segment.end).contains(&entry)
    };
    if !segments.iter().any(runs) {
        return Err(KERN_FAILURE);
    }
    Ok(Program { segments, loaded: Loaded { entry, headers, header_count: count as u64 } })
}

fn read_header(bytes: &[u8; EHDR_SIZE]) -> Option<FileHeader<LittleEndian>> {
    let ident = parse_ident::<LittleEndian>(&bytes[..16]).ok()?;
    let header = FileHeader::parse_tail(ident, &bytes[16..]).ok()?;
    let fits = header.class == Class::ELF64
        && header.e_machine == EM_X86_64
        && matches!(header.e_type, ET_EXEC | ET_DYN)
        && usize::from(header.e_phentsize) == PHDR_SIZE;
    fits.then_some(header)
}

/// What a program header asks for, if it asks for something possible: whole pages in the user part, filled from inside
/// the file, never both writable and executable.
fn read_segment(part: &ProgramHeader, base: u64, file_size: u64) -> Option<Segment> {
    let address = base.checked_add(part.p_vaddr)?;
    let start = address & !(PAGE_SIZE - 1);
    let end = address.checked_add(part.p_memsz)?.checked_next_multiple_of(PAGE_SIZE)?;
    let mut protection = Protection::empty();
    for (flag, allows) in [(PF_R, Protection::READ), (PF_W, Protection::WRITE), (PF_X, Protection::EXECUTE)] {
        protection.set(allows, part.p_flags & flag != 0);
    }
    let in_file = part.p_filesz <= part.p_memsz && part.p_offset.checked_add(part.p_filesz)? <= file_size;
    let safe = !protection.contains(Protection::WRITE | Protection::EXECUTE);
    let inside = start >= crate::machine::USER_START && end <= USER_END;
    (in_file && safe && inside).then_some(Segment {
        start,
        end,
        address,
        offset: part.p_offset,
        file_size: part.p_filesz,
        protection: protection | Protection::READ,
    })
}
