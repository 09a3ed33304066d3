//! Memory: calls that concern many pages are done in pieces, between which others run.

use crate::machine::Failure;
use crate::message::{MachMsg, Msg};
use crate::world::{Actor, BUFFER, RESULT, World};
use abi::code::*;
use abi::message::MsgOption;
use abi::mig::thread_act;
use abi::task::*;
use abi::trap::mach;
use abi::{KernReturn, PortName};
use kernel::machine::{Machine, Protection, UserAddr};

const PAGE: u64 = PAGE_SIZE;

/// The address of the memory under test.
const HERE: u64 = 0x5000_0000;

/// More pages than one piece takes, for each of the calls.
const MANY: u64 = 5000;

/// A call that concerns many pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Large {
    Allocate,
    Replace,
    Protect,
    Deallocate,
}

use Large::{Allocate, Deallocate, Protect, Replace};

/// A task with two threads: the first one makes a large call, and the second one gets the processor between two pieces.
struct Two {
    w: World,
    a: Actor,
    b: Actor,
}

impl Two {
    /// Returns the task with memory that is all taken, or has gaps, or is free.
    fn new(taken: &[(u64, u64)]) -> Two {
        let mut w = World::new();
        let a = w.task();
        let b = w.thread(a);
        w.set_base(b.thread, 60, false);
        for &(page, count) in taken {
            let at = HERE + page * PAGE;
            w.put(a, RESULT, &at.to_le_bytes());
            w.call(a, mach::MACH_VM_ALLOCATE, &[a.self_port.0.into(), w.result(a), count * PAGE, 0]).unwrap();
            w.machine.write(a.space, UserAddr(at), b"keep");
        }
        Two { w, a, b }
    }

    /// Lets the first thread make a call, and the second one run after this number of changes of page tables. Returns
    /// true if the call is not finished then.
    fn begin(&mut self, call: Large, changes: u64) -> bool {
        let Two { w, a, b } = self;
        w.machine.table_time = 10;
        let moment = w.machine.now() + 10 * changes;
        w.start_trap(*b, mach::MACH_WAIT_UNTIL, &[moment]);
        let me = u64::from(a.self_port.0);
        w.put(*a, RESULT, &HERE.to_le_bytes());
        let size = MANY * PAGE;
        match call {
            Allocate => w.start_trap(*a, mach::MACH_VM_ALLOCATE, &[me, w.result(*a), size, 0]),
            Replace => {
                w.start_trap(*a, mach::MACH_VM_ALLOCATE, &[me, w.result(*a), size, VM_FLAGS_OVERWRITE.into()]);
            }
            Protect => w.start_trap(*a, mach::MACH_VM_PROTECT, &[me, HERE, size, 0, VM_PROT_READ.into()]),
            Deallocate => w.start_trap(*a, mach::MACH_VM_DEALLOCATE, &[me, HERE, size]),
        }
        self.is_busy()
    }

    fn is_busy(&self) -> bool {
        self.w.kernel.sched[self.a.thread].has_continuation()
    }

    /// Lets the first thread finish its call, and returns the code.
    fn finish(&mut self) -> KernReturn {
        self.w.settle();
        self.w.state(self.a).code()
    }

    /// Sends a message of the second thread to the port of a thread.
    fn tell(&mut self, name: PortName, id: i32) {
        let bytes = Msg::copy_send(name).id(id).encode();
        self.w.put(self.b, BUFFER, &bytes);
        let call = MachMsg { options: MsgOption::SEND_MSG, send_size: bytes.len() as u32, ..MachMsg::default() };
        self.w.start_mach_msg(self.b, &call);
    }

    /// Returns how many pages under test the task has.
    fn pages(&self) -> u64 {
        let regions = self.w.kernel.tasks[self.a.task].regions().iter();
        let inside = regions.filter(|region| (HERE..2 * HERE).contains(&region.start));
        inside.map(|region| (region.end - region.start) / PAGE).sum()
    }
}

const FREE: &[(u64, u64)] = &[];
const ALL: &[(u64, u64)] = &[(0, MANY)];
/// Some pages are there, with and without others beside them.
const SOME: &[(u64, u64)] = &[(10, 300), (400, 1), (402, 1), (3000, 2500)];

#[test]
fn other_threads_run_between_the_pieces_of_a_call() {
    for (call, taken) in
        [(Allocate, FREE), (Replace, FREE), (Replace, ALL), (Replace, SOME), (Protect, ALL), (Deallocate, ALL)]
    {
        for changes in [1, 2, 4] {
            let mut two = Two::new(taken);
            assert!(two.begin(call, changes), "{call:?} takes more than {changes} pieces");
            assert!(!two.w.kernel.sched[two.b.thread].is_waiting(), "the other thread has run");
            assert_eq!(two.finish(), KERN_SUCCESS, "{call:?}");
            let last = UserAddr(HERE + (MANY - 1) * PAGE);
            let (byte, protection) =
                (two.w.machine.read(two.a.space, UserAddr(HERE), 4), two.w.machine.protection(two.a.space, last));
            let writable = Some(Protection::READ | Protection::WRITE);
            match call {
                Allocate | Replace => assert_eq!((byte, protection), (Some(vec![0; 4]), writable)),
                Protect => assert_eq!((byte, protection), (Some(b"keep".to_vec()), Some(Protection::READ))),
                Deallocate => assert_eq!((byte, protection, two.pages()), (None, None, 0)),
            }
        }
    }
}

#[test]
fn a_piece_without_memory_undoes_the_pieces_before_it() {
    for (call, taken) in [(Allocate, FREE), (Replace, FREE), (Replace, SOME)] {
        let mut two = Two::new(taken);
        let before = (two.w.counts(), two.pages());
        for piece in [0, 1, 5, 20] {
            two.w.machine.fail(Some(Failure::Memory(piece)));
            assert_eq!(two.begin(call, 1), piece > 0, "{call:?} {taken:?} {piece}");
            assert_eq!(two.finish(), KERN_RESOURCE_SHORTAGE);
            assert_eq!((two.w.counts(), two.pages()), before, "piece {piece}");
            two.w.advance(1000);
        }
        for &(page, _) in taken {
            let kept = two.w.machine.read(two.a.space, UserAddr(HERE + page * PAGE), 4);
            assert_eq!(kept, Some(b"keep".to_vec()));
        }
    }
}

#[test]
fn another_call_of_the_task_finishes_first_what_is_not_finished() {
    for changes in [1, 3, 30] {
        let mut two = Two::new(FREE);
        assert!(two.begin(Allocate, changes));
        let (me, all) = (two.a.self_port.0.into(), MANY * PAGE);
        two.w.start_trap(two.b, mach::MACH_VM_PROTECT, &[me, HERE, all, 0, VM_PROT_READ.into()]);
        two.w.settle();
        let codes = (two.w.state(two.a).code(), two.w.state(two.b).code());
        assert_eq!(codes, (KERN_SUCCESS, KERN_SUCCESS), "the other call needs all of the memory");
        let last = UserAddr(HERE + (MANY - 1) * PAGE);
        assert_eq!(two.w.machine.protection(two.a.space, last), Some(Protection::READ));
    }
}

#[test]
fn whoever_finishes_an_operation_writes_the_outcome_of_its_thread() {
    let mut two = Two::new(FREE);
    let name = two.w.thread_self(two.a);
    two.w.machine.fail(Some(Failure::Memory(3)));
    assert!(two.begin(Allocate, 1));
    two.tell(name, thread_act::SUSPEND);
    two.w.settle();
    assert!(two.is_busy() && two.pages() > 0, "the suspended thread stands still");
    two.w.put(two.b, RESULT, &HERE.to_le_bytes());
    let call = [two.a.self_port.0.into(), two.w.result(two.b), PAGE, 0];
    two.w.call(two.b, mach::MACH_VM_ALLOCATE, &call).unwrap();
    assert_eq!(two.pages(), 1, "the large call was undone before the small one was made");
    assert!(!two.is_busy());
    assert_eq!(two.w.kernel.sched[two.a.thread].frame().rax as i32, KERN_RESOURCE_SHORTAGE.0);
    two.tell(name, thread_act::RESUME);
    assert_eq!(two.finish(), KERN_RESOURCE_SHORTAGE);
}

#[test]
fn an_operation_whose_thread_has_ended_is_finished_by_the_next_call() {
    let mut two = Two::new(FREE);
    let name = two.w.thread_self(two.a);
    assert!(two.begin(Allocate, 1));
    two.tell(name, thread_act::TERMINATE);
    two.w.settle();
    assert!(!two.w.kernel.sched.contains(two.a.thread));
    assert!(two.pages() < MANY);
    let call = [two.b.self_port.0.into(), HERE, PAGE];
    two.w.call(two.b, mach::MACH_VM_DEALLOCATE, &call).unwrap();
    assert_eq!(two.pages(), MANY - 1);
}

#[test]
fn a_task_that_ends_between_two_pieces_leaves_nothing() {
    for (call, taken) in [(Allocate, FREE), (Replace, FREE), (Replace, SOME), (Protect, ALL), (Deallocate, ALL)] {
        for changes in (1..100).step_by(7) {
            for shortage in [false, true] {
                let before = World::new().counts();
                let mut two = Two::new(taken);
                if shortage {
                    two.w.machine.fail(Some(Failure::Memory(changes / 2)));
                }
                let busy = two.begin(call, changes);
                assert!(busy || shortage || changes > 3, "{call:?}");
                two.w.machine.fail(None);
                let Two { mut w, a, .. } = two;
                w.end_task(a);
                w.settle();
                w.release_dead_names();
                assert_eq!(w.counts().free_frames, before.free_frames, "{call:?} {changes}");
            }
        }
    }
}
