//! Starting a large program takes several pieces, between which others run.

use crate::machine::Failure;
use crate::message::{MachMsg, Msg};
use crate::program::spawn_args;
use crate::world::{ARGUMENTS, Actor, BUFFER, World};
use abi::PortName;
use abi::code::*;
use abi::message::MsgOption;
use abi::mig::{self, thread_act};
use abi::port::Disposition;
use abi::task::*;
use abi::trap::{mach, tally};
use kernel::ids::TaskId;
use kernel::machine::{Machine, UserAddr};
use zerocopy::IntoBytes;

/// Pages of the large program.
const PAGES: u64 = 400;

/// The offset of a second program in the memory of an actor.
const IMAGE: u64 = 0x6000_0000;

/// A parent with two threads: the first one starts a large program, and the second one runs before it has started.
struct Parent {
    w: World,
    a: Actor,
    b: Actor,
    /// The parent's receive right for the exit message.
    exit: PortName,
}

impl Parent {
    fn new() -> Parent {
        let mut w = World::new();
        let a = w.task();
        let b = w.thread(a);
        w.set_base(b.thread, 60, false);
        w.put(a, 0, &IMAGE.to_le_bytes());
        let size = PAGES * PAGE_SIZE;
        w.call(a, mach::MACH_VM_ALLOCATE, &[a.self_port.0.into(), a.memory, size, 0]).unwrap();
        w.machine.write(a.space, UserAddr(IMAGE), &image());
        let exit = w.port(a);
        Parent { w, a, b, exit }
    }

    /// Lets the first thread start the program, and the second one run after this number of changes of page tables.
    /// Returns the child if it is there and has not started then.
    fn begin(&mut self, changes: u64) -> Option<TaskId> {
        let Parent { w, a, b, exit } = self;
        w.machine.table_time = 10;
        let moment = w.machine.now() + 10 * changes;
        w.start_trap(*b, mach::MACH_WAIT_UNTIL, &[moment]);
        let args = TaskSpawnArgs {
            image: IMAGE,
            image_size: PAGES * PAGE_SIZE,
            image_kind: SPAWN_IMAGE_BYTES,
            exit_port: *exit,
            exit_disposition: Disposition::MAKE_SEND_ONCE.0.into(),
            ..spawn_args()
        };
        w.put(*a, ARGUMENTS, args.as_bytes());
        w.start_trap(*a, tally::TASK_SPAWN, &[a.memory + ARGUMENTS, args.as_bytes().len() as u64, w.result(*a)]);
        w.kernel.sched[a.thread].starts()
    }

    fn finish(&mut self) -> abi::KernReturn {
        self.w.settle();
        self.w.state(self.a).code()
    }

    /// Sends a message of the second thread to a port.
    fn tell(&mut self, message: &Msg) {
        let bytes = message.encode();
        self.w.put(self.b, BUFFER, &bytes);
        let call = MachMsg { options: MsgOption::SEND_MSG, send_size: bytes.len() as u32, ..MachMsg::default() };
        self.w.start_mach_msg(self.b, &call);
    }
}

/// Returns a program with one segment of many pages, which is the file.
fn image() -> Vec<u8> {
    let size = PAGES * PAGE_SIZE;
    let mut file: Vec<u8> = (0..size).map(|byte| (byte / PAGE_SIZE) as u8).collect();
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &[0; 120]);
    put(0, &[0x7F, b'E', b'L', b'F', 2, 1, 1]);
    put(16, &[2, 0, 62, 0, 1, 0, 0, 0, 0, 0, 0, 0x10]);
    put(32, &[64]);
    put(52, &[64, 0, 56, 0, 1]);
    put(64, &[1, 0, 0, 0, 5]);
    put(80, &[0, 0, 0, 0x10]);
    put(96, &size.to_le_bytes());
    put(104, &size.to_le_bytes());
    file
}

#[test]
fn other_threads_run_while_a_large_program_is_loaded() {
    for changes in [1, 2, 5, 9] {
        let mut parent = Parent::new();
        let child = parent.begin(changes).expect("the program is not loaded yet");
        assert!(!parent.w.kernel.sched[parent.b.thread].is_waiting(), "the other thread has run");
        assert!(parent.w.kernel.tasks[child].threads.is_empty());
        assert_eq!(parent.finish(), KERN_SUCCESS);
        let Parent { w, .. } = &parent;
        let space = w.kernel.tasks[child].address_space;
        for page in 1..PAGES {
            let at = UserAddr(0x1000_0000 + (page + 1) * PAGE_SIZE - 1);
            assert_eq!(w.machine.read(space, at, 1), Some(vec![page as u8]));
        }
        assert_eq!(w.kernel.tasks[child].threads.len(), 1);
    }
}

#[test]
fn a_child_whose_parent_ends_while_it_is_loaded_ends_too() {
    for (changes, whole) in (1..12).flat_map(|changes| [(changes, false), (changes, true)]) {
        let mut parent = Parent::new();
        let name = parent.w.thread_self(parent.a);
        let before = parent.w.counts();
        let child = parent.begin(changes).expect("the program is not loaded yet");
        if whole {
            parent.w.end_task(parent.a);
        } else {
            parent.tell(&Msg::copy_send(name).id(thread_act::TERMINATE));
        }
        parent.w.settle();
        assert!(!parent.w.kernel.tasks.contains(child));
        let after = parent.w.counts();
        assert_eq!(after.tasks, before.tasks - u64::from(whole));
        assert!(after.free_frames >= before.free_frames);
    }
}

#[test]
fn a_child_without_memory_for_a_piece_is_taken_apart() {
    let mut parent = Parent::new();
    let before = (parent.w.counts(), parent.w.names(parent.a));
    for request in 0..12 {
        parent.w.machine.fail(Some(Failure::Memory(request)));
        let _ = parent.begin(1);
        assert_eq!(parent.finish(), KERN_RESOURCE_SHORTAGE, "request {request}");
        parent.w.machine.fail(None);
        parent.w.advance(1000);
        assert_eq!((parent.w.counts(), parent.w.names(parent.a)), before);
    }
}

#[test]
fn rights_that_the_parent_loses_while_a_child_is_loaded_are_looked_for_again() {
    let mut parent = Parent::new();
    let child = parent.begin(2).expect("the program is not loaded yet");
    let (own, exit) = (parent.b.self_port, parent.exit);
    parent.tell(&Msg::copy_send(own).id(mig::mach_port::DESTROY).body(&mig::NDR).words(&[exit.0]));
    assert_eq!(parent.finish(), KERN_INVALID_CAPABILITY);
    assert!(!parent.w.kernel.tasks.contains(child));
}

#[test]
fn the_parent_goes_on_if_another_task_ends_the_child_first() {
    let mut parent = Parent::new();
    let child = parent.begin(2).expect("the program is not loaded yet");
    let pid = parent.w.kernel.tasks[child].credentials.pid;
    let b = parent.b;
    parent.w.start_trap(b, mach::TASK_FOR_PID, &[b.self_port.0.into(), pid.into(), parent.w.result(b)]);
    let name = u32::from_le_bytes(parent.w.get(b, crate::world::RESULT, 4).try_into().unwrap());
    parent.tell(&Msg::copy_send(PortName(name)).id(mig::task::TERMINATE));
    assert_eq!(parent.finish(), KERN_FAILURE);
    assert!(!parent.w.kernel.tasks.contains(child));
}
