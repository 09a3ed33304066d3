//! Vouchers and their ports without the rest of the kernel. Each invariant is broken by hand, and the check must report
//! that one.

use super::*;
use crate::ids::KernelObject;
use crate::ipc::Ipc;
use crate::ipc::budget::BUDGET_COST;
use crate::ipc::right::SendRight;
use crate::limits::Limits;
use crate::step::{Step, Work};
use abi::voucher::{MACH_VOUCHER_ATTR_KEY_USER_DATA, MACH_VOUCHER_ATTR_USER_DATA_STORE, RecipeHeader};
use std::panic::{AssertUnwindSafe, catch_unwind};
use voucher::{Driver, Key, ValueRequest};
use zerocopy::IntoBytes;

struct Stage {
    ipc: Ipc,
    step: Step,
    vouchers: Vouchers,
    space: SpaceId,
    /// The vouchers that threads have adopted.
    adopted: Vec<VoucherId>,
    /// The number of tasks in the bank.
    tasks: usize,
}

impl Stage {
    fn new() -> Stage {
        let mut step = Step::default();
        let mut ipc = Ipc::new(&mut step, Limits::default(), 1).unwrap();
        ipc.make_room_for_task().unwrap();
        let space = ipc.insert_first_space();
        Stage { ipc, step, vouchers: Vouchers::new(0).unwrap(), space, adopted: Vec::new(), tasks: 0 }
    }

    /// Creates the voucher with one byte of user data.
    fn create(&mut self) -> SendRight {
        let header = RecipeHeader {
            key: MACH_VOUCHER_ATTR_KEY_USER_DATA,
            command: MACH_VOUCHER_ATTR_USER_DATA_STORE,
            previous_voucher: 0,
            content_size: 1,
        };
        let client = Client { task: CallingTask { task: 1, bank: None, importance: None }, space: self.space };
        let recipes = [header.as_bytes(), b"a"].concat();
        self.vouchers.create(&mut self.ipc, &mut self.step, &client, &recipes).unwrap().expect("it has an attribute")
    }

    /// Creates the voucher and lets only a thread have it.
    fn create_for_thread(&mut self) -> VoucherId {
        let right = self.create();
        let voucher = self.ipc.voucher_behind(right.port()).unwrap();
        self.vouchers.retain(voucher).unwrap();
        self.adopted.push(voucher);
        self.destroy(right);
        self.settle();
        voucher
    }

    /// Returns the id of a voucher that has died.
    fn dead(&mut self) -> VoucherId {
        let right = self.create();
        let voucher = self.ipc.voucher_behind(right.port()).unwrap();
        self.destroy(right);
        self.settle();
        voucher
    }

    fn check(&self) {
        self.vouchers.check(&self.ipc, self.adopted.iter().copied(), self.tasks);
    }

    fn destroy(&mut self, right: SendRight) {
        self.ipc.destroy_send(&mut self.step, right);
    }

    /// Does the urgent work and returns how much there was.
    fn settle(&mut self) -> usize {
        let mut count = 0;
        while let Some(work) = self.step.next_urgent() {
            let Work::NoSenders(port) = work else { panic!("{work:?} is about a voucher") };
            self.vouchers.no_senders(&mut self.ipc, &mut self.step, port);
            count += 1;
        }
        count
    }
}

#[test]
fn a_voucher_dies_when_its_last_send_right_ends() {
    let mut stage = Stage::new();
    let (first, second) = (stage.create(), stage.create());
    let port = first.port();
    stage.destroy(first);
    assert_eq!((stage.settle(), stage.vouchers.count()), (0, 1));
    stage.destroy(second);
    assert_eq!((stage.settle(), stage.vouchers.count()), (1, 0));
    assert!(stage.ipc.live_port(port).is_none());
    assert_eq!(stage.ipc.used(stage.ipc.space(stage.space).budget()), Some(BUDGET_COST));
}

#[test]
fn a_voucher_with_a_new_send_right_within_the_step_lives() {
    let mut stage = Stage::new();
    let first = stage.create();
    let port = first.port();
    stage.destroy(first);
    let second = stage.create();
    assert_eq!(second.port(), port, "the port is still there");
    assert_eq!((stage.settle(), stage.vouchers.count()), (1, 1));
    // Twice within one step, it is noted once.
    stage.destroy(second);
    let third = stage.create();
    stage.destroy(third);
    assert_eq!((stage.settle(), stage.vouchers.count()), (1, 0));
}

#[test]
fn a_reference_keeps_a_voucher_without_send_rights() {
    let mut stage = Stage::new();
    let right = stage.create();
    let (port, voucher) = (right.port(), stage.ipc.voucher_behind(right.port()).unwrap());
    stage.vouchers.retain(voucher).unwrap();
    stage.destroy(right);
    assert_eq!((stage.settle(), stage.vouchers.port(voucher)), (1, Some(port)));
    stage.vouchers.release(&mut stage.ipc, &mut stage.step, voucher);
    assert_eq!(stage.vouchers.count(), 0);
    assert!(stage.ipc.live_port(port).is_none());
}

/// What the check says of an invariant, and a way to break it.
type Break = (&'static str, fn(&mut Stage));

const BREAKS: [Break; 10] = [
    ("are what holds it", |s| {
        let right = s.create();
        s.vouchers.retain(s.ipc.voucher_behind(right.port()).unwrap()).unwrap();
    }),
    ("has a record of its port", |s| {
        let voucher = s.create_for_thread();
        let binding = s.vouchers.system.registry.get(voucher).unwrap().port().unwrap();
        s.vouchers.bindings.remove(&mut s.ipc, &mut s.step, binding);
    }),
    ("I10: the port", |s| {
        // The work that releases the voucher is not done.
        let right = s.create();
        s.destroy(right);
    }),
    ("I10: the port", |s| {
        let voucher = s.create_for_thread();
        let port = s.vouchers.port(voucher).unwrap();
        let _ = s.ipc.make_send(port);
    }),
    ("threads hold dead vouchers", |s| {
        let voucher = s.dead();
        s.adopted.push(voucher);
    }),
    ("each record of a port belongs to a voucher", |s| {
        let (voucher, budget) = (s.dead(), s.ipc.space(s.space).budget());
        s.vouchers.bindings.add(&mut s.ipc, &mut s.step, voucher, (budget, 0)).unwrap();
    }),
    ("each port of a voucher belongs to a live voucher", |s| {
        let voucher = s.dead();
        s.ipc.new_kernel_port(&mut s.step, KernelObject::Voucher(voucher)).unwrap();
    }),
    ("every task is in the bank", |s| s.tasks += 1),
    ("the bank has the live tasks only", |s| {
        s.vouchers.begin_task(Credentials::KERNEL, Identity::FIRST).unwrap();
    }),
    ("I12: contents are left", |s| {
        let command = MACH_VOUCHER_ATTR_USER_DATA_STORE;
        let request = ValueRequest { key: Key::TEST, command, previous: None };
        let value = s.vouchers.system.manager(Key::TEST).get_value(&CallingTask::KERNEL, &request, b"a");
        assert!(value.is_ready());
    }),
];

#[test]
fn the_check_reports_every_broken_invariant() {
    Stage::new().check();
    for (number, (message, break_it)) in BREAKS.into_iter().enumerate() {
        let mut stage = Stage::new();
        break_it(&mut stage);
        let panic = catch_unwind(AssertUnwindSafe(|| stage.check())).expect_err(message);
        let report =
            panic.downcast::<String>().map_or_else(|panic| (*panic.downcast::<&str>().unwrap()).into(), |t| *t);
        assert!(report.contains(message), "break {number}: {message:?} was expected, the check says {report:?}");
    }
}

#[test]
fn the_check_counts_every_holder() {
    let mut stage = Stage::new();
    let right = stage.create();
    let voucher = stage.ipc.voucher_behind(right.port()).unwrap();
    for _ in 0..3 {
        stage.vouchers.retain(voucher).unwrap();
        stage.adopted.push(voucher);
    }
    stage.check();
    stage.destroy(right);
    stage.settle();
    stage.check();
}
