//! The kernel's ELF file: checked completely before anything is loaded.

use bootloader_api::BootloaderConfig;
use bootloader_api::info::TlsTemplate;
use elf::abi;
use elf::endian::LittleEndian;
use elf::segment::ProgramHeader;
use elf::{ElfBytes, ParseError};
use heapless::Vec;

use crate::fault::Fault;
use crate::span::Span;

/// The most loadable segments that a kernel may have.
pub const MAX_SEGMENTS: usize = 16;

/// Where the higher half of the address space begins.
pub const HIGHER_HALF: u64 = 0xFFFF_8000_0000_0000;

/// The section in which `bootloader_api::entry_point!` stores the configuration.
const CONFIG_SECTION: &str = ".bootloader-config";

/// The first byte of the version in a serialised configuration: it follows a UUID.
const CONFIG_VERSION: usize = 16;

/// One loadable segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Where it is in memory, to the byte.
    pub memory: Span,
    /// The bytes that are loaded to its beginning; the rest is zero.
    pub bytes: &'a [u8],
    /// True if the kernel may write to it.
    pub writable: bool,
    /// True if the kernel may execute it; then `writable` is false.
    pub executable: bool,
}

impl Segment<'_> {
    /// The pages it touches. They exist: a segment ends before the last page of the address space.
    pub fn pages(&self) -> Span {
        self.memory.pages_touched().unwrap_or(self.memory)
    }

    fn same_rights(&self, other: &Self) -> bool {
        (self.writable, self.executable) == (other.writable, other.executable)
    }
}

/// A kernel that can be loaded.
#[derive(Debug)]
pub struct KernelImage<'a> {
    /// The loadable segments by address. They do not overlap; two that share a page have the same rights.
    pub segments: Vec<Segment<'a>, MAX_SEGMENTS>,
    /// The first instruction, in an executable segment.
    pub entry: u64,
    /// The kernel's configuration of the boot loader.
    pub config: BootloaderConfig,
    /// The template of thread-local storage, if the kernel has one.
    pub tls: Option<TlsTemplate>,
}

impl<'a> KernelImage<'a> {
    /// Reads and checks `file`.
    ///
    /// # Errors
    /// Every fault from `NotElf` to `BadConfig`, as its message says.
    pub fn parse(file: &'a [u8]) -> Result<Self, Fault> {
        let elf = parse_headers(file)?;
        let headers = elf.segments().ok_or(Fault::NoSegment)?;
        let mut segments = Vec::new();
        let mut tls = None;
        for header in headers.iter() {
            match header.p_type {
                abi::PT_LOAD if header.p_memsz > 0 => {
                    let segment = check_segment(file, &header)?;
                    segments.push(segment).map_err(|_| Fault::TooManySegments { limit: MAX_SEGMENTS })?;
                }
                abi::PT_TLS => {
                    tls = Some(TlsTemplate {
                        start_addr: header.p_vaddr,
                        file_size: header.p_filesz,
                        mem_size: header.p_memsz,
                    });
                }
                _ => {}
            }
        }
        check_together(&mut segments)?;
        let entry = elf.ehdr.e_entry;
        if !segments.iter().any(|segment| segment.executable && segment.memory.contains(entry)) {
            return Err(Fault::BadEntryPoint { entry });
        }
        Ok(Self { segments, entry, config: read_config(&elf)?, tls })
    }
}

/// Reads the file header and checks that it is an executable for this machine.
fn parse_headers(file: &[u8]) -> Result<ElfBytes<'_, LittleEndian>, Fault> {
    if !file.starts_with(&abi::ELFMAGIC) {
        return Err(Fault::NotElf);
    }
    if file.get(abi::EI_CLASS).is_some_and(|&class| class != abi::ELFCLASS64) {
        return Err(Fault::WrongClass);
    }
    let elf = ElfBytes::<LittleEndian>::minimal_parse(file).map_err(|error| match error {
        ParseError::UnsupportedElfEndianness(_) => Fault::WrongByteOrder,
        ParseError::SliceReadError(_) | ParseError::TryFromSliceError(_) => Fault::Truncated { length: file.len() },
        _ => Fault::Malformed,
    })?;
    if elf.ehdr.e_machine != abi::EM_X86_64 {
        return Err(Fault::WrongMachine { machine: elf.ehdr.e_machine });
    }
    if elf.ehdr.e_type != abi::ET_EXEC {
        return Err(Fault::WrongType { kind: elf.ehdr.e_type });
    }
    Ok(elf)
}

/// Checks one segment on its own.
fn check_segment<'a>(file: &'a [u8], header: &ProgramHeader) -> Result<Segment<'a>, Fault> {
    let address = header.p_vaddr;
    let memory = Span::new(address, header.p_memsz)
        .filter(|memory| memory.start >= HIGHER_HALF && memory.pages_touched().is_some())
        .ok_or(Fault::SegmentOutsideHigherHalf { address })?;
    if header.p_filesz > header.p_memsz {
        return Err(Fault::SegmentTooShort { address });
    }
    let bytes = Span::new(header.p_offset, header.p_filesz)
        .and_then(|bytes| file.get(usize::try_from(bytes.start).ok()?..usize::try_from(bytes.end).ok()?))
        .ok_or(Fault::SegmentOutsideFile { address })?;
    let writable = header.p_flags & abi::PF_W != 0;
    let executable = header.p_flags & abi::PF_X != 0;
    if writable && executable {
        return Err(Fault::SegmentWritableAndExecutable { address });
    }
    Ok(Segment { memory, bytes, writable, executable })
}

/// Sorts the segments by address and checks them against each other.
fn check_together(segments: &mut [Segment<'_>]) -> Result<(), Fault> {
    if segments.is_empty() {
        return Err(Fault::NoSegment);
    }
    segments.sort_unstable_by_key(|segment| segment.memory.start);
    for (low, high) in segments.iter().zip(&segments[1..]) {
        let (first, second) = (low.memory.start, high.memory.start);
        if low.memory.overlaps(&high.memory) {
            return Err(Fault::SegmentsOverlap { first, second });
        }
        if low.pages().overlaps(&high.pages()) && !low.same_rights(high) {
            return Err(Fault::SegmentsSharePage { first, second });
        }
    }
    Ok(())
}

/// Reads the configuration and checks that it is from a compatible version of `bootloader_api`.
fn read_config(elf: &ElfBytes<'_, LittleEndian>) -> Result<BootloaderConfig, Fault> {
    let section = elf.section_header_by_name(CONFIG_SECTION).ok().flatten().ok_or(Fault::NoConfig)?;
    let (bytes, _) = elf.section_data(&section).map_err(|_| Fault::NoConfig)?;
    let config = BootloaderConfig::deserialize(bytes).map_err(|why| Fault::BadConfig { why })?;
    // `deserialize` leaves it to the loader to compare the versions. Major and minor number, two bytes each, decide
    // about compatibility before 1.0.
    let ours = BootloaderConfig::new_default().serialize();
    let version = CONFIG_VERSION..CONFIG_VERSION + 4;
    if bytes[version.clone()] != ours[version] {
        return Err(Fault::BadConfig { why: "another version of bootloader_api" });
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{BASE, Elf, FLAGS_R, FLAGS_RW, FLAGS_RX, Load};

    fn fault(elf: &Elf) -> Fault {
        KernelImage::parse(&elf.build()).expect_err("this kernel must be refused")
    }

    fn patched(offset: usize, bytes: &[u8]) -> Fault {
        let mut file = Elf::good().build();
        file[offset..offset + bytes.len()].copy_from_slice(bytes);
        KernelImage::parse(&file).expect_err("this kernel must be refused")
    }

    #[test]
    fn a_good_kernel_gives_its_segments_by_address_with_their_rights() {
        let mut elf = Elf::good();
        elf.loads.reverse();
        let file = elf.build();
        let image = KernelImage::parse(&file).unwrap();
        let rights: std::vec::Vec<_> =
            image.segments.iter().map(|s| (s.memory.start - BASE, s.writable, s.executable)).collect();
        assert_eq!(rights, [(0, false, false), (0x1000, false, true), (0x3000, true, false)]);
        assert_eq!(image.segments[1].bytes, [0xC3; 0x1800]);
        assert_eq!(image.segments[2].memory.length(), 0x5000, "zeroed memory behind the bytes of the file");
        assert_eq!(image.entry, BASE + 0x1010);
        assert_eq!(image.tls, None);
    }

    #[test]
    fn a_file_that_is_not_elf_is_refused() {
        assert_eq!(KernelImage::parse(b"").unwrap_err(), Fault::NotElf);
        assert_eq!(KernelImage::parse(b"#!/bin/sh\n").unwrap_err(), Fault::NotElf);
    }

    #[test]
    fn a_truncated_file_is_refused_wherever_it_ends() {
        let file = Elf::good().build();
        for length in 4..file.len() {
            let fault = KernelImage::parse(&file[..length]).expect_err("truncated");
            assert!(matches!(fault, Fault::Truncated { .. } | Fault::SegmentOutsideFile { .. }), "{length}: {fault}");
        }
    }

    #[test]
    fn a_file_for_another_machine_is_refused() {
        assert_eq!(patched(4, &[1]), Fault::WrongClass);
        assert_eq!(patched(4, &[9]), Fault::WrongClass);
        assert_eq!(patched(5, &[2]), Fault::WrongByteOrder);
        assert_eq!(patched(16, &[3, 0]), Fault::WrongType { kind: 3 });
        assert_eq!(patched(18, &[183, 0]), Fault::WrongMachine { machine: 183 });
        assert_eq!(patched(54, &[1, 0]), Fault::Malformed, "size of a program header");
    }

    #[test]
    fn a_file_without_segments_is_refused() {
        assert_eq!(fault(&Elf { loads: vec![], ..Elf::good() }), Fault::NoSegment);
        let empty = Load { memory_size: 0, bytes: vec![], ..Load::new(BASE, FLAGS_R, vec![]) };
        assert_eq!(fault(&Elf { loads: vec![empty], ..Elf::good() }), Fault::NoSegment);
    }

    #[test]
    fn a_file_with_too_many_segments_is_refused() {
        let loads = (0..=MAX_SEGMENTS as u64).map(|i| Load::new(BASE + i * 0x1000, FLAGS_RX, vec![0; 16])).collect();
        assert_eq!(fault(&Elf { loads, ..Elf::good() }), Fault::TooManySegments { limit: MAX_SEGMENTS });
    }

    #[test]
    fn a_segment_outside_the_higher_half_is_refused() {
        for address in [0, 0x40_0000, 0x7FFF_FFFF_F000, 0x8000_0000_0000, HIGHER_HALF - 0x1000, u64::MAX - 0xFFF] {
            let mut elf = Elf::good();
            elf.loads.push(Load::new(address, FLAGS_R, vec![1; 0x1000]));
            assert_eq!(fault(&elf), Fault::SegmentOutsideHigherHalf { address });
        }
    }

    #[test]
    fn a_segment_that_wraps_around_the_address_space_is_refused() {
        let mut elf = Elf::good();
        elf.loads[2].memory_size = u64::MAX - 0x1000;
        assert_eq!(fault(&elf), Fault::SegmentOutsideHigherHalf { address: BASE + 0x3000 });
    }

    #[test]
    fn a_segment_with_bytes_outside_the_file_is_refused() {
        let mut elf = Elf::good();
        elf.loads[1].offset = Some(u64::MAX - 4);
        assert_eq!(fault(&elf), Fault::SegmentOutsideFile { address: BASE + 0x1000 });
        elf.loads[1].offset = Some(1 << 40);
        assert_eq!(fault(&elf), Fault::SegmentOutsideFile { address: BASE + 0x1000 });
    }

    #[test]
    fn a_segment_larger_in_the_file_than_in_memory_is_refused() {
        let mut elf = Elf::good();
        elf.loads[1].memory_size = 0x17FF;
        assert_eq!(fault(&elf), Fault::SegmentTooShort { address: BASE + 0x1000 });
    }

    #[test]
    fn segments_that_overlap_are_refused() {
        let mut elf = Elf::good();
        elf.loads[1].memory_size = 0x2001;
        assert_eq!(fault(&elf), Fault::SegmentsOverlap { first: BASE + 0x1000, second: BASE + 0x3000 });
    }

    #[test]
    fn segments_that_share_a_page_must_have_the_same_rights() {
        let mut elf = Elf::good();
        elf.loads.push(Load::new(BASE + 0x2800, FLAGS_RW, vec![1; 0x10]));
        assert_eq!(fault(&elf), Fault::SegmentsSharePage { first: BASE + 0x1000, second: BASE + 0x2800 });
        elf.loads[3].flags = FLAGS_RX;
        assert_eq!(KernelImage::parse(&elf.build()).unwrap().segments.len(), 4);
    }

    #[test]
    fn a_segment_that_is_writable_and_executable_is_refused() {
        let mut elf = Elf::good();
        elf.loads[1].flags = FLAGS_RX | FLAGS_RW;
        assert_eq!(fault(&elf), Fault::SegmentWritableAndExecutable { address: BASE + 0x1000 });
    }

    #[test]
    fn an_entry_point_that_cannot_be_executed_is_refused() {
        for entry in [0, BASE, BASE + 0x3000, BASE + 0x2800] {
            assert_eq!(fault(&Elf { entry, ..Elf::good() }), Fault::BadEntryPoint { entry });
        }
    }

    #[test]
    fn a_kernel_without_a_readable_configuration_is_refused() {
        assert_eq!(fault(&Elf { config: None, ..Elf::good() }), Fault::NoConfig);
        let good = BootloaderConfig::new_default().serialize();
        assert_eq!(
            fault(&Elf { config: Some(good[..100].to_vec()), ..Elf::good() }),
            Fault::BadConfig { why: "invalid len" }
        );
        let mut uuid = good;
        uuid[0] ^= 1;
        assert_eq!(
            fault(&Elf { config: Some(uuid.to_vec()), ..Elf::good() }),
            Fault::BadConfig { why: "invalid UUID" }
        );
        let mut version = good;
        version[CONFIG_VERSION + 2] += 1;
        assert_eq!(
            fault(&Elf { config: Some(version.to_vec()), ..Elf::good() }),
            Fault::BadConfig { why: "another version of bootloader_api" }
        );
    }

    #[test]
    fn no_change_of_a_single_byte_of_the_headers_makes_the_parser_panic() {
        let file = Elf::good().build();
        for offset in 0..64 + 3 * 56 {
            for value in [0, 1, 0x7F, 0x80, 0xFF] {
                let mut file = file.clone();
                file[offset] = value;
                if let Ok(image) = KernelImage::parse(&file) {
                    assert!(image.segments.iter().all(|s| s.memory.start >= HIGHER_HALF && !s.memory.is_empty()));
                }
            }
        }
    }
}
