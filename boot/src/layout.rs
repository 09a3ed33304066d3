//! Virtual addresses: those that the kernel's configuration fixes, and those that it leaves open.

use bootloader_api::config::Mapping;
use heapless::Vec;

use crate::fault::Fault;
use crate::image::{HIGHER_HALF, KernelImage, MAX_SEGMENTS};
use crate::span::{PAGE, Span, align_up};

/// The size of a large page.
pub const LARGE_PAGE: u64 = 2 << 20;

/// The bytes that one entry of the top page table covers. Each range without a fixed address gets entries of its own.
const SLOT: u64 = 1 << 39;

/// The last address that a mapping may have, so that no end wraps.
const LAST: u64 = u64::MAX - PAGE;

/// The virtual addresses of all ranges outside the kernel's image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The kernel's stack in whole pages; the page below is its guard.
    pub stack: Span,
    /// The page with `BootInfo` and the memory regions.
    pub boot_info: u64,
    /// The page with the GDT and the jump to the kernel.
    pub handover: u64,
    /// Where physical address 0 is mapped, if the kernel wants physical memory mapped.
    pub physical: Option<u64>,
    /// The entry of the top page table that refers to itself, if the kernel wants one.
    pub recursive: Option<u16>,
    /// A mapping of the bundle alone; `None` if the kernel finds it in the mapping of physical memory.
    pub bundle: Option<Span>,
}

/// Something that needs an address.
struct Request {
    what: &'static str,
    mapping: Mapping,
    length: u64,
    align: u64,
}

impl Layout {
    /// Chooses addresses for a kernel, `physical_end` bytes of physical memory and a bundle in `bundle`
    /// (physical, whole pages).
    ///
    /// # Errors
    /// `CannotServe` if the configuration asks for a mapping that boot does not make, for an address that is not in
    /// the higher half, not aligned, or already taken, or leaves no room.
    pub fn new(image: &KernelImage<'_>, physical_end: u64, bundle: Span) -> Result<Self, Fault> {
        refuse_unsupported(image)?;
        let mappings = &image.config.mappings;
        let stack_pages = align_up(image.config.kernel_stack_size, PAGE)
            .and_then(|size| size.checked_add(PAGE))
            .ok_or(Fault::CannotServe { what: "its stack size", why: "there is no such size" })?;
        let request = |what, mapping, length, align| Request { what, mapping, length, align };
        let own_bundle = mappings.physical_memory.is_none() || mappings.ramdisk_memory != Mapping::Dynamic;
        let requests = [
            Some(request("its stack", mappings.kernel_stack, stack_pages, PAGE)),
            Some(request("BootInfo", mappings.boot_info, PAGE, PAGE)),
            Some(request("the hand-over page", Mapping::Dynamic, PAGE, PAGE)),
            mappings.physical_memory.map(|m| request("physical memory", m, physical_end, LARGE_PAGE)),
            mappings.page_table_recursive.map(|m| request("the recursive page table", m, SLOT, SLOT)),
            own_bundle.then(|| request("the ramdisk", mappings.ramdisk_memory, bundle.length(), PAGE)),
        ];
        let addresses = Space::of(image)?.place(&requests)?;
        let [stack, boot_info, handover, physical, recursive, ramdisk] = addresses;
        Ok(Self {
            stack: Span { start: stack + PAGE, end: stack + stack_pages },
            boot_info,
            handover,
            physical: mappings.physical_memory.map(|_| physical),
            recursive: mappings.page_table_recursive.map(|_| slot_index(recursive)),
            bundle: own_bundle.then_some(Span { start: ramdisk, end: ramdisk + bundle.length() }),
        })
    }
}

fn slot_index(address: u64) -> u16 {
    ((address / SLOT) % 512) as u16
}

fn refuse_unsupported(image: &KernelImage<'_>) -> Result<(), Fault> {
    let mappings = &image.config.mappings;
    let refuse = |what, why| Err(Fault::CannotServe { what, why });
    if mappings.aslr {
        return refuse("random addresses (aslr)", "this loader has no source of randomness, leave it off");
    }
    if mappings.kernel_base != Mapping::Dynamic {
        return refuse("a kernel base address", "the kernel is not position independent, set the address when linking");
    }
    if image.config.kernel_stack_size == 0 {
        return refuse("a stack of 0 bytes", "the kernel cannot start without a stack");
    }
    Ok(())
}

/// The higher half, and the parts of it that are in use.
struct Space {
    taken: Vec<Span, { MAX_SEGMENTS + 6 }>,
    /// Where open requests may go.
    dynamic: Span,
}

impl Space {
    fn of(image: &KernelImage<'_>) -> Result<Self, Fault> {
        let mappings = &image.config.mappings;
        let start = mappings.dynamic_range_start.unwrap_or(0).max(HIGHER_HALF);
        // The configuration names the last address, not the one behind.
        let end = mappings.dynamic_range_end.unwrap_or(LAST).min(LAST);
        let mut space = Self { taken: Vec::new(), dynamic: Span { start, end } };
        for segment in &image.segments {
            space.taken.push(segment.pages()).map_err(|_| Fault::Internal)?;
        }
        Ok(space)
    }

    /// Places all requests, fixed addresses first. A range that is not requested gets 0.
    fn place<const N: usize>(mut self, requests: &[Option<Request>; N]) -> Result<[u64; N], Fault> {
        let mut addresses = [0; N];
        for (address, request) in addresses.iter_mut().zip(requests) {
            if let Some(request) = request
                && let Mapping::FixedAddress(fixed) = request.mapping
            {
                self.claim(self.check_fixed(request, fixed)?)?;
                *address = fixed;
            }
        }
        for (address, request) in addresses.iter_mut().zip(requests) {
            if let Some(request) = request
                && request.mapping == Mapping::Dynamic
            {
                *address = self.find(request)?;
            }
        }
        Ok(addresses)
    }

    fn claim(&mut self, span: Span) -> Result<(), Fault> {
        self.taken.push(span).map_err(|_| Fault::Internal)
    }

    fn is_free(&self, span: &Span) -> bool {
        !self.taken.iter().any(|taken| taken.overlaps(span))
    }

    fn check_fixed(&self, request: &Request, address: u64) -> Result<Span, Fault> {
        let refuse = |why| Fault::CannotServe { what: request.what, why };
        if !address.is_multiple_of(request.align) {
            return Err(refuse("the fixed address is not aligned (4 KiB; physical memory 2 MiB)"));
        }
        let span = Span::new(address, request.length)
            .filter(|span| span.start >= HIGHER_HALF && span.end <= LAST)
            .ok_or(refuse("the fixed address is not in the higher half"))?;
        if self.is_free(&span) { Ok(span) } else { Err(refuse("the fixed address is already taken")) }
    }

    /// Finds and claims the lowest free slots in the dynamic range.
    fn find(&mut self, request: &Request) -> Result<u64, Fault> {
        let no_room = Fault::CannotServe { what: request.what, why: "no free address is left in the dynamic range" };
        let length = align_up(request.length, SLOT).ok_or(no_room)?;
        let mut slot = HIGHER_HALF;
        // The last slot of the address space is not used: its end wraps.
        while let Some(slots) = Span::new(slot, length) {
            let address = align_up(slot.max(self.dynamic.start), request.align).ok_or(no_room)?;
            // In the first slot of the dynamic range it may start too late to fit.
            let fits = Span::new(address, request.length)
                .is_some_and(|span| span.end <= slots.end && span.end - 1 <= self.dynamic.end);
            if fits && self.is_free(&slots) {
                self.claim(slots)?;
                return Ok(address);
            }
            slot += SLOT;
        }
        Err(no_room)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{BASE, Elf};
    use bootloader_api::BootloaderConfig;
    use bootloader_api::config::Mapping::{Dynamic, FixedAddress};

    const BUNDLE: Span = Span { start: 0x10_0000, end: 0x20_0000 };
    const END: u64 = 1 << 32;

    fn layout(change: impl FnOnce(&mut BootloaderConfig)) -> Result<Layout, Fault> {
        let file = Elf::asking(change).build();
        Layout::new(&KernelImage::parse(&file).unwrap(), END, BUNDLE)
    }

    fn refusal(change: impl FnOnce(&mut BootloaderConfig)) -> &'static str {
        match layout(change) {
            Err(Fault::CannotServe { why, .. }) => why,
            other => panic!("not refused: {other:?}"),
        }
    }

    #[test]
    fn open_requests_get_slots_of_their_own_in_the_higher_half() {
        let layout = layout(|c| {
            c.mappings.physical_memory = Some(Dynamic);
            c.mappings.page_table_recursive = Some(Dynamic);
        })
        .unwrap();
        assert_eq!(layout.stack, Span { start: HIGHER_HALF + PAGE, end: HIGHER_HALF + PAGE + 80 * 1024 });
        assert_eq!(layout.boot_info, HIGHER_HALF + SLOT);
        assert_eq!(layout.handover, HIGHER_HALF + 2 * SLOT);
        assert_eq!(layout.physical, Some(HIGHER_HALF + 3 * SLOT));
        assert_eq!(layout.recursive, Some(256 + 4));
        assert_eq!(layout.bundle, None, "the bundle is found in the mapping of physical memory");
    }

    #[test]
    fn without_physical_memory_the_bundle_has_a_mapping_of_its_own() {
        let plain = layout(|_| {}).unwrap();
        assert_eq!((plain.physical, plain.recursive), (None, None));
        assert_eq!(plain.bundle.map(|b| b.length()), Some(0x10_0000));
        let fixed = layout(|c| {
            c.mappings.physical_memory = Some(Dynamic);
            c.mappings.ramdisk_memory = FixedAddress(0xFFFF_C000_0000_0000);
        });
        assert_eq!(fixed.unwrap().bundle.map(|b| b.start), Some(0xFFFF_C000_0000_0000));
    }

    #[test]
    fn fixed_addresses_are_honoured_and_open_requests_avoid_them() {
        let layout = layout(|c| {
            c.mappings.kernel_stack = FixedAddress(0xFFFF_FFFF_9000_0000);
            c.mappings.physical_memory = Some(FixedAddress(HIGHER_HALF));
            c.mappings.page_table_recursive = Some(FixedAddress(0xFFFF_FF00_0000_0000));
            c.kernel_stack_size = 0x1001;
        })
        .unwrap();
        assert_eq!(layout.stack, Span { start: 0xFFFF_FFFF_9000_1000, end: 0xFFFF_FFFF_9000_3000 });
        assert_eq!(layout.physical, Some(HIGHER_HALF));
        assert_eq!(layout.recursive, Some(510));
        assert_eq!(layout.boot_info, HIGHER_HALF + SLOT);
    }

    #[test]
    fn open_requests_stay_in_the_dynamic_range() {
        let start = HIGHER_HALF + 5 * SLOT + 0x123;
        let inside = layout(|c| {
            c.mappings.dynamic_range_start = Some(start);
            c.mappings.dynamic_range_end = Some(start + 4 * SLOT);
        })
        .unwrap();
        assert_eq!(inside.stack.start, HIGHER_HALF + 5 * SLOT + 2 * PAGE);
        assert_eq!(inside.boot_info, HIGHER_HALF + 6 * SLOT);
        let narrow = refusal(|c| {
            c.mappings.dynamic_range_start = Some(start);
            c.mappings.dynamic_range_end = Some(start + SLOT);
        });
        assert_eq!(narrow, "no free address is left in the dynamic range");
        assert_eq!(refusal(|c| c.mappings.dynamic_range_end = Some(0x1000)), narrow, "the lower half is not used");
    }

    #[test]
    fn a_fixed_address_that_cannot_be_used_is_refused() {
        let stack = |address| refusal(|c| c.mappings.kernel_stack = FixedAddress(address));
        assert_eq!(stack(BASE), "the fixed address is already taken");
        assert_eq!(stack(BASE - 8 * PAGE), "the fixed address is already taken");
        assert_eq!(stack(0x40_0000), "the fixed address is not in the higher half");
        assert_eq!(stack(0xFFFF_FFFF_FFFF_F000), "the fixed address is not in the higher half");
        assert_eq!(stack(BASE + 0x1_0008), "the fixed address is not aligned (4 KiB; physical memory 2 MiB)");
        let physical = |address| refusal(|c| c.mappings.physical_memory = Some(FixedAddress(address)));
        assert_eq!(physical(HIGHER_HALF + PAGE), "the fixed address is not aligned (4 KiB; physical memory 2 MiB)");
        assert_eq!(physical(0xFFFF_FFFE_C000_0000), "the fixed address is already taken");
    }

    #[test]
    fn what_boot_does_not_do_is_refused_in_words() {
        assert!(refusal(|c| c.mappings.aslr = true).contains("randomness"));
        assert!(refusal(|c| c.mappings.kernel_base = FixedAddress(BASE)).contains("position independent"));
        assert!(refusal(|c| c.kernel_stack_size = 0).contains("without a stack"));
        assert!(refusal(|c| c.kernel_stack_size = u64::MAX - 5).contains("no such size"));
        assert!(refusal(|c| c.kernel_stack_size = 1 << 60).contains("no free address"));
        assert!(refusal(|c| c.kernel_stack_size = u64::MAX - 0x10_0000).contains("no free address"));
        assert!(refusal(|c| c.mappings.dynamic_range_start = Some(u64::MAX)).contains("no free address"));
    }
}
