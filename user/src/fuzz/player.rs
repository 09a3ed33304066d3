//! A player: a thread that makes random calls by the grammar.

use super::grammar::{Gives, Kind, TRAPS};
use super::names::Names;
use super::random::Random;
use super::{HELLO, PROGRESS, image};
use crate::message::Message;
use crate::port::Port;
use crate::sys::{machine, trap, trap_with_stack};
use crate::task;
use crate::thread::Builder;
use crate::time::{MILLISECOND, now};
use abi::PortName;
use abi::port::{Disposition, MACH_PORT_NULL, PortType};
use abi::qos::{Priority, Qos};
use abi::task::{PAGE_SIZE, SPAWN_IMAGE_BYTES, SPAWN_IMAGE_NAME, SPAWN_INHERIT, TaskSpawnArgs};
use abi::trap::mach::*;
use abi::trap::tally::*;
use abi::trap::unix::{EXIT, GETPID};
use abi::trap::{CLASS_MACH, CLASS_TALLY, CLASS_UNIX};
use alloc::boxed::Box;
use core::fmt::Write;
use core::sync::atomic::{AtomicU64, Ordering};
use zerocopy::IntoBytes;

/// Steps of each thread of a player that the driver has started. Those that players start make fewer.
const STEPS: u64 = 4_000;
/// Generations of players: what is started by the last one is no player.
const DEPTH_MAX: u32 = 2;
/// A player tells how far it is after so many steps.
const STEPS_PER_REPORT: u64 = 64;

/// The parts of a player's buffer.
pub(super) const MESSAGE: usize = 0;
pub(super) const MESSAGE_SIZE: usize = 2 * PAGE_SIZE as usize;
pub(super) const IN: usize = MESSAGE_SIZE;
const OUT: usize = IN + PAGE_SIZE as usize;
pub(super) const OUT_NAME: usize = OUT + PAGE_SIZE as usize;
const BUFFER_SIZE: usize = OUT_NAME + 64;

/// The memory whose addresses a player passes to the kernel.
#[repr(C, align(4096))]
pub(super) struct Buffer(pub(super) [u8; BUFFER_SIZE]);

/// Regions of memory that a player remembers.
const REGIONS: usize = 8;

/// Steps of all threads of this task.
static STEPS_MADE: AtomicU64 = AtomicU64::new(0);

/// A thread that plays.
pub(super) struct Player {
    pub(super) random: Random,
    pub(super) buffer: Box<Buffer>,
    pub(super) names: Names,
    thread: PortName,
    host: PortName,
    regions: heapless::Vec<u64, REGIONS>,
    depth: u32,
    pid: u64,
}

/// Plays until all steps are made: the main function of a player. Its first thread has a companion, with which it shares
/// the task's rights.
pub fn play(seed: u64, depth: u32) -> i32 {
    let inbox = Port::new().into_name();
    let bootstrap = task::bootstrap_port();
    let _ = Message::copy_send(bootstrap).id(HELLO).port(inbox, Disposition::MAKE_SEND).send_within(100);
    let companion = move || {
        Player::new(seed, 1, depth, inbox).play(bootstrap);
        // Not by returning: the player may have given up the name that the runtime has of the thread.
        end_thread();
    };
    let _ = Builder::new().detach(Box::new(companion));
    Player::new(seed, 0, depth, inbox).play(bootstrap);
    0
}

/// Ends the thread: also the main function of the threads that are started by random arguments.
fn end_thread() {
    trap(THREAD_EXIT, [0; 6]);
}

impl Player {
    fn new(seed: u64, stream: u64, depth: u32, inbox: PortName) -> Player {
        let mut player = Player {
            random: Random::new(seed, stream),
            buffer: Box::new(Buffer([0; BUFFER_SIZE])),
            names: Names::default(),
            thread: MACH_PORT_NULL,
            host: MACH_PORT_NULL,
            regions: heapless::Vec::new(),
            depth,
            pid: task::pid(),
        };
        player.look_around();
        player.names.learn(inbox, &mut player.random);
        player
    }

    /// Asks again for the names that are used most: the player may have given them up.
    fn look_around(&mut self) {
        self.names.own = PortName(trap(TASK_SELF, [0; 6]) as u32);
        self.thread = PortName(trap(THREAD_SELF, [0; 6]) as u32);
        self.host = PortName(trap(HOST_SELF, [0; 6]) as u32);
    }

    fn play(&mut self, bootstrap: PortName) {
        for step in 1..=STEPS >> (2 * self.depth) {
            self.step();
            let made = STEPS_MADE.fetch_add(1, Ordering::Relaxed) + 1;
            if step % STEPS_PER_REPORT == 0 {
                self.look_around();
                let words = [made as u32, (made >> 32) as u32];
                let _ = Message::copy_send(bootstrap).id(PROGRESS).words(&words).send_within(0);
            }
        }
    }

    fn step(&mut self) {
        self.names.look(&mut self.random);
        match self.random.below(1_000) {
            0..380 => self.call(),
            380..640 => self.message(),
            640..850 => self.request(),
            850..950 => self.voucher(),
            950..995 => self.any_trap(),
            995..998 => self.spawn(),
            _ if self.random.one_in(16) => self.die(),
            _ => self.call(),
        }
    }

    /// Returns the address of a part of the buffer.
    pub(super) fn address(&mut self, part: usize) -> u64 {
        self.buffer.0.as_mut_ptr() as u64 + part as u64
    }

    /// Returns a word of the buffer.
    pub(super) fn word(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.buffer.0[at..at + 4].try_into().expect("four bytes"))
    }

    /// Returns an argument of this kind.
    pub(super) fn value(&mut self, kind: Kind) -> u64 {
        let pick = |player: &mut Player, types| u64::from(player.names.pick(types, &mut player.random).0);
        match kind {
            Kind::Own | Kind::Thread | Kind::Host if self.random.one_in(24) => pick(self, PortType::all()),
            Kind::Own => self.names.own.0.into(),
            Kind::Thread => self.thread.0.into(),
            Kind::Host => self.host.0.into(),
            Kind::Name | Kind::Port => pick(self, PortType::all()),
            Kind::Receive | Kind::Once => pick(self, PortType::RECEIVE),
            Kind::Send | Kind::Copied => pick(self, PortType::SEND),
            Kind::Set => pick(self, PortType::PORT_SET),
            Kind::Voucher => self.names.voucher(&mut self.random).0.into(),
            Kind::Disposition => 15 + self.random.below(8),
            Kind::Delta => u64::from(self.random.pick(&[-1i32, -1, -1, 1, 2, -2, 65_534, -65_535, i32::MIN]) as u32),
            Kind::Below(bound) => self.random.below(bound),
            Kind::Bits(mask) => self.random.next() & self.random.next() & mask,
            Kind::Notification => self.random.pick(&[66, 69, 70, 72, 72, 71, 0]),
            Kind::OutName | Kind::Out | Kind::In | Kind::Room | Kind::Place => self.place(kind),
            Kind::Region => self.region(),
            Kind::Size => self.random.pick(&[0, 1, 4096, 4096, 4096, 3 * 4096, 3 * 4096, 60 * 4096, 1 << 40, u64::MAX]),
            Kind::Deadline => now() + self.random.below(2 * MILLISECOND),
            Kind::Microseconds => self.random.pick(&[1, 10, 100, 1_000]) - u64::from(self.random.one_in(300)),
            Kind::Class => self.class(),
            Kind::Pid => (self.pid + self.random.below(9)).saturating_sub(4),
            Kind::Entry if !self.random.one_in(64) => end_thread as fn() as usize as u64,
            Kind::Number | Kind::Entry => self.random.next() >> self.random.below(64),
            Kind::Is(value) => value,
        }
    }

    /// Returns an address for the kernel to read from or to write to, and prepares what is there.
    fn place(&mut self, kind: Kind) -> u64 {
        if self.random.one_in(40) {
            return self.region();
        }
        match kind {
            Kind::OutName => self.address(OUT_NAME),
            Kind::Out => {
                let at = self.random.below(900) as usize * 4;
                self.address(OUT + at)
            }
            Kind::Place => {
                let at = self.region();
                self.buffer.0[IN..][..8].copy_from_slice(&at.to_le_bytes());
                self.address(IN)
            }
            Kind::Room => {
                let room = self.random.pick(&[0u32, 1, 2, 10, 17, 100, 5_120, u32::MAX]);
                self.buffer.0[IN..][..4].copy_from_slice(&room.to_le_bytes());
                self.address(IN)
            }
            _ => {
                for at in 0..8 {
                    let word = (self.value(Kind::Number) as u32) & self.random.pick(&[0, 1, 0xFF, 0xFFF, u32::MAX]);
                    self.buffer.0[IN + 4 * at..][..4].copy_from_slice(&word.to_le_bytes());
                }
                self.address(IN)
            }
        }
    }

    /// Returns an address in memory that the player has allocated, or a wild one.
    fn region(&mut self) -> u64 {
        const WILD: [u64; 7] =
            [0, 8, 0x7FFF_FFFF_EFFC, 0x8000_0000_0000, 0xFFFF_8000_0000_0000, 0xFFFF_FFFF_8000_0000, u64::MAX - 3];
        match &self.regions[..] {
            [] => self.random.pick(&WILD),
            _ if self.random.one_in(8) => self.random.pick(&WILD),
            regions => self.random.pick(regions) + self.random.pick(&[0, 0, 8, PAGE_SIZE]),
        }
    }

    fn class(&mut self) -> u64 {
        let classes = [Qos::Background, Qos::Utility, Qos::Legacy, Qos::UserInitiated, Qos::UserInteractive];
        match self.random.below(8) {
            0 => self.random.next() & 0xFFFF,
            1 => 0,
            _ => Priority::of(self.random.pick(&classes)).to_pthread().into(),
        }
    }

    /// Makes a trap of the grammar.
    fn call(&mut self) {
        let call = &TRAPS[self.random.below(TRAPS.len() as u64) as usize];
        let mut all = [0; 8];
        for (argument, &kind) in all.iter_mut().zip(call.arguments) {
            *argument = self.value(kind);
        }
        let [a, b, c, d, e, f, g, h] = all;
        let result = trap_with_stack(call.number, [a, b, c, d, e, f], [g, h]);
        match call.gives {
            Gives::Name if result == 0 => {
                let name = self.word(OUT_NAME);
                self.names.learn(PortName(name), &mut self.random);
            }
            // The task and the thread would not live long if the names of their ports were always among the others.
            Gives::Result if matches!(call.number, TASK_SELF | THREAD_SELF) && !self.random.one_in(8) => {}
            Gives::Result => self.names.learn(PortName(result as u32), &mut self.random),
            _ => {}
        }
        if call.number == MACH_VM_ALLOCATE && result == 0 {
            let address = u64::from_le_bytes(self.buffer.0[IN..][..8].try_into().expect("eight bytes"));
            if let Err(address) = self.regions.push(address) {
                self.regions[self.random.below(REGIONS as u64) as usize] = address;
            }
        }
    }

    /// Makes a trap that exists with arguments that mean nothing.
    fn any_trap(&mut self) {
        const NUMBERS: [u32; 20] = [10, 14, 16, 18, 19, 20, 21, 22, 23, 24, 25, 26, 40, 41, 42, 43, 70, 72, 76, 77];
        let number = match self.random.below(8) {
            0 => CLASS_TALLY | self.random.pick(&[1, 2, 4, 5, 6, 7, 8, 9, 10, 11]),
            1 => CLASS_UNIX | self.random.pick(&[3, 20, 96, 323, 336, 372, 478, 494, 516]),
            2 => self.random.pick(&MISSING).number,
            _ => CLASS_MACH | self.random.pick(&NUMBERS),
        };
        let mut all = [0; 8];
        let kinds =
            [Kind::Own, Kind::Name, Kind::Out, Kind::In, Kind::Number, Kind::Below(64), Kind::Region, Kind::Size];
        for argument in &mut all {
            let kind = self.random.pick(&kinds);
            *argument = self.value(kind);
        }
        let [a, b, c, d, e, f, g, h] = all;
        trap_with_stack(number, [a, b, c, d, e, f], [g, h]);
    }

    /// Starts another player, or a program that is changed at random, with random policies.
    fn spawn(&mut self) {
        let mut arguments = heapless::String::<64>::new();
        let (seed, depth) = (self.random.next() >> 16, self.depth + 1);
        let _ = write!(arguments, "fuzz\0play\0{seed}\0{depth}\0");
        let strings = self.address(OUT);
        self.buffer.0[OUT..][..arguments.len()].copy_from_slice(arguments.as_bytes());
        let watched = self.value(Kind::Send) as u32;
        self.buffer.0[OUT + 64..][..4].copy_from_slice(&watched.to_le_bytes());
        let is_player = self.depth < DEPTH_MAX && self.random.one_in(2);
        let (image_kind, size) = if is_player {
            self.buffer.0[MESSAGE..][..4].copy_from_slice(b"fuzz");
            (SPAWN_IMAGE_NAME, 4)
        } else {
            let file = image::changed(&mut self.random);
            self.buffer.0[MESSAGE..][..image::SIZE].copy_from_slice(&file);
            (SPAWN_IMAGE_BYTES, image::SIZE as u64)
        };
        let exit_port = if self.random.one_in(2) { 0 } else { self.value(Kind::Receive) };
        let rarely =
            |player: &mut Player, value: u64| if player.random.one_in(16) { player.random.next() } else { value };
        let mut args = TaskSpawnArgs {
            image: self.address(MESSAGE),
            image_size: size,
            arguments: strings,
            arguments_size: arguments.len() as u64,
            image_kind,
            app_type: self.random.below(8) as u32,
            role: self.random.below(5) as u32,
            qos_clamp: self.random.below(8) as u32,
            uid: rarely(self, SPAWN_INHERIT.into()) as u32,
            gid: SPAWN_INHERIT,
            exit_port: PortName(exit_port as u32),
            exit_disposition: Disposition::MAKE_SEND_ONCE.0.into(),
            watch_ports: strings + 64,
            watch_port_count: self.random.below(2) as u32,
            ..TaskSpawnArgs::default()
        };
        if self.random.one_in(4) {
            args.bootstrap_port = PortName(self.value(Kind::Send) as u32);
        }
        let coalition = self.random.below(16) / 15;
        args.coalition = rarely(self, coalition);
        args.environment_size = rarely(self, 0);
        if self.random.one_in(8) {
            // What only user 0 may give, or must not refuse.
            (args.role, args.persona, args.properties) =
                (self.random.below(9) as u32, 501, self.random.below(17) as u32);
        }
        let bytes = args.as_bytes();
        self.buffer.0[IN..][..bytes.len()].copy_from_slice(bytes);
        let arguments = [self.address(IN), bytes.len() as u64, self.address(OUT_NAME), 0, 0, 0];
        if trap(TASK_SPAWN, arguments) == 0 {
            let name = self.word(OUT_NAME);
            self.names.learn(PortName(name), &mut self.random);
        }
    }

    /// Ends the task or the thread in one of the ways that there are.
    fn die(&mut self) {
        match self.random.below(6) {
            0 => trap(EXIT, [3, 0, 0, 0, 0, 0]),
            1 => {
                end_thread();
                0
            }
            2 => trap(CLASS_MACH | 1, [0; 6]),
            3 => trap(self.random.next() as u32 | 9 << 24, [0; 6]),
            4 => machine::read(8).into(),
            _ => {
                machine::undefined();
                0
            }
        };
        let _ = trap(GETPID, [0; 6]);
    }
}
