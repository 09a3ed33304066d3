//! The tasks of the specification's examples, and short names for what the examples count.

use crate::world::{Event, Kind, Mode, Received, Send, Task, World};
use voucher::importance::{ImportanceDriver, Inherit, Marks, Source, TaskElement};
use voucher::{Error, Key, VoucherId};

/// The tasks of importance 10, each with a port `p` and its name that accepts donation, and the limit of the queues.
pub struct Fixture {
    pub world: World,
}

const ROLE_FOREGROUND: u32 = 1;
const ROLE_DARWINBG: u32 = 8;
const LIMIT: usize = 1024;

/// Returns the fixture. A, X, Y and Z are applications, B to F adaptive daemons, S is a standard daemon and G can give
/// and receive nothing.
pub fn fixture() -> Fixture {
    let mut f = Fixture { world: World::new() };
    for name in ["A", "X", "Y", "Z"] {
        f.start(name, Kind::App);
    }
    for name in ["B", "C", "D", "E", "F"] {
        f.start(name, Kind::Adaptive);
    }
    f.start("S", Kind::Standard);
    f.start("G", Kind::Other);
    f.world.take_events();
    f
}

/// Returns the base priority of a fixture's task whose policy bit is `boosted`, `p` (importance 2.3): an application's
/// main thread is user-interactive, a daemon's has no class.
pub fn base_priority(task: &Task, boosted: bool) -> u8 {
    let naps = task.napped && !boosted;
    match task.kind {
        _ if task.external_background || task.role == ROLE_DARWINBG => 4,
        Kind::App if naps => 4,
        Kind::App => 47,
        Kind::Adaptive if !boosted || naps => 4,
        Kind::Adaptive | Kind::Standard | Kind::Interactive => 31,
        Kind::Other => 4,
    }
}

impl World {
    /// Ends a step of the kernel. Returns true if what has begun in it, or earlier, goes on in later ones.
    pub fn end_step(&mut self) -> bool {
        self.importance.news_are_told()
    }

    /// Goes on with what earlier steps have begun, as far as one step goes.
    pub fn go_on(&mut self) {
        self.with_vouchers(|driver| {
            let (importance, environment) = driver.importance();
            importance.finish_visits(environment);
        });
    }
}

impl Fixture {
    /// Starts a task with a port.
    pub fn start(&mut self, name: &str, kind: Kind) {
        self.world.spawn(name, kind, ROLE_FOREGROUND, kind.marks(), &[]);
        self.port(&format!("p{name}"), name, true);
    }

    /// Starts an adaptive daemon that serves watch ports.
    pub fn launch(&mut self, name: &str, watch: &[&str]) {
        self.world.spawn(name, Kind::Adaptive, 0, Kind::Adaptive.marks(), watch);
        self.world.check();
    }

    pub fn port(&mut self, name: &str, task: &str, donation: bool) {
        self.world.port(name, task, donation, LIMIT);
    }

    /// Limits a queue to the messages that it has.
    pub fn fill(&mut self, port: &str) {
        let number = self.world.port_number(port);
        let port = self.world.kernel.port_mut(number).expect("it is alive");
        port.limit = port.queue.len();
    }

    /// Sends a message with certain properties, and returns the result.
    pub fn send_as(&mut self, task: &str, port: &str, send: Send) -> Option<u32> {
        let (_, result) = self.world.send(task, port, send);
        self.world.check();
        result
    }

    /// Sends plain messages.
    pub fn send(&mut self, task: &str, port: &str, messages: usize) {
        for _ in 0..messages {
            assert_eq!(self.send_as(task, port, Send::default()), Some(0));
        }
    }

    /// Sends a message with a copy of a voucher in its header.
    pub fn forward(&mut self, task: &str, port: &str, voucher: VoucherId) {
        let send = Send { voucher: Some(voucher), ..Send::default() };
        assert_eq!(self.send_as(task, port, send), Some(0));
    }

    /// Sends a message that moves receive rights and carries no importance itself.
    pub fn move_rights(&mut self, task: &str, port: &str, rights: &[&str], mode: voucher::importance::SendMode) {
        let rights = rights.iter().map(|right| self.world.port_number(right)).collect();
        assert_eq!(self.send_as(task, port, Send { rights, mode, ..Send::default() }), Some(0));
    }

    /// Receives with a voucher.
    pub fn receive(&mut self, task: &str, port: &str) -> Received {
        let received = self.world.receive(task, port, true, Mode::Plain);
        self.world.check();
        assert_eq!(received.result, 0);
        received
    }

    /// Receives with a voucher, and returns the voucher.
    pub fn voucher(&mut self, task: &str, port: &str) -> VoucherId {
        self.receive(task, port).voucher.expect("a voucher is delivered")
    }

    /// Receives without a voucher.
    pub fn receive_plain(&mut self, task: &str, port: &str) {
        assert_eq!(self.world.receive(task, port, false, Mode::Plain).result, 0);
        self.world.check();
    }

    /// A donor's message boosts the receiver, which keeps the boost in the voucher that is returned.
    pub fn boost(&mut self, donor: &str, receiver: &str) -> VoucherId {
        let port = format!("p{receiver}");
        self.send(donor, &port, 1);
        self.voucher(receiver, &port)
    }

    /// As [`boost`](Fixture::boost), forwarding a voucher.
    pub fn boost_with(&mut self, donor: &str, receiver: &str, voucher: VoucherId) -> VoucherId {
        let port = format!("p{receiver}");
        self.forward(donor, &port, voucher);
        self.voucher(receiver, &port)
    }

    pub fn release(&mut self, task: &str, voucher: VoucherId) {
        self.world.drop_voucher(task, voucher);
        self.world.check();
    }

    pub fn nap(&mut self, task: &str, on: bool) {
        self.world.set_policy(task, |task| task.napped = on);
        self.world.check();
    }

    pub fn exit(&mut self, task: &str) {
        self.world.exit(task);
        self.world.check();
    }

    pub fn advance(&mut self, ms: u64) {
        self.world.advance(ms, false);
        self.world.check();
    }

    pub fn drop_external(&mut self, task: &str, voucher: VoucherId, boosts: u32) -> Result<u32, Error> {
        let left = self.world.command(task, voucher, 2, &boosts.to_le_bytes(), 4);
        self.world.check();
        left.map(|left| u32::from_le_bytes(left.try_into().expect("the result has 4 bytes")))
    }

    pub fn element(&self, task: &str) -> &TaskElement {
        self.world.importance.element(self.world.element(task)).expect("it is alive")
    }

    /// Returns the number of boosts of a task, `a`.
    pub fn a(&self, task: &str) -> u64 {
        self.element(task).assertions()
    }

    /// Returns the base priority of a task by what the kernel has been told, `p`.
    pub fn p(&self, task: &str) -> u8 {
        let task = self.world.kernel.task(task);
        base_priority(task, task.boosted)
    }

    /// Returns the external boosts of a task, `x`.
    pub fn x(&self, task: &str) -> (u64, u64) {
        (self.element(task).external().total, self.element(task).external().dropped)
    }

    /// Returns the references to the element of a task.
    pub fn refs(&self, task: &str) -> u64 {
        self.element(task).refs()
    }

    /// Returns the transitions of a task, `tr`.
    pub fn tr(&self, task: &str) -> u64 {
        self.element(task).transitions()
    }

    pub fn boosted(&self, task: &str) -> bool {
        self.element(task).is_boosted()
    }

    pub fn donates(&self, task: &str) -> bool {
        self.element(task).is_donor()
    }

    /// Returns the number of boosts of a port, `c`.
    pub fn c(&self, port: &str) -> u64 {
        let number = self.world.port_number(port);
        self.world.kernel.port_of(number).expect("it is alive").boosts.count()
    }

    /// Returns true if a port is alive.
    pub fn is_alive(&self, port: &str) -> bool {
        self.world.kernel.port_of(self.world.port_number(port)).is_some()
    }

    /// Returns the importance in a voucher.
    pub fn importance(&self, voucher: VoucherId) -> Option<Source> {
        self.world.vouchers.registry.handle(voucher, Key::IMPORTANCE).and_then(Source::from_handle)
    }

    /// Returns the inherit in a voucher.
    pub fn inherit(&self, voucher: VoucherId) -> &Inherit {
        match self.importance(voucher) {
            Some(Source::Inherit(id)) => self.world.importance.inherit(id).expect("a value in use exists"),
            other => panic!("the voucher holds no inherit but {other:?}"),
        }
    }

    /// Returns the number of user references that a task has to a voucher.
    pub fn user_refs(&self, task: &str, voucher: VoucherId) -> u32 {
        self.world.kernel.task(task).vouchers.get(&voucher).copied().unwrap_or(0)
    }

    /// Returns the number of inherits.
    pub fn inherits(&self) -> usize {
        self.world.importance.inherits().count()
    }

    /// Returns the tasks that were boosted ("+") and unboosted ("-") since the last call, in order.
    pub fn boosts(&mut self) -> Vec<String> {
        let text = |event| match event {
            Event::Boost(task) => Some(format!("+{task}")),
            Event::Unboost(task) => Some(format!("-{task}")),
            Event::Timer(_) | Event::SendPossible(..) => None,
        };
        self.world.take_events().into_iter().filter_map(text).collect()
    }

    /// Returns the external boosts of an inherit in a voucher.
    pub fn inherit_x(&self, voucher: VoucherId) -> (u64, u64) {
        let external = self.inherit(voucher).external();
        (external.total, external.dropped)
    }

    /// Returns the marks of a task.
    pub fn marks(&self, task: &str) -> Marks {
        self.element(task).marks()
    }
}
