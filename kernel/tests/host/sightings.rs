//! What a simulation has met. A simulation that never meets something proves nothing about it.

use kernel::ipc::port::{Home, ReplyLink, Role};
use kernel::kernel::Kernel;
use kernel::sched::thread::{Push, Wait};
use std::collections::BTreeMap;
use voucher::importance::Source;

/// How often each thing was met.
#[derive(Clone, Debug, Default)]
pub struct Sightings(BTreeMap<&'static str, u64>);

/// All that must be met, and on which part of the steps at least: one in this number.
const EXPECTED: &[(&str, u64)] = &[
    ("a voucher that came with a message", 20),
    ("importance that came with a message", 100),
    ("a bank account", 10),
    ("a voucher adopted", 10),
    ("a voucher in a queue", 10),
    ("an inherit", 10),
    ("an inherit that donates", 20),
    ("an inherit of forwarded importance", 400),
    ("a boost on a port in limbo or in transit", 50),
    ("a boost by way of two ports in transit", 2_000),
    ("boosts too deep in ports to go on", 2_000),
    ("a boost of a blocked sender", 50),
    ("a boost for a request to be told of room", 4_000),
    ("a boost that a watch port binds", 200),
    ("importance that outlives its task", 10),
    ("a task that boosts itself by a ring", 500),
    ("a delayed drop", 50),
    ("App Nap", 10),
    ("a task in the background by another's will", 10),
    ("a task with a persona", 10),
    ("an answer about the persona", 500),
    ("a servicer", 10),
    ("a push", 20),
    ("a request of a special reply port", 20),
    ("the record of a strict reply", 1_000),
    ("a refused strict reply", 4_000),
    ("an override of a class", 10),
];

impl Sightings {
    /// Takes note that something was met.
    pub fn saw(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }

    fn saw_if(&mut self, condition: bool, what: &'static str) {
        if condition {
            self.saw(what);
        }
    }

    /// Takes note of what there is now.
    pub fn look(&mut self, kernel: &Kernel) {
        self.look_at_vouchers(kernel);
        self.look_at_ports(kernel);
        self.look_at_tasks(kernel);
        let (mut pushes, mut serves, mut adopted, mut overrides) = (false, false, false, false);
        for (_, thread) in kernel.sched.iter() {
            pushes |= matches!(thread.push(), Push::Port { .. });
            serves |= thread.serves().is_some();
            adopted |= thread.voucher().is_some();
            overrides |= thread.policy().qos_override != abi::qos::Qos::Unspecified;
            if let Some(Wait::Send(send)) = thread.wait() {
                let element = kernel.ipc.element_of(kernel.tasks[thread.task()].space);
                let donor = element.and_then(|id| kernel.ipc.importance().element(id)).is_some_and(|e| e.is_donor());
                let boosted = kernel.ipc.live_port(send.port).is_some_and(|port| port.boosts().count() > 0);
                self.saw_if(donor && boosted, "a boost of a blocked sender");
            }
        }
        self.saw_if(pushes, "a push");
        self.saw_if(serves, "a servicer");
        self.saw_if(adopted, "a voucher adopted");
        self.saw_if(overrides, "an override of a class");
    }

    fn look_at_vouchers(&mut self, kernel: &Kernel) {
        self.saw_if(kernel.vouchers.system().bank.len().1 > 0, "a bank account");
        let importance = kernel.ipc.importance();
        let any = |fits: fn(&voucher::importance::Inherit) -> bool| importance.inherits().any(|(_, i)| fits(i));
        self.saw_if(any(|_| true), "an inherit");
        self.saw_if(any(|inherit| inherit.is_donating()), "an inherit that donates");
        self.saw_if(any(|inherit| inherit.depth().length() > 1), "an inherit of forwarded importance");
        let live = importance.elements().filter(|(_, element)| element.task().is_some()).count();
        self.saw_if(importance.elements().count() > live, "importance that outlives its task");
        let gives =
            |from| importance.inherits().filter(move |(_, i)| i.is_donating() && i.from() == Source::Task(from));
        let ring = importance.elements().any(|(a, _)| {
            gives(a).any(|(_, inherit)| inherit.to() != a && gives(inherit.to()).any(|(_, back)| back.to() == a))
        });
        self.saw_if(ring, "a task that boosts itself by a ring");
    }

    fn look_at_ports(&mut self, kernel: &Kernel) {
        let ipc = &kernel.ipc;
        let (mut queued, mut travels, mut nested, mut bound) = Default::default();
        let (mut deep, mut room, mut replies, mut records) = Default::default();
        for (id, port) in ipc.ports() {
            queued |= ipc.queued(id).any(|message| message.voucher.is_some());
            bound |= port.boosts().bound().is_some() && port.boosts().count() > 0;
            room |= port.boosts().holds_send_possible();
            replies |= matches!(port.role(), Role::SpecialReply { link: ReplyLink::Port(_), .. });
            records |= port.reply_persona().is_some();
            if port.boosts().count() == 0 {
                continue;
            }
            deep |= port.keeps_boosts();
            travels |= matches!(port.home(), Home::Limbo | Home::Transit(_));
            if let Home::Transit(next) = port.home() {
                nested |= ipc.live_port(next).is_some_and(|next| matches!(next.home(), Home::Transit(_)));
            }
        }
        self.saw_if(queued, "a voucher in a queue");
        self.saw_if(travels, "a boost on a port in limbo or in transit");
        self.saw_if(nested, "a boost by way of two ports in transit");
        self.saw_if(deep, "boosts too deep in ports to go on");
        self.saw_if(bound, "a boost that a watch port binds");
        self.saw_if(room, "a boost for a request to be told of room");
        self.saw_if(replies, "a request of a special reply port");
        self.saw_if(records, "the record of a strict reply");
    }

    fn look_at_tasks(&mut self, kernel: &Kernel) {
        let delayed = kernel.ipc.importance().elements().any(|(_, element)| element.is_delayed());
        self.saw_if(delayed, "a delayed drop");
        let any = |fits: fn(&kernel::task::Task) -> bool| kernel.tasks.iter().any(|(_, task)| fits(task));
        self.saw_if(any(|task| task.policy.suppression.active), "App Nap");
        self.saw_if(any(|task| task.policy.external_background), "a task in the background by another's will");
        self.saw_if(any(|task| task.identity.persona != abi::task::PERSONA_ID_NONE), "a task with a persona");
    }

    /// Adds what another simulation has met.
    pub fn add(&mut self, other: &Sightings) {
        other.0.iter().for_each(|(what, times)| *self.0.entry(what).or_default() += times);
    }

    /// Panics unless all that is expected was met often enough in a number of looks.
    pub fn assert_all(&self, looks: u64) {
        eprintln!("in {looks} looks: {:#?}", self.0);
        for (what, one_in) in EXPECTED {
            let times = self.0.get(what).copied().unwrap_or(0);
            assert!(
                times * one_in >= looks,
                "{what} was met {times} times in {looks} looks, one in {one_in} is expected"
            );
        }
        let unknown = self.0.keys().find(|met| !EXPECTED.iter().any(|(what, _)| what == *met));
        assert_eq!(unknown, None, "all that is met is expected");
    }
}
