//! A model of donation that knows no propagation: after each call it looks at all messages and vouchers, and switches
//! tasks on and off until nothing changes (E152).
//!
//! It keeps its own record of what was received, by vouchers in the hands of tasks and in messages. Two things it takes
//! from the crate: the names of inherits, and the marks of live donors, which follow the policy bit and with it the
//! delayed drop.

use crate::support::base_priority;
use crate::world::{Holder, Message, Port, World};
use std::collections::{BTreeMap, BTreeSet};
use voucher::importance::{ElementId, InheritId, PortNumber, Source, TaskElement};
use voucher::{Key, VoucherId};

/// The boosts that a voucher's value holds.
#[derive(Debug)]
struct Held {
    /// The task whose donation the boosts follow.
    follows: ElementId,
    /// The boosted task.
    to: ElementId,
    /// All boosts, and those that were given back by hand.
    boosts: (u64, u64),
    /// They follow nobody: they come from the kernel.
    fixed: bool,
}

/// A message on its way.
#[derive(Debug)]
struct Sent {
    /// The task whose donation the message follows; `None` for one that boosts in any case.
    follows: Option<ElementId>,
    port: PortNumber,
}

/// The model.
#[derive(Debug, Default)]
pub struct Model {
    held: BTreeMap<InheritId, Held>,
    sent: BTreeMap<u32, Sent>,
    /// The tasks that are donors, among those that ever were.
    donors: BTreeSet<ElementId>,
    file_locks: BTreeMap<ElementId, u64>,
    /// What is true only for a moment within a call.
    moment: Option<Moment>,
}

/// A moment within a call: rights are on their way, or a message is there that is refused or lost later.
#[derive(Debug, Default)]
struct Moment {
    /// The places of receive rights that are not where they are after the call, and the tasks that their boosts count for
    /// there.
    places: BTreeMap<PortNumber, (Holder, Option<ElementId>)>,
    /// A task with one more boost.
    boosted: Option<ElementId>,
}

/// The number of the message that is being refused.
const REFUSED: u32 = u32::MAX;

/// A message that is being sent, with what the model must know of the time before.
pub struct Sending {
    /// The task that sends it, if it can carry importance.
    pub follows: Option<ElementId>,
    /// It boosts in any case.
    pub fixed: bool,
    pub port: PortNumber,
    /// The receive rights in it.
    pub rights: Vec<Moved>,
}

/// A receive right in a message that is being sent.
pub struct Moved {
    port: PortNumber,
    home: Holder,
    /// The task that the port's boosts counted for.
    owner: Option<ElementId>,
    /// The temporary owner.
    bound: Option<ElementId>,
}

impl Moved {
    /// Takes note of a right before it is sent.
    pub fn new(world: &World, right: PortNumber) -> Moved {
        let port = world.kernel.port_of(right).expect("it is alive");
        Moved { port: right, home: port.holder, owner: owner(world, port), bound: port.boosts.bound() }
    }
}

/// Returns the task that the boosts of a port count for.
fn owner(world: &World, port: &Port) -> Option<ElementId> {
    if port.boosts.is_temp_owner() { port.boosts.bound() } else { holder(world, port.holder) }
}

/// Returns the task that has a right.
fn holder(world: &World, place: Holder) -> Option<ElementId> {
    match place {
        Holder::Task(task) => world.kernel.tasks[task].element,
        Holder::Transit(_) | Holder::Limbo => None,
    }
}

impl Model {
    /// Notes that a task sent a message, if it exists still.
    pub fn sent(&mut self, world: &World, message: u32, fixed: bool) {
        let Some(Message { sender: Some(sender), port, link: Some(_), .. }) = world.messages.get(&message) else {
            return;
        };
        let element = world.kernel.tasks[*sender].element;
        let follows = if fixed { None } else { element };
        self.sent.insert(message, Sent { follows, port: *port });
    }

    /// Notes that a message was received with a voucher.
    pub fn received(&mut self, world: &World, message: u32, voucher: Option<VoucherId>) {
        let handle = voucher.and_then(|voucher| world.vouchers.registry.handle(voucher, Key::IMPORTANCE));
        let Some(Source::Inherit(id)) = handle.and_then(Source::from_handle) else { return };
        let sent = self.sent.get(&message).expect("a message without importance gives none");
        let inherit = world.importance.inherit(id).expect("a value in use exists");
        let to = inherit.to();
        let follows = match (sent.follows, inherit.from()) {
            // A message of a task to itself carries an inherit of its own, which goes on to follow the task it is from.
            (Some(sender), Source::Task(from)) if sender == to => from,
            (Some(sender), Source::Inherit(from)) if sender == to => {
                world.importance.inherit(from).expect("it is referred to").to()
            }
            (sender, _) => sender.unwrap_or(to),
        };
        let held =
            self.held.entry(id).or_insert_with(|| Held { follows, to, boosts: (0, 0), fixed: sent.follows.is_none() });
        held.boosts.0 += 1;
    }

    /// Notes that a message was lost on the way to its receiver, after its boost had moved to a value. If other vouchers
    /// hold that value, the boost lasts as long as they do, because all boosts of a value end together.
    pub fn lost(&mut self, world: &World) {
        for (&id, held) in &mut self.held {
            let total = world.importance.inherit(id).map_or(0, |inherit| inherit.external().total);
            held.boosts.0 += u64::from(total == held.boosts.0 + 1);
        }
    }

    /// Notes that rights were sent. Each was in no task before it travelled, and a moment without its boosts is enough to
    /// put out a ring of tasks that boost each other.
    pub fn left(&mut self, world: &World, message: &Sending) {
        self.take(world, message);
        self.moment = None;
        self.settle(world, true);
    }

    /// Notes that a message was refused. Its rights were on their way, and for a moment it boosted the receiver. If tasks
    /// boost each other in a ring, a moment is enough to light the ring (importance 6.5).
    pub fn refused(&mut self, world: &World, message: &Sending) {
        self.take(world, message);
        if message.fixed || message.follows.is_some() {
            let follows = message.follows.filter(|_| !message.fixed);
            self.sent.insert(REFUSED, Sent { follows, port: message.port });
            self.settle(world, true);
            self.sent.remove(&REFUSED);
            self.settle(world, false);
        }
        for right in message.rights.iter().rev() {
            self.place(world, right.port, right.home, holder(world, right.home));
        }
        self.moment = None;
        self.settle(world, true);
        self.settle(world, false);
    }

    /// Takes the rights of a message out of their task and sets them on their way, one after the other.
    fn take(&mut self, world: &World, message: &Sending) {
        let homes = message.rights.iter().map(|right| (right.port, (right.home, right.owner)));
        self.moment = Some(Moment { places: homes.collect(), boosted: None });
        // A request for room may have been armed.
        self.settle(world, true);
        for right in &message.rights {
            self.place(world, right.port, Holder::Limbo, right.bound);
            self.place(world, right.port, Holder::Transit(message.port), None);
        }
    }

    /// Moves a right within the moment: what its boosts count for now comes first.
    fn place(&mut self, world: &World, port: PortNumber, place: Holder, owner: Option<ElementId>) {
        let moment = self.moment.as_mut().expect("a call goes on");
        moment.places.insert(port, (place, owner));
        self.settle(world, true);
        self.settle(world, false);
    }

    /// Notes that a receiver had a boost for a moment, if the message was raised: the message is lost now.
    pub fn flashed(&mut self, world: &World, message: u32, receiver: ElementId) {
        let Some(sent) = self.sent.get(&message) else { return };
        let raised = sent.follows.is_none_or(|task| self.donors.contains(&task));
        if raised && sent.follows != Some(receiver) {
            self.moment = Some(Moment { boosted: Some(receiver), ..Moment::default() });
            self.settle(world, true);
            self.moment = None;
            self.settle(world, true);
        }
    }

    /// Returns the tasks that are donors.
    pub const fn donors(&self) -> &BTreeSet<ElementId> {
        &self.donors
    }

    /// Takes over which tasks are donors, after changes in slices. Whether a ring of tasks that boost each other is lit may
    /// depend on the slices (importance 6.5); that it has all counts that follow from it does not.
    pub fn take_over_donors(&mut self, world: &World) {
        let donors = world.importance.elements().filter(|(_, element)| element.is_donor());
        self.donors = donors.map(|(id, _)| id).collect();
        let taken_over = self.donors.clone();
        self.settle(world, true);
        self.settle(world, false);
        assert_eq!(self.donors, taken_over, "each donor has a reason, and each reason makes a donor");
    }

    /// Notes that boosts were given back by hand.
    pub fn gave_back(&mut self, id: InheritId, boosts: u64) {
        self.held.get_mut(&id).expect("it was received").boosts.1 += boosts;
    }

    /// Notes that a boost for a file lock was added or dropped.
    pub fn file_lock(&mut self, element: ElementId, hold: bool) {
        let locks = self.file_locks.entry(element).or_default();
        *locks = if hold { *locks + 1 } else { *locks - 1 };
    }

    /// Asserts that the crate has the counts that the model has.
    pub fn check(&mut self, world: &World) {
        self.forget(world);
        // New boosts first, so that a task that keeps a boost keeps what depends on it.
        self.settle(world, true);
        self.settle(world, false);
        let boosts = self.boosts(world);
        for (id, element) in world.importance.elements() {
            let name = &world.element_names[&id];
            let expected = if element.is_receiver() { boosts.get(&id).copied().unwrap_or(0) } else { 0 };
            assert_eq!(element.assertions(), expected, "boosts of {name}");
            assert_eq!(element.is_donor(), self.donors.contains(&id), "{name} is a donor");
        }
        self.check_policies(world, &boosts);
        for port in world.kernel.live_ports() {
            let live = world.kernel.port_of(port).expect("it is alive");
            assert_eq!(live.boosts.count(), self.on_port(world, port), "boosts of {}", live.name);
        }
        for (id, held) in &self.held {
            let inherit = world.importance.inherit(*id).expect("a voucher holds it");
            let external = inherit.external();
            assert_eq!((external.total, external.dropped), held.boosts, "boosts of {}", world.inherit_names[id]);
            let donates = self.follows_a_donor(held) && held.boosts.0 > held.boosts.1;
            assert!(held.fixed || inherit.is_donating() == donates, "{} donates", world.inherit_names[id]);
        }
        self.check_external(world);
        let carries = |message: &Message| message.link.is_some();
        assert_eq!(world.messages.values().filter(|message| carries(message)).count(), self.sent.len());
        for (message, sent) in &self.sent {
            let link = world.messages[message].link.expect("a message that the model knows is linked");
            let raised = sent.follows.is_none_or(|task| self.donors.contains(&task));
            assert_eq!(world.importance.link(link).map(|link| link.is_raised()), Some(raised), "message {message}");
        }
    }

    /// Asserts that the policy bits and the base priorities of live tasks are those that follow from their boosts. An
    /// application in the queue of the delayed drop keeps its bit without a boost.
    fn check_policies(&self, world: &World, boosts: &BTreeMap<ElementId, u64>) {
        for task in world.kernel.tasks.iter().filter(|task| !task.ended) {
            let id = task.element.expect("a live task has an element");
            let element = world.importance.element(id).expect("it is alive");
            let receives = element.is_receiver() && boosts.get(&id).is_some_and(|&boosts| boosts > 0);
            let boosted = receives || (element.is_delayed() && element.is_boosted());
            assert_eq!(element.is_boosted(), boosted, "the policy bit of {}", task.name);
            let priorities = [task.boosted, boosted].map(|boosted| base_priority(task, boosted));
            assert_eq!(priorities[0], priorities[1], "the base priority of {}", task.name);
        }
    }

    /// Asserts that each task has the external boosts of the values that donate to it.
    fn check_external(&self, world: &World) {
        let mut external = BTreeMap::<ElementId, (u64, u64)>::new();
        for (&id, held) in &self.held {
            if self.counts(world, id, held) && held.boosts.0 > held.boosts.1 {
                let sum = external.entry(held.to).or_default();
                *sum = (sum.0 + held.boosts.0, sum.1 + held.boosts.1);
            }
        }
        for (id, element) in world.importance.elements() {
            let counts = (element.external().total, element.external().dropped);
            let name = &world.element_names[&id];
            assert_eq!(counts, external.get(&id).copied().unwrap_or_default(), "external boosts of {name}");
        }
    }

    /// Forgets the messages that are gone and the values that no voucher holds. A value can come back without the boosts
    /// that it had.
    pub fn forget(&mut self, world: &World) {
        self.sent.retain(|id, _| world.messages.contains_key(id));
        let by_tasks = world.kernel.tasks.iter().flat_map(|task| task.vouchers.keys().copied());
        let by_messages =
            world.messages.values().flat_map(|message| message.voucher.iter().chain(&message.body_vouchers));
        let vouchers: BTreeSet<VoucherId> = by_tasks.chain(by_messages.copied()).collect();
        let handles = vouchers.iter().filter_map(|&id| world.vouchers.registry.handle(id, Key::IMPORTANCE));
        let sources: Vec<Source> = handles.filter_map(Source::from_handle).collect();
        self.held.retain(|&id, _| sources.contains(&Source::Inherit(id)));
        self.donors.retain(|&id| world.importance.element(id).is_some());
    }

    fn follows_a_donor(&self, held: &Held) -> bool {
        self.donors.contains(&held.follows)
    }

    /// Returns true if a value's boosts count now. Those from the kernel follow the receiver itself, once: an
    /// application that ceases to be a donor loses them until the next; the crate is asked for that.
    fn counts(&self, world: &World, id: InheritId, held: &Held) -> bool {
        if held.fixed {
            return world.importance.inherit(id).is_some_and(|inherit| inherit.is_donating());
        }
        self.follows_a_donor(held)
    }

    /// Switches tasks in one direction until nothing changes.
    fn settle(&mut self, world: &World, up: bool) {
        while self.switch(world, up) {}
    }

    /// Switches the tasks whose status has changed in one direction. Returns true if there was one.
    fn switch(&mut self, world: &World, up: bool) -> bool {
        let boosts = self.boosts(world);
        let mut changed = false;
        for (id, element) in world.importance.elements() {
            let boosted = boosts.get(&id).copied().unwrap_or(0) > 0;
            let donates = self.is_marked(world, element, boosted) || (element.marks().receiver && boosted);
            if donates && up {
                changed |= self.donors.insert(id);
            } else if !donates && !up {
                changed |= self.donors.remove(&id);
            }
        }
        changed
    }

    /// Returns true if a task has the mark of a donor. That of a napping application can be there for a moment only, or
    /// only be gone for a moment, because a boost lifts the nap (importance 2.4). It stays if the application waits for
    /// the delayed drop now.
    fn is_marked(&self, world: &World, element: &TaskElement, boosted: bool) -> bool {
        let marks = element.marks();
        let live = element.task().filter(|_| marks.live_donor && self.moment.is_some());
        let Some(task) = live else { return marks.donor };
        let policy = world.kernel.tasks[task as usize].live_policy();
        // A mark that is there without a boost was set by `mark_donor`.
        let by_boost = policy.boosted && !policy.unboosted && (element.is_boosted() || !marks.donor);
        if by_boost { boosted || element.is_delayed() } else { marks.donor }
    }

    /// Returns the place of a port's receive right, and the task that its boosts count for there.
    fn place_of(&self, world: &World, number: PortNumber) -> (Holder, Option<ElementId>) {
        let port = world.kernel.port_of(number).expect("it is alive");
        let moved = self.moment.as_ref().and_then(|moment| moment.places.get(&number).copied());
        moved.unwrap_or_else(|| (port.holder, owner(world, port)))
    }

    /// Returns the boosts on a port: its messages, the request for room, and the ports that travel towards it.
    fn on_port(&self, world: &World, port: PortNumber) -> u64 {
        let raised = |sent: &&Sent| sent.port == port && sent.follows.is_none_or(|task| self.donors.contains(&task));
        let own = self.sent.values().filter(raised).count() as u64;
        let live = world.kernel.port_of(port).expect("it is alive");
        let ports = world.kernel.live_ports().into_iter();
        let travelling = ports.filter(|&other| self.place_of(world, other).0 == Holder::Transit(port));
        own + u64::from(live.boosts.holds_send_possible())
            + travelling.map(|other| self.on_port(world, other)).sum::<u64>()
    }

    /// Returns the boosts of all tasks.
    fn boosts(&self, world: &World) -> BTreeMap<ElementId, u64> {
        let mut boosts = self.file_locks.clone();
        let flash = self.moment.as_ref().and_then(|moment| moment.boosted);
        flash.into_iter().for_each(|task| *boosts.entry(task).or_default() += 1);
        for (&id, held) in &self.held {
            if self.counts(world, id, held) {
                *boosts.entry(held.to).or_default() += held.boosts.0 - held.boosts.1;
            }
        }
        for port in world.kernel.live_ports() {
            if let (_, Some(owner)) = self.place_of(world, port) {
                *boosts.entry(owner).or_default() += self.on_port(world, port);
            }
        }
        boosts
    }
}
