//! Bundles and kernels for the tests, built byte by byte so that each can be wrong in one point.

use std::vec::Vec;

use bootloader_api::BootloaderConfig;
use x86_64::VirtAddr;
use x86_64::structures::paging::{PageTable, PageTableFlags};

use crate::paging::Access;
use crate::span::PAGE;

/// Where the test kernel is linked.
pub(crate) const BASE: u64 = 0xFFFF_FFFF_8000_0000;
/// Segment flags: read only.
pub(crate) const FLAGS_R: u32 = 4;
/// Segment flags: read and execute.
pub(crate) const FLAGS_RX: u32 = 5;
/// Segment flags: read and write.
pub(crate) const FLAGS_RW: u32 = 6;

const HEADER_SIZE: usize = 64;
const PROGRAM_HEADER_SIZE: usize = 56;

/// A loadable segment.
#[derive(Clone)]
pub(crate) struct Load {
    pub address: u64,
    pub flags: u32,
    pub bytes: Vec<u8>,
    pub memory_size: u64,
    /// The offset that the header claims, if not the true one.
    pub offset: Option<u64>,
}

impl Load {
    pub(crate) fn new(address: u64, flags: u32, bytes: Vec<u8>) -> Self {
        Self { address, flags, memory_size: bytes.len() as u64, bytes, offset: None }
    }
}

/// An ELF file.
pub(crate) struct Elf {
    pub entry: u64,
    pub loads: Vec<Load>,
    /// The contents of `.bootloader-config`.
    pub config: Option<Vec<u8>>,
}

impl Elf {
    /// A kernel without any fault: constants, code and data with 0x4000 bytes of zeroes.
    pub(crate) fn good() -> Self {
        let mut data = Load::new(BASE + 0x3000, FLAGS_RW, vec![0xDA; 0x1000]);
        data.memory_size = 0x5000;
        Self {
            entry: BASE + 0x1010,
            loads: vec![
                Load::new(BASE, FLAGS_R, vec![0x55; 0x800]),
                Load::new(BASE + 0x1000, FLAGS_RX, vec![0xC3; 0x1800]),
                data,
            ],
            config: Some(BootloaderConfig::new_default().serialize().to_vec()),
        }
    }

    /// Returns a valid kernel with the configuration that `change` makes.
    pub(crate) fn asking(change: impl FnOnce(&mut BootloaderConfig)) -> Self {
        let mut config = BootloaderConfig::new_default();
        change(&mut config);
        Self { config: Some(config.serialize().to_vec()), ..Self::good() }
    }

    /// The bytes of the file: headers, segments, section names, configuration, section headers.
    pub(crate) fn build(&self) -> Vec<u8> {
        let names = b"\0.shstrtab\0.bootloader-config\0";
        let mut offset = HEADER_SIZE + PROGRAM_HEADER_SIZE * self.loads.len();
        let mut programs = Vec::new();
        let mut body: Vec<u8> = Vec::new();
        for load in &self.loads {
            programs.extend(program_header(load, offset as u64));
            body.extend(&load.bytes);
            offset += load.bytes.len();
        }
        let mut sections = section_header(0, 0, 0, 0);
        sections.extend(section_header(1, 3, offset, names.len()));
        body.extend(names);
        offset += names.len();
        if let Some(config) = &self.config {
            sections.extend(section_header(11, 1, offset, config.len()));
            body.extend(config);
            offset += config.len();
        }
        let mut file = self.file_header(offset, sections.len() / 64);
        file.extend(programs);
        file.extend(body);
        file.extend(sections);
        file
    }

    fn file_header(&self, section_offset: usize, sections: usize) -> Vec<u8> {
        let mut file = vec![0x7F, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        file.extend(2u16.to_le_bytes());
        file.extend(62u16.to_le_bytes());
        file.extend(1u32.to_le_bytes());
        file.extend(self.entry.to_le_bytes());
        file.extend((HEADER_SIZE as u64).to_le_bytes());
        file.extend((section_offset as u64).to_le_bytes());
        file.extend(0u32.to_le_bytes());
        for half in [HEADER_SIZE, PROGRAM_HEADER_SIZE, self.loads.len(), 64, sections, 1] {
            file.extend((half as u16).to_le_bytes());
        }
        file
    }
}

fn program_header(load: &Load, offset: u64) -> Vec<u8> {
    let mut header = Vec::new();
    header.extend(1u32.to_le_bytes());
    header.extend(load.flags.to_le_bytes());
    let offset = load.offset.unwrap_or(offset);
    for word in [offset, load.address, load.address, load.bytes.len() as u64, load.memory_size, 0x1000] {
        header.extend(word.to_le_bytes());
    }
    header
}

fn section_header(name: u32, kind: u32, offset: usize, size: usize) -> Vec<u8> {
    let mut header = Vec::new();
    header.extend(name.to_le_bytes());
    header.extend(kind.to_le_bytes());
    for word in [0, 0, offset as u64, size as u64, 0, 1, 0] {
        header.extend(word.to_le_bytes());
    }
    header
}

/// A ustar archive of `files`, with the two zero blocks at its end and no other padding.
pub(crate) fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (name, contents) in files {
        let mut header = [0; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[100..108].copy_from_slice(b"0000644\0");
        header[124..136].copy_from_slice(format!("{:011o}\0", contents.len()).as_bytes());
        header[148..156].copy_from_slice(b"        ");
        header[156] = b'0';
        header[257..265].copy_from_slice(b"ustar\x0000");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        archive.extend(header);
        archive.extend(*contents);
        archive.resize(archive.len().next_multiple_of(512), 0);
    }
    archive.resize(archive.len() + 1024, 0);
    archive
}

/// A mapping that a walk through page tables found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Walk {
    pub start: u64,
    pub size: u64,
    pub frame: u64,
    pub access: Access,
    pub cached: bool,
    pub global: bool,
}

/// All mappings in `tables`, which lie at the physical address `base`; as the processor reads them.
pub(crate) fn walk(base: u64, tables: &[PageTable]) -> Vec<Walk> {
    let mut found = Vec::new();
    walk_table(base, tables, 0, 1 << 39, 0, &mut found);
    found
}

fn walk_table(base: u64, tables: &[PageTable], table: usize, covers: u64, start: u64, found: &mut Vec<Walk>) {
    for (index, entry) in tables[table].iter().enumerate() {
        let flags = entry.flags();
        if !flags.contains(PageTableFlags::PRESENT) {
            assert!(entry.is_unused());
            continue;
        }
        let start = VirtAddr::new_truncate(start + index as u64 * covers).as_u64();
        let address = entry.addr().as_u64();
        if covers == PAGE || flags.contains(PageTableFlags::HUGE_PAGE) {
            let access = match (flags.contains(PageTableFlags::WRITABLE), !flags.contains(PageTableFlags::NO_EXECUTE)) {
                (false, false) => Access::Read,
                (true, false) => Access::Write,
                (false, true) => Access::Execute,
                (true, true) => panic!("{start:#x} is writable and executable"),
            };
            let cached = !flags.contains(PageTableFlags::NO_CACHE);
            let global = flags.contains(PageTableFlags::GLOBAL);
            found.push(Walk { start, size: covers, frame: address, access, cached, global });
        } else if address != base {
            let next = ((address - base) / PAGE) as usize;
            walk_table(base, tables, next, covers / 512, start, found);
        }
    }
}
