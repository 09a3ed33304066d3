//! Random sequences of operations leave nothing behind (dispatch R-7, 2.10).

use super::support::*;
use abi::PortName;
use abi::code::MACH_SEND_TIMED_OUT;
use dispatch::activity::{ActivityMode, Parent, create_voucher};
use dispatch::sys::mock::TaskSpec;
use dispatch::voucher::{self, Voucher, VoucherScope};
use std::sync::Arc;

/// A generator of numbers that are random enough (xorshift).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Returns a number below a limit.
    fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 11) as usize % limit
    }
}

/// A daemon that gets messages from several tasks, and sends some itself.
struct Scene {
    daemon: Task,
    senders: [Task; 3],
    /// The senders' names for the daemon's port, and the daemon's for theirs.
    ports: [(PortName, PortName); 3],
    held: Vec<Option<Arc<Voucher>>>,
    random: Random,
}

impl Scene {
    fn new(seed: u64) -> Scene {
        let (app, daemon) = app_and_daemon();
        let senders = [another(&app, TaskSpec::DAEMON), another(&app, TaskSpec::APP), app];
        let ports = [0, 1, 2].map(|i| (senders[i].port_of(&daemon), daemon.port_of(&senders[i])));
        daemon.process.enter();
        // What stays from the first use on: the default vouchers.
        for (sender, port) in senders.iter().zip(ports) {
            sender.run(|| sender.send(port.0, None)).expect("it is sent");
        }
        daemon.send(ports[0].1, None).expect("it is sent");
        while daemon.try_receive().is_some_and(|mut message| voucher::from_message(&mut message).is_some()) {}
        senders.iter().for_each(|sender| sender.run(|| while sender.try_receive().is_some_and(discard) {}));
        Scene { daemon, senders, ports, held: Vec::new(), random: Random(seed | 1) }
    }

    fn pick(&mut self) -> Option<Arc<Voucher>> {
        match self.held.len() {
            0 => voucher::copy(),
            count => self.held[self.random.below(count)].clone(),
        }
    }

    fn step(&mut self) {
        let any = self.random.below(3);
        let chosen = self.pick();
        match self.random.below(15) {
            0..3 => {
                let (sender, port, with_activity) = (&self.senders[any], self.ports[any].0, self.random.below(2) == 0);
                let create = || create_voucher(Parent::Current, ActivityMode::empty(), b"");
                let sent = sender.run(|| sender.send(port, with_activity.then(create).as_ref()));
                assert!(sent.is_ok());
            }
            3..6 => {
                if let Some(mut message) = self.daemon.try_receive() {
                    self.held.push(voucher::from_message(&mut message));
                }
            }
            6 => voucher::replace(chosen),
            7 => voucher::replace(None),
            8 => {
                let parent = chosen.as_ref().map_or(Parent::Current, Parent::Of);
                self.held.push(Some(create_voucher(parent, ActivityMode::empty(), b"")));
            }
            9 => {
                let _scope = VoucherScope::new(chosen);
                self.held.push(voucher::copy_without_importance());
            }
            10 => {
                if self.random.below(4) == 0 {
                    self.daemon.mock.fail_next_send(MACH_SEND_TIMED_OUT);
                }
                let _ = self.daemon.send(self.ports[any].1, chosen.as_ref());
            }
            11 => voucher::replace_default(),
            12 => self.held.push(voucher::accounting_only(chosen.as_ref())),
            13 => {
                if let Some(mut message) = self.daemon.try_receive() {
                    let state = voucher::mach_msg_adopt(&mut message);
                    self.held.push(voucher::copy_without_importance());
                    voucher::mach_msg_revert(state);
                }
            }
            _ => {
                let refuses = self.random.below(3) == 0;
                self.daemon.mock.refuse_vouchers(refuses);
            }
        }
        if self.held.len() > 8 {
            let gone = self.random.below(self.held.len());
            drop(self.held.swap_remove(gone));
        }
        self.check();
    }

    /// All objects have good names, and the kernel's voucher of the thread is that of its object.
    fn check(&self) {
        let daemon = &self.daemon;
        for voucher in self.held.iter().flatten() {
            for name in [voucher.kernel_name(), voucher.message_name()] {
                assert!(name == PortName(0) || daemon.mock.references_to(name) > 0, "{voucher:?}");
            }
            let content = (voucher.kernel_name() != PortName(0)).then(|| daemon.mock.content(voucher.kernel_name()));
            let has_importance = content.is_some_and(|content| content.importance.is_some());
            assert_eq!(voucher.has_importance(), has_importance, "{voucher:?}");
        }
        let current = voucher::copy().filter(|voucher| voucher.kernel_name() != PortName(0));
        let expected = current.map(|voucher| daemon.mock.content(voucher.kernel_name()));
        assert_eq!(daemon.mock.kernel_voucher(), expected);
    }

    fn end(&mut self) {
        self.held.clear();
        voucher::replace(None);
        self.daemon.mock.refuse_vouchers(false);
        voucher::replace_default();
        while self.daemon.try_receive().is_some_and(discard) {}
        self.senders.iter().for_each(|sender| sender.run(|| while sender.try_receive().is_some_and(discard) {}));
    }

    fn counts(&self) -> impl PartialEq + std::fmt::Debug + use<> {
        let tasks = [&self.daemon, &self.senders[0], &self.senders[1], &self.senders[2]];
        (self.daemon.mock.vouchers(), tasks.map(|task| (task.counts(), task.mock.boosts())))
    }
}

/// Drops what came with a message.
fn discard(mut message: Vec<u8>) -> bool {
    drop(voucher::from_message(&mut message));
    true
}

#[test]
fn random_operations_leave_no_voucher_name_reference_or_boost_behind() {
    for seed in 1..40 {
        let mut scene = Scene::new(0x9e37_79b9_7f4a_7c15u64.wrapping_mul(seed));
        let before = scene.counts();
        (0..300).for_each(|_| scene.step());
        scene.end();
        assert_eq!(scene.counts(), before, "seed {seed}");
    }
}
