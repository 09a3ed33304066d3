//! The machine that the core is given: see [`Machine`].

use super::apic::Apic;
use super::clock;
use super::debug_console;
use super::fpu;
use super::frame_allocator::FrameAllocator;
use super::interrupts::LINE;
use super::io_apic;
use super::paging::Paging;
use super::processor::Features;
use super::serial::{COM1, COM1_LINE, COM2, COM2_LINE, Serial};
use super::user_memory::UserMemory;
use core::fmt;
use core::ptr;
use kernel::limits::CPUS_MAX;
use kernel::line::Line;
use kernel::machine::{AddressSpace, Cpu, Fault, Machine, Nanos, NoMemory, Protection, Stamp, UserAddr};
use kernel::rate::{Clock, Rate};
use kernel::trap_frame::{Extended, TrapFrame};
use x86_64::VirtAddr;
use x86_64::registers::model_specific::{FsBase, KernelGsBase};

/// `bases` and `extended` tell what is in the registers of the processor, and the state of a thread that has left is in
/// its frame. With several processors each one needs both for itself. Nothing else must change: a thread's state is stored
/// when it leaves a processor, before it can be chosen by another one.
const _: () = assert!(CPUS_MAX == 1, "each processor has registers of its own");

/// A PC.
#[derive(Debug)]
pub struct X86Machine {
    /// Address spaces.
    pub paging: Paging,
    bases: Bases,
    /// The state besides general registers that the running thread has, and so the processor.
    extended: Extended,
    frames: FrameAllocator,
    user_memory: UserMemory,
    clock: Clock,
    /// The last time that was told.
    latest: Nanos,
    apic: Apic,
    apic_rate: Rate,
    console: Option<Line<Serial>>,
    log: Option<Line<Serial>>,
}

/// The bases of `fs` and `gs` that user code sees, as they were loaded last.
#[derive(Debug, Default)]
struct Bases {
    fs: u64,
    gs: u64,
}

impl Bases {
    /// Loads a thread's bases. All that user code can do to them is to make them 0, by loading a selector: so what was
    /// loaded last is certainly there only if it was 0.
    #[inline]
    fn load(&mut self, frame: &TrapFrame) {
        if self.fs | frame.fs_base != 0 {
            self.fs = frame.fs_base;
            FsBase::write(VirtAddr::new(self.fs));
        }
        if self.gs | frame.gs_base != 0 {
            self.gs = frame.gs_base;
            // The one that `swapgs` swaps in on the way out.
            KernelGsBase::write(VirtAddr::new(self.gs));
        }
    }
}

impl X86Machine {
    /// Sets up the devices.
    pub fn new(frames: FrameAllocator, features: &Features) -> X86Machine {
        let physical_map = frames.physical_map();
        let apic = Apic::start(physical_map);
        fpu::start();
        let (clock, apic_rate) = clock::start(|| apic.count());
        X86Machine {
            paging: Paging::new(physical_map),
            bases: Bases::default(),
            extended: Extended::empty(),
            frames,
            user_memory: UserMemory::new(features.smap),
            clock,
            latest: 0,
            apic,
            apic_rate,
            console: Serial::open(COM1).map(Line::new),
            log: Serial::open(COM2).map(Line::new),
        }
    }

    /// Returns the clock that makes times of stamps.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// Lets the serial lines use interrupts, where there is a controller that passes them on. Until then nothing is left in
    /// their buffers.
    pub fn use_line_interrupts(&mut self) {
        let lines = [(&mut self.console, COM1_LINE), (&mut self.log, COM2_LINE)];
        for (line, number) in lines {
            if let Some(line) = line
                && io_apic::route(self.frames.physical_map(), number, LINE, self.apic.id())
            {
                line.use_interrupts();
            }
        }
    }

    /// Sends and receives what the serial lines can.
    pub fn serve_lines(&mut self) {
        self.console.iter_mut().chain(&mut self.log).for_each(Line::serve);
    }

    /// Waits until the serial lines have sent everything.
    pub fn drain_lines(&mut self) {
        self.console.iter_mut().chain(&mut self.log).for_each(Line::drain);
    }

    /// Returns what the lines have not sent, for a panic: of the log first.
    pub fn unsent(&self) -> impl Iterator<Item = (u16, [&[u8]; 2])> {
        [(COM2, &self.log), (COM1, &self.console)]
            .into_iter()
            .filter_map(|(port, line)| Some((port, line.as_ref()?.unsent())))
    }

    /// Unmaps a page of the kernel's image.
    pub fn unmap_kernel_page(&mut self, address: VirtAddr) {
        self.paging.unmap_kernel_page(address);
    }

    /// Gives the running thread, which has tried to use it, the FPU.
    pub fn give_fpu(&mut self, frame: &mut TrapFrame) {
        frame.extended |= Extended::FPU;
        self.extended |= Extended::FPU;
        fpu::allow();
    }

    /// Exchanges the state that threads have besides general registers. `left` is the frame of the thread that ran
    /// before, or null if that has ended; `next` that of the one that runs now, which may be the same.
    ///
    /// # Safety
    /// No reference to `left` is in use but, perhaps, `next`.
    #[inline(always)]
    pub unsafe fn exchange_extended(&mut self, left: *mut TrapFrame, next: &mut TrapFrame) {
        if !(self.extended | next.extended).is_empty() {
            // SAFETY: As the caller says.
            unsafe { self.exchange_all(left, next) };
        }
    }

    /// The same for two different threads that are in traps. Programs in C use the FPU, and have no thread-local
    /// memory unless they ask for it: that is the shortest case but one.
    ///
    /// # Safety
    /// `left` is not null, and no reference to it is in use.
    #[inline(always)]
    pub unsafe fn exchange_extended_in_traps(&mut self, left: *mut TrapFrame, next: &mut TrapFrame) {
        let (held, wanted) = (self.extended, next.extended);
        if (held | wanted).is_empty() {
        } else if held == Extended::FPU && wanted == Extended::FPU {
            // SAFETY: As the caller says.
            fpu::exchange_in_traps(unsafe { &mut *left }, next);
        } else {
            // SAFETY: As the caller says.
            unsafe { self.exchange_all(left, next) };
        }
    }

    /// # Safety
    /// As for [`exchange_extended`](X86Machine::exchange_extended).
    #[inline(never)]
    unsafe fn exchange_all(&mut self, left: *mut TrapFrame, next: &mut TrapFrame) {
        if !ptr::eq(left, next) {
            // SAFETY: As the caller says, and `next` is another one.
            fpu::exchange(self.extended.contains(Extended::FPU), unsafe { left.as_mut() }, next);
        }
        self.bases.load(next);
        self.extended = next.extended;
    }

    /// Lets the next interrupt come.
    pub fn end_of_interrupt(&mut self) {
        self.apic.end_of_interrupt();
    }
}

impl Machine for X86Machine {
    #[inline]
    fn now(&mut self) -> Nanos {
        // The counter may go back if a virtual machine moves to another host.
        self.latest = self.latest.max(self.clock.time_of(clock::stamp()));
        self.latest
    }

    #[inline(always)]
    fn stamp(&mut self) -> Stamp {
        clock::stamp()
    }

    fn set_timer(&mut self, _: Cpu, deadline: Nanos) {
        let from_now = deadline.saturating_sub(self.now());
        self.apic.set_timer(self.apic_rate, from_now);
    }

    #[inline(always)]
    fn copy_in(&mut self, space: AddressSpace, from: UserAddr, to: &mut [u8]) -> Result<(), Fault> {
        self.paging.activate(space);
        self.user_memory.copy_in(from, to)
    }

    #[inline(always)]
    fn copy_out(&mut self, space: AddressSpace, to: UserAddr, from: &[u8]) -> Result<(), Fault> {
        self.paging.activate(space);
        self.user_memory.copy_out(to, from)
    }

    fn create_address_space(&mut self) -> Result<AddressSpace, NoMemory> {
        self.paging.create(&mut self.frames)
    }

    fn destroy_address_space(&mut self, space: AddressSpace) {
        self.paging.destroy(&mut self.frames, space);
    }

    fn map(&mut self, space: AddressSpace, at: UserAddr, pages: u64, protection: Protection) -> Result<(), NoMemory> {
        self.paging.map(&mut self.frames, space, at, pages, protection)
    }

    fn unmap(&mut self, space: AddressSpace, at: UserAddr, pages: u64) {
        self.paging.unmap(&mut self.frames, space, at, pages);
    }

    fn protect(&mut self, space: AddressSpace, at: UserAddr, pages: u64, protection: Protection) {
        self.paging.protect(space, at, pages, protection);
    }

    fn load(&mut self, space: AddressSpace, to: UserAddr, from: &[u8]) {
        self.paging.load(space, to, from);
    }

    fn free_frames(&self) -> u64 {
        self.frames.free_frames()
    }

    fn free_heap(&self) -> u64 {
        super::heap::free()
    }

    fn largest_allocation(&self) -> u64 {
        super::heap::largest_free()
    }

    fn other_clock(&mut self) -> Option<Nanos> {
        super::hpet::time(self.frames.physical_map())
    }

    fn cpu_count(&self) -> u32 {
        1
    }

    fn console_read(&mut self, buffer: &mut [u8]) -> usize {
        self.console.as_mut().map_or(0, |console| console.read(buffer))
    }

    fn console_write(&mut self, bytes: &[u8]) -> bool {
        self.console.as_mut().is_none_or(|console| console.write(bytes))
    }

    fn trace_write(&mut self, bytes: &[u8]) {
        debug_console::write(bytes);
    }

    fn log(&mut self, line: fmt::Arguments<'_>) {
        if let Some(log) = self.log.as_mut().or(self.console.as_mut()) {
            log.log(line);
        }
    }
}
